/**
 * Parameters under PyTorch's names and in its layouts, as OSNASLib's networks save them, and back. Convolutions are
 * [out, in, height, width] there and [height, width, in, out] here; linear weights are transposed; where several of our
 * tensors are parts of one of PyTorch's (the sub-blocks of SGNAS), each is a slice of it.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { sizeOf } from "../engine/Shape.ts"
import type { Block } from "../search-space/blocks/Block.ts"
import { blockParameterSpecs, type NamedBlock, type ParameterKind, type ParameterSpec } from "./Network.ts"

/** A tensor in the host's memory, row-major. */
export interface HostTensor {
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array
}

/** Tensors of a file that do not fit a network. */
export class TorchNamesError extends Schema.TaggedError<TorchNamesError>()("TorchNamesError", {
  tensor: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `PyTorch tensor ${this.tensor}: ${this.reason}`
  }
}

/** Which entries along a dimension of PyTorch's tensor are ours. */
export interface Slice {
  readonly axis: 0 | 1
  readonly begin: number
  readonly end: number
}

/** One of our tensors, and where it is in PyTorch's state. */
export interface TorchEntry {
  readonly ours: ParameterSpec
  readonly theirs: string
  /** The whole tensor where absent. */
  readonly slice?: Slice
  /** Rank 4 for squeeze-excite, whose 1x1 convolutions are matrices here. */
  readonly pointwise: boolean
}

/** `network`: one stand-alone network (`stages.3…`). `supernet`: all options (`search_stages.3.supernet_layer.1…`). */
export type TorchForm = "network" | "supernet"

const suffixes: Readonly<Record<string, string>> = {
  gamma: "weight",
  beta: "bias",
  mean: "running_mean",
  variance: "running_var"
}

/** Where the tensors of a stage are: module paths of convolution, normalisation, PReLU; and the stage's slice. */
interface StagePlace {
  readonly conv: string
  readonly norm: string
  readonly slope: string
  readonly weightSlice?: Slice
  readonly vectorSlice?: Slice
}

const convBnAct = (path: string): StagePlace => {
  const dot = path === "" ? "" : `${path}.`
  return { conv: `${dot}conv`, norm: `${dot}bn`, slope: `${dot}prelu` }
}

/** The digit of a kernel in the published list of SGNAS. */
const unifiedKernels = [3, 5, 7, 0]

const unifiedPlace = (block: Extract<Block, { _tag: "Unified" }>, part: string, form: TorchForm): StagePlace => {
  const width = block.inChannels
  const kept = block.slots.flatMap((kernel, slot) => (kernel === 0 ? [] : [slot]))
  const positionOf = (slot: number) => (form === "supernet" ? slot : kept.indexOf(slot))
  const sliceOf = (slot: number, axis: 0 | 1): Slice => {
    const begin = positionOf(slot) * width
    return { axis, begin, end: begin + width }
  }
  const [kind, second, third] = part.split(".")
  const slot = Number(second)
  if (kind === "expand") {
    const slice = sliceOf(slot, 0)
    return { ...convBnAct("point_wise"), weightSlice: slice, vectorSlice: slice }
  }
  if (kind === "slot") {
    if (form === "supernet") {
      const kernel = unifiedKernels.indexOf(Number((third ?? "").slice(1)))
      return convBnAct(`unified_block.${slot}.supernet_layer.${kernel}`)
    }
    return {
      conv: `mixconv.${positionOf(slot)}`,
      norm: "bn_act.bn",
      slope: "bn_act.prelu",
      vectorSlice: sliceOf(slot, 0)
    }
  }
  if (second === "norm") {
    return { ...convBnAct("point_wise_1"), norm: form === "supernet" ? `sbn.${third}` : "point_wise_1.bn" }
  }
  return { ...convBnAct("point_wise_1"), weightSlice: sliceOf(slot, 1) }
}

const mobileParts: Readonly<Record<string, string>> = {
  expand: "point_wise",
  depthwise: "depthwise",
  project: "point_wise_1"
}

