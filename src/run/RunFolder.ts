/**
 * A run is a folder. One process at a time owns it (a lock that its owner renews; that of a dead owner is taken over),
 * and whatever is written there is written so that a crash at any instant leaves the folder resumable.
 *
 * | file | what |
 * | --- | --- |
 * | `config.yaml`, `manifest.json` | what the run is made of; written before anything else, with the folder itself |
 * | `snapshot.json` | the state of the run: the main agent's persisted snapshot, with a digest |
 * | `checkpoints/` | tensors, named by phase and step; `supernet.safetensors` when it is trained |
 * | `events.jsonl` | the journal of events |
 * | `search.jsonl` | every candidate with cost and score |
 * | `data.json` | what its data are: for the report, and to say what differs when they have changed |
 * | `lookup-table.json`, `architecture.json`, `network.safetensors`, `metrics.json` | what it found |
 */
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { type CheckpointRef, phases } from "../../machines/RunState.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as Disk from "../support/Disk.ts"
import * as SafeJson from "../support/SafeJson.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Journal from "./Journal.ts"
import * as Lock from "./Lock.ts"
import * as Snapshot from "./Snapshot.ts"

/** A folder that cannot be what is asked of it, and what to do. */
export class RunFolderError extends Schema.TaggedError<RunFolderError>()("RunFolderError", {
  folder: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `run folder ${this.folder}: ${this.reason}`
  }
}

/** A file of the folder that is damaged. */
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
 * What a run is made of. `identity` must be the same when the run is resumed; `input` is what the main agent began with;
 * `notes` are for people; `changes` are the options that were changed on resume, before anything recorded used them.
 */
export interface Manifest {
  readonly identity: { readonly [key: string]: Schema.Json }
  readonly input: { readonly [key: string]: Schema.Json }
  readonly notes: { readonly [key: string]: Schema.Json }
  readonly changes: ReadonlyArray<typeof Change.Type>
}

/** The contract: a folder that this process owns. */
export interface RunFolderShape {
  readonly folder: string
  /** Absolute path of a file of the folder. */
  readonly path: (name: string) => string
  /** For all that is in the folder: refuses every change once another process has taken it over. */
  readonly disk: Disk.DiskShape
  readonly config: string
  readonly manifest: Manifest
  readonly events: Journal.Journal
  readonly search: Journal.Journal
  /** Writes a file in one piece. */
  readonly writeText: (name: string, text: string) => Effect.Effect<void, Disk.DiskError>
  /** Writes canonical JSON, sorted and indented; nothing where the file has this content already. */
  readonly writeJson: (name: string, value: unknown) => Effect.Effect<void, Disk.DiskError>
  readonly saveManifest: (manifest: Manifest) => Effect.Effect<void, Disk.DiskError>
  readonly saveSnapshot: (snapshot: Schema.Json) => Effect.Effect<void, Disk.DiskError>
  /** The last saved snapshot; null where there is none yet. */
  readonly loadSnapshot: Effect.Effect<Schema.Json, SnapshotError | Disk.DiskError>
  /** Removes old checkpoints: all but the newest `keep` and the ones named. */
  readonly prune: (keep: number, named: ReadonlyArray<CheckpointRef>) => Effect.Effect<void, Disk.DiskError>
}

/** The folder of a run. */
export class RunFolder extends Context.Service<RunFolder, RunFolderShape>()("osnas/run/RunFolder") {}

const partSuffix = Disk.temporarySuffix

/** Names of the files, for whoever reads a folder. */
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
  /** Of all the above. */
  sha256: Schema.String
})

const manifestText = ({ changes, identity, input, notes }: Manifest): string => {
  const content = { identity, input, notes, ...(changes.length === 0 ? {} : { changes }) }
  return CanonicalJson.pretty({ ...content, sha256: CanonicalJson.digest(content) })
}

const changed = "it is damaged: its content does not have the digest it carries"

const parseJson = <A>(schema: Schema.Codec<A, unknown>, file: string, text: string): Effect.Effect<A, SnapshotError> =>
  Effect.fromResult(SafeJson.parse(text)).pipe(
    Effect.mapError((reason) => new SnapshotError({ file, reason })),
    Effect.flatMap((value) =>
      Effect.mapError(
        Schema.decodeUnknownEffect(schema)(value),
        (error) => new SnapshotError({ file, reason: `it is not what was written there: ${error.message}` })
      )
    )
  )

/** Reads the snapshot of a folder, owned or not. Null: the run has not saved one yet. */
export const readSnapshot = (
  disk: Disk.DiskShape,
  folder: string
): Effect.Effect<Schema.Json, SnapshotError | Disk.DiskError> =>
  Effect.gen(function* () {
    const file = path.join(folder, files.snapshot)
    const text = yield* Disk.readText(disk, file)
    if (text === undefined) return null
    const envelope = yield* parseJson(Envelope, file, text)
    if (CanonicalJson.digest(envelope.snapshot) !== envelope.sha256) {
      return yield* new SnapshotError({ file, reason: changed })
    }
    return envelope.snapshot
  })

