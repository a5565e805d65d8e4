/**
 * `npm run parity -- FOLDER...`: compares our networks with PyTorch. Each folder contains what the peer's reference tool
 * writes: weights and inputs of a network, and its logits, gradients and state after SGD steps, computed in float64. Prints
 * one JSON line per folder with the error of osnas and of PyTorch's own float32 run in every group, then the medians of every
 * space, and exits with 0 if all are within the bounds. docs/reproducibility.md explains the figures.
 */
import { existsSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { parseArgs } from "node:util"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { whenReaderLeaves } from "../src/cli/Exit.ts"
import { type EngineMode, EngineName } from "../src/engine/Engine.ts"
import * as Engines from "../src/engine/Engines.ts"
import { softmaxCrossEntropy } from "../src/engine/LossOps.ts"
import { valueAndGradient } from "../src/nn/Gradient.ts"
import * as Optimizer from "../src/nn/Optimizer.ts"
import * as ParameterTree from "../src/nn/ParameterTree.ts"
import * as Checkpoint from "../src/run/Checkpoint.ts"
import type { OptimizerConfig } from "../src/run/RunConfig.ts"
import * as FbNet from "../src/search-space/FbNet.ts"
import * as MobileFaceNet from "../src/search-space/MobileFaceNet.ts"
import * as Network from "../src/search-space/Network.ts"
import * as ProxylessNas from "../src/search-space/ProxylessNas.ts"
import type { Genotype, NetworkInterface, SearchSpaceError, SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import * as Sgnas from "../src/search-space/Sgnas.ts"
import * as Spos from "../src/search-space/Spos.ts"
import * as TorchNames from "../src/search-space/TorchNames.ts"
import { Disk } from "../src/support/Disk.ts"
import { median } from "../src/support/Median.ts"

/** The groups of values that are compared. */
export const groups = ["logits_eval", "logits_train", "input_gradient", "gradient", "update"] as const
type Group = (typeof groups)[number]
/** Norm-wise relative errors. */
export type Errors = Readonly<Record<Group, number>>

const ErrorsSchema = Schema.Struct({
  logits_eval: Schema.Finite,
  logits_train: Schema.Finite,
  input_gradient: Schema.Finite,
  gradient: Schema.Finite,
  update: Schema.Finite
})

/** `reference.json`. */
export const Reference = Schema.Struct({
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
/** `reference.json`. */
export type Reference = typeof Reference.Type

/** Upper bounds of a single error. */
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

/** The optimizer of the reference. */
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

/** A network, and all blocks whose state PyTorch saved with it. */
export interface Compared {
  readonly path: Network.Network
  readonly held: ReadonlyArray<Network.NamedBlock>
}

const networksOf = (space: SearchSpaceShape, reference: Reference): Compared => {
  const genotype: Genotype = reference.architecture
  if (!reference.supernet) {
    const path = space.network(genotype)
    return { path, held: path.blocks }
  }
  // The published supernet of SGNAS sorts the digits of a layer, and also computes the sub-blocks that are left out.
  const path = space.network(space.canonical(genotype))
  const blocks = path.blocks.map(({ block, name }) =>
    block._tag === "Unified" ? { name, block: { ...block, published: true } } : { name, block }
  )
  return { path: { ...path, blocks }, held: [...space.supernet.blocks, ...blocks] }
}

/** Sums of squares of the differences and of the reference values. */
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
  return difference === 0 ? 0 : Math.sqrt(difference / norm)
}

const channelsLast = (tensor: tf.Tensor4D): tf.Tensor4D => tf.transpose(tensor, [0, 2, 3, 1])

/** Every entry of `state` under the prefix, in our layout. */
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

/** Entries without a counterpart: counters, and SGNAS's normalisation for a layer without sub-blocks. */
const unused = /num_batches_tracked$|\.sbn\.6\.(weight|bias|running_mean|running_var)$/

/** The errors of osnas against a reference, on the current engine. Throws a RangeError if tensors do not fit the network. */
export const measure = (
  { held, path }: Compared,
  reference: Pick<Reference, "batch" | "steps" | "supernet">,
  weights: ReadonlyMap<string, TorchNames.HostTensor>,
  arrays: ReadonlyMap<string, TorchNames.HostTensor>
): Errors => {
  const entries = TorchNames.entries(held, reference.supernet ? "supernet" : "network")
  const covered = new Set(entries.map((entry) => entry.theirs))
  for (const name of weights.keys()) {
    if (!covered.has(name) && !unused.test(name)) throw new RangeError(`PyTorch's ${name} is not a parameter here`)
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

/** The float32 and int64 tensors of a file. */
export const hostTensors = (checkpoint: Checkpoint.Checkpoint): ReadonlyMap<string, TorchNames.HostTensor> => {
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

/** A message on one line. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ")

const files = ["reference.json", "weights.safetensors", "arrays.safetensors"]

const readReference = Effect.fn("parity.reference")(function* (folder: string) {
  const missing = files.filter((file) => !existsSync(path.join(folder, file)))
  if (missing.length > 0) {
    const reason = existsSync(folder) ? `it has no ${missing.join(", ")}` : "there is no such folder"
    return yield* new ParityError({ folder, reason: `${reason}; a reference has ${files.join(", ")}` })
  }
  const fail = (cause: unknown) => new ParityError({ folder, reason: `reference.json: ${reasonOf(cause)}` })
  const raw = yield* Effect.try({
    try: (): unknown => JSON.parse(readFileSync(path.join(folder, "reference.json"), "utf8")),
    catch: fail
  })
  return yield* Schema.decodeUnknownEffect(Reference)(raw).pipe(Effect.mapError(fail))
})

/** The errors of one folder, checked against the bounds. */
export interface Measured {
  readonly folder: string
  readonly space: string
  readonly supernet: boolean
  readonly size: number
  readonly ours: Errors
  readonly pytorch: Errors
  /** Whether every group is within its bound. */
  readonly within: boolean
}

/** Reads a folder and measures its errors; a failure names the folder and what is wrong with it. */
export const measureFolder = Effect.fn("parity.folder")(
  function* (folder: string) {
    const disk = yield* Disk
    const reference = yield* readReference(folder)
    const { batch, classes, size, supernet } = reference
    const make = spaces[reference.space]
    if (make === undefined) {
      const known = Object.keys(spaces).join(", ")
      return yield* new ParityError({ folder, reason: `there is no space ${reference.space}; there are ${known}` })
    }
    const task: NetworkInterface = { input: [size, size, 3], head: { _tag: "Classifier", classes } }
    const space = yield* Effect.fromResult(make(reference.stem_stride, task))
    yield* Effect.fromResult(space.validate(reference.architecture))
    const weights = hostTensors(yield* Checkpoint.read(disk, path.join(folder, "weights.safetensors")))
    const arrays = hostTensors(yield* Checkpoint.read(disk, path.join(folder, "arrays.safetensors")))
    const images = arrays.get("input")?.shape ?? []
    if (images.join() !== [batch, 3, size, size].join()) {
      const reason = `the input is [${images.join(", ")}], and reference.json says [${batch}, 3, ${size}, ${size}]`
      return yield* new ParityError({ folder, reason })
    }
    const ours = yield* Effect.try({
      try: () => measure(networksOf(space, reference), reference, weights, arrays),
      catch: (cause) => new ParityError({ folder, reason: reasonOf(cause) })
    })
    const within = groups.every((group) => ours[group] <= limits[group])
    const measured: Measured = {
      folder,
      space: reference.space,
      supernet,
      size,
      ours,
      pytorch: reference.float32_error,
      within
    }
    return measured
  },
  (effect, folder) =>
    Effect.mapError(effect, (error) =>
      error._tag === "ParityError" ? error : new ParityError({ folder, reason: error.message })
    )
)

/** The medians of every space, ordered by name. */
export const medians = (measured: ReadonlyArray<Measured>) =>
  [...new Set(measured.map((one) => one.space))].sort().map((space) => {
    const some = measured.filter((one) => one.space === space)
    const each = (value: (group: Group) => number) =>
      Object.fromEntries(groups.map((group) => [group, value(group)])) as Errors
    const ours = each((group) => median(some.map((one) => one.ours[group])))
    const pytorch = each((group) => median(some.map((one) => one.pytorch[group])))
    const ratio = each((group) => Number((ours[group] / pytorch[group]).toPrecision(3)))
    const within = groups.every((group) => ours[group] <= medianFactor * pytorch[group])
    return { space, folders: some.length, median: { ours, pytorch }, ratio, within }
  })

const usage = `usage: npm run parity -- [--engine NAME] [--relaxed] FOLDER...

Compares networks with PyTorch. A FOLDER is what the peer's reference.py wrote (${files.join(", ")}).
Prints one JSON line per folder with the errors of osnas and of PyTorch's own float32 run, both against float64 and over a whole
group (${groups.join(", ")}), then the medians of every space.

  --engine NAME  auto (default), ${Engines.engineNames.join(", ")}
  --relaxed      the engine's relaxed mode
  --help         this text

Exit codes: 0 no error is above ${groups.map((group) => `${limits[group]} (${group})`).join(", ")}
and no median of a space above ${medianFactor} times PyTorch's; 1 otherwise, or if a folder cannot be read; 2 wrong usage.`

const options = {
  engine: { type: "string", default: "auto" },
  relaxed: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false }
} as const

/** Runs the command and returns its exit code. */
export const main = async (args: ReadonlyArray<string>, print: (line: string) => void): Promise<number> => {
  const refuse = (reason: string): number => {
    process.stderr.write(`${reason}\n${usage}\n`)
    return 2
  }
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    return refuse(reasonOf(error))
  }
  const { positionals: folders, values } = parsed
  if (values.help) {
    print(usage)
    return 0
  }
  const engine = values.engine
  if (engine !== "auto" && !Schema.is(EngineName)(engine)) return refuse(`--engine: ${engine} is not an engine`)
  if (folders.length === 0) return refuse("give at least one FOLDER")
  const mode: EngineMode = values.relaxed ? "relaxed" : "strict"
  const program = Effect.gen(function* () {
    const measured: Array<Measured> = []
    for (const folder of folders) {
      const result = yield* Effect.result(measureFolder(folder))
      if (Result.isSuccess(result)) {
        print(JSON.stringify(result.success))
        measured.push(result.success)
      } else process.stderr.write(`${result.failure.message}\n`)
    }
    const found = medians(measured)
    for (const one of found) print(JSON.stringify(one))
    return measured.length === folders.length && [...measured, ...found].every(({ within }) => within) ? 0 : 1
  })
  const engineLayer = Engines.layer(engine, { mode, threads: 0 })
  const end = await Effect.runPromise(Effect.result(Effect.provide(program, Layer.merge(engineLayer, Disk.layer))))
  if (Result.isSuccess(end)) return end.success
  process.stderr.write(`${end.failure.message}\n`)
  return 1
}

if (import.meta.main) {
  whenReaderLeaves()
  process.exitCode = await main(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`))
}
