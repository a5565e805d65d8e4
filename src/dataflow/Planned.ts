/** The dataflow of a batch plan. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as BatchPlan from "./BatchPlan.ts"
import { type DataflowShape, DatasetError } from "./Dataflow.ts"
import * as Prefetch from "./Prefetch.ts"

/** What a dataflow is beside its plan. */
export interface Planned {
  readonly name: string
  readonly classes: ReadonlyArray<string>
  readonly plan: BatchPlan.BatchPlan
  /** Batches made ahead; 0: none. */
  readonly prefetch: number
  /** Threads that make them. */
  readonly workers: number
  readonly digest: string
  /** Labels of the test split and its pairs, where they are not those of training. */
  readonly verification?: DataflowShape["verification"]
}

/** A dataflow whose batches follow from a plan. Its worker threads end with the scope. */
export const make = (planned: Planned): Effect.Effect<DataflowShape, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { name, plan } = planned
    const prefetch = yield* Prefetch.make({ dataset: name, plan, ahead: planned.prefetch, workers: planned.workers })
    return {
      name,
      image: plan.image,
      classes: planned.classes,
      count: (split) => BatchPlan.count(plan, split),
      steps: (split, batchSize, training) => BatchPlan.steps(plan, split, batchSize, training),
      batch: (request) => {
        const reason = BatchPlan.refusal(plan, request)
        return reason === undefined
          ? prefetch(request)
          : Effect.fail(new DatasetError({ dataset: name, file: "(request)", reason }))
      },
      refusal: (request) => BatchPlan.refusal(plan, request),
      classCounts: (split) => BatchPlan.labelCounts(plan, split),
      digest: planned.digest,
      ...(planned.verification === undefined ? {} : { verification: planned.verification })
    }
  })
