/**
 * The files of a run's folder: their names, and how those with a digest are written and read. Reading needs no ownership of
 * the folder.
 */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as Disk from "../support/Disk.ts"
import * as SafeJson from "../support/SafeJson.ts"

/** A folder that cannot be used as requested, and what to do. */
export class RunFolderError extends Schema.TaggedError<RunFolderError>()("RunFolderError", {
  folder: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `run folder ${this.folder}: ${this.reason}`
  }
}

/** A damaged file of the folder. */
export class SnapshotError extends Schema.TaggedError<SnapshotError>()("SnapshotError", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file}: ${this.reason}`
  }
}

const Change = Schema.Struct({ key: Schema.String, was: Schema.String, is: Schema.String })

/**
 * What a run began with. `identity` must be the same when the run is resumed; `input` is the main agent's input; `notes` are
 * for people; `changes` are the options that were changed on resume, before any recorded result depended on them.
 */
export interface Manifest {
  readonly identity: { readonly [key: string]: Schema.Json }
  readonly input: { readonly [key: string]: Schema.Json }
  readonly notes: { readonly [key: string]: Schema.Json }
  readonly changes: ReadonlyArray<typeof Change.Type>
}

/** Names of the files in a folder. */
export const files = {
  config: "config.yaml",
  manifest: "manifest.json",
  snapshot: "snapshot.json",
  events: "events.jsonl",
  search: "search.jsonl",
  checkpoints: "checkpoints",
  supernet: "checkpoints/supernet.safetensors",
  searcher: "checkpoints/searcher.safetensors",
  lookupTable: "lookup-table.json",
  data: "data.json",
  architecture: "architecture.json",
  network: "network.safetensors",
  metrics: "metrics.json",
  report: "report.html",
  rankingFolder: "ranking",
  /** In the folder of a ranking. */
  ranking: "ranking.json",
  rankingScores: "scores.jsonl"
} as const

/** The name of a training checkpoint. */
export const checkpointName = (phase: string, step: number): string =>
  `${files.checkpoints}/${phase}-${String(step).padStart(9, "0")}.safetensors`

const snapshotFormat = 1

const Envelope = Schema.Struct({
  format: Schema.Literal(snapshotFormat),
  sha256: Schema.String,
  snapshot: Schema.Json
})

const ManifestFile = Schema.Struct({
  identity: Schema.Record(Schema.String, Schema.Json),
  input: Schema.Record(Schema.String, Schema.Json),
  notes: Schema.Record(Schema.String, Schema.Json),
  changes: Schema.optionalKey(Schema.Array(Change)),
  /** Digest of the fields above. */
  sha256: Schema.String
})

/** Text of a manifest, with its digest. */
export const manifestText = ({ changes, identity, input, notes }: Manifest): string => {
  const content = { identity, input, notes, ...(changes.length === 0 ? {} : { changes }) }
  return CanonicalJson.pretty({ ...content, sha256: CanonicalJson.digest(content) })
}

/** Text of a snapshot, with its digest. */
export const snapshotText = (snapshot: Schema.Json): string =>
  CanonicalJson.pretty({ format: snapshotFormat, sha256: CanonicalJson.digest(snapshot), snapshot })

const changed = "it is damaged: its content does not match its digest"

/** Parses and decodes the JSON of a file. */
const parseJson = Effect.fnUntraced(function* <A>(schema: Schema.Codec<A, unknown>, file: string, text: string) {
  const fail = (reason: string) => new SnapshotError({ file, reason })
  const value = yield* Effect.mapError(Effect.fromResult(SafeJson.parse(text)), fail)
  return yield* Effect.mapError(Schema.decodeUnknownEffect(schema)(value), (error) =>
    fail(`it is not in the format of this file: ${error.message}`)
  )
})

/** Reads the snapshot of a folder, owned by this process or not. Null: the run has not saved one yet. */
export const readSnapshot = Effect.fn("RunFiles.readSnapshot")(function* (disk: Disk.DiskShape, folder: string) {
  const file = path.join(folder, files.snapshot)
  const text = yield* Disk.readText(disk, file)
  if (text === undefined) return null
  const envelope = yield* parseJson(Envelope, file, text)
  if (CanonicalJson.digest(envelope.snapshot) !== envelope.sha256) {
    return yield* new SnapshotError({ file, reason: changed })
  }
  return envelope.snapshot
})

const lacks = (folder: string, file: string) =>
  new RunFolderError({
    folder,
    reason: `it has no ${file}, so it is not a run; start one with \`osnas run CONFIG\``
  })

/** Reads the manifest of a folder, owned by this process or not. */
export const readManifest = Effect.fn("RunFiles.readManifest")(function* (disk: Disk.DiskShape, folder: string) {
  const file = path.join(folder, files.manifest)
  const text = yield* Disk.readText(disk, file)
  if (text === undefined) return yield* lacks(folder, files.manifest)
  const { sha256, ...manifest } = yield* parseJson(ManifestFile, file, text)
  if (CanonicalJson.digest(manifest) !== sha256) return yield* new SnapshotError({ file, reason: changed })
  return { changes: [], ...manifest } satisfies Manifest as Manifest
})

/** Reads the configuration of a folder, owned by this process or not. */
export const readConfig = Effect.fn("RunFiles.readConfig")(function* (disk: Disk.DiskShape, folder: string) {
  const text = yield* Disk.readText(disk, path.join(folder, files.config), 1 << 20)
  return text === undefined ? yield* lacks(folder, files.config) : text
})

const isRun = (disk: Disk.DiskShape, folder: string) =>
  Effect.map(Effect.all([files.config, files.manifest].map((name) => disk.size(path.join(folder, name)))), (sizes) =>
    sizes.every((size) => size !== undefined)
  )

/** Refuses a folder inside that of a run: what belongs to which run would not be clear. */
export const refuseNested = Effect.fn("RunFiles.refuseNested")(function* (disk: Disk.DiskShape, folder: string) {
  const absolute = path.resolve(folder)
  for (let above = path.dirname(absolute); ; above = path.dirname(above)) {
    // A folder that may not be looked into is not a run of this user.
    if (yield* Effect.orElseSucceed(isRun(disk, above), () => false)) {
      return yield* new RunFolderError({
        folder: absolute,
        reason: `it is inside the folder of another run, ${above}; choose a folder outside it with --dir`
      })
    }
    if (above === path.dirname(above)) return
  }
})
