/** Sums of a searcher's metrics over steps, from which the means of an epoch or of a pass are made. */
import * as Schema from "effect/Schema"
import type { LearningMetrics } from "../search-strategy/SearchStrategy.ts"

/** Number of steps, and the sum of each metric over them by name. */
export const MetricSums = Schema.Struct({
  steps: Schema.Int,
  metrics: Schema.Record(Schema.String, Schema.Finite)
})
/** Number of steps, and the sum of each metric over them by name. */
export type MetricSums = typeof MetricSums.Type

/** The sums before the first step. */
export const empty: MetricSums = { steps: 0, metrics: {} }

/** The sums with one more step. */
export const add = (sums: MetricSums, metrics: LearningMetrics): MetricSums => ({
  steps: sums.steps + 1,
  metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, (sums.metrics[name] ?? 0) + value]))
})

/** The mean of each metric by name. */
export const means = ({ metrics, steps }: MetricSums): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(metrics).map(([name, sum]) => [name, sum / steps]))
