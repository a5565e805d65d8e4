/**
 * What a candidate costs. `cost(genotype) = base + sum over layers of one table entry`, the same figure as counting the
 * built network, for FLOPs and parameters; for latency the sum of measured blocks.
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import type { Genotype } from "../search-space/SearchSpace.ts"

/**
 * `flops`: multiply-accumulates of convolutions and linear layers (the literature's FLOPs); `params`: trainable
 * parameters; `latency`: milliseconds of one image's forward pass on the machine that measured it.
 */
export const CostMetric = Schema.Literals(["flops", "params", "latency"])
/** A cost's name. */
export type CostMetric = typeof CostMetric.Type

/** A band of allowed cost, both ends inclusive. */
export interface Budget {
  readonly metric: CostMetric
  readonly min: number
  readonly max: number
}

/** One metric of a lookup table: the fixed part, and an entry for every layer and option. */
export const CostEntries = Schema.Struct({
  base: Schema.Finite,
  layers: Schema.Array(Schema.Array(Schema.Finite))
})
/** One metric of a lookup table. */
export type CostEntries = typeof CostEntries.Type

/** No architecture of the space fits the budget. */
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

/** The cost model of a run. */
export class CostModel extends Context.Service<CostModel, CostModelShape>()("osnas/cost/CostModel") {}
