/**
 * A component whose options are not known to the type system: what a configuration chooses by name. {@link bind} makes one
 * of a typed definition; only the service that it provides and those that its Layer may require remain in the type.
 */
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import type { Component, ComponentKind } from "../component/Component.ts"
import type { CostModel } from "../cost/CostModel.ts"
import type { SearchBudget } from "../cost/SearchBudget.ts"
import type { Criterion } from "../criterion/Criterion.ts"
import type { Dataflow } from "../dataflow/Dataflow.ts"
import type { Engine } from "../engine/Engine.ts"
import type { PerformanceEstimator } from "../estimator/PerformanceEstimator.ts"
import type { RunKey } from "../random/RunKey.ts"
import type { SearchSpace, TaskInterface } from "../search-space/SearchSpace.ts"
import type { SearchStrategy } from "../search-strategy/SearchStrategy.ts"
import type { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import type { TrainingStrategy } from "../training-strategy/TrainingStrategy.ts"

/** The kinds of component that a configuration chooses by `name`. The engine has its own section. */
export const kinds = [
  "dataflow",
  "searchSpace",
  "criterion",
  "trainingAgent",
  "trainingStrategy",
  "searchStrategy",
  "estimator"
] as const satisfies ReadonlyArray<ComponentKind>
/** A kind of component that a configuration chooses by `name`. */
export type Kind = (typeof kinds)[number]

/** The service that a kind's Layer provides. */
export interface ServiceOf {
  readonly dataflow: Dataflow
  readonly searchSpace: SearchSpace
  readonly criterion: Criterion
  readonly trainingAgent: TrainingAgent
  readonly trainingStrategy: TrainingStrategy
  readonly searchStrategy: SearchStrategy
  readonly estimator: PerformanceEstimator
  readonly engine: Engine
}

/** A kind of component, or the engine. */
export type AnyKind = keyof ServiceOf

/** The services that a kind's Layer may require: those that a run builds before it. */
export interface NeedsOf {
  readonly dataflow: RunKey
  readonly criterion: RunKey
  readonly trainingAgent: RunKey
  readonly searchSpace: RunKey | TaskInterface
  readonly trainingStrategy: RunKey | SearchSpace | CostModel
  readonly searchStrategy: RunKey | SearchSpace | CostModel | SearchBudget
  readonly estimator: RunKey | Engine | Dataflow | Criterion | TrainingAgent | SearchSpace | CostModel
  readonly engine: never
}

/** What a Layer may fail with: a tagged error with a message for people. */
export interface ComponentFailure {
  readonly _tag: string
  readonly message: string
}

/** A component with decoded options. */
export interface Chosen<K extends AnyKind> {
  readonly kind: K
  readonly name: string
  /** The options as plain data, with all defaults. */
  readonly options: Readonly<Record<string, unknown>>
  /** The Schema of the options. */
  readonly schema: Schema.Codec<unknown, unknown>
  readonly layer: Layer.Layer<ServiceOf[K], ComponentFailure, NeedsOf[K]>
}

/** A component that a configuration can choose. */
export interface BoundComponent<K extends AnyKind> {
  readonly kind: K
  readonly name: string
  readonly description: string
  /** Schema of the options, for help and for the configuration's JSON Schema. */
  readonly options: Schema.Codec<unknown, unknown>
  /** Decodes options: reports all issues at once and refuses unknown keys. */
  readonly choose: (options: unknown) => Result.Result<Chosen<K>, Schema.SchemaError>
  /** Of a search space: the side of the images that it is meant for, as its component says. */
  readonly side: number | undefined
}

/** The keys of a struct, from its syntax tree; empty for any other Schema. */
export const optionNames = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  ast._tag === "Objects" ? ast.propertySignatures.map((signature) => String(signature.name)) : []

/** Makes a component that a configuration can choose from a typed definition. */
export const bind = <K extends AnyKind, Options, E extends ComponentFailure, R extends NeedsOf[K]>(
  component: Component<K, ServiceOf[K], Options, E, R>
): BoundComponent<K> => {
  const decode = Schema.decodeUnknownResult(component.options, { errors: "all", onExcessProperty: "error" })
  const encode = Schema.encodeResult(component.options)
  // A space that is given as data has an option `name`, too: its default is the component's name.
  const ownName = optionNames(component.options.ast).includes("name") ? { name: component.name } : {}
  return {
    kind: component.kind,
    name: component.name,
    description: component.description,
    side: component.side,
    options: component.options as Schema.Codec<unknown, unknown>,
    choose: (raw) =>
      Result.gen(function* () {
        const options = yield* decode(Predicate.isObject(raw) ? { ...ownName, ...raw } : raw)
        return {
          kind: component.kind,
          name: component.name,
          options: (yield* encode(options)) as Readonly<Record<string, unknown>>,
          schema: component.options as Schema.Codec<unknown, unknown>,
          layer: component.layer(options)
        }
      })
  }
}
