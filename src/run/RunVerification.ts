/**
 * Does a run again and compares: the digests of weights, the log of the search, the metrics. What the folder holds is
 * first checked against the digests it carries, so that damage is told apart from a result that does not come again.
 */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Phase, phases, type TrainingPhase, TrainingPosition } from "../../machines/RunState.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { Disk, type DiskShape, readText } from "../support/Disk.ts"
import { isRecord } from "../support/Records.ts"
import * as SafeJson from "../support/SafeJson.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Journal from "./Journal.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Replay from "./Replay.ts"
import type { RunError, RunMismatch } from "./RunError.ts"
import * as RunFolder from "./RunFolder.ts"
import type { RunServices } from "./RunServices.ts"

/** A place where the run that was done again differs from the one in the folder. */
export const Difference = Schema.Struct({
  /** `metrics.json`, `search.jsonl`, `network.safetensors`, … */
  file: Schema.String,
  /** A key of the metrics, a line of the log, a tensor. */
  place: Schema.String,
  recorded: Schema.String,
  again: Schema.String
})
/** A place where two runs differ. */
export type Difference = typeof Difference.Type

/** What came of it. */
export interface Verification {
  /** The last phase that was done again. */
  readonly until: Phase
  /** SHA-256 of what was compared, by file, as the folder has it. */
  readonly digests: Readonly<Record<string, string>>
  /** In the order of the phases; the first one is where the two runs part. Empty: they are equal. */
  readonly differences: ReadonlyArray<Difference>
}

/** Options of {@link verify}. */
export interface VerifyOptions extends Omit<Lifecycle.RunOptions, "pause"> {
  /** The last phase to do again; default: the last one the run has completed. */
  readonly until?: Phase | undefined
  /** Folder of the second run, replaced and removed at the end; default: the run's own name with `.verify` behind it. */
  readonly again?: string | undefined
}

const readJson = (disk: DiskShape, file: string) =>
  Effect.gen(function* () {
    const text = yield* readText(disk, file)
    if (text === undefined) return undefined
    return yield* Effect.fromResult(
      Result.mapError(SafeJson.parse(text), (reason) => new RunFolder.SnapshotError({ file, reason }))
    )
  })

/** The leaves of a JSON value by path, in the order of its keys. */
const leaves = (value: unknown, at: string): ReadonlyArray<readonly [string, string]> =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, at === "" ? key : `${at}.${key}`))
    : [[at, JSON.stringify(value) ?? "nothing"]]

const compareLeaves = (file: string, recorded: unknown, again: unknown): ReadonlyArray<Difference> => {
  const was = new Map(leaves(recorded, ""))
  const is = new Map(leaves(again, ""))
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((place) => {
    const [before, after] = [was.get(place) ?? "nothing", is.get(place) ?? "nothing"]
    return before === after ? [] : [{ file, place, recorded: before, again: after }]
  })
}

/** Content of `metrics.json` in the order in which a run fills it. */
const inOrder = (metrics: Readonly<Record<string, unknown>>): ReadonlyArray<readonly [Phase, unknown]> => {
  const { architecture, costs, retraining, searching, supernetTraining, test } = metrics
  return [
    ["supernetTraining", { supernetTraining }],
    ["searching", searching === undefined ? { architecture, costs } : { searching, architecture, costs }],
    ["retraining", { retraining }],
    ["evaluating", { test }]
  ]
}

const weightFiles: ReadonlyArray<readonly [Phase, string]> = [
  ["supernetTraining", RunFolder.files.supernet],
  ["searching", RunFolder.files.searcher],
  ["retraining", RunFolder.files.network]
]

const compareTensors = (file: string, recorded: Checkpoint.Checkpoint, again: Checkpoint.Checkpoint) =>
  [...new Set([...recorded.tensors.keys(), ...again.tensors.keys()])]
    .sort()
    .flatMap((name): ReadonlyArray<Difference> => {
      const digest = (checkpoint: Checkpoint.Checkpoint) => {
        const tensor = checkpoint.tensors.get(name)
        return tensor === undefined ? "nothing" : Checkpoint.digestOf(new Map([[name, tensor]]))
      }
      const [before, after] = [digest(recorded), digest(again)]
      return before === after ? [] : [{ file, place: name, recorded: before, again: after }]
    })

/**
 * Does a run again in a folder of its own and compares it, phase by phase. The folder itself is not changed, and the second
 * run's is removed. Fails where the folder is damaged, or is what it began with no more ({@link RunMismatch}).
 */
