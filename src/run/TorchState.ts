/**
 * Converts the state of a PyTorch module, as safetensors, to our names and layouts, and back. Tensors that are not weights
 * of our networks (counters of batches, parameters of an architecture, a normalisation that no architecture reaches) are
 * kept in the metadata, so that an imported file can be exported again bit for bit.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { weightName as identityWeights } from "../criterion/Angular.ts"
import { sizeOf } from "../engine/Shape.ts"
import { slots } from "../search-space/Sgnas.ts"
import * as TorchNames from "../search-space/TorchNames.ts"
import * as Checkpoint from "./Checkpoint.ts"

type Tensors = ReadonlyMap<string, Checkpoint.TensorEntry>

/** Number of names that an error lists per fault. */
const listedNames = 5

const listed = (what: string, lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (lines.length === 0) return []
  const more = lines.length > listedNames ? [`    and ${lines.length - listedNames} more`] : []
  return [`  ${lines.length} ${what}`, ...lines.slice(0, listedNames).map((line) => `    ${line}`), ...more]
}

/** A file does not fit the network: every tensor that is missing, unknown, of a wrong shape or not a weight. */
export class TorchStateError extends Schema.TaggedError<TorchStateError>()("TorchStateError", {
  file: Schema.String,
  /** The expected network: `the supernet of proxylessnas`. */
  network: Schema.String,
  missing: Schema.Array(Schema.String),
  unknown: Schema.Array(Schema.String),
  misshapen: Schema.Array(Schema.String),
  /** Tensors whose type cannot be converted, or with values that are NaN or infinite. */
  unreadable: Schema.Array(Schema.String),
  /** What to try; null if there is no advice. */
  advice: Schema.NullOr(Schema.String)
}) {
  override get message(): string {
    const tensors = (count: number) => (count === 1 ? "tensor" : "tensors")
    return [
      `${this.file} is not ${this.network}`,
      ...listed(`${tensors(this.missing.length)} missing:`, this.missing),
      ...listed(`${tensors(this.misshapen.length)} of another shape:`, this.misshapen),
      ...listed(`unknown ${tensors(this.unknown.length)}:`, this.unknown),
      ...listed(`${tensors(this.unreadable.length)} that cannot be weights:`, this.unreadable),
      ...(this.advice === null ? [] : [this.advice])
    ].join("\n")
  }
}

/** How to write a PyTorch file as safetensors: three lines of Python. */
export const howToConvert = (file: string): string => {
  const out = `${file.replace(/\.[^./\\]*$/, "")}.safetensors`
  return [
    "  import torch; from safetensors.torch import save_file",
    `  c = torch.load(${JSON.stringify(file)}, map_location="cpu"); s = {**c.get("model", c), **{f"criterion.{k}": v for k, v in c.get("criterion", {}).items()}}`,
    `  save_file({k: v.contiguous() for k, v in s.items()}, ${JSON.stringify(out)})`
  ].join("\n")
}

/**
 * Whether a file is in PyTorch's own format, a zip archive (since 1.6) or a pickle, and not safetensors. Reading such a file
 * runs code from it, so we do not read it.
 */
export const isPickle = (file: string, head: Uint8Array): boolean => {
  const zip = head[0] === 0x50 && head[1] === 0x4b
  const pickle = head[0] === 0x80 && (head[1] ?? 0xff) <= 5
  // In a safetensors file, a brace follows the eight bytes of the length.
  const safetensors = head[8] === 0x7b
  return !safetensors && (zip || pickle || /\.(pt|pth|bin|ckpt)$/i.test(file))
}

const halfToFloat = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const aligned = (entry: Checkpoint.TensorEntry): ArrayBuffer => entry.data.slice().buffer

/** Elements of a tensor as float32; undefined if its type cannot be converted. float64 is rounded. */
const toFloat32 = (entry: Checkpoint.TensorEntry): Float32Array<ArrayBuffer> | undefined => {
  switch (entry.dtype) {
    case "F32":
      return Checkpoint.toFloat32(entry)
    case "F64":
      return Float32Array.from(new Float64Array(aligned(entry)))
    case "F16":
      return Float32Array.from(new Uint16Array(aligned(entry)), halfToFloat)
    case "BF16": {
      const bits = Uint32Array.from(new Uint16Array(aligned(entry)), (half) => half << 16)
      return new Float32Array(bits.buffer)
    }
    default:
      return undefined
  }
}

/** The prefixes that `DataParallel` and compiled modules add to every name. */
const prefix = /^(?:module\.|_orig_mod\.)+/

