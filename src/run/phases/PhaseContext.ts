/** The context of a phase: services and configuration of the run, files it may read and write, tensors in memory. */
import * as Effect from "effect/Effect"
import type { CheckpointRef } from "../../../machines/RunState.ts"
import type { ParameterTree } from "../../nn/ParameterTree.ts"
import type { Key } from "../../random/Key.ts"
import * as Network from "../../search-space/Network.ts"
import * as Checkpoint from "../Checkpoint.ts"
import type { Progress } from "../Progress.ts"
import type { ResidentWeights } from "../ResidentWeights.ts"
import type { RunConfig } from "../RunConfig.ts"
import type { RunFolderShape } from "../RunFolder.ts"
import type { Services } from "../RunServices.ts"
import * as TrainingCheckpoint from "../TrainingCheckpoint.ts"

/** The context of a phase. */
export interface PhaseContext {
  readonly services: Services
  readonly config: RunConfig
  /** Where checkpoints are. */
  readonly folder: Pick<RunFolderShape, "disk" | "path">
  /** The folder as the user would type it, for commands in error messages. */
  readonly shownFolder: string
  readonly resident: ResidentWeights
  readonly progress: Progress
}

/** The shapes of a network's parameters and statistics by name. */
export const shapesOf = (network: Network.Network): TrainingCheckpoint.Shapes =>
  new Map(Network.parameterSpecs(network).map((spec) => [spec.name, spec.shape]))

/** The criterion's own weights before training, for the outputs and classes of this run. */
export const initialCriterion = ({ criterion, dataflow, space }: Services, key: Key): ParameterTree => {
  const { head } = space.interface
  return criterion.init(key, {
    outputs: head._tag === "Classifier" ? head.classes : head.dimension,
    classes: dataflow.classes.length
  })
}

/** The weights of a trained network: from memory if they equal the file, otherwise read from it. */
export const networkWeights = Effect.fnUntraced(function* (
  { folder, resident }: Pick<PhaseContext, "folder" | "resident">,
  ref: CheckpointRef,
  network: Network.Network
) {
  const known = resident.find("network", ref.digest)
  if (known !== undefined) return known
  // Before reading: two networks must not be in memory at the same time.
  resident.release("training", "network")
  const file = folder.path(ref.file)
  const checkpoint = yield* Checkpoint.read(folder.disk, file, ref.digest)
  const weights = yield* TrainingCheckpoint.toWeights(file, checkpoint, shapesOf(network))
  resident.put("network", weights, ref.digest)
  return weights
})

/** Whether a checkpoint's values are all finite numbers. */
export const hasFiniteValues = (tensors: ReadonlyMap<string, Checkpoint.TensorEntry>): boolean => {
  for (const entry of tensors.values()) {
    for (const value of Checkpoint.toFloat32(entry)) if (!Number.isFinite(value)) return false
  }
  return true
}
