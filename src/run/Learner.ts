/**
 * Drives a gradient-based searcher: gives it batches of the validation split and the supernet as a function of the
 * mixture's weights, and stores its state in checkpoints. The training loop calls it between two steps of the supernet, or
 * the search calls it before the first candidates, depending on the searcher's plan.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Criterion from "../criterion/Criterion.ts"
import type { Batch, DataflowShape, DatasetError } from "../dataflow/Dataflow.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import { names, type ParameterTree, type Variables } from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { GradientSearch, LearnerState, LearningMetrics } from "../search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as SafeJson from "../support/SafeJson.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Forwards from "./Forwards.ts"

/** The searcher, and what it learns with. */
export interface LearnerSetup {
  /** The key of the learning. */
  readonly key: Key.Key
  readonly gradient: GradientSearch
  readonly space: SearchSpaceShape
  readonly criterion: Criterion.CriterionShape
  readonly dataflow: DataflowShape
}

/** The loss of a gradient-based searcher, or one of its parameters, became NaN or infinite. */
export class LearningDiverged extends Schema.TaggedError<LearningDiverged>()("LearningDiverged", {
  searchStrategy: Schema.String,
  /** From 1. */
  step: Schema.Int,
  loss: Schema.String,
  /** The command that continues from what the run has found so far; null if it has found nothing yet. */
  command: Schema.NullOr(Schema.String)
}) {
  override get message(): string {
    const command = this.command === null ? "" : `, for example:\n  ${this.command}`
    return `search strategy ${this.searchStrategy} diverged in step ${this.step} of its learning: the loss is ${this.loss}; lower searchStrategy.optimizer.learningRate, or let the supernet warm up longer${command}`
  }
}

/** Steps of one pass over the validation split. */
export const stepsPerPass = ({ dataflow, gradient }: Pick<LearnerSetup, "dataflow" | "gradient">): number =>
  dataflow.steps("validation", gradient.plan.batchSize, true)

/** Steps of learning done after a number of supernet steps. */
export const stepsWith = (gradient: GradientSearch, supernetSteps: number, stepsPerEpoch: number): number => {
  if (gradient.plan._tag !== "WithSupernet") return 0
  const first = Math.round(gradient.plan.warmupEpochs * stepsPerEpoch)
  return Math.max(0, Math.ceil((supernetSteps - first) / gradient.plan.everySteps))
}

/** Steps of learning on the trained supernet. */
export const stepsAfter = (setup: Pick<LearnerSetup, "dataflow" | "gradient">): number => {
  const { plan } = setup.gradient
  return plan._tag === "AfterSupernet" ? Math.max(1, Math.round(plan.epochs * stepsPerPass(setup))) : 0
}

/** The state before the first step. */
export const init = ({ gradient, key }: LearnerSetup): LearnerState => gradient.init(Key.derive(key, "initialise"))

/** The batch of a step of learning; steps count from 0. */
export const nextBatch = (setup: LearnerSetup, step: number): Effect.Effect<Batch, DatasetError> => {
  const perPass = stepsPerPass(setup)
  return setup.dataflow.batch({
    split: "validation",
    epoch: Math.floor(step / perPass),
    step: step % perPass,
    batchSize: setup.gradient.plan.batchSize,
    training: true
  })
}

/** The place of a step: steps before it, and in all. */
export interface Place {
  readonly step: number
  readonly steps: number
}

/**
 * One step of learning on a batch; the supernet does not change. The tensors of the new state are the caller's, and the
 * given state stays valid. If the loss is NaN or infinite, the step fails and frees the tensors it created.
 */
export const update = (
  setup: LearnerSetup,
  state: LearnerState,
  { step, steps }: Place,
  batch: Batch,
  supernet: { readonly variables: Variables; readonly criterion: ParameterTree },
  strategy: string
): Effect.Effect<readonly [state: LearnerState, metrics: LearningMetrics], LearningDiverged> =>
  Effect.suspend(() => {
    const { criterion, dataflow, gradient, space } = setup
    const key = Key.derive(setup.key, "step", step)
    const images = tf.tensor4d(batch.images, [batch.size, ...dataflow.image])
    const labels = tf.tensor1d(batch.labels, "int32")
    const [next, metrics] = gradient.trainStep(state, {
      step,
      steps,
      key: Key.derive(key, "search"),
      taskLoss: (weights) => {
        const { output } = Forwards.ofWeights(space, weights)(supernet.variables, images, "train")
        return Criterion.lossOfUnsafe(
          criterion,
          supernet.criterion,
          output as tf.Tensor2D,
          labels,
          Key.derive(key, "criterion")
        )
      }
    })
    images.dispose()
    labels.dispose()
    if (Number.isFinite(metrics.loss)) return Effect.succeed([next, metrics] as const)
    Parameters.disposeReplacedUnsafe(next.tensors, state.tensors)
    return Effect.fail(
      new LearningDiverged({ searchStrategy: strategy, step: step + 1, loss: String(metrics.loss), command: null })
    )
  })

