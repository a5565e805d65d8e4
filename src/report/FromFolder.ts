/** Reads what a report shows from the folder of a run, whether the run has ended, is paused, or is in progress. */
import { basename, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Phase, phases } from "../../machines/RunState.ts"
import { Ranking } from "../ranking/Ranking.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Journal from "../run/Journal.ts"
import * as Load from "../run/Load.ts"
import * as MovedModules from "../run/MovedModules.ts"
import { RunEvent } from "../run/RunEvents.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { runKey } from "../run/RunLayers.ts"
import { SearchSpace, type SearchSpaceShape, TaskInterface } from "../search-space/SearchSpace.ts"
import type { Rows } from "../search-strategy/Distribution.ts"
import { Disk, readText } from "../support/Disk.ts"
import * as DataSummary from "./DataSummary.ts"
import { describe } from "./Describe.ts"
import type { Candidate, CurvePoint, FoundArchitecture, LearningData, PhaseTime, ReportData } from "./ReportData.ts"

const Architecture = Schema.Struct({
  architecture: Schema.String,
  genotype: Schema.Array(Schema.Int),
  input: Schema.Tuple([Schema.Int, Schema.Int, Schema.Int]),
  head: Schema.Union([
    Schema.TaggedStruct("Classifier", { classes: Schema.Int }),
    Schema.TaggedStruct("Embedding", { dimension: Schema.Int })
  ]),
  costs: Schema.Record(Schema.String, Schema.Finite)
})

const SearchLine = Schema.Struct({
  evaluation: Schema.Int,
  generation: Schema.Int,
  architecture: Schema.String,
  cost: Schema.Finite,
  objective: Schema.Finite,
  metrics: Schema.Record(Schema.String, Schema.Finite)
})

const decodeEvent = Schema.decodeUnknownOption(RunEvent)
const decodeArchitecture = Schema.decodeUnknownOption(Schema.fromJsonString(Architecture))
const decodeSearchLine = Schema.decodeUnknownOption(SearchLine)

interface Timed {
  readonly time: number
  readonly event: RunEvent
}

/** Events in order; kinds of lines that this version does not know are skipped. */
const eventsOf = (lines: ReadonlyArray<Journal.Line>): ReadonlyArray<Timed> =>
  lines.flatMap((line) => {
    const { time, crc32: _, ...rest } = line
    const event = decodeEvent(rest)
    return Option.isSome(event) && typeof time === "number" ? [{ time, event: event.value }] : []
  })

/** Means of the epochs of a phase; an epoch reported twice, as after a crash, counts once. */
const curveOf = (events: ReadonlyArray<Timed>, phase: Phase): ReadonlyArray<CurvePoint> => {
  const points = new Map<number, CurvePoint>()
  for (const { event } of events) {
    if (event._tag !== "EpochDone" || event.phase !== phase) continue
    points.set(event.epoch, {
      epoch: event.epoch,
      loss: event.loss,
      metrics: event.accuracy === null ? {} : { top1: event.accuracy },
      learningRate: event.learningRate
    })
  }
  return [...points.values()].sort((a, b) => a.epoch - b.epoch)
}

