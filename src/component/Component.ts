/**
 * A component by name: what YAML calls `name: evolution` and its options, and the Layer that they make. Shipped
 * components are listed in `Registry.ts`; a component of the user's own is a module (`name: ./my-searcher.ts`) that
 * exports one of these as `component`.
 */
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"

/** The kinds of component a configuration can swap. */
export type ComponentKind =
  | "searchSpace"
  | "trainingStrategy"
  | "searchStrategy"
  | "criterion"
  | "dataflow"
  | "trainingAgent"
  | "estimator"
  | "engine"

/**
 * A component definition. `Service` is the contract's tag type, `Options` what its Schema decodes to, `R` what its
 * Layer needs of the run (other contracts, the run's key).
 */
export interface Component<Kind extends ComponentKind, Service, Options, E = never, R = never> {
  readonly kind: Kind
  readonly name: string
  /** One line for `osnas list`. */
  readonly description: string
  /** Options beside `name`; every field with a description, and a default where one is sensible. */
  readonly options: Schema.Codec<Options, unknown>
  readonly layer: (options: Options) => Layer.Layer<Service, E, R>
  /** Of a search space whose weights depend on how large the images are: the side it is meant for, in pixels. */
  readonly side?: number | undefined
}

/**
 * Keeps the types of a definition while checking it.
 *
 * **Example** (A loss of one's own)
 *
 * ```ts
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import { Criterion } from "../criterion/Criterion.ts"
 * import * as Component from "./Component.ts"
 *
 * const Options = Schema.Struct({ factor: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))) })
 * const component = Component.define({
 *   kind: "criterion",
 *   name: "constant",
 *   description: "The same loss whatever happens",
 *   options: Options,
 *   layer: ({ factor }: typeof Options.Type) =>
 *     Layer.succeed(Criterion, { name: "constant", init: () => ({}), loss: () => tf.scalar(factor) })
 * })
 * component.name // => "constant"
 * ```
 */
export const define = <Kind extends ComponentKind, Service, Options, E = never, R = never>(
  component: Component<Kind, Service, Options, E, R>
): Component<Kind, Service, Options, E, R> => component
