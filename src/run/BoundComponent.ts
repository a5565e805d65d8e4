/**
 * A component without its types: what a configuration can choose by name. {@link bind} turns a typed definition into
 * one, keeping the contract it provides and what its Layer may ask of a run.
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

/** The kinds a configuration chooses by `name` (the engine has a section of its own). */
export const kinds = [
  "dataflow",
  "searchSpace",
  "criterion",
  "trainingAgent",
  "trainingStrategy",
  "searchStrategy",
  "estimator"
] as const satisfies ReadonlyArray<ComponentKind>
/** A kind a configuration chooses by `name`. */
export type Kind = (typeof kinds)[number]

/** The contract that a kind's Layer provides. */
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

/** A kind a configuration chooses by `name`, or the engine. */
export type AnyKind = keyof ServiceOf

/** What a kind's Layer may ask of the run: whatever stands before it. */
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

/** What a component fails with when its Layer is built: a tagged error with a message for people. */
export interface ComponentFailure {
  readonly _tag: string
  readonly message: string
}

/** A component with its options decoded: ready to be part of a run. */
export interface Chosen<K extends AnyKind> {
  readonly kind: K
  readonly name: string
  /** The options as plain data with every default filled in. */
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
  /** Decodes options: every fault at once, unknown keys refused. */
  readonly choose: (options: unknown) => Result.Result<Chosen<K>, Schema.SchemaError>
  /** As the component has it. */
  readonly side: number | undefined
}

/** Keys that a struct's syntax tree knows; none where it is no struct. */
export const optionNames = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  ast._tag === "Objects" ? ast.propertySignatures.map((signature) => String(signature.name)) : []

/** Takes the types off a component. */
export const bind = <K extends AnyKind, Options, E extends ComponentFailure, R extends NeedsOf[K]>(
  component: Component<K, ServiceOf[K], Options, E, R>
): BoundComponent<K> => {
  const decode = Schema.decodeUnknownResult(component.options, { errors: "all", onExcessProperty: "error" })
  const encode = Schema.encodeResult(component.options)
  // An option may itself be called `name`, as that of a space given as data is: the component's name fills it.
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
