/**
 * Repeats a run and compares: digests of weights, the log of the search, metrics. First, the files of the folder are checked
 * against their own digests, to distinguish damage from a result that is not reproduced.
 */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Phase, phases, type TrainingPhase, TrainingPosition } from "../../machines/RunState.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { Disk, type DiskError, type DiskShape, readText } from "../support/Disk.ts"
import { isRecord, valueAt } from "../support/Records.ts"
import * as SafeJson from "../support/SafeJson.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Journal from "./Journal.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Replay from "./Replay.ts"
import type { RunConfig } from "./RunConfig.ts"
import type { RunError, RunMismatch } from "./RunError.ts"
import * as RunFolder from "./RunFolder.ts"
import type { RunServices } from "./RunServices.ts"

/** A place where the repeated run differs from the recorded one. */
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

/** The result of {@link verify}. */
export interface Verification {
  /** The last repeated phase. */
  readonly until: Phase
  /** SHA-256 of the recorded content that was compared, by file. */
  readonly digests: Readonly<Record<string, string>>
  /** In the order of the phases, so the first one is where the runs diverge. Empty if they are equal. */
  readonly differences: ReadonlyArray<Difference>
}

/** Options of {@link verify}. */
export interface VerifyOptions extends Omit<Lifecycle.RunOptions, "pause"> {
  /** The last phase to repeat; default: the last completed phase of the run. */
  readonly until?: Phase | undefined
  /** Folder of the repeated run, which is replaced, and removed at the end; default: the run's folder with `.verify` appended. */
  readonly again?: string | undefined
}