/**
 * Lets the searcher decide whether to keep the pass that has just ended; passes count from 1. Gives the state, which shares
 * its tensors with the given one, and further metrics of the pass. A searcher that always keeps the last pass is skipped.
 * `between` runs between two forward passes.
 */
export const judge = Effect.fnUntraced(function* (
  setup: LearnerSetup,
  state: LearnerState,
  pass: number,
  supernet: { readonly variables: Variables; readonly criterion: ParameterTree },
  between: Effect.Effect<void>
): Effect.fn.Return<readonly [state: LearnerState, figures: Readonly<Record<string, number>>], DatasetError> {
  const { criterion, dataflow, gradient, space } = setup
  if (gradient.choice === undefined) return [state, {}] as const
  const networks = gradient.choice.architectures(state).map((genotype) => Forwards.ofNetwork(space.network(genotype)))
  const sums = networks.map(() => 0)
  // The batches of the first pass each time, so that every pass is judged on the same images.
  const batches = Math.min(gradient.choice.batches, stepsPerPass(setup))
  for (let step = 0; step < batches; step += 1) {
    const batch = yield* nextBatch(setup, step)
    const key = Key.derive(setup.key, "judge", step)
    for (const [place, network] of networks.entries()) {
      const loss = tf.tidy(() => {
        const images = tf.tensor4d(batch.images, [batch.size, ...dataflow.image])
        const labels = tf.tensor1d(batch.labels, "int32")
        const { output } = network(supernet.variables, images, "train")
        return Criterion.lossOfUnsafe(criterion, supernet.criterion, output as tf.Tensor2D, labels, key)
      })
      const [value = Number.NaN] = yield* Effect.promise(() => loss.data()).pipe(
        Effect.ensuring(Effect.sync(() => loss.dispose()))
      )
      sums[place]! += value
      yield* between
    }
  }
  return gradient.choice.tell(
    state,
    pass,
    sums.map((sum) => sum / batches)
  )
})

// ---- checkpoints ---------------------------------------------------------------------------------------------------

/** Separates a searcher's tensors from the others of a file. */
export const prefix = "searcher."

const stateKey = "osnas.searcher"

/** A searcher's state as tensors and metadata of a checkpoint. */
export const toEntries = Effect.fnUntraced(function* (state: LearnerState): Effect.fn.Return<{
  readonly tensors: ReadonlyMap<string, Checkpoint.TensorEntry>
  readonly metadata: Readonly<Record<string, string>>
}> {
  const tensors = new Map<string, Checkpoint.TensorEntry>()
  for (const name of names(state.tensors)) {
    const tensor = state.tensors[name] as tf.Tensor
    const values = yield* Effect.promise(() => tensor.data())
    tensors.set(prefix + name, Checkpoint.float32(tensor.shape, new Float32Array(values)))
  }
  return { tensors, metadata: { [stateKey]: CanonicalJson.stringify(state.json) } }
})

/** Whether a checkpoint contains the state of a searcher. */
export const isIn = ({ metadata }: Pick<Checkpoint.Checkpoint, "metadata">): boolean => metadata[stateKey] !== undefined

/** The searcher's state in a checkpoint. Its tensors are the caller's. */
export const fromCheckpoint = Effect.fnUntraced(function* (
  file: string,
  { metadata, tensors }: Checkpoint.Checkpoint
): Effect.fn.Return<LearnerState, Checkpoint.CheckpointError> {
  const fail = (tensor: string | null, reason: string) => new Checkpoint.CheckpointError({ file, tensor, reason })
  const text = metadata[stateKey]
  if (text === undefined) {
    return yield* fail(null, "it contains no state of a gradient-based searcher")
  }
  const json = yield* Effect.mapError(Effect.fromResult(SafeJson.parse(text)), (reason) =>
    fail(null, `its metadata ${stateKey} is not JSON: ${reason}`)
  )
  const made: Record<string, tf.Tensor> = {}
  for (const [name, entry] of tensors) {
    if (!name.startsWith(prefix)) continue
    if (entry.dtype !== "F32") {
      Parameters.disposeUnsafe(made)
      return yield* fail(name, `its type is ${entry.dtype}; the tensors of a searcher are F32`)
    }
    made[name.slice(prefix.length)] = tf.tensor(Checkpoint.toFloat32(entry), [...entry.shape], "float32")
  }
  return { tensors: made, json: json as Schema.Json }
})
