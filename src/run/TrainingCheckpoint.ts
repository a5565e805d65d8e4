/**
 * A training state as a checkpoint, and back. The weights and running statistics have their own names, the criterion's
 * weights are under `criterion.`, a searcher's tensors under `searcher.`, the optimizer's slots under `optimizer.<slot>.`.
 * Everything else is JSON in the metadata.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { EpochRecord } from "../../machines/RunState.ts"
import type { ParameterTree, Variables } from "../nn/ParameterTree.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as SafeJson from "../support/SafeJson.ts"
import type { SamplerState } from "../training-strategy/TrainingStrategy.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Learner from "./Learner.ts"
import { MetricSums } from "./MetricSums.ts"
import { criterionPrefix, type TrainingState, type Weights } from "./TrainingState.ts"

/** The names and shapes that a network's tensors must have. */
export type Shapes = ReadonlyMap<string, ReadonlyArray<number>>

type Entries = ReadonlyMap<string, Checkpoint.TensorEntry>

const stateKey = "osnas.state"
const slotPrefix = "optimizer."
const statisticsPattern = /\.(mean|variance)$/

const StateJson = Schema.Struct({
  step: Schema.Int,
  sampler: Schema.Record(Schema.String, Schema.Json),
  counts: Schema.Record(Schema.String, Schema.Int),
  sums: Schema.Struct({
    steps: Schema.Int,
    loss: Schema.Finite,
    accuracy: Schema.Finite,
    learned: Schema.optional(MetricSums)
  }),
  history: Schema.Array(EpochRecord)
})

const decodeStateJson = Schema.decodeUnknownEffect(StateJson)

// ---- from a state to a checkpoint ------------------------------------------------------------------------------------

/** Adds a tree's tensors under prefixed names. */
const addTree = Effect.fnUntraced(function* (
  into: Map<string, Checkpoint.TensorEntry>,
  prefix: string,
  tree: ParameterTree
) {
  for (const name of Parameters.names(tree)) {
    const tensor = tree[name] as tf.Tensor
    const values = yield* Effect.promise(() => tensor.data())
    into.set(prefix + name, Checkpoint.float32(tensor.shape, new Float32Array(values)))
  }
})

/** The weights and running statistics of a network as entries. */
const weightEntries = Effect.fnUntraced(function* ({ params, stats }: Variables) {
  const tensors = new Map<string, Checkpoint.TensorEntry>()
  yield* addTree(tensors, "", params)
  yield* addTree(tensors, "", stats)
  return tensors
})

/**
 * Computes the digest of a state's weights (parameters, running statistics, and the tensors of a searcher that learns
 * during training), and records it in the last epoch if that has just ended.
 */
export const recordWeightsDigest = Effect.fnUntraced(function* (
  { stepsPerEpoch }: { readonly stepsPerEpoch: number },
  state: TrainingState
): Effect.fn.Return<readonly [state: TrainingState, digest: string]> {
  const tensors = yield* weightEntries(state.variables)
  if (state.learner !== null) {
    for (const [name, entry] of (yield* Learner.toEntries(state.learner)).tensors) tensors.set(name, entry)
  }
  const weights = Checkpoint.digestOf(tensors)
  const last = state.history.at(-1)
  const isEpochEnd = last !== undefined && last.epoch * stepsPerEpoch === state.step
  return [isEpochEnd ? { ...state, history: [...state.history.slice(0, -1), { ...last, weights }] } : state, weights]
})

/**
 * The checkpoint of a state. With `weightsOnly`, the optimizer's slots and the position are left out: nothing needs them
 * once training is over.
 */
export const fromState = Effect.fnUntraced(function* (
  state: TrainingState,
  metadata: Readonly<Record<string, string>>,
  weightsOnly = false
): Effect.fn.Return<Checkpoint.Checkpoint> {
  const tensors = yield* weightEntries(state.variables)
  yield* addTree(tensors, criterionPrefix, state.criterion)
  const learned = state.learner === null ? undefined : yield* Learner.toEntries(state.learner)
  for (const [name, entry] of learned?.tensors ?? []) tensors.set(name, entry)
  const strings = { ...metadata, ...learned?.metadata }
  if (weightsOnly) return { tensors, metadata: strings }
  for (const [slot, tree] of Object.entries(state.optimizer.slots)) {
    yield* addTree(tensors, `${slotPrefix}${slot}.`, tree)
  }
  const json: typeof StateJson.Type = {
    step: state.step,
    sampler: state.sampler,
    counts: state.optimizer.counts,
    sums: state.sums,
    history: state.history
  }
  return { tensors, metadata: { ...strings, [stateKey]: CanonicalJson.stringify(json) } }
})

// ---- from a checkpoint to a state ------------------------------------------------------------------------------------

interface Restored extends Weights {
  readonly slots: Readonly<Record<string, ParameterTree>>
}

const disposeRestored = ({ criterion, slots, variables: { params, stats } }: Restored): void => {
  for (const tree of [params, stats, criterion, ...Object.values(slots)]) Parameters.disposeUnsafe(tree)
}