/** The place of the stage `part` (its name below the block's). */
const placeOf = (block: Block, part: string, form: TorchForm): StagePlace => {
  switch (block._tag) {
    case "Conv":
    case "Skip":
      return convBnAct("")
    case "Mobile":
      return convBnAct(mobileParts[part] ?? part)
    case "Mixed": {
      const index = part.startsWith("mixed.") ? Number(part.slice("mixed.".length)) : undefined
      if (index === undefined) return convBnAct(mobileParts[part] ?? part)
      const hidden = Math.floor(block.inChannels * block.expansion)
      const share = Math.floor(hidden / block.kernels.length)
      const begin = index * share
      const end = index === block.kernels.length - 1 ? hidden : begin + share
      return {
        conv: `mixconv.${index}`,
        norm: "bn_act.bn",
        slope: "bn_act.prelu",
        vectorSlice: { axis: 0, begin, end }
      }
    }
    case "Unified":
      return unifiedPlace(block, part, form)
    case "Shuffle": {
      const [branch, second, third] = part.split(".")
      if (branch === "side") return convBnAct(`branch_1.${second === "depthwise" ? 0 : 1}`)
      if (block.xception) return convBnAct(`branch_2.${2 * Number(second) + (third === "depthwise" ? 0 : 1)}`)
      return convBnAct(`branch_2.${["expand", "depthwise", "project"].indexOf(second ?? "")}`)
    }
    default:
      return convBnAct(part)
  }
}

const squeezeExcitePaths: Readonly<Record<string, string>> = {
  "se.reduce": "se.squeeze_conv",
  "se.expand": "se.excite_conv"
}

const blockPath = (name: string, block: Block, form: TorchForm): string => {
  const [part, ...indices] = name.split(".")
  if (part === "first" || part === "last") return `${part}_stages.${indices.join(".")}`
  const [layer, option] = indices
  if (form === "network") return `stages.${layer}`
  return block._tag === "Unified" ? `search_stages.${layer}` : `search_stages.${layer}.supernet_layer.${option}`
}

const isVector = (kind: ParameterKind): boolean => kind !== "convolution" && kind !== "depthwise" && kind !== "linear"

const entryOf = (path: string, name: string, block: Block, spec: ParameterSpec, form: TorchForm): TorchEntry => {
  const at = (module: string, leaf: string) => [path, module, leaf].filter((part) => part !== "").join(".")
  const rest = spec.name.slice(name.length + 1)
  const lastDot = rest.lastIndexOf(".")
  const owner = rest.slice(0, lastDot)
  const leaf = rest.slice(lastDot + 1)
  const plain = { ours: spec, pointwise: false }
  if (block._tag === "Classifier") return { ...plain, theirs: at("", leaf) }
  const gate = squeezeExcitePaths[owner]
  if (gate !== undefined) return { ours: spec, theirs: at(gate, leaf), pointwise: leaf === "weight" }
  const normSuffix = suffixes[leaf]
  if (normSuffix !== undefined) {
    // `expand.norm.gamma` belongs to the stage `expand`; the switched normalisation `project.norm.2` is its own.
    const part = owner.endsWith(".norm") ? owner.slice(0, -".norm".length) : owner
    const { norm, vectorSlice } = placeOf(block, part, form)
    return { ...plain, theirs: at(norm, normSuffix), ...(vectorSlice === undefined ? {} : { slice: vectorSlice }) }
  }
  const { conv, slope, vectorSlice, weightSlice } = placeOf(block, owner, form)
  const slice = isVector(spec.kind) ? vectorSlice : weightSlice
  return {
    ...plain,
    theirs: leaf === "slope" ? at(slope, "weight") : at(conv, leaf),
    ...(slice === undefined ? {} : { slice })
  }
}

