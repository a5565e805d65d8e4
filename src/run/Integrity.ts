/** Checks that nothing in a run's folder is damaged, before the run resumes from it. */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Disk from "../support/Disk.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Journal from "./Journal.ts"
import { files, readManifest, readSnapshot } from "./RunFiles.ts"
import * as Snapshot from "./Snapshot.ts"

/** What is wrong with a checkpoint, and what to do about it. */
const withAdvice = (error: Checkpoint.CheckpointError, isNeeded: boolean): Checkpoint.CheckpointError => {
  const { file, reason, tensor } = error
  const advice = isNeeded
    ? "replace it with a good copy"
    : "the run does not need it: replace it with a good copy, or remove it"
  return new Checkpoint.CheckpointError({ file, tensor, reason: `${reason}; ${advice}` })
}

/** Fails if the log of the search has fewer lines than the snapshot has recorded scores. */
const checkSearchLog = Effect.fnUntraced(function* (disk: Disk.DiskShape, folder: string, snapshot: Schema.Json) {
  const file = path.join(folder, files.search)
  let lines = 0
  yield* Journal.scan(disk, file, () => {
    lines += 1
  })
  const scored = Snapshot.evaluationsIn(snapshot)
  if (lines >= scored) return
  return yield* new Journal.JournalError({
    file,
    line: lines + 1,
    reason: `the line is damaged or missing: the run has recorded ${scored} scores, and the file has ${lines} intact lines`
  })
})

/**
 * Checks every digest and checksum in a folder, owned by this process or not. The first damage found is the error, with file
 * and place. Changes nothing. An incomplete last line of a journal, as a crash leaves it, is not damage unless the snapshot
 * depends on it. Returns the checkpoints that `wanted` names, so that they need not be read again.
 */
export const checkIntegrity = Effect.fn("Integrity.checkIntegrity")(function* (
  disk: Disk.DiskShape,
  folder: string,
  wanted: ReadonlyArray<string> = []
) {
  yield* readManifest(disk, folder)
  const snapshot = yield* readSnapshot(disk, folder)
  yield* Journal.scan(disk, path.join(folder, files.events), () => {})
  yield* checkSearchLog(disk, folder, snapshot)
  const named = new Map(Snapshot.checkpointsIn(snapshot).map(({ digest, file }) => [file, digest]))
  const checkpoints = (yield* disk.list(path.join(folder, files.checkpoints))).map(
    (name) => `${files.checkpoints}/${name}`
  )
  const weights = (yield* disk.size(path.join(folder, files.network))) === undefined ? [] : [files.network]
  const kept = new Map<string, Checkpoint.Checkpoint>()
  for (const name of [...checkpoints, ...weights]) {
    if (!name.endsWith(".safetensors")) continue
    const read = Checkpoint.read(disk, path.join(folder, name), named.get(name))
    const checkpoint = yield* Effect.mapError(read, (error) =>
      error._tag === "CheckpointError" ? withAdvice(error, named.has(name)) : error
    )
    if (wanted.includes(name)) kept.set(name, checkpoint)
  }
  return kept as ReadonlyMap<string, Checkpoint.Checkpoint>
})