/**
 * A tensor's name without the prefixes of module wrappers.
 *
 * **Example** (A supernet saved inside `DataParallel`)
 * ```ts
 * import { bareName } from "./TorchState.ts"
 * bareName("module.first_stages.0.conv.weight") // => "first_stages.0.conv.weight"
 * ```
 */
export const bareName = (name: string): string =>
  name.startsWith("criterion.") ? `criterion.${name.slice(10).replace(prefix, "")}` : name.replace(prefix, "")

const counter = /\.num_batches_tracked$/
/** Not weights of our networks; kept in the metadata. */
const keptNames = [counter, /\.arch_param$/, /\.sbn\.\d+\.(weight|bias|running_mean|running_var)$/]

/** OSNASLib's name of the angular criterion's weights, and ours. Both are [dimension, identities]. */
const criterionNames = { theirs: "criterion.identity_weights", ours: `criterion.${identityWeights}` } as const

/** The content of an imported PyTorch file. */
export interface Imported {
  /** Converted tensors by our names, all float32. */
  readonly tensors: Tensors
  /** Tensors of the file that are not weights of our networks. */
  readonly kept: Tensors
  /** Number of tensors converted to float32, by their safetensors type. */
  readonly converted: Readonly<Record<string, number>>
  /** Whether the names had the prefix of a module wrapper. */
  readonly prefixed: boolean
  /** Whether the file had no running statistics (`bn_track_running_stats: False`), so that initial ones were added. */
  readonly withoutStatistics: boolean
}

const startOf = (kind: TorchNames.TorchEntry["ours"]["kind"]): number => (kind === "normVariance" ? 1 : 0)

const isStatistic = ({ ours }: TorchNames.TorchEntry): boolean =>
  ours.kind === "normMean" || ours.kind === "normVariance"

const adviceFor = (names: ReadonlyArray<string>, form: TorchNames.TorchForm): string | null => {
  const isSupernet = names.some((name) => name.startsWith("search_stages."))
  const isNetwork = names.some((name) => name.startsWith("stages."))
  if (form === "network" && isSupernet) return "It has the names of a supernet (search_stages.…): give --supernet"
  if (form === "supernet" && isNetwork) {
    return "It has the names of a single network (stages.…): give --arch and its digits in place of --supernet"
  }
  return null
}

/** Faults of a file by kind, as {@link TorchStateError} lists them. */
interface Faults {
  readonly missing: Array<string>
  readonly unknown: Array<string>
  readonly misshapen: Array<string>
  readonly unreadable: Array<string>
}

const noFaults = (): Faults => ({ missing: [], unknown: [], misshapen: [], unreadable: [] })

const hasFaults = ({ misshapen, missing, unknown, unreadable }: Faults): boolean =>
  missing.length + misshapen.length + unknown.length + unreadable.length > 0

/** A state by names without prefixes. */
const withBareNames = (state: Tensors, { unknown }: Faults): Tensors => {
  const found = new Map<string, Checkpoint.TensorEntry>()
  for (const [name, entry] of state) {
    const bare = bareName(name)
    if (found.has(bare)) unknown.push(`${name} (duplicate of ${bare})`)
    found.set(bare, entry)
  }
  return found
}

/** The values of a tensor; undefined, with a fault, if they cannot be weights. Counts conversions by type. */
const valuesOf = (
  name: string,
  entry: Checkpoint.TensorEntry,
  converted: Record<string, number>,
  { unreadable }: Faults
): Float32Array<ArrayBuffer> | undefined => {
  const data = toFloat32(entry)
  if (data === undefined) {
    unreadable.push(`${name} (${entry.dtype}; weights are F32, or F64, F16, BF16, which are converted)`)
    return undefined
  }
  if (!data.every(Number.isFinite)) {
    const overflown = entry.dtype === "F64" ? " as float32" : ""
    unreadable.push(`${name} (contains NaN or infinity${overflown})`)
    return undefined
  }
  if (entry.dtype !== "F32") converted[entry.dtype] = (converted[entry.dtype] ?? 0) + 1
  return data
}

/** The entries of a network by their names in PyTorch; several of ours may be parts of one of theirs. */
const byTheirName = (
  entries: ReadonlyArray<TorchNames.TorchEntry>
): ReadonlyMap<string, ReadonlyArray<TorchNames.TorchEntry>> => {
  const out = new Map<string, Array<TorchNames.TorchEntry>>()
  for (const entry of entries) out.set(entry.theirs, [...(out.get(entry.theirs) ?? []), entry])
  return out
}

