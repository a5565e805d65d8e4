/**
 * The folder of a run. One process at a time owns it: its lock is renewed at an interval, and the lock of a dead owner is
 * taken over. Everything is written so that a crash at any instant leaves a folder that can be resumed.
 *
 * | file | content |
 * | --- | --- |
 * | `config.yaml`, `manifest.json` | what the run began with; written before anything else, with the folder itself |
 * | `snapshot.json` | the state of the run: the main agent's persisted snapshot, with a digest |
 * | `checkpoints/` | tensors, named by phase and step; `supernet.safetensors` once it is trained |
 * | `events.jsonl` | the journal of events |
 * | `search.jsonl` | every scored architecture with its cost |
 * | `data.json` | a description of the data: for the report, and to show what differs if they have changed |
 * | `lookup-table.json`, `architecture.json`, `network.safetensors`, `metrics.json` | the results |
 */
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { type CheckpointRef, phases } from "../../machines/RunState.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as Disk from "../support/Disk.ts"
import { checkIntegrity } from "./Integrity.ts"
import * as Journal from "./Journal.ts"
import * as Lock from "./Lock.ts"
import {
  files,
  type Manifest,
  manifestText,
  RunFolderError,
  readConfig,
  readManifest,
  readSnapshot,
  refuseNested,
  type SnapshotError,
  snapshotText
} from "./RunFiles.ts"

export { checkIntegrity } from "./Integrity.ts"
export {
  checkpointName,
  files,
  type Manifest,
  RunFolderError,
  readConfig,
  readManifest,
  readSnapshot,
  refuseNested,
  SnapshotError
} from "./RunFiles.ts"

/** A folder that this process owns. */
export interface RunFolderShape {
  readonly folder: string
  /** Absolute path of a file of the folder. */
  readonly path: (name: string) => string
  /** The disk for files of the folder. Refuses every change once another process has taken over the folder. */
  readonly disk: Disk.DiskShape
  readonly config: string
  readonly manifest: Manifest
  readonly events: Journal.Journal
  readonly search: Journal.Journal
  /** Writes a file atomically; does nothing if the file has this content already. */
  readonly writeText: (name: string, text: string) => Effect.Effect<void, Disk.DiskError>
  /** The same with canonical JSON, sorted and indented. */
  readonly writeJson: (name: string, value: unknown) => Effect.Effect<void, Disk.DiskError>
  readonly saveManifest: (manifest: Manifest) => Effect.Effect<void, Disk.DiskError>
  readonly saveSnapshot: (snapshot: Schema.Json) => Effect.Effect<void, Disk.DiskError>
  /** The last saved snapshot; null before the first. */
  readonly loadSnapshot: Effect.Effect<Schema.Json, SnapshotError | Disk.DiskError>
  /** Removes old checkpoints: all but the newest `keep` and those in `named`. */
  readonly prune: (keep: number, named: ReadonlyArray<CheckpointRef>) => Effect.Effect<void, Disk.DiskError>
}

/** The folder of a run. */
export class RunFolder extends Context.Service<RunFolder, RunFolderShape>()("osnas/run/RunFolder") {}

const partSuffix = Disk.temporarySuffix

/** Removes temporary files that a crash has left. */
const removeParts = Effect.fnUntraced(function* (disk: Disk.DiskShape, folders: ReadonlyArray<string>) {
  for (const folder of folders) {
    for (const name of yield* disk.list(folder)) {
      if (name.endsWith(partSuffix)) yield* disk.remove(path.join(folder, name))
    }
  }
})

const checkpointPattern = /^([A-Za-z]+)-(\d{9,})\.safetensors$/

/** Phase and step of a training checkpoint, by its name; undefined for any other file. */
const placeOf = (name: string): readonly [phase: number, step: number] | undefined => {
  const match = checkpointPattern.exec(name)
  return match === null
    ? undefined
    : [phases.indexOf(match[1] as (typeof phases)[number]), Number.parseInt(match[2] ?? "0", 10)]
}

const prune = Effect.fnUntraced(function* (
  disk: Disk.DiskShape,
  checkpoints: string,
  keep: number,
  named: ReadonlyArray<CheckpointRef>
) {
  const kept = new Set(named.map((ref) => path.basename(ref.file)))
  const newestFirst = (yield* disk.list(checkpoints))
    .flatMap((name) => {
      const place = placeOf(name)
      return place === undefined ? [] : [{ name, place }]
    })
    .sort((a, b) => b.place[0] - a.place[0] || b.place[1] - a.place[1])
  for (const { name } of newestFirst.slice(keep)) {
    if (!kept.has(name)) yield* disk.remove(path.join(checkpoints, name))
  }
})