const toTensor = (
  file: string,
  name: string,
  entry: Checkpoint.TensorEntry
): Effect.Effect<tf.Tensor, Checkpoint.CheckpointError> =>
  entry.dtype === "F32"
    ? Effect.sync(() => tf.tensor(Checkpoint.toFloat32(entry), [...entry.shape], "float32"))
    : Effect.fail(
        new Checkpoint.CheckpointError({ file, tensor: name, reason: `its type is ${entry.dtype}; weights are F32` })
      )

const splitOnce = (text: string): readonly [string, string] => {
  const at = text.indexOf(".")
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)]
}

const restoreTensors = Effect.fnUntraced(function* (file: string, entries: Entries, created: Array<tf.Tensor>) {
  const params: Record<string, tf.Tensor> = {}
  const stats: Record<string, tf.Tensor> = {}
  const criterion: Record<string, tf.Tensor> = {}
  const slots: Record<string, Record<string, tf.Tensor>> = {}
  for (const [name, entry] of entries) {
    if (name.startsWith(Learner.prefix)) continue
    const tensor = yield* toTensor(file, name, entry)
    created.push(tensor)
    if (name.startsWith(slotPrefix)) {
      const [slot, rest] = splitOnce(name.slice(slotPrefix.length))
      const tree = slots[slot] ?? {}
      tree[rest] = tensor
      slots[slot] = tree
    } else if (name.startsWith(criterionPrefix)) criterion[name.slice(criterionPrefix.length)] = tensor
    else if (statisticsPattern.test(name)) stats[name] = tensor
    else params[name] = tensor
  }
  return { variables: { params, stats }, criterion, slots } satisfies Restored
})

/** Checks that a network has exactly the expected tensors, shape for shape. */
const checkShapes = Effect.fnUntraced(function* (
  file: string,
  { params, stats }: Variables,
  expected: Shapes
): Effect.fn.Return<void, Checkpoint.CheckpointError> {
  const found = new Map(
    [...Object.entries(params), ...Object.entries(stats)]
      .map(([name, tensor]): [string, ReadonlyArray<number>] => [name, tensor.shape])
      .sort(([a], [b]) => (a < b ? -1 : 1))
  )
  const fail = (tensor: string, reason: string) => new Checkpoint.CheckpointError({ file, tensor, reason })
  for (const [name, shape] of expected) {
    const has = found.get(name)
    if (has === undefined) return yield* fail(name, "it is missing; the network has it")
    if (has.length !== shape.length || has.some((side, axis) => side !== shape[axis])) {
      return yield* fail(name, `its shape is [${has.join(", ")}]; the network's is [${shape.join(", ")}]`)
    }
  }
  for (const name of found.keys()) {
    if (!expected.has(name)) return yield* fail(name, "the network has no tensor of this name")
  }
})

/** The tensors of a checkpoint, checked. On failure, those that were created are freed. */
const restore = (file: string, checkpoint: Checkpoint.Checkpoint, shapes: Shapes) =>
  Effect.suspend(() => {
    const created: Array<tf.Tensor> = []
    return restoreTensors(file, checkpoint.tensors, created).pipe(
      Effect.tap(({ variables }) => checkShapes(file, variables, shapes)),
      Effect.tapError(() => Effect.sync(() => tf.dispose(created)))
    )
  })

/** The weights in a checkpoint, checked against the network's names and shapes. The tensors are the caller's. */
export const toWeights = Effect.fnUntraced(function* (
  file: string,
  checkpoint: Checkpoint.Checkpoint,
  shapes: Shapes
): Effect.fn.Return<Weights, Checkpoint.CheckpointError> {
  const { criterion, slots, variables } = yield* restore(file, checkpoint, shapes)
  for (const tree of Object.values(slots)) Parameters.disposeUnsafe(tree)
  return { variables, criterion }
})

const stateJsonOf = (file: string, { metadata }: Checkpoint.Checkpoint) =>
  Effect.fromResult(SafeJson.parse(metadata[stateKey] ?? "")).pipe(
    Effect.flatMap((value) => Effect.mapError(decodeStateJson(value), (error) => error.message)),
    Effect.mapError((reason) => {
      const why = `its metadata ${stateKey} is not a training state: ${reason}`
      return new Checkpoint.CheckpointError({ file, tensor: null, reason: why })
    })
  )

/** The training state in a checkpoint, checked against the network's names and shapes. The tensors are the caller's. */
export const toState = Effect.fnUntraced(function* (
  file: string,
  checkpoint: Checkpoint.Checkpoint,
  shapes: Shapes
): Effect.fn.Return<TrainingState, Checkpoint.CheckpointError> {
  const { counts, history, sampler, step, sums } = yield* stateJsonOf(file, checkpoint)
  const restored = yield* restore(file, checkpoint, shapes)
  const learner = Learner.isIn(checkpoint)
    ? yield* Effect.tapError(Learner.fromCheckpoint(file, checkpoint), () =>
        Effect.sync(() => disposeRestored(restored))
      )
    : null
  return {
    step,
    variables: restored.variables,
    criterion: restored.criterion,
    optimizer: { slots: restored.slots, counts },
    sampler: sampler as SamplerState,
    learner,
    sums,
    history
  }
})