/** Our tensors from one of theirs. */
const convert = (
  name: string,
  entry: Checkpoint.TensorEntry,
  parts: ReadonlyArray<TorchNames.TorchEntry>,
  converted: Record<string, number>,
  faults: Faults
): ReadonlyArray<readonly [name: string, entry: Checkpoint.TensorEntry]> => {
  const wanted = TorchNames.theirWholeShape(parts)
  if (wanted.length !== entry.shape.length || wanted.some((side, axis) => side !== entry.shape[axis])) {
    faults.misshapen.push(`${name} (the file: [${entry.shape.join(", ")}], here: [${wanted.join(", ")}])`)
    return []
  }
  const data = valuesOf(name, entry, converted, faults)
  if (data === undefined) return []
  return parts.flatMap((part) => {
    const ours = TorchNames.toOurs(part, { shape: entry.shape, data })
    if (Result.isSuccess(ours)) {
      return [[part.ours.name, Checkpoint.float32(ours.success.shape, Float32Array.from(ours.success.data))] as const]
    }
    faults.misshapen.push(ours.failure.message)
    return []
  })
}

/**
 * Converts a PyTorch state to our tensors. An error lists every tensor that is missing, unknown, of a wrong shape or not a
 * weight.
 */
export const fromTorch = (
  file: string,
  network: string,
  entries: ReadonlyArray<TorchNames.TorchEntry>,
  form: TorchNames.TorchForm,
  state: Tensors
): Result.Result<Imported, TorchStateError> => {
  const faults = noFaults()
  const found = withBareNames(state, faults)
  const placed = byTheirName(entries)
  const statistics = entries.filter(isStatistic)
  const withoutStatistics =
    form === "supernet" && statistics.length > 0 && !statistics.some(({ theirs }) => found.has(theirs))
  const converted: Record<string, number> = {}
  const tensors = new Map<string, Checkpoint.TensorEntry>()
  for (const [name, parts] of placed) {
    const entry = found.get(name)
    if (entry !== undefined) {
      for (const [ours, tensor] of convert(name, entry, parts, converted, faults)) tensors.set(ours, tensor)
    } else if (withoutStatistics && isStatistic(parts[0]!)) {
      for (const { ours } of parts) {
        const data = new Float32Array(sizeOf(ours.shape)).fill(startOf(ours.kind))
        tensors.set(ours.name, Checkpoint.float32(ours.shape, data))
      }
    } else faults.missing.push(name)
  }

  const kept = new Map<string, Checkpoint.TensorEntry>()
  for (const [name, entry] of found) {
    if (placed.has(name)) continue
    if (name === criterionNames.theirs) {
      const data = valuesOf(name, entry, converted, faults)
      if (data !== undefined) tensors.set(criterionNames.ours, Checkpoint.float32(entry.shape, data))
    } else if (keptNames.some((pattern) => pattern.test(name))) kept.set(name, entry)
    else faults.unknown.push(name)
  }

  if (hasFaults(faults)) {
    return Result.fail(new TorchStateError({ file, network, ...faults, advice: adviceFor([...found.keys()], form) }))
  }
  const prefixed = [...state.keys()].some((name) => prefix.test(name))
  return Result.succeed({ tensors, kept, converted, prefixed, withoutStatistics })
}

const keptKey = "osnas.torch"

const KeptJson = Schema.fromJsonString(
  Schema.Struct({
    withoutStatistics: Schema.Boolean,
    tensors: Schema.Record(
      Schema.String,
      Schema.Struct({ dtype: Schema.String, shape: Schema.Array(Schema.Int), base64: Schema.String })
    )
  })
)

/** Imported weights as a checkpoint, for `start.supernet` or `start.network` of a run. */
export const toCheckpoint = (imported: Imported, metadata: Readonly<Record<string, string>>): Checkpoint.Checkpoint => {
  const tensors = Object.fromEntries(
    [...imported.kept].map(([name, { data, dtype, shape }]) => [
      name,
      { dtype, shape, base64: Buffer.from(data).toString("base64") }
    ])
  )
  const kept = Schema.encodeSync(KeptJson)({ withoutStatistics: imported.withoutStatistics, tensors })
  return { tensors: imported.tensors, metadata: { ...metadata, [keptKey]: kept } }
}

/** A counter: an int64 scalar. */
const scalar = (value: bigint): Checkpoint.TensorEntry => ({
  dtype: "I64",
  shape: [],
  data: new Uint8Array(BigInt64Array.of(value).buffer)
})