/**
 * Where every tensor of the given blocks is in PyTorch's state.
 *
 * **Example** (The stem)
 * ```ts
 * import { conv, place } from "../search-space/blocks/Block.ts"
 * import { entries } from "./TorchNames.ts"
 * const stem = { name: "first.0", block: place(conv({ kernel: 3 }), 3, 16, 2) }
 * entries([stem], "network").slice(0, 2).map((entry) => entry.theirs) // => ["first_stages.0.conv.weight", "first_stages.0.bn.weight"]
 * ```
 */
export const entries = (blocks: ReadonlyArray<NamedBlock>, form: TorchForm): ReadonlyArray<TorchEntry> => {
  const byName = new Map<string, TorchEntry>()
  for (const block of blocks) {
    const path = blockPath(block.name, block.block, form)
    for (const spec of blockParameterSpecs(block)) {
      if (!byName.has(spec.name)) byName.set(spec.name, entryOf(path, block.name, block.block, spec, form))
    }
  }
  return [...byName.values()]
}

/** PyTorch's shape of one of our tensors. */
const theirShape = ({ ours, pointwise }: TorchEntry): ReadonlyArray<number> => {
  const [a = 1, b = 1, c = 1, d = 1] = ours.shape
  switch (ours.kind) {
    case "convolution":
      return pointwise ? [b, a, 1, 1] : [d, c, a, b]
    case "depthwise":
      return [c, 1, a, b]
    case "linear":
      return [b, a]
    default:
      return ours.shape
  }
}

/**
 * PyTorch's shape of a whole tensor that holds the given ones of ours: where these are slices of it, up to the last.
 *
 * **Example** (A convolution)
 * ```ts
 * import { conv, place } from "../search-space/blocks/Block.ts"
 * import { entries, theirWholeShape } from "./TorchNames.ts"
 * const stem = { name: "first.0", block: place(conv({ kernel: 3 }), 3, 16, 2) }
 * theirWholeShape(entries([stem], "network").slice(0, 1)) // => [16, 3, 3, 3]
 * ```
 */
export const theirWholeShape = (parts: ReadonlyArray<TorchEntry>): ReadonlyArray<number> => {
  const first = parts[0] as TorchEntry
  const end = parts.reduce((most, { slice }) => Math.max(most, slice?.end ?? 0), 0)
  return theirShape(first).map((side, axis) => (axis === first.slice?.axis ? end : side))
}

/** Position of our element `index` in PyTorch's tensor of the same elements. */
const theirIndex = ({ ours, pointwise }: TorchEntry): ((index: number) => number) => {
  const [height = 1, width = 1, c = 1, d = 1] = ours.shape
  if (ours.kind === "linear" || pointwise) {
    const [rows = 1, columns = 1] = ours.shape
    return (index) => (index % columns) * rows + Math.floor(index / columns)
  }
  if (ours.kind !== "convolution" && ours.kind !== "depthwise") return (index) => index
  const area = height * width
  return (index) => {
    const out = index % d
    const channel = Math.floor(index / d) % c
    const position = Math.floor(index / (c * d))
    // [position, channel, out] becomes [out, channel, position]; depthwise has one "out", and channels come first.
    return ours.kind === "depthwise" ? channel * area + position : (out * c + channel) * area + position
  }
}

const take = (tensor: HostTensor, slice: Slice | undefined): HostTensor => {
  if (slice === undefined) return tensor
  const { axis, begin, end } = slice
  const rows = sizeOf(tensor.shape.slice(0, axis))
  const whole = tensor.shape[axis] as number
  const inner = sizeOf(tensor.shape.slice(axis + 1))
  const length = (end - begin) * inner
  const data = new Float32Array(rows * length)
  for (let row = 0; row < rows; row++) {
    const start = (row * whole + begin) * inner
    data.set(tensor.data.subarray(start, start + length), row * length)
  }
  return { shape: tensor.shape.map((side, i) => (i === axis ? end - begin : side)), data }
}