const phaseTimes = (events: ReadonlyArray<Timed>, stopAfter: Phase): ReadonlyArray<PhaseTime> => {
  const last = events.at(-1)
  let open: { readonly phase: Phase; readonly since: number } | undefined
  const seconds = new Map<Phase, number>()
  const closed = new Map<Phase, "done" | "paused" | "failed">()
  for (const { event, time } of events) {
    if (event._tag === "PhaseStarted") {
      seconds.set(event.phase, seconds.get(event.phase) ?? 0)
      closed.delete(event.phase)
      open = { phase: event.phase, since: time }
    } else if (event._tag === "PhaseEnded") {
      seconds.set(event.phase, (seconds.get(event.phase) ?? 0) + event.seconds)
      closed.set(event.phase, event.stopped ?? "done")
      open = undefined
    } else if (event._tag === "RunStarted") open = undefined
  }
  if (open !== undefined && last !== undefined) {
    seconds.set(open.phase, (seconds.get(open.phase) ?? 0) + (last.time - open.since) / 1000)
  }
  const reached = phases.filter((phase) => seconds.has(phase))
  const newest = reached.at(-1)
  const ended = last?.event._tag === "RunDone"
  const { status } = statusOf(events)
  /** State of the newest phase: one that stopped early continues with the run. */
  const newestState = (phase: Phase): PhaseTime["state"] => {
    const how = closed.get(phase) ?? "running"
    return how !== "done" && status === "running" ? "running" : how
  }
  return phases
    .filter((phase) => phases.indexOf(phase) <= phases.indexOf(stopAfter))
    .map((phase) => {
      if (!seconds.has(phase)) {
        const passed = newest !== undefined && phases.indexOf(phase) < phases.indexOf(newest)
        return { phase, state: passed ? "skipped" : "waiting", seconds: 0 } as const
      }
      const state = phase === newest && !ended ? newestState(phase) : "done"
      return { phase, state, seconds: seconds.get(phase) ?? 0 }
    })
}

const savingOf = (events: ReadonlyArray<Timed>): ReportData["saving"] => {
  let [seconds, all] = [0, 0]
  for (const { event } of events) {
    if (event._tag !== "PhaseEnded" || event.savingSeconds === undefined) continue
    seconds += event.savingSeconds
    all += event.seconds
  }
  return all === 0 ? undefined : { seconds, fraction: seconds / all }
}

const statusOf = (events: ReadonlyArray<Timed>): Pick<ReportData, "failure" | "status"> => {
  const ends = events.filter(({ event }) => /^Run(Started|Done|Paused|Failed)$/.test(event._tag)).at(-1)?.event
  if (ends?._tag === "RunDone") return { status: "done" }
  if (ends?._tag === "RunPaused") return { status: "paused" }
  if (ends?._tag === "RunFailed") return { status: "failed", failure: ends.message }
  return { status: "running" }
}

const flatten = (value: unknown, at: string): ReadonlyArray<readonly [string, string]> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, inner]) => flatten(inner, at === "" ? key : `${at} ${key}`))
    : [[at, typeof value === "string" ? value : JSON.stringify(value)]]

/** What a gradient-based searcher has learned; an epoch reported twice, as after a crash, counts once. */
const learningOf = (events: ReadonlyArray<Timed>, space: SearchSpaceShape | undefined): LearningData | undefined => {
  const byStep = new Map<number, { readonly metrics: CurvePoint["metrics"]; readonly rows: Rows }>()
  for (const { event } of events) {
    if (event._tag === "Learned" && event.probabilities !== null) {
      byStep.set(event.step, { metrics: event.metrics, rows: event.probabilities })
    }
  }
  const points = [...byStep.entries()].sort(([a], [b]) => a - b).map(([, one]) => one)
  const last = points.at(-1)
  if (last === undefined) return undefined
  return {
    points: points.map(({ metrics }, index) => ({ epoch: index + 1, loss: metrics["loss"] ?? Number.NaN, metrics })),
    layers: last.rows.map((row, layer) => ({
      name: space?.layers[layer]?.name ?? `layer ${layer + 1}`,
      options: row.map((probability, option) => ({
        label: space?.layers[layer]?.options[option]?.label ?? String(option),
        probability
      }))
    }))
  }
}

/** The found architecture, in its space rebuilt from the configuration for the same input and head. */
const foundOf = Effect.fnUntraced(function* (text: string, loaded: Load.LoadedRun) {
  const read = decodeArchitecture(text)
  if (Option.isNone(read)) return undefined
  const { costs, genotype, head, input } = read.value
  const layer = Layer.provide(
    loaded.components.searchSpace.layer,
    Layer.merge(Layer.succeed(TaskInterface, { input, head }), runKey(loaded.config))
  )
  const space = yield* Effect.result(Effect.provide(SearchSpace, layer))
  if (Result.isFailure(space)) return undefined
  const described: FoundArchitecture = describe(space.success, genotype, costs[loaded.config.budget.metric])
  return { found: described, size: space.success.size, space: space.success }
})

