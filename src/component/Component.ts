/**
 * A component definition: a name, as in `name: evolution`, a Schema of its options, and the Layer that they make.
 * `Registry.ts` lists the components that ship; your own is a module (`name: ./my-searcher.ts`) that exports a definition as
 * `component`.
 */
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"

/** The kinds of component. */
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
 * A component definition. `Service` is the type of the contract's service, `Options` that of the decoded options, `R` what
 * its Layer requires of the run: other contracts, the run's key.
 */
export interface Component<Kind extends ComponentKind, Service, Options, E = never, R = never> {
  readonly kind: Kind
  readonly name: string
  /** One line for `osnas list`. */
  readonly description: string
  /** The options beside `name`. Give every field a description, and a default if one makes sense. */
  readonly options: Schema.Codec<Options, unknown>
  readonly layer: (options: Options) => Layer.Layer<Service, E, R>
  /** For a search space whose weights depend on the size of the images: the side that it is meant for, in pixels. */
  readonly side?: number | undefined
}

/**
 * Checks the types of a definition and keeps them.
 *
 * **Example** (A loss of your own)
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
 *   description: "The same loss for every batch",
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
