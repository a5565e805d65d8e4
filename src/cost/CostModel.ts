/**
 * The cost of an architecture: `base` plus one table entry per layer. For FLOPs and parameters that equals counting the built
 * network; for latency it is the sum of measured blocks.
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import type { Genotype } from "../search-space/SearchSpace.ts"

/**
 * `flops`: multiply-accumulates of convolutions and linear layers (the literature's FLOPs); `params`: trainable
 * parameters; `latency`: milliseconds of one image's forward pass on the machine that measured it.
 */
export const CostMetric = Schema.Literals(["flops", "params", "latency"])
/** The name of a cost. */
export type CostMetric = typeof CostMetric.Type

/** A band of allowed cost, both ends inclusive. */
export interface Budget {
  readonly metric: CostMetric
  readonly min: number
  readonly max: number
}

/**
 * One metric of a lookup table: the fixed part, and an entry for every layer and option.
 *
 * **Example** (From JSON)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as CostModel from "./CostModel.ts"
 *
 * Schema.decodeUnknownSync(CostModel.CostEntries)({ base: 1, layers: [[0, 5]] }) // => { base: 1, layers: [[0, 5]] }
 * ```
 */
export const CostEntries = Schema.Struct({
  base: Schema.Finite,
  layers: Schema.Array(Schema.Array(Schema.Finite))
})
/** One metric of a lookup table. */
export type CostEntries = typeof CostEntries.Type

/**
 * No architecture of the space fits the budget.
 *
 * **Example** (What it says)
 *
 * ```ts
 * import * as CostModel from "./CostModel.ts"
 *
 * const error = new CostModel.BudgetInfeasible({
 *   space: "tiny",
 *   metric: "flops",
 *   min: 0,
 *   max: 10,
 *   smallest: 900,
 *   largest: 5000
 * })
 * error.message // => "no architecture of tiny has flops between 0 and 10: the smallest has 900, the largest 5000"
 * ```
 */
export class BudgetInfeasible extends Schema.TaggedError<BudgetInfeasible>()("BudgetInfeasible", {
  space: Schema.String,
  metric: CostMetric,
  min: Schema.Finite,
  max: Schema.Finite,
  smallest: Schema.Finite,
  largest: Schema.Finite
}) {
  override get message(): string {
    return `no architecture of ${this.space} has ${this.metric} between ${this.min} and ${this.max}: the smallest has ${this.smallest}, the largest ${this.largest}`
  }
}

/** The contract. */
export interface CostModelShape {
  readonly metrics: ReadonlyArray<CostMetric>
  readonly entries: (metric: CostMetric) => CostEntries
  readonly cost: (metric: CostMetric, genotype: Genotype) => number
}

/**
 * The cost model of a run.
 *
 * **Example** (A cost that depends on one digit)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as CostModel from "./CostModel.ts"
 *
 * const entries: CostModel.CostEntries = { base: 100, layers: [[10, 20]] }
 * const model = CostModel.CostModel.of({
 *   metrics: CostModel.CostMetric.literals.slice(0, 1),
 *   entries: () => entries,
 *   cost: (_metric, [digit = 0]) => entries.base + (entries.layers[0]?.[digit] ?? Number.NaN)
 * })
 * const cost = Effect.map(CostModel.CostModel, (costs) => costs.cost("flops", [1]))
 * Effect.runSync(Effect.provideService(cost, CostModel.CostModel, model)) // => 120
 * ```
 */
export class CostModel extends Context.Service<CostModel, CostModelShape>()("osnas/cost/CostModel") {}
