/** The errors of a run, as one type. */
import * as Schema from "effect/Schema"
import type * as Finding from "../component/Finding.ts"
import type { DatasetError } from "../dataflow/Dataflow.ts"
import type { EstimationError } from "../estimator/PerformanceEstimator.ts"
import type { GenotypeError } from "../search-space/SearchSpace.ts"
import type { DiskError } from "../support/Disk.ts"
import type * as Checkpoint from "./Checkpoint.ts"
import type * as Compatibility from "./Compatibility.ts"
import type * as ConfigFile from "./ConfigFile.ts"
import type { JournalError } from "./Journal.ts"
import type * as Learner from "./Learner.ts"
import type { RunLocked } from "./Lock.ts"
import type * as RunFolder from "./RunFolder.ts"
import type * as Trainer from "./Trainer.ts"

/** A failure without an error class of its own; `tag` names its kind. */
export class RunFailure extends Schema.TaggedError<RunFailure>()("RunFailure", {
  tag: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** Configuration, data or engine differ from those that a run began with. Lists what differs, and says what to do. */
export class RunMismatch extends Schema.TaggedError<RunMismatch>()("RunMismatch", {
  folder: Schema.String,
  differences: Schema.Array(
    Schema.Struct({ key: Schema.String, was: Schema.String, is: Schema.String, why: Schema.String })
  )
}) {
  override get message(): string {
    const lines = this.differences.map(
      ({ is, key, was, why }) => `  ${key}: the run began with ${was}, now it is ${is}${why === "" ? "" : ` (${why})`}`
    )
    return [
      `run ${this.folder} cannot be resumed with other values than it began with; restore them, or start a new run`,
      ...lines
    ].join("\n")
  }
}

/** Any error of a run. */
export type RunError =
  | ConfigFile.ConfigError
  | Trainer.TrainingDiverged
  | Learner.LearningDiverged
  | Compatibility.CompatibilityError
  | Finding.PreflightError
  | DatasetError
  | EstimationError
  | GenotypeError
  | Checkpoint.CheckpointError
  | DiskError
  | JournalError
  | RunFolder.SnapshotError
  | RunFolder.RunFolderError
  | RunLocked
  | RunMismatch
  | RunFailure