const decodeRanking = Schema.decodeUnknownOption(Schema.fromJsonString(Ranking))

/** The data of a report, with the run's configuration and manifest. */
export interface ReadRun {
  readonly data: ReportData
  readonly loaded: Load.LoadedRun
  readonly manifest: RunFolder.Manifest
}

/** Reads a run folder. Takes no lock and changes nothing. */
export const readRun = Effect.fn("Report.readRun")(function* (folder: string) {
  const disk = yield* Disk
  const at = (name: string): string => join(folder, name)
  const manifest = yield* RunFolder.readManifest(disk, folder)
  const text = yield* RunFolder.readConfig(disk, folder)
  const written = yield* Effect.fromResult(ConfigFile.parse(at(RunFolder.files.config), text))
  const source = (yield* MovedModules.found(folder)).reduce(
    (inner, [path, value, by]) => ConfigFile.assign(inner, path, value, by),
    written
  )
  const loaded = yield* Load.decode(source, folder, { isToRun: false })
  const { config } = loaded
  const events = eventsOf(yield* Journal.read(disk, at(RunFolder.files.events)))
  const search = (yield* Journal.read(disk, at(RunFolder.files.search))).flatMap((line): ReadonlyArray<Candidate> => {
    const { crc32: _, ...rest } = line
    const read = decodeSearchLine(rest)
    return Option.isSome(read) ? [{ ...read.value, index: read.value.evaluation }] : []
  })
  const summary = yield* readText(disk, at(RunFolder.files.data))
  const architecture = yield* readText(disk, at(RunFolder.files.architecture))
  const found = architecture === undefined ? undefined : yield* foundOf(architecture, loaded)
  const ranking = yield* readText(disk, join(at(RunFolder.files.rankingFolder), RunFolder.files.ranking))
  const started = events.findLast(({ event }) => event._tag === "RunStarted")?.event
  const evaluated = events.findLast(({ event }) => event._tag === "Evaluated")?.event
  const reviewed = events.findLast(({ event }) => event._tag === "LearningReviewed")?.event
  const engine = manifest.identity["engine"]
  const engineRow = flatten(engine, "").map(([, value]) => value)
  const data: ReportData = {
    name: config.name || basename(folder),
    ...statusOf(events),
    seed: config.seed,
    engine: engineRow.join(", "),
    dataset: started?._tag === "RunStarted" ? started.dataset : config.dataflow.name,
    data: summary === undefined ? undefined : DataSummary.decode(summary),
    space: {
      name: started?._tag === "RunStarted" ? started.space : config.searchSpace.name,
      size: started?._tag === "RunStarted" ? started.size : String(found?.size ?? "")
    },
    strategies: {
      training: config.trainingStrategy.name,
      search: config.searchStrategy.name,
      criterion: config.criterion.name
    },
    budget: config.budget,
    headline: started?._tag === "RunStarted" ? started.headline : "top1",
    phases: phaseTimes(events, config.stopAfter),
    saving: savingOf(events),
    supernet: curveOf(events, "supernetTraining"),
    learning: learningOf(events, found?.space),
    search,
    review: reviewed?._tag === "LearningReviewed" ? reviewed : undefined,
    retraining: curveOf(events, "retraining"),
    found: found?.found,
    ranking: ranking === undefined ? undefined : Option.getOrUndefined(decodeRanking(ranking)),
    test: evaluated?._tag === "Evaluated" ? evaluated.metrics : undefined,
    config: text,
    manifest: flatten(manifest.notes, "")
  }
  const run: ReadRun = { data, loaded, manifest }
  return run
})

/** The report data of a run folder. */
export const read = (folder: string) => Effect.map(readRun(folder), ({ data }) => data)
