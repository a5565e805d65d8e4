/**
 * `npm run parity -- FOLDER...`: holds our networks against PyTorch's numbers. Each folder has what the peer's
 * reference tool writes: the network's weights, inputs, and logits, gradients and the state after SGD steps computed in
 * float64. Prints one JSON line a folder with our error and that of PyTorch's own float32 run in every group, then the
 * medians of every space, and exits with 0 where all are within the bounds.
 */
import { readFileSync } from "node:fs"
import * as path from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as tf from "@tensorflow/tfjs-core"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type EngineMode, EngineName } from "../engine/Engine.ts"
import * as Engines from "../engine/Engines.ts"
import { softmaxCrossEntropy } from "../engine/LossOps.ts"
import { valueAndGradient } from "../nn/Gradient.ts"
import * as Network from "../nn/Network.ts"
import * as Optimizer from "../nn/Optimizer.ts"
import * as ParameterTree from "../nn/ParameterTree.ts"
import * as TorchNames from "../nn/TorchNames.ts"
import * as Checkpoint from "../run/Checkpoint.ts"
import { Disk } from "../run/Disk.ts"
import type { OptimizerConfig } from "../run/RunConfig.ts"
import * as FbNet from "../search-space/FbNet.ts"
import * as MobileFaceNet from "../search-space/MobileFaceNet.ts"
import * as ProxylessNas from "../search-space/ProxylessNas.ts"
import type { Genotype, NetworkInterface, SearchSpaceError, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as Sgnas from "../search-space/Sgnas.ts"
import * as Spos from "../search-space/Spos.ts"

const groups = ["logits_eval", "logits_train", "input_gradient", "gradient", "update"] as const
type Group = (typeof groups)[number]
type Errors = Readonly<Record<Group, number>>

const ErrorsSchema = Schema.Struct({
  logits_eval: Schema.Finite,
  logits_train: Schema.Finite,
  input_gradient: Schema.Finite,
  gradient: Schema.Finite,
  update: Schema.Finite
})

const Reference = Schema.Struct({
  space: Schema.String,
  architecture: Schema.Array(Schema.Int),
  size: Schema.Int,
  stem_stride: Schema.Literals([1, 2]),
  classes: Schema.Int,
  batch: Schema.Int,
  supernet: Schema.Boolean,
  steps: Schema.Int,
  float32_error: ErrorsSchema
})
type Reference = typeof Reference.Type

/** No single error above these; and over the folders of a space the median at most twice PyTorch's median. */
const limits: Errors = { logits_eval: 1e-5, logits_train: 1e-3, input_gradient: 0.1, gradient: 0.1, update: 0.1 }
const medianFactor = 2

class ParityError extends Schema.TaggedError<ParityError>()("ParityError", {
  folder: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.folder}: ${this.reason}`
  }
}

const spaces: Readonly<
  Record<string, (stemStride: 1 | 2, task: NetworkInterface) => Result.Result<SearchSpaceShape, SearchSpaceError>>
> = {
  proxylessnas: (stemStride, task) => ProxylessNas.make({ stemStride, widths: null }, task),
  "fbnet-s": (stemStride, task) => FbNet.makeS({ stemStride, channelShuffle: false }, task),
  "fbnet-l": (stemStride, task) => FbNet.makeL({ stemStride, channelShuffle: false }, task),
  spos: (stemStride, task) => Spos.make({ stemStride, variant: "osnas" }, task),
  mobilefacenet: (stemStride, task) => MobileFaceNet.make({ stemStride }, task),
  sgnas: (stemStride, task) => Sgnas.make({ stemStride, minimum: 1 }, task)
}

/** The reference's optimiser. */
const sgd: OptimizerConfig = {
  name: "sgd",
  learningRate: 0.05,
  momentum: 0.9,
  nesterov: false,
  beta1: 0.9,
  beta2: 0.999,
  alpha: 0.99,
  epsilon: 1e-8,
  weightDecay: 4e-5,
  decoupled: false,
  clipNorm: null
}
const statisticsMomentum = 0.1

/** What is computed, and all the blocks whose state PyTorch saved. */
const networksOf = (
  space: SearchSpaceShape,
  reference: Reference
): { readonly path: Network.Network; readonly held: ReadonlyArray<Network.NamedBlock> } => {
  const genotype: Genotype = reference.architecture
  if (!reference.supernet) {
    const path = space.network(genotype)
    return { path, held: path.blocks }
  }
  // The published supernet of SGNAS sorts a layer's digits, and computes the sub-blocks left out as well.
  const path = space.network(space.canonical(genotype))
  const blocks = path.blocks.map(({ block, name }) =>
    block._tag === "Unified" ? { name, block: { ...block, published: true } } : { name, block }
  )
  return { path: { ...path, blocks }, held: [...space.supernet.blocks, ...blocks] }
}

/** Sums of squares of a difference and of what it is a difference to. */
const compare = (pairs: Iterable<readonly [ours: ArrayLike<number>, theirs: ArrayLike<number>]>): number => {
  let difference = 0
  let norm = 0
  for (const [ours, theirs] of pairs) {
    for (let i = 0; i < theirs.length; i++) {
      const b = theirs[i] as number
      const d = (ours[i] as number) - b
      difference += d * d
      norm += b * b
    }
  }
  return Math.sqrt(difference / norm)
}

const channelsLast = (tensor: tf.Tensor4D): tf.Tensor4D => tf.transpose(tensor, [0, 2, 3, 1])

/** Every entry that `state` has under the prefix, in our layout. */
const readEntries = (
  entries: ReadonlyArray<TorchNames.TorchEntry>,
  state: ReadonlyMap<string, TorchNames.HostTensor>,
  prefix: string
): ReadonlyMap<string, Float32Array> => {
  const out = new Map<string, Float32Array>()
  for (const entry of entries) {
    const theirs = state.get(prefix + entry.theirs)
    if (theirs !== undefined) out.set(entry.ours.name, Result.getOrThrow(TorchNames.toOurs(entry, theirs)).data)
  }
  return out
}

/** Counters, and SGNAS's normalisation for a layer without any sub-block, which no architecture has. */
const unused = /num_batches_tracked$|\.sbn\.6\.(weight|bias|running_mean|running_var)$/

const measure = (
  space: SearchSpaceShape,
  reference: Reference,
  weights: ReadonlyMap<string, TorchNames.HostTensor>,
  arrays: ReadonlyMap<string, TorchNames.HostTensor>
): Errors => {
  const { held, path } = networksOf(space, reference)
  const entries = TorchNames.entries(held, reference.supernet ? "supernet" : "network")
  const covered = new Set(entries.map((entry) => entry.theirs))
  for (const name of weights.keys()) {
    if (!covered.has(name) && !unused.test(name)) throw new RangeError(`PyTorch's ${name} is no parameter here`)
  }
  const array = (name: string): TorchNames.HostTensor => {
    const found = arrays.get(name)
    if (found === undefined) throw new RangeError(`arrays.safetensors has no ${name}`)
    return found
  }
  return tf.tidy(() => {
    const start = Result.getOrThrow(TorchNames.fromTorch(entries, weights))
    const params: Record<string, tf.Tensor> = {}
    const stats: Record<string, tf.Tensor> = {}
    for (const { ours } of entries) {
      const tensor = start[ours.name] as TorchNames.HostTensor
      const made = tf.tensor(tensor.data, [...tensor.shape], "float32")
      if (ours.trainable) params[ours.name] = made
      else stats[ours.name] = made
    }
    const variables: ParameterTree.Variables = { params, stats }
    const input = array("input")
    const images = channelsLast(tf.tensor4d(input.data, input.shape as [number, number, number, number]))
    const labels = tf.tensor1d(Int32Array.from(array("labels").data), "int32")
    const flat = (output: tf.Tensor) => tf.reshape(output, [reference.batch, -1]) as tf.Tensor2D

    const evaluation = flat(Network.apply(path, variables, images, "eval").output)
    const trained = ParameterTree.pick(params, Network.trainableNames(path))
    const lossOf = (at: ParameterTree.Variables) => () => {
      const { output, statistics } = Network.apply(path, at, images, "train")
      return { loss: softmaxCrossEntropy(flat(output), labels), rest: { logits: flat(output), statistics } }
    }
    const { gradients, rest } = valueAndGradient(lossOf(variables), { ...trained, "#images": images })

    const optimizer = Optimizer.fromConfig(sgd)
    let current = variables
    let state = optimizer.init()
    for (let step = 0; step < reference.steps; step++) {
      const at = valueAndGradient(lossOf(current), ParameterTree.pick(current.params, Object.keys(trained)))
      const updated = optimizer.update(at.gradients, state, current.params, sgd.learningRate)
      current = {
        params: ParameterTree.merge(current.params, updated.params),
        stats: Network.updateStatistics(current.stats, at.rest.statistics, statisticsMomentum)
      }
      state = updated.state
    }

    const after = { ...current.params, ...current.stats }
    const theirGradients = readEntries(entries, arrays, "grad.")
    const theirAfter = readEntries(entries, arrays, "after.")
    const gradientPairs = [...theirGradients].map(([name, theirs]) => {
      const ours = gradients[name]
      return [ours === undefined ? new Float32Array(theirs.length) : ours.dataSync(), theirs] as const
    })
    const updatePairs = [...theirAfter].map(([name, theirs]) => {
      const before = (start[name] as TorchNames.HostTensor).data
      const ours = (after[name] as tf.Tensor).dataSync()
      const moved = (to: ArrayLike<number>) => Float64Array.from(to, (value, i) => value - (before[i] as number))
      return [moved(ours), moved(theirs)] as const
    })
    const theirInput = array("input_gradient")
    const inputGradient = channelsLast(
      tf.tensor4d(theirInput.data, theirInput.shape as [number, number, number, number])
    )
    return {
      logits_eval: compare([[evaluation.dataSync(), array("logits_eval").data]]),
      logits_train: compare([[rest.logits.dataSync(), array("logits_train").data]]),
      input_gradient: compare([[(gradients["#images"] as tf.Tensor).dataSync(), inputGradient.dataSync()]]),
      gradient: compare(gradientPairs),
      update: compare(updatePairs)
    } as unknown as tf.TensorContainer
  }) as unknown as Errors
}

