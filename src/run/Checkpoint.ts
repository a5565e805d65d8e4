/**
 * Reads and writes tensors as safetensors files: eight bytes with the length of a JSON header; the header with names,
 * types, shapes, offsets and a map of strings as metadata; the bytes of the tensors. The files are interchangeable with
 * those of the `safetensors` packages, PyTorch's included.
 *
 * The header of a file written here contains the SHA-256 of every tensor and of the header itself. Reading checks both, so
 * a flipped bit is an error that names the file and the tensor, or the header. Sizes and offsets are checked before any
 * memory is allocated.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { type DiskError, type DiskShape, writeAtomic } from "../support/Disk.ts"
import { isRecord } from "../support/Records.ts"

/** An invalid or damaged checkpoint: which file, which tensor (null: the header), and why. */
export class CheckpointError extends Schema.TaggedError<CheckpointError>()("CheckpointError", {
  file: Schema.String,
  tensor: Schema.NullOr(Schema.String),
  reason: Schema.String
}) {
  override get message(): string {
    return `checkpoint ${this.file}${this.tensor === null ? "" : `, tensor ${this.tensor}`}: ${this.reason}`
  }
}

/** Bytes per element, by type of safetensors. */
const itemSizes: ReadonlyMap<string, number> = new Map([
  ["F64", 8],
  ["I64", 8],
  ["U64", 8],
  ["F32", 4],
  ["I32", 4],
  ["U32", 4],
  ["F16", 2],
  ["BF16", 2],
  ["I16", 2],
  ["U16", 2],
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1]
])

/** One tensor: its safetensors type, its shape, its elements in row-major order, little-endian. */
export interface TensorEntry {
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly data: Uint8Array<ArrayBuffer>
}

/** A checkpoint in memory. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** Everything else, as strings. */
  readonly metadata: Readonly<Record<string, string>>
}

/** A float32 tensor as an entry, which shares the bytes of the array. */
export const float32 = (shape: ReadonlyArray<number>, data: Float32Array<ArrayBuffer>): TensorEntry => ({
  dtype: "F32",
  shape,
  data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
})

/** The elements of a float32 entry. They share its bytes if these are aligned. */
export const toFloat32 = (entry: TensorEntry): Float32Array<ArrayBuffer> =>
  entry.data.byteOffset % 4 === 0
    ? new Float32Array(entry.data.buffer, entry.data.byteOffset, entry.data.byteLength / 4)
    : new Float32Array(entry.data.slice().buffer)

const metadataKey = "__metadata__"
const digestsKey = "osnas.sha256"
const headerKey = "osnas.header"
/** Placeholder of the header's own digest, while that is computed. */
const noDigest = "0".repeat(64)
const headerField = (digest: string): string => `"${headerKey}":"${digest}"`

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Digest of tensors alone: names, types, shapes and elements, without the metadata. */
export const digestOf = (tensors: ReadonlyMap<string, TensorEntry>): string =>
  CanonicalJson.digest(
    [...tensors.keys()].sort().map((name) => {
      const { data, dtype, shape } = tensors.get(name)!
      return [name, dtype, shape, sha256(data)]
    })
  )

/** Larger types first, so that every tensor is aligned; then by name. */
const order = (tensors: ReadonlyMap<string, TensorEntry>): ReadonlyArray<readonly [string, TensorEntry]> => {
  const size = (entry: TensorEntry) => itemSizes.get(entry.dtype) ?? 0
  return [...tensors].sort(([a, x], [b, y]) => size(y) - size(x) || (a < b ? -1 : a > b ? 1 : 0))
}

/** The header. Quotes in metadata are escaped, so the field of the digest cannot be mistaken for one of them. */
const header = (checkpoint: Checkpoint): Uint8Array<ArrayBuffer> => {
  const entries = order(checkpoint.tensors)
  const digests: Record<string, string> = {}
  const fields: Array<string> = []
  let offset = 0
  for (const [name, { data, dtype, shape }] of entries) {
    const end = offset + data.byteLength
    digests[name] = sha256(data)
    fields.push(`${JSON.stringify(name)}:${CanonicalJson.stringify({ dtype, shape, data_offsets: [offset, end] })}`)
    offset = end
  }
  const metadata = { ...checkpoint.metadata, [digestsKey]: CanonicalJson.stringify(digests), [headerKey]: noDigest }
  const text = `{${[`"${metadataKey}":${CanonicalJson.stringify(metadata)}`, ...fields].join(",")}}`
  const padding = (8 - (Buffer.byteLength(text) % 8)) % 8
  const padded = text + " ".repeat(padding)
  const bytes = new TextEncoder().encode(padded)
  return new TextEncoder().encode(padded.replace(headerField(noDigest), headerField(sha256(bytes))))
}

