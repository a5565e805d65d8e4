/** Repeats training from a checkpoint of a run's folder, to compare the weights with the recorded ones. */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { TrainingPhase } from "../../machines/RunState.ts"
import type { TrainingInput } from "../../machines/Training.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as PieceLoop from "./PieceLoop.ts"
import { shapesOf } from "./phases/PhaseContext.ts"
import * as Training from "./phases/Training.ts"
import * as ResidentWeights from "./ResidentWeights.ts"
import type { RunError } from "./RunError.ts"
import { type RunServices, services } from "./RunServices.ts"
import * as Trainer from "./Trainer.ts"
import * as TrainingCheckpoint from "./TrainingCheckpoint.ts"
import type { TrainingState } from "./TrainingState.ts"

/** Options of {@link replay}. */
export interface ReplayOptions extends Pick<Lifecycle.RunOptions, "config" | "folder" | "kinds" | "modules"> {
  /** A training checkpoint of the folder: `checkpoints/retraining-000000312.safetensors`. */
  readonly from: string
  /** Number of optimizer steps to repeat; default: to the end of the phase. */
  readonly steps?: number | undefined
}

/** The result of a replay. */
export interface Replayed {
  readonly phase: TrainingPhase
  readonly from: number
  readonly stepsPerEpoch: number
  /** Digests of the weights by step: at the end of every epoch, and at the last step. */
  readonly digests: ReadonlyArray<{ readonly step: number; readonly weights: string }>
}

/**
 * Repeats training from a checkpoint of a run's folder, which it neither changes nor locks, and gives the digests of the
 * weights on the way. `RunVerification.verifyFrom` compares them with the recorded ones.
 */
export const replay: (options: ReplayOptions) => Effect.Effect<Replayed, RunError, RunServices> = Effect.fn(
  "Replay.replay"
)(function* (options: ReplayOptions) {
  yield* Lifecycle.checkSame(options)
  const all = yield* services
  const file = path.resolve(options.folder, options.from)
  const checkpoint = yield* Checkpoint.read(all.disk, file)
  const { architecture, phase } = checkpoint.metadata
  if (phase !== "supernetTraining" && phase !== "retraining") {
    const reason = "it is not a checkpoint of a training phase"
    return yield* new Checkpoint.CheckpointError({ file, tensor: null, reason })
  }
  const input: TrainingInput = {
    phase,
    architecture: architecture === undefined ? null : yield* Effect.fromResult(all.space.parse(architecture))
  }
  const setup = Training.setupOf(all, options.config, input)
  const resident = yield* ResidentWeights.make
  let state = yield* TrainingCheckpoint.toState(file, checkpoint, shapesOf(Training.networkOf(all, input)))
  resident.put("training", state)
  const from = state.step
  const last = Math.min(Trainer.totalSteps(setup), from + (options.steps ?? Number.POSITIVE_INFINITY))
  const digests: Array<{ readonly step: number; readonly weights: string }> = []
  while (state.step < last) {
    state = yield* PieceLoop.run({
      from: state,
      steps: last,
      isBoundary: (report: Trainer.StepReport) => report.epochDone !== undefined,
      step: (before: TrainingState) => Training.step(setup, resident, before),
      show: () => Effect.void,
      ...PieceLoop.uninterrupted
    })
    const [, weights] = yield* TrainingCheckpoint.recordWeightsDigest(setup, state)
    digests.push({ step: state.step, weights })
  }
  return { phase, from, stepsPerEpoch: setup.stepsPerEpoch, digests } satisfies Replayed
}, Effect.scoped)
