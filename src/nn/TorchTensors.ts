/**
 * Tensors in PyTorch's layouts, and back. Convolutions are [out, in, height, width] there and [height, width, in, out]
 * here; linear weights are transposed; if several of our tensors are parts of one PyTorch tensor, each is a slice of it.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { sizeOf } from "../engine/Shape.ts"
import type { ParameterSpec } from "./Parameter.ts"

/** A tensor in host memory, row-major. */
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

/** The entries along a dimension of a PyTorch tensor that are ours. */
export interface Slice {
  readonly axis: 0 | 1
  readonly begin: number
  readonly end: number
}

/** One of our tensors, and where it is in PyTorch's state. */
export interface TorchEntry {
  readonly ours: ParameterSpec
  readonly theirs: string
  /** Default: the whole tensor. */
  readonly slice?: Slice
  /** Rank 4 for squeeze-excite, whose 1x1 convolutions are matrices here. */
  readonly pointwise: boolean
}

/** The shape of one of our tensors in PyTorch. */
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
 * The shape of a whole PyTorch tensor that contains the given tensors of ours; if they are slices, it extends to the last.
 *
 * **Example** (A convolution)
 * ```ts
 * import { theirWholeShape } from "./TorchTensors.ts"
 * const ours = { name: "c.weight", shape: [3, 3, 8, 16], kind: "convolution", trainable: true, fanIn: 72, fanOut: 144 } as const
 * theirWholeShape([{ ours, theirs: "conv.weight", pointwise: false }]) // => [16, 8, 3, 3]
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

/** Extracts one of our tensors from a PyTorch tensor. */
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

/** Extracts all our tensors from a PyTorch state. Fails with the first that is missing or has another shape. */
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

/** The PyTorch state of our tensors; parts of one tensor are joined. */
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

/** The counters that PyTorch has beside every running mean: int64 scalars in its files. */
export const counterNames = (held: ReadonlyArray<TorchEntry>): ReadonlyArray<string> =>
  [...new Set(held.flatMap(({ theirs }) => (theirs.endsWith(".running_mean") ? [theirs] : [])))].map((name) =>
    name.replace(/running_mean$/, "num_batches_tracked")
  )