export const verify = (options: VerifyOptions): Effect.Effect<Verification, RunError, RunServices> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const folder = path.resolve(options.folder)
    const checkpoints = yield* RunFolder.checkIntegrity(
      disk,
      folder,
      weightFiles.map(([, name]) => name)
    )
    const { input } = yield* RunFolder.readManifest(disk, folder)
    const metrics = yield* readJson(disk, path.join(folder, RunFolder.files.metrics))
    if (!isRecord(metrics)) {
      return yield* new RunFolder.RunFolderError({ folder, reason: "it has completed no phase that could be verified" })
    }
    const recorded = inOrder(metrics).filter(([, part]) => leaves(part, "").some(([, text]) => text !== "nothing"))
    const last = recorded.at(-1)?.[0] ?? "supernetTraining"
    const until =
      options.until !== undefined && phases.indexOf(options.until) < phases.indexOf(last) ? options.until : last

    // What the run was given, it keeps in its own folder.
    const given = isRecord(input["start"]) ? input["start"] : {}
    const copy = (key: "supernet" | "network", name: string) => (given[key] === null ? null : path.join(folder, name))
    const start = {
      supernet: copy("supernet", RunFolder.files.supernet),
      architecture: options.config.start.architecture,
      network: copy("network", RunFolder.files.network)
    }
    const beside = options.again ?? `${folder}.verify`
    yield* Lifecycle.checkSame(options)
    return yield* Effect.gen(function* () {
      yield* Lifecycle.run({
        ...options,
        config: { ...options.config, start, stopAfter: until },
        folder: beside,
        overwrite: true
      })
      const among = <A>(pairs: ReadonlyArray<readonly [Phase, A]>) =>
        pairs.filter(([phase]) => phases.indexOf(phase) <= phases.indexOf(until))
      const metricsAgain = yield* readJson(disk, path.join(beside, RunFolder.files.metrics))
      const again = new Map(isRecord(metricsAgain) ? inOrder(metricsAgain) : [])
      const logs = yield* Effect.all(
        [folder, beside].map((where) => Journal.read(disk, path.join(where, RunFolder.files.search)))
      )
      const differences: Array<Difference> = []
      const digests: Record<string, string> = {}
      for (const [phase, part] of among(recorded)) {
        if (phase === "searching") {
          const [was = [], is = []] = logs
          digests[RunFolder.files.search] = CanonicalJson.digest(was)
          for (let line = 0; line < Math.max(was.length, is.length); line++) {
            differences.push(
              ...compareLeaves(RunFolder.files.search, was[line], is[line]).map((difference) => ({
                ...difference,
                place: `line ${line + 1}, ${difference.place}`
              }))
            )
          }
        }
        differences.push(...compareLeaves(RunFolder.files.metrics, part, again.get(phase)))
        if (phase === "searching") {
          const [was, is] = yield* Effect.all(
            [folder, beside].map((where) => readJson(disk, path.join(where, RunFolder.files.architecture)))
          )
          differences.push(...compareLeaves(RunFolder.files.architecture, was, is))
        }
        for (const [of, name] of weightFiles) {
          if (of !== phase || metrics[phase] === undefined) continue
          const was = checkpoints.get(name)
          // Only a search that learns leaves a searcher.
          if (was === undefined && name === RunFolder.files.searcher) continue
          if (was === undefined) {
            differences.push({ file: name, place: "the file", recorded: "nothing", again: "one" })
            continue
          }
          const is = yield* Checkpoint.read(disk, path.join(beside, name))
          digests[name] = Checkpoint.digestOf(was.tensors)
          differences.push(...compareTensors(name, was, is))
        }
      }
      digests[RunFolder.files.metrics] = CanonicalJson.digest(Object.fromEntries(among(recorded)))
      return { until, digests, differences }
    }).pipe(Effect.ensuring(Effect.ignore(disk.remove(beside))))
  })

const decodePosition = Schema.decodeUnknownOption(TrainingPosition)

const at = (value: unknown, ...keys: ReadonlyArray<string>): unknown =>
  keys.reduce<unknown>((inner, key) => (isRecord(inner) ? inner[key] : undefined), value)

/** The digests of weights that a run has recorded for a training phase, by step. */
const recordedWeights = (
  snapshot: unknown,
  phase: TrainingPhase,
  stepsPerEpoch: number
): ReadonlyMap<number, string> => {
  const out = new Map<number, string>()
  const positions = [
    at(snapshot, "children", phase, "snapshot", "context", "position"),
    at(snapshot, "context", "results", phase)
  ]
  for (const value of positions) {
    const position = decodePosition(value)
    if (position._tag === "None") continue
    out.set(position.value.step, position.value.weights)
    for (const { epoch, weights } of position.value.history)
      if (weights !== null) out.set(epoch * stepsPerEpoch, weights)
  }
  return out
}

/** What came of training again from a checkpoint. */
export interface PartVerification {
  readonly phase: TrainingPhase
  /** Steps between which training was done again. */
  readonly from: number
  readonly to: number
  /** Steps at which the folder has recorded the weights' digest, so that it could be compared. */
  readonly compared: ReadonlyArray<number>
  readonly differences: ReadonlyArray<Difference>
}

/**
 * Trains again from a checkpoint of a run, for so many steps, and compares the weights wherever the run has recorded
 * their digest: at the end of every epoch, and where it stands.
 */
export const verifyFrom = (options: Replay.ReplayOptions): Effect.Effect<PartVerification, RunError, RunServices> =>
  Effect.gen(function* () {
    const replayed = yield* Replay.replay(options)
    const snapshot = yield* RunFolder.readSnapshot(yield* Disk, path.resolve(options.folder))
    const recorded = recordedWeights(snapshot, replayed.phase, replayed.stepsPerEpoch)
    const known = replayed.digests.flatMap(({ step, weights }) => {
      const was = recorded.get(step)
      return was === undefined ? [] : [{ step, was, weights }]
    })
    return {
      phase: replayed.phase,
      from: replayed.from,
      to: replayed.digests.at(-1)?.step ?? replayed.from,
      compared: known.map(({ step }) => step),
      differences: known.flatMap(({ step, was, weights }) =>
        was === weights
          ? []
          : [
              {
                file: RunFolder.files.snapshot,
                place: `${replayed.phase}, step ${step}`,
                recorded: was,
                again: weights
              }
            ]
      )
    }
  })