const normalisation = { weight: 1, bias: 0, running_mean: 0, running_var: 1 } as const

/**
 * SGNAS's normalisation for a layer without any sub-block, with its initial values. PyTorch's network has it, but no
 * architecture here reaches it.
 */
const unreached = (entries: ReadonlyArray<TorchNames.TorchEntry>): Tensors => {
  const byLayer = new Map<string, number>()
  for (const { ours, theirs } of entries) {
    const path = /^(.*\.sbn)\.\d+\.weight$/.exec(theirs)?.[1]
    if (path !== undefined) byLayer.set(path, ours.shape[0] ?? 0)
  }
  const out = new Map<string, Checkpoint.TensorEntry>()
  for (const [path, width] of byLayer) {
    for (let empty = 0; empty <= slots; empty++) {
      for (const [leaf, value] of Object.entries(normalisation)) {
        out.set(`${path}.${empty}.${leaf}`, Checkpoint.float32([width], new Float32Array(width).fill(value)))
      }
      out.set(`${path}.${empty}.num_batches_tracked`, scalar(0n))
    }
  }
  return out
}

/** A checkpoint as a PyTorch state, with every tensor that `load_state_dict` requires. */
export const toTorch = (
  file: string,
  network: string,
  entries: ReadonlyArray<TorchNames.TorchEntry>,
  checkpoint: Checkpoint.Checkpoint
): Result.Result<Tensors, TorchStateError> => {
  const fail = (faults: Partial<Faults>) =>
    Result.fail(new TorchStateError({ file, network, ...noFaults(), ...faults, advice: null }))
  const raw = checkpoint.metadata[keptKey]
  const parsed = raw === undefined ? undefined : Schema.decodeUnknownResult(KeptJson)(raw)
  if (parsed !== undefined && Result.isFailure(parsed)) return fail({ unreadable: [`the metadata ${keptKey}`] })
  const kept = parsed?.success
  const withoutStatistics = kept?.withoutStatistics ?? false

  const expected = new Map(entries.map((entry) => [entry.ours.name, entry]))
  const faults = noFaults()
  const tensors: Record<string, TorchNames.HostTensor> = {}
  for (const { ours } of expected.values()) {
    const entry = checkpoint.tensors.get(ours.name)
    if (entry === undefined) faults.missing.push(ours.name)
    else if (entry.dtype !== "F32") faults.unreadable.push(`${ours.name} (${entry.dtype}; weights are F32)`)
    else if (entry.shape.join() !== ours.shape.join()) {
      faults.misshapen.push(`${ours.name} (the file: [${entry.shape.join(", ")}], here: [${ours.shape.join(", ")}])`)
    } else tensors[ours.name] = { shape: entry.shape, data: Checkpoint.toFloat32(entry) }
  }
  // PyTorch's network has no tensors for the optimizer's slots and the criterion.
  const ofTraining = (name: string) => name.startsWith("optimizer.") || name.startsWith("criterion.")
  faults.unknown.push(...[...checkpoint.tensors.keys()].filter((name) => !expected.has(name) && !ofTraining(name)))
  if (hasFaults(faults)) return fail(faults)
  const state = TorchNames.toTorch(entries, tensors)
  if (Result.isFailure(state)) return fail({ unreadable: [state.failure.message] })

  const out = new Map<string, Checkpoint.TensorEntry>()
  for (const [name, entry] of unreached(entries)) out.set(name, entry)
  for (const name of TorchNames.counterNames(entries)) out.set(name, scalar(0n))
  for (const [name, { data, shape }] of state.success) {
    out.set(name, Checkpoint.float32(shape, Float32Array.from(data)))
  }
  const identities = checkpoint.tensors.get(criterionNames.ours)
  if (identities !== undefined) out.set(criterionNames.theirs, identities)
  if (kept !== undefined) {
    // Export exactly the extra tensors that the imported file had.
    const given = new Set(Object.keys(kept.tensors))
    const isOurs = new Set(state.success.keys())
    for (const name of [...out.keys()]) {
      if (!isOurs.has(name) && name !== criterionNames.theirs && !given.has(name)) out.delete(name)
    }
    for (const [name, { base64, dtype, shape }] of Object.entries(kept.tensors)) {
      out.set(name, { dtype, shape, data: new Uint8Array(Buffer.from(base64, "base64")) })
    }
    if (withoutStatistics) for (const { theirs } of entries.filter(isStatistic)) out.delete(theirs)
  }
  return Result.succeed(out)
}