/** One of our tensors out of PyTorch's. */
export const toOurs = (entry: TorchEntry, theirs: HostTensor): Result.Result<HostTensor, TorchNamesError> => {
  const { slice } = entry
  const needed = slice?.end ?? 0
  const wanted = theirShape(entry)
  const fail = (reason: string) => Result.fail(new TorchNamesError({ tensor: entry.theirs, reason }))
  const size = slice === undefined ? undefined : theirs.shape[slice.axis]
  if (size !== undefined && size < needed) {
    return fail(`its dimension ${slice?.axis} is ${size}, and ${entry.ours.name} needs entries up to ${needed}`)
  }
  const part = take(theirs, slice)
  if (part.shape.length !== wanted.length || part.shape.some((side, i) => side !== wanted[i])) {
    return fail(`its shape is [${part.shape.join(", ")}], and ${entry.ours.name} needs [${wanted.join(", ")}]`)
  }
  const at = theirIndex(entry)
  const data = new Float32Array(part.data.length)
  for (let i = 0; i < data.length; i++) data[i] = part.data[at(i)] as number
  return Result.succeed({ shape: entry.ours.shape, data })
}

/** All our tensors out of PyTorch's state; the first that is missing or misshapen is the error. */
export const fromTorch = (
  wanted: ReadonlyArray<TorchEntry>,
  state: ReadonlyMap<string, HostTensor>
): Result.Result<Readonly<Record<string, HostTensor>>, TorchNamesError> => {
  const out: Record<string, HostTensor> = {}
  for (const entry of wanted) {
    const theirs = state.get(entry.theirs)
    if (theirs === undefined) {
      return Result.fail(
        new TorchNamesError({ tensor: entry.theirs, reason: `the file has none, and ${entry.ours.name} needs it` })
      )
    }
    const ours = toOurs(entry, theirs)
    if (Result.isFailure(ours)) return Result.fail(ours.failure)
    out[entry.ours.name] = ours.success
  }
  return Result.succeed(out)
}

/** PyTorch's state out of our tensors; parts of one tensor are put together. */
export const toTorch = (
  held: ReadonlyArray<TorchEntry>,
  tensors: Readonly<Record<string, HostTensor>>
): Result.Result<ReadonlyMap<string, HostTensor>, TorchNamesError> => {
  const byTensor = new Map<string, Array<TorchEntry>>()
  for (const entry of held) byTensor.set(entry.theirs, [...(byTensor.get(entry.theirs) ?? []), entry])
  const out = new Map<string, HostTensor>()
  for (const [name, parts] of byTensor) {
    const first = parts[0] as TorchEntry
    const shape = theirWholeShape(parts)
    const end = first.slice === undefined ? 0 : (shape[first.slice.axis] as number)
    const data = new Float32Array(sizeOf(shape))
    for (const entry of parts) {
      const ours = tensors[entry.ours.name]
      if (ours === undefined) {
        return Result.fail(
          new TorchNamesError({ tensor: name, reason: `there is no ${entry.ours.name} to make it of` })
        )
      }
      const at = theirIndex(entry)
      const own = new Float32Array(ours.data.length)
      for (let i = 0; i < own.length; i++) own[at(i)] = ours.data[i] as number
      if (entry.slice === undefined) {
        data.set(own)
        continue
      }
      const rows = sizeOf(shape.slice(0, entry.slice.axis))
      const inner = sizeOf(shape.slice(entry.slice.axis + 1))
      const length = (entry.slice.end - entry.slice.begin) * inner
      for (let row = 0; row < rows; row++) {
        data.set(own.subarray(row * length, (row + 1) * length), (row * end + entry.slice.begin) * inner)
      }
    }
    out.set(name, { shape, data })
  }
  return Result.succeed(out)
}

/** The counters that PyTorch keeps beside every running mean; a file for it needs them as int64 scalars. */
export const counterNames = (held: ReadonlyArray<TorchEntry>): ReadonlyArray<string> =>
  [...new Set(held.flatMap(({ theirs }) => (theirs.endsWith(".running_mean") ? [theirs] : [])))].map((name) =>
    name.replace(/running_mean$/, "num_batches_tracked")
  )