const hostTensors = (checkpoint: Checkpoint.Checkpoint): ReadonlyMap<string, TorchNames.HostTensor> => {
  const out = new Map<string, TorchNames.HostTensor>()
  for (const [name, entry] of checkpoint.tensors) {
    const { dtype, shape } = entry
    if (dtype === "F32") out.set(name, { shape, data: Checkpoint.toFloat32(entry) })
    else if (dtype === "I64") {
      out.set(name, { shape, data: Float32Array.from(new BigInt64Array(entry.data.slice().buffer), Number) })
    }
  }
  return out
}

const readReference = Effect.fn("parity.reference")(function* (folder: string) {
  const fail = (cause: unknown) =>
    new ParityError({ folder, reason: `reference.json: ${cause instanceof Error ? cause.message : String(cause)}` })
  const raw = yield* Effect.try({
    try: (): unknown => JSON.parse(readFileSync(path.join(folder, "reference.json"), "utf8")),
    catch: fail
  })
  return yield* Schema.decodeUnknownEffect(Reference)(raw).pipe(Effect.mapError(fail))
})

const measureFolder = Effect.fn("parity.folder")(function* (folder: string) {
  const disk = yield* Disk
  const reference = yield* readReference(folder)
  const make = spaces[reference.space]
  if (make === undefined) {
    return yield* new ParityError({
      folder,
      reason: `there is no space ${reference.space}; there are ${Object.keys(spaces).join(", ")}`
    })
  }
  const { classes, size } = reference
  const task: NetworkInterface = { input: [size, size, 3], head: { _tag: "Classifier", classes } }
  const space = yield* Effect.fromResult(make(reference.stem_stride, task))
  yield* Effect.fromResult(space.validate(reference.architecture))
  const weights = hostTensors(yield* Checkpoint.read(disk, path.join(folder, "weights.safetensors")))
  const arrays = hostTensors(yield* Checkpoint.read(disk, path.join(folder, "arrays.safetensors")))
  const ours = yield* Effect.try({
    try: () => measure(space, reference, weights, arrays),
    catch: (cause) => new ParityError({ folder, reason: cause instanceof Error ? cause.message : String(cause) })
  })
  const within = groups.every((group) => ours[group] <= limits[group])
  const supernet = reference.supernet
  yield* Console.log(
    JSON.stringify({ folder, space: reference.space, supernet, size, ours, pytorch: reference.float32_error, within })
  )
  return { space: reference.space, ours, pytorch: reference.float32_error, within }
})