/** Whether a header matches the digest of itself that it contains. */
const isOwnDigest = (head: Uint8Array, digest: string): boolean =>
  sha256(
    Buffer.from(Buffer.from(head).toString("latin1").replace(headerField(digest), headerField(noDigest)), "latin1")
  ) === digest

const chunksOf = (checkpoint: Checkpoint): { readonly chunks: ReadonlyArray<Uint8Array>; readonly digest: string } => {
  const head = header(checkpoint)
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(head.length), true)
  return {
    chunks: [length, head, ...order(checkpoint.tensors).map(([, entry]) => entry.data)],
    digest: sha256(head)
  }
}

/** The bytes of a checkpoint file, and the digest that {@link write} would give. */
export const encode = (
  checkpoint: Checkpoint
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly digest: string } => {
  const { chunks, digest } = chunksOf(checkpoint)
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return { bytes, digest }
}

/**
 * Writes a checkpoint atomically (temporary file, fsync, rename). Gives the SHA-256 of its header, which identifies the
 * whole file, since the header contains the digest of every tensor.
 */
export const write = (disk: DiskShape, file: string, checkpoint: Checkpoint): Effect.Effect<string, DiskError> =>
  Effect.suspend(() => {
    const { chunks, digest } = chunksOf(checkpoint)
    return Effect.as(writeAtomic(disk, file, chunks), digest)
  })

/** A file or a buffer. */
interface Source {
  readonly name: string
  readonly size: number
  readonly read: (offset: number, length: number) => Effect.Effect<Uint8Array<ArrayBuffer>, DiskError>
}

/** Largest header, as in the reference implementation. */
const headerLimit = 100_000_000

interface Place {
  readonly name: string
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly begin: number
  readonly end: number
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/** The places of a header's tensors in the order of their bytes, or the fault of the header. */
const places = (
  fail: (tensor: string | null, reason: string) => CheckpointError,
  fields: Readonly<Record<string, unknown>>,
  available: number
): ReadonlyArray<Place> | CheckpointError => {
  const out: Array<Place> = []
  for (const [name, field] of Object.entries(fields)) {
    if (name === metadataKey) continue
    if (name === "__proto__") return fail(name, "no tensor may have this name")
    if (!isRecord(field)) return fail(name, "its header entry is not an object")
    const { data_offsets: offsets, dtype, shape } = field
    const itemSize = typeof dtype === "string" ? itemSizes.get(dtype) : undefined
    if (typeof dtype !== "string" || itemSize === undefined) {
      return fail(name, `its dtype is ${JSON.stringify(dtype)}, not one of ${[...itemSizes.keys()].join(", ")}`)
    }
    if (!Array.isArray(shape) || shape.length > 16 || !shape.every(isCount)) {
      return fail(name, "its shape is not a list of at most 16 whole numbers from 0 up")
    }
    const bytes = shape.reduce<number>((product, side) => product * side, itemSize)
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
      return fail(name, "its data_offsets are not two whole numbers from 0 up")
    }
    const [begin, end] = offsets as [number, number]
    if (end < begin || end > available) {
      return fail(name, `its data_offsets [${begin}, ${end}] are outside the ${available} bytes of data in the file`)
    }
    if (end - begin !== bytes) {
      return fail(name, `it takes ${end - begin} bytes, but ${dtype} of shape [${shape.join(", ")}] needs ${bytes}`)
    }
    out.push({ name, dtype, shape, begin, end })
  }
  out.sort((a, b) => a.begin - b.begin || a.end - b.end || (a.name < b.name ? -1 : 1))
  let at = 0
  for (const place of out) {
    if (place.begin !== at) {
      return fail(
        place.name,
        place.begin < at ? "it overlaps another tensor" : `${place.begin - at} bytes before it belong to no tensor`
      )
    }
    at = place.end
  }
  return at === available ? out : fail(null, `${available - at} bytes at the end belong to no tensor`)
}

