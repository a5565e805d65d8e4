/** The services of a run as one record, which the phases take as an argument. */
import * as Effect from "effect/Effect"
import { CostModel } from "../cost/CostModel.ts"
import { Criterion } from "../criterion/Criterion.ts"
import { Dataflow } from "../dataflow/Dataflow.ts"
import { Engine } from "../engine/Engine.ts"
import { PerformanceEstimator } from "../estimator/PerformanceEstimator.ts"
import { RunKey } from "../random/RunKey.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { SearchStrategy } from "../search-strategy/SearchStrategy.ts"
import { Disk } from "../support/Disk.ts"
import { TrainingAgent } from "../training-agent/TrainingAgent.ts"
import { TrainingStrategy } from "../training-strategy/TrainingStrategy.ts"
import { RunEvents } from "./RunEvents.ts"

/** The services that a run requires. */
export type RunServices =
  | SearchSpace
  | TrainingStrategy
  | SearchStrategy
  | Criterion
  | Dataflow
  | TrainingAgent
  | PerformanceEstimator
  | CostModel
  | Engine
  | RunKey
  | RunEvents
  | Disk

/** All services of a run as a record. */
export const services = Effect.gen(function* () {
  return {
    space: yield* SearchSpace,
    trainingStrategy: yield* TrainingStrategy,
    searchStrategy: yield* SearchStrategy,
    criterion: yield* Criterion,
    dataflow: yield* Dataflow,
    agent: yield* TrainingAgent,
    estimator: yield* PerformanceEstimator,
    costs: yield* CostModel,
    engine: yield* Engine,
    key: yield* RunKey,
    events: yield* RunEvents,
    disk: yield* Disk
  }
})

/** All services of a run as a record. */
export type Services = Effect.Success<typeof services>