const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2
}

const usage = "usage: npm run parity -- [--engine auto|simd|cpu|tensorflow|tensorflow-gpu] [--relaxed] FOLDER..."

const program = Effect.gen(function* () {
  const args = process.argv.slice(2)
  const folders: Array<string> = []
  let engine: "auto" | EngineName = "auto"
  let mode: EngineMode = "strict"
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string
    if (arg === "--engine") {
      const name = args[++i]
      if (name !== "auto" && !Schema.is(EngineName)(name)) {
        return yield* new ParityError({ folder: "--engine", reason: `${name} is no engine; ${usage}` })
      }
      engine = name
    } else if (arg === "--relaxed") mode = "relaxed"
    else folders.push(arg)
  }
  if (folders.length === 0) return yield* new ParityError({ folder: "no folder", reason: usage })
  const measured = yield* Effect.forEach(folders, measureFolder).pipe(
    Effect.provide(Engines.layer(engine, { mode, threads: 0 }))
  )
  let right = measured.every(({ within }) => within)
  for (const space of [...new Set(measured.map((one) => one.space))].sort()) {
    const some = measured.filter((one) => one.space === space)
    const of = (which: "ours" | "pytorch") =>
      Object.fromEntries(groups.map((group) => [group, median(some.map((one) => one[which][group]))])) as Errors
    const [ours, pytorch] = [of("ours"), of("pytorch")]
    const within = groups.every((group) => ours[group] <= medianFactor * pytorch[group])
    right = right && within
    yield* Console.log(JSON.stringify({ space, folders: some.length, median: { ours, pytorch }, within }))
  }
  if (!right) return yield* new ParityError({ folder: "parity", reason: "some errors are above the bounds" })
})

NodeRuntime.runMain(program.pipe(Effect.provide(Disk.layer)))