const parseDigests = (text: string | undefined): ReadonlyMap<string, string> | undefined => {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (!isRecord(value)) return undefined
    const entries = Object.entries(value)
    return entries.every((entry): entry is [string, string] => typeof entry[1] === "string")
      ? new Map(entries)
      : undefined
  } catch {
    return undefined
  }
}

const readSource = Effect.fnUntraced(function* (
  source: Source,
  expected: string | undefined
): Effect.fn.Return<Checkpoint, CheckpointError | DiskError> {
  const fail = (tensor: string | null, reason: string) => new CheckpointError({ file: source.name, tensor, reason })
  if (source.size < 8) return yield* fail(null, `it has ${source.size} bytes, too few for a safetensors file`)
  const first = yield* source.read(0, 8)
  if (first.length < 8) return yield* fail(null, "it ends within its first 8 bytes")
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true)
  if (length > BigInt(Math.min(headerLimit, source.size - 8))) {
    return yield* fail(null, `its header should have ${length} bytes, but the file has ${source.size}`)
  }
  const head = yield* source.read(8, Number(length))
  if (head.length < Number(length)) return yield* fail(null, "it ends within its header")
  if (expected !== undefined && sha256(head) !== expected) {
    return yield* fail(null, "its header is not the one that was written: its SHA-256 differs from the run's record")
  }
  const parsed = yield* Effect.try({
    try: (): unknown => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(head)),
    catch: () => fail(null, "its header is not JSON")
  })
  if (!isRecord(parsed)) return yield* fail(null, "its header is not a JSON object")
  const rawMetadata = Object.hasOwn(parsed, metadataKey) ? parsed[metadataKey] : {}
  if (!isRecord(rawMetadata) || !Object.values(rawMetadata).every((value) => typeof value === "string")) {
    return yield* fail(null, `its ${metadataKey} is not an object of strings`)
  }
  const metadata = { ...rawMetadata } as Record<string, string>
  const digestsText = metadata[digestsKey]
  const ownDigest = metadata[headerKey]
  delete metadata[digestsKey]
  delete metadata[headerKey]
  const digests = parseDigests(digestsText)
  if (digestsText !== undefined && digests === undefined) {
    return yield* fail(null, `its ${digestsKey} is not a JSON object of digests`)
  }
  // Both digests are written together: if one is missing, its name is damaged.
  const isWhole = ownDigest === undefined ? digests === undefined : isOwnDigest(head, ownDigest)
  if (!isWhole) return yield* fail(null, "its header is damaged: its SHA-256 differs from the one that it contains")
  const start = 8 + Number(length)
  const where = places(fail, parsed, source.size - start)
  if (where instanceof CheckpointError) return yield* where
  const tensors = new Map<string, TensorEntry>()
  for (const place of where) {
    const data = yield* source.read(start + place.begin, place.end - place.begin)
    if (data.length !== place.end - place.begin) return yield* fail(place.name, "the file ends within it")
    if (digests !== undefined && digests.get(place.name) !== sha256(data)) {
      return yield* fail(place.name, "its bytes are damaged: their SHA-256 differs from the one in the file's header")
    }
    tensors.set(place.name, { dtype: place.dtype, shape: place.shape, data })
  }
  return { tensors: new Map([...tensors].sort(([a], [b]) => (a < b ? -1 : 1))), metadata }
})

/**
 * Reads a checkpoint. `expected` is the digest that {@link write} gave; without it, the file is checked only against the
 * digests that it contains, if any.
 */
export const read = Effect.fnUntraced(function* (
  disk: DiskShape,
  file: string,
  expected?: string | undefined
): Effect.fn.Return<Checkpoint, CheckpointError | DiskError> {
  const size = yield* disk.size(file)
  if (size === undefined) return yield* new CheckpointError({ file, tensor: null, reason: "there is no such file" })
  return yield* readSource({ name: file, size, read: (offset, length) => disk.read(file, offset, length) }, expected)
})

/** Reads a checkpoint from the bytes of its file; `name` is what errors call it. */
export const decode = (bytes: Uint8Array, name: string): Effect.Effect<Checkpoint, CheckpointError | DiskError> =>
  readSource(
    { name, size: bytes.length, read: (offset, length) => Effect.sync(() => bytes.slice(offset, offset + length)) },
    undefined
  )