const readJson = Effect.fnUntraced(function* (disk: DiskShape, file: string) {
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

/** A recorded run, and where its repetition is. */
interface Comparison {
  readonly disk: DiskShape
  readonly folder: string
  readonly repeated: string
  /** The recorded weight files by name. */
  readonly checkpoints: ReadonlyMap<string, Checkpoint.Checkpoint>
  /** The completed phases to compare, with their recorded part of `metrics.json`. */
  readonly phases: ReadonlyArray<readonly [Phase, unknown]>
}

interface Compared {
  readonly digests: Readonly<Record<string, string>>
  readonly differences: ReadonlyArray<Difference>
}

/** Reads the same file of both runs. */
const readBoth = <A, E>(
  { folder, repeated }: Comparison,
  name: string,
  read: (file: string) => Effect.Effect<A, E>
): Effect.Effect<readonly [recorded: A, again: A], E> =>
  Effect.all([read(path.join(folder, name)), read(path.join(repeated, name))])

const compareLog = Effect.fnUntraced(function* (comparison: Comparison) {
  const name = RunFolder.files.search
  const [was, is] = yield* readBoth(comparison, name, (file) => Journal.read(comparison.disk, file))
  const lines = Array.from({ length: Math.max(was.length, is.length) }, (_, index) => index)
  const differences = lines.flatMap((line) =>
    compareLeaves(name, was[line], is[line]).map((difference) => ({
      ...difference,
      place: `line ${line + 1}, ${difference.place}`
    }))
  )
  return { digests: { [name]: CanonicalJson.digest(was) }, differences } satisfies Compared
})

const compareArchitecture = Effect.fnUntraced(function* (comparison: Comparison) {
  const name = RunFolder.files.architecture
  const [was, is] = yield* readBoth(comparison, name, (file) => readJson(comparison.disk, file))
  return compareLeaves(name, was, is)
})

const compareWeights = Effect.fnUntraced(function* (
  { checkpoints, disk, repeated }: Comparison,
  name: string
): Effect.fn.Return<Compared, Checkpoint.CheckpointError | DiskError> {
  const was = checkpoints.get(name)
  if (was === undefined) {
    // Only a search that learns writes the searcher's checkpoint.
    if (name === RunFolder.files.searcher) return { digests: {}, differences: [] }
    return { digests: {}, differences: [{ file: name, place: "the file", recorded: "nothing", again: "one" }] }
  }
  const is = yield* Checkpoint.read(disk, path.join(repeated, name))
  return { digests: { [name]: Checkpoint.digestOf(was.tensors) }, differences: compareTensors(name, was, is) }
})

/** Compares both runs phase by phase. */
const compare = Effect.fnUntraced(function* (comparison: Comparison, metrics: Readonly<Record<string, unknown>>) {
  const repeatedMetrics = yield* readJson(comparison.disk, path.join(comparison.repeated, RunFolder.files.metrics))
  const again = new Map(isRecord(repeatedMetrics) ? inOrder(repeatedMetrics) : [])
  const differences: Array<Difference> = []
  const digests: Record<string, string> = {}
  const add = (compared: Compared): void => {
    Object.assign(digests, compared.digests)
    differences.push(...compared.differences)
  }
  for (const [phase, part] of comparison.phases) {
    if (phase === "searching") add(yield* compareLog(comparison))
    differences.push(...compareLeaves(RunFolder.files.metrics, part, again.get(phase)))
    if (phase === "searching") differences.push(...(yield* compareArchitecture(comparison)))
    for (const [of, name] of weightFiles) {
      if (of === phase && metrics[phase] !== undefined) add(yield* compareWeights(comparison, name))
    }
  }
  digests[RunFolder.files.metrics] = CanonicalJson.digest(Object.fromEntries(comparison.phases))
  return { digests, differences } satisfies Compared
})

/** What the repetition starts with: the copies that the run keeps in its folder. */
const startOf = (config: RunConfig, { input }: RunFolder.Manifest, folder: string): RunConfig["start"] => {
  const given = isRecord(input["start"]) ? input["start"] : {}
  const copy = (key: "supernet" | "network", name: string) => (given[key] === null ? null : path.join(folder, name))
  return {
    supernet: copy("supernet", RunFolder.files.supernet),
    architecture: config.start.architecture,
    network: copy("network", RunFolder.files.network)
  }
}

/**
 * Repeats a run in a folder of its own and compares it, phase by phase. The run's folder is not changed, and that of the
 * repetition is removed. Fails if the folder is damaged, or if configuration, data or engine have changed
 * ({@link RunMismatch}).
 */
export const verify = Effect.fn("RunVerification.verify")(function* (
  options: VerifyOptions
): Effect.fn.Return<Verification, RunError, RunServices> {
  const disk = yield* Disk
  const folder = path.resolve(options.folder)
  const names = weightFiles.map(([, name]) => name)
  const checkpoints = yield* RunFolder.checkIntegrity(disk, folder, names)
  const manifest = yield* RunFolder.readManifest(disk, folder)
  const metrics = yield* readJson(disk, path.join(folder, RunFolder.files.metrics))
  if (!isRecord(metrics)) {
    return yield* new RunFolder.RunFolderError({ folder, reason: "it has no completed phase to verify" })
  }
  const recorded = inOrder(metrics).filter(([, part]) => leaves(part, "").some(([, text]) => text !== "nothing"))
  const last = recorded.at(-1)?.[0] ?? "supernetTraining"
  const indexOf = (phase: Phase) => phases.indexOf(phase)
  const until = options.until !== undefined && indexOf(options.until) < indexOf(last) ? options.until : last
  const repeated = options.again ?? `${folder}.verify`
  const comparison: Comparison = {
    disk,
    folder,
    repeated,
    checkpoints,
    phases: recorded.filter(([phase]) => indexOf(phase) <= indexOf(until))
  }
  const start = startOf(options.config, manifest, folder)
  const config = { ...options.config, start, stopAfter: until }
  yield* Lifecycle.checkSame(options)
  const compared = yield* Lifecycle.run({ ...options, config, folder: repeated, overwrite: true }).pipe(
    Effect.andThen(compare(comparison, metrics)),
    Effect.ensuring(Effect.ignore(disk.remove(repeated)))
  )
  return { until, ...compared }
})

const decodePosition = Schema.decodeUnknownOption(TrainingPosition)

/** The digests of weights that a run recorded in a training phase, by step. */
const recordedWeights = (
  snapshot: unknown,
  phase: TrainingPhase,
  stepsPerEpoch: number
): ReadonlyMap<number, string> => {
  const out = new Map<number, string>()
  const positions = [
    valueAt(snapshot, "children", phase, "snapshot", "context", "position"),
    valueAt(snapshot, "context", "results", phase)
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

/** The result of {@link verifyFrom}. */
export interface PartVerification {
  readonly phase: TrainingPhase
  /** The repeated steps. */
  readonly from: number
  readonly to: number
  /** Steps whose digest of the weights is recorded, and was compared. */
  readonly compared: ReadonlyArray<number>
  readonly differences: ReadonlyArray<Difference>
}

/**
 * Repeats training from a checkpoint of a run, for a number of steps. Compares the weights wherever the run recorded their
 * digest: at the end of every epoch, and at its present position.
 */
export const verifyFrom = Effect.fn("RunVerification.verifyFrom")(function* (
  options: Replay.ReplayOptions
): Effect.fn.Return<PartVerification, RunError, RunServices> {
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