/** Reads the manifest of a folder, owned or not. */
export const readManifest = (
  disk: Disk.DiskShape,
  folder: string
): Effect.Effect<Manifest, RunFolderError | SnapshotError | Disk.DiskError> =>
  Effect.gen(function* () {
    const file = path.join(folder, files.manifest)
    const text = yield* Disk.readText(disk, file)
    if (text === undefined) {
      return yield* new RunFolderError({
        folder,
        reason: `it holds no ${files.manifest}, so it is no run; start one with \`osnas run CONFIG\``
      })
    }
    const { sha256, ...manifest } = yield* parseJson(ManifestFile, file, text)
    if (CanonicalJson.digest(manifest) !== sha256) return yield* new SnapshotError({ file, reason: changed })
    return { changes: [], ...manifest }
  })

/** Reads the configuration of a folder, owned or not. */
export const readConfig = (
  disk: Disk.DiskShape,
  folder: string
): Effect.Effect<string, RunFolderError | Disk.DiskError> =>
  Effect.gen(function* () {
    const text = yield* Disk.readText(disk, path.join(folder, files.config), 1 << 20)
    if (text === undefined) {
      return yield* new RunFolderError({
        folder,
        reason: `it holds no ${files.config}, so it is no run; start one with \`osnas run CONFIG\``
      })
    }
    return text
  })

/**
 * Checks every digest and checksum that a folder carries, owned or not; the first thing that is damaged is the error, with
 * file and place. Nothing is changed: a line that a crash tore from a journal's end is not damage, unless the snapshot
 * knows of what it said. Answers with the checkpoints named in `wanted`, which need not be read again.
 */
export const checkIntegrity = (
  disk: Disk.DiskShape,
  folder: string,
  wanted: ReadonlyArray<string> = []
): Effect.Effect<
  ReadonlyMap<string, Checkpoint.Checkpoint>,
  RunFolderError | SnapshotError | Journal.JournalError | Checkpoint.CheckpointError | Disk.DiskError
> =>
  Effect.gen(function* () {
    yield* readManifest(disk, folder)
    const snapshot = yield* readSnapshot(disk, folder)
    yield* Journal.scan(disk, path.join(folder, files.events), () => {})
    const search = path.join(folder, files.search)
    let lines = 0
    yield* Journal.scan(disk, search, () => {
      lines += 1
    })
    const scored = Snapshot.evaluationsIn(snapshot)
    if (lines < scored) {
      return yield* new Journal.JournalError({
        file: search,
        line: lines + 1,
        reason: `the line is damaged or missing: the run has recorded ${scored} scored candidates, and ${lines} good lines are there`
      })
    }
    const named = new Map(Snapshot.checkpointsIn(snapshot).map(({ digest, file }) => [file, digest]))
    const checkpoints = (yield* disk.list(path.join(folder, files.checkpoints))).map(
      (name) => `${files.checkpoints}/${name}`
    )
    const weights = (yield* disk.size(path.join(folder, files.network))) === undefined ? [] : [files.network]
    const kept = new Map<string, Checkpoint.Checkpoint>()
    for (const name of [...checkpoints, ...weights]) {
      if (!name.endsWith(".safetensors")) continue
      const read = Checkpoint.read(disk, path.join(folder, name), named.get(name))
      const checkpoint = yield* Effect.mapError(read, (error) => {
        if (error._tag !== "CheckpointError") return error
        const { file, reason, tensor } = error
        const advice = named.has(name)
          ? "put a good copy of it in its place"
          : "the run goes on without it: put a good copy in its place, or remove it"
        return new Checkpoint.CheckpointError({ file, tensor, reason: `${reason}; ${advice}` })
      })
      if (wanted.includes(name)) kept.set(name, checkpoint)
    }
    return kept
  })

const checkpointPattern = /^([A-Za-z]+)-(\d{9,})\.safetensors$/

const make = (
  disk: Disk.DiskShape,
  folder: string,
  config: string,
  manifest: Manifest
): Effect.Effect<RunFolderShape, Journal.JournalError | Disk.DiskError, Scope> =>
  Effect.gen(function* () {
    const at = (name: string) => path.join(folder, name)
    const checkpoints = at(files.checkpoints)
    yield* disk.makeFolder(checkpoints)
    for (const where of [folder, checkpoints]) {
      for (const name of yield* disk.list(where)) {
        if (name.endsWith(partSuffix)) yield* disk.remove(path.join(where, name))
      }
    }
    const events = yield* Journal.open(disk, at(files.events), { keep: false })
    const search = yield* Journal.open(disk, at(files.search))
    const writeText = (name: string, text: string) =>
      Effect.gen(function* () {
        if ((yield* Disk.readText(disk, at(name))) !== text) yield* Disk.writeTextAtomic(disk, at(name), text)
      })
    return {
      folder,
      path: at,
      disk,
      config,
      manifest,
      events,
      search,
      writeText,
      writeJson: (name, value) => writeText(name, CanonicalJson.pretty(value)),
      saveManifest: (next) => writeText(files.manifest, manifestText(next)),
      saveSnapshot: (snapshot) =>
        Disk.writeTextAtomic(
          disk,
          at(files.snapshot),
          CanonicalJson.pretty({ format: snapshotFormat, sha256: CanonicalJson.digest(snapshot), snapshot })
        ),
      loadSnapshot: readSnapshot(disk, folder),
      prune: (keep, named) =>
        Effect.gen(function* () {
          const kept = new Set(named.map((ref) => path.basename(ref.file)))
          const rank = (name: string): readonly [number, number] | undefined => {
            const match = checkpointPattern.exec(name)
            return match === null
              ? undefined
              : [phases.indexOf(match[1] as (typeof phases)[number]), Number.parseInt(match[2] ?? "0", 10)]
          }
          const ranked = (yield* disk.list(checkpoints))
            .flatMap((name) => {
              const place = rank(name)
              return place === undefined ? [] : [{ name, place }]
            })
            .sort((a, b) => b.place[0] - a.place[0] || b.place[1] - a.place[1])
          for (const { name } of ranked.slice(keep)) {
            if (!kept.has(name)) yield* disk.remove(path.join(checkpoints, name))
          }
        })
    }
  })