const make = Effect.fnUntraced(function* (disk: Disk.DiskShape, folder: string, config: string, manifest: Manifest) {
  const at = (name: string) => path.join(folder, name)
  const checkpoints = at(files.checkpoints)
  yield* disk.makeFolder(checkpoints)
  yield* removeParts(disk, [folder, checkpoints])
  const events = yield* Journal.open(disk, at(files.events), { keep: false })
  const search = yield* Journal.open(disk, at(files.search))
  const writeText = Effect.fnUntraced(function* (name: string, text: string) {
    if ((yield* Disk.readText(disk, at(name))) !== text) yield* Disk.writeTextAtomic(disk, at(name), text)
  })
  const shape: RunFolderShape = {
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
    saveSnapshot: (snapshot) => Disk.writeTextAtomic(disk, at(files.snapshot), snapshotText(snapshot)),
    loadSnapshot: readSnapshot(disk, folder),
    prune: (keep, named) => prune(disk, checkpoints, keep, named)
  }
  return shape
})

/** What a new run's folder begins with. */
export interface CreateOptions {
  readonly folder: string
  /** Text of config.yaml. */
  readonly config: string
  readonly manifest: Manifest
  /** Other files that the folder begins with, by name. */
  readonly files?: Readonly<Record<string, Uint8Array | string>> | undefined
  /** Replaces a run that is there already; default false. */
  readonly overwrite?: boolean | undefined
}

/** Removes the run that is in the place of a new one, if it is to be replaced; refuses anything else in this place. */
const makeRoom = Effect.fnUntraced(function* (disk: Disk.DiskShape, folder: string, options: CreateOptions) {
  const existing = yield* disk.list(folder)
  if (existing.length === 0) return
  if (!existing.includes(files.manifest)) {
    return yield* new RunFolderError({
      folder,
      reason: "it contains files but is not a run; choose another folder with --dir or another `name`"
    })
  }
  if (options.overwrite !== true) {
    return yield* new RunFolderError({
      folder,
      reason: `it contains a run already; resume it (\`osnas resume ${options.folder}\`), choose another \`name\` or --dir, or replace it with --overwrite`
    })
  }
  // Owning the folder while it is removed proves that no other process uses it.
  yield* Effect.scoped(Effect.flatMap(Lock.acquire(disk, folder), (owned) => owned.disk.remove(folder)))
})

/**
 * Makes the folder of a new run and owns it while the scope is open. The folder appears complete, with its configuration and
 * manifest, or not at all. A folder with anything in it is refused, unless it is a run to be overwritten; so is a folder
 * inside another run's.
 */
export const create = Effect.fn("RunFolder.create")(function* (options: CreateOptions) {
  const disk = yield* Disk.Disk
  const folder = path.resolve(options.folder)
  yield* refuseNested(disk, folder)
  yield* makeRoom(disk, folder, options)
  const part = `${folder}${partSuffix}`
  yield* disk.makeFolder(part)
  const lease = yield* Lock.acquire(disk, part)
  const owned = lease.disk
  let isInPlace = false
  // Does nothing if another process has taken over the folder in the meantime.
  yield* Effect.addFinalizer(() => (isInPlace ? Effect.void : Effect.ignore(owned.remove(part))))
  // Remove what a creation that was killed has left.
  for (const name of yield* disk.list(part)) if (name !== lease.name) yield* owned.remove(path.join(part, name))
  yield* Disk.writeTextAtomic(owned, path.join(part, files.config), options.config)
  yield* Disk.writeTextAtomic(owned, path.join(part, files.manifest), manifestText(options.manifest))
  for (const [name, content] of Object.entries(options.files ?? {})) {
    const file = path.join(part, name)
    yield* owned.makeFolder(path.dirname(file))
    yield* Disk.writeAtomic(owned, file, [typeof content === "string" ? new TextEncoder().encode(content) : content])
  }
  // Replaces an empty folder; fails if another process was faster. The lock moves with the folder.
  yield* owned.rename(part, folder)
  isInPlace = true
  yield* lease.moved(folder)
  yield* disk.syncFolder(path.dirname(folder))
  return yield* make(owned, folder, options.config, options.manifest)
})

/**
 * Opens the folder of a run and owns it while the scope is open. Everything in it is checked first
 * ({@link checkIntegrity}): if anything is damaged, nothing is changed.
 */
export const open = Effect.fn("RunFolder.open")(function* (folder: string) {
  const disk = yield* Disk.Disk
  const absolute = path.resolve(folder)
  if ((yield* disk.size(absolute)) === undefined) {
    return yield* new RunFolderError({ folder: absolute, reason: "the folder does not exist" })
  }
  const manifest = yield* readManifest(disk, absolute)
  const config = yield* readConfig(disk, absolute)
  const lease = yield* Lock.acquire(disk, absolute)
  yield* checkIntegrity(disk, absolute)
  return yield* make(lease.disk, absolute, config, manifest)
})