/** What a new run's folder begins with. */
export interface CreateOptions {
  readonly folder: string
  /** Text of config.yaml. */
  readonly config: string
  readonly manifest: Manifest
  /** Other files that the folder begins with, by name. */
  readonly files?: Readonly<Record<string, Uint8Array | string>> | undefined
  /** Replaces a run that is already there; default false. */
  readonly overwrite?: boolean | undefined
}

/**
 * Makes the folder of a new run and owns it while the scope is open. It appears with its configuration and manifest in
 * one piece, or not at all. A folder with anything in it is refused, unless it is a run to be overwritten.
 */
export const create = (
  options: CreateOptions
): Effect.Effect<
  RunFolderShape,
  RunFolderError | Lock.RunLocked | Journal.JournalError | Disk.DiskError,
  Disk.Disk | Scope
> =>
  Effect.gen(function* () {
    const disk = yield* Disk.Disk
    const folder = path.resolve(options.folder)
    const existing = yield* disk.list(folder)
    if (existing.length > 0) {
      const isRun = existing.includes(files.manifest)
      if (!isRun) {
        return yield* new RunFolderError({
          folder,
          reason: "it holds files and is no run; choose another folder with --dir or another `name`"
        })
      }
      if (options.overwrite !== true) {
        return yield* new RunFolderError({
          folder,
          reason: `it holds a run already; go on with it (\`osnas resume ${options.folder}\`), choose another \`name\` or --dir, or replace it with --overwrite`
        })
      }
      // Owning it while it is removed shows that nobody else does.
      yield* Effect.scoped(Effect.flatMap(Lock.acquire(disk, folder), (owned) => owned.disk.remove(folder)))
    }
    const part = `${folder}${partSuffix}`
    yield* disk.makeFolder(part)
    const lease = yield* Lock.acquire(disk, part)
    const owned = lease.disk
    let isInPlace = false
    // Refused where another process has taken it over meanwhile.
    yield* Effect.addFinalizer(() => (isInPlace ? Effect.void : Effect.ignore(owned.remove(part))))
    // What a creation that was killed has left is not part of this one.
    for (const name of yield* disk.list(part)) if (name !== lease.name) yield* owned.remove(path.join(part, name))
    yield* Disk.writeTextAtomic(owned, path.join(part, files.config), options.config)
    yield* Disk.writeTextAtomic(owned, path.join(part, files.manifest), manifestText(options.manifest))
    for (const [name, content] of Object.entries(options.files ?? {})) {
      const file = path.join(part, name)
      yield* owned.makeFolder(path.dirname(file))
      yield* Disk.writeAtomic(owned, file, [typeof content === "string" ? new TextEncoder().encode(content) : content])
    }
    // Takes the place of an empty folder, and fails where someone was quicker. The lock travels with the folder.
    yield* owned.rename(part, folder)
    isInPlace = true
    yield* lease.moved(folder)
    yield* disk.syncFolder(path.dirname(folder))
    return yield* make(owned, folder, options.config, options.manifest)
  })

/**
 * Opens the folder of a run that has begun and owns it while the scope is open. Everything in it is checked first
 * ({@link checkIntegrity}): where something is damaged, nothing is changed.
 */
export const open = (
  folder: string
): Effect.Effect<
  RunFolderShape,
  RunFolderError | Lock.RunLocked | SnapshotError | Journal.JournalError | Checkpoint.CheckpointError | Disk.DiskError,
  Disk.Disk | Scope
> =>
  Effect.gen(function* () {
    const disk = yield* Disk.Disk
    const absolute = path.resolve(folder)
    if ((yield* disk.size(absolute)) === undefined) {
      return yield* new RunFolderError({ folder: absolute, reason: "there is no such folder" })
    }
    const manifest = yield* readManifest(disk, absolute)
    const config = yield* readConfig(disk, absolute)
    const lease = yield* Lock.acquire(disk, absolute)
    yield* checkIntegrity(disk, absolute)
    return yield* make(lease.disk, absolute, config, manifest)
  })
