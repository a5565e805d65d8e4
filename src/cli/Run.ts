/** `osnas run` and `osnas resume`: from a configuration to a finished folder, with progress on the way. */
import { existsSync } from "node:fs"
import * as os from "node:os"
import { dirname, join, relative, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as LookupTable from "../cost/LookupTable.ts"
import { Dataflow } from "../dataflow/Dataflow.ts"
import { quickstart, version } from "../Package.ts"
import * as DataSummary from "../report/DataSummary.ts"
import { networkText } from "../report/Drawing.ts"
import { cost, figures, si } from "../report/Format.ts"
import type { ReportData } from "../report/ReportData.ts"
import { type Kind, kinds } from "../run/BoundComponent.ts"
import * as EngineLayer from "../run/EngineLayer.ts"
import * as Lifecycle from "../run/Lifecycle.ts"
import * as Load from "../run/Load.ts"
import type { RunOutcome } from "../run/MachineHost.ts"
import * as MovedModules from "../run/MovedModules.ts"
import { RunMismatch } from "../run/RunError.ts"
import { RunEvents } from "../run/RunEvents.ts"
import * as RunFolder from "../run/RunFolder.ts"
import * as RunLayers from "../run/RunLayers.ts"
import { Disk, readText } from "../support/Disk.ts"
import * as Check from "./Check.ts"
import type { Input as ResumeInput } from "./commands/Resume.ts"
import type { Input as RunInput } from "./commands/Run.ts"
import * as ExitCode from "./Exit.ts"
import { RunPaused, UsageError } from "./Exit.ts"
import * as Progress from "./Progress.ts"
import * as Report from "./Report.ts"
import { type Reason, Signals } from "./Signals.ts"
import * as StandIn from "./StandIn.ts"

type Assignment = readonly [path: ReadonlyArray<string>, value: unknown, flag: string]

const given = (path: ReadonlyArray<string>, value: Option.Option<unknown>, flag: string): ReadonlyArray<Assignment> =>
  Option.isSome(value) ? [[path, value.value, flag]] : []

/**
 * What `--quick` puts in the place of a configuration's own values, where the component has such an option. Large images
 * are fewer, so that a minute is enough for them too.
 */
const quickOptions = (side: number, batchSize: number): Partial<Record<Kind, Readonly<Record<string, unknown>>>> => {
  const isLarge = side >= 96
  return {
    dataflow: {
      trainLimit: isLarge ? 80 : 400,
      testLimit: isLarge ? 40 : 200,
      peopleLimit: isLarge ? 10 : 20,
      testPeopleLimit: isLarge ? 5 : 10,
      pairs: null,
      pairLimit: 100
    },
    searchStrategy: {
      evaluations: 8,
      generation: 4,
      samples: 4,
      epochs: 1,
      warmupEpochs: 0,
      batchSize: Math.min(batchSize, isLarge ? 4 : 16),
      sweep: 5
    },
    estimator: { recalibration: 1, recalibrationBatchSize: batchSize, batches: 1, batchSize: isLarge ? 16 : 64 }
  }
}

/** Images of a step: as many as asked for, but no more than a minute has time for; balanced batches keep their people. */
const quickBatch = (asked: number, side: number, perIdentity: number): number => {
  const most = Math.min(asked, side >= 96 ? 8 : 32)
  if (perIdentity === 0) return most
  return perIdentity * Math.max(2, Math.min(Math.floor(most / perIdentity), 8))
}

const sizeOption = (loaded: Load.LoadedRun, name: string, otherwise: number): number => {
  const value = loaded.config.dataflow[name]
  return typeof value === "number" ? value : otherwise
}

/** What `--quick` puts in the place of a configuration's own values. */
export const quickAssignments = (loaded: Load.LoadedRun): ReadonlyArray<Assignment> => {
  const flag = "--quick"
  const side = sizeOption(loaded, "size", 32)
  const perIdentity = sizeOption(loaded, "perIdentity", 0)
  const { retraining, supernetTraining } = loaded.config
  const batchSize = (supernetTraining ?? retraining)?.batchSize ?? 64
  const scales = quickOptions(side, quickBatch(batchSize, side, perIdentity))
  const training = (["supernetTraining", "retraining"] as const).flatMap((phase): ReadonlyArray<Assignment> => {
    const section = loaded.config[phase]
    if (section === undefined) return []
    return [
      [[phase, "epochs"], 1, flag],
      [[phase, "batchSize"], quickBatch(section.batchSize, side, perIdentity), flag],
      [[phase, "accumulate"], 1, flag],
      [[phase, "schedule", "warmupEpochs"], section.schedule.warmupEpochs / section.epochs, flag]
    ]
  })
  const options = kinds.flatMap((kind) =>
    Object.entries(scales[kind] ?? {}).flatMap(
      ([key, value]): ReadonlyArray<Assignment> =>
        key in loaded.components[kind].options ? [[[kind, key], value, flag]] : []
    )
  )
  return [...training, ...options]
}

const columns = (): number | undefined => (process.stderr.isTTY === true ? (process.stderr.columns ?? 80) : undefined)

/** Events worth a line or a bar where many runs follow one another. */
const brief: ReadonlySet<string> = new Set(["StepDone", "CandidateScored"])

/** The event stream, drawn as it flows; with a label every line begins with it, and only progress is told. */
export const drawnEvents = (json: boolean, label = ""): Layer.Layer<RunEvents> =>
  Layer.effect(
    RunEvents,
    Effect.gen(function* () {
      const inner = yield* RunEvents
      let state = Progress.initial
      let bar = ""
      const clear = (): void => {
        if (bar !== "") process.stderr.write(Progress.ansi({ state, lines: [], bar: undefined }, ""))
        bar = ""
      }
      yield* Effect.addFinalizer(() => Effect.sync(clear))
      return RunEvents.of({
        subscribe: inner.subscribe,
        publish: (event) =>
          Effect.tap(inner.publish(event), (stamped) => {
            if (json) return Console.log(Progress.json(stamped))
            return Effect.sync(() => {
              const width = columns()
              const full = Progress.fold(state, stamped, width === undefined ? width : width - label.length)
              state = full.state
              const drawn = label === "" || brief.has(stamped.event._tag) ? full : { ...full, lines: [] }
              if (width === undefined) {
                for (const line of drawn.lines) process.stderr.write(`${label}${line}\n`)
                return
              }
              if (drawn.lines.length === 0 && drawn.bar === undefined) return
              bar = drawn.bar === undefined ? "" : `${label}${drawn.bar}`
              process.stderr.write(Progress.ansi(drawn, bar))
            })
          })
      })
    })
  ).pipe(Layer.provide(RunEvents.layer))

/** For people, into the manifest: what made the run, and where. */
const notes = (): Readonly<Record<string, string | number>> => ({
  osnas: version,
  node: process.versions.node,
  platform: `${process.platform} ${process.arch}`,
  processor: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30)
})

const finishing = "Finishing the current step and saving"
/** What is said when a pause is asked for. */
const asked: Readonly<Record<Reason, string>> = {
  SIGINT: `\n${finishing}; press Ctrl-C again to stop at once.`,
  SIGTERM: `\n${finishing} (SIGTERM); a second one stops at once.`,
  SIGHUP: `\n${finishing} (SIGHUP); a second one stops at once.`,
  output: `\n${finishing}: nobody can read standard output any more.`
}

/** Where the modules of the user's own are: the way back to them when the run's folder was moved. */
const modulePlaces = ({ modules }: Load.LoadedRun): Readonly<Record<string, Readonly<Record<string, string>>>> => {
  const places = Object.entries(modules).map(([kind, { file }]) => [kind, file] as const)
  return places.length === 0 ? {} : { modules: Object.fromEntries(places) }
}

/** Completes on the first Ctrl-C, or what else asks for a pause. */
const pauseOnSignal = Effect.gen(function* () {
  const signals = yield* Signals
  const pause = yield* Deferred.make<void>()
  yield* signals.onPause((reason) => {
    process.stderr.write(`${asked[reason]}\n`)
    Effect.runFork(Deferred.succeed(pause, undefined))
  })
  return Deferred.await(pause)
})

/** A folder as the user would type it. */
const shown = (folder: string): string => {
  const seen = relative(process.cwd(), folder)
  return seen === "" || seen.startsWith("..") ? folder : seen
}

const closing = (data: ReportData, folder: string, page: string | undefined): string => {
  const lines: Array<string> = []
  const { found, test } = data
  if (found !== undefined) {
    const width = Math.min(process.stdout.columns ?? 100, 120)
    lines.push(`Found architecture ${found.text}`, networkText(found, width), "")
    const limit =
      data.budget.min > 0
        ? `${si(data.budget.min)} to ${cost(data.budget.metric, data.budget.max)}`
        : `at most ${cost(data.budget.metric, data.budget.max)}`
    const costs = [`${si(found.macs)} MACs`, `${si(found.params)} parameters`]
    if (data.budget.metric === "latency") costs.unshift(cost("latency", found.cost))
    lines.push(`  cost    ${costs.join(", ")} (budget: ${limit})`)
  }
  if (test !== undefined) {
    figures(test).forEach(([name, value], at) => {
      lines.push(`  ${at === 0 ? "test" : "    "}    ${name} ${value}`)
    })
  }
  lines.push(`  folder  ${shown(folder)}`)
  if (page !== undefined) lines.push(`  report  ${shown(page)}`)
  return lines.join("\n")
}

/** The end of a run: the page, and what was found. */
const finish = Effect.fnUntraced(function* (outcome: RunOutcome, json: boolean) {
  const { data, file, page } = yield* Report.make(outcome.folder)
  const written = yield* Effect.result(page)
  if (outcome._tag === "Paused") {
    if (Result.isFailure(written)) yield* Console.error(written.failure.message)
    return yield* new RunPaused({ folder: shown(outcome.folder) })
  }
  if (json) {
    const { found, test } = data
    yield* Console.log(
      JSON.stringify({
        _tag: "Result",
        folder: outcome.folder,
        report: Result.isSuccess(written) ? file : null,
        architecture: found?.text ?? null,
        macs: found?.macs ?? null,
        params: found?.params ?? null,
        cost: found?.cost ?? null,
        metrics: test ?? null
      })
    )
  } else yield* Console.log(`\n${closing(data, outcome.folder, Result.isSuccess(written) ? file : undefined)}`)
  // The run is done all the same, and what it found has been printed.
  return yield* Effect.fromResult(written)
})

/** Marks what goes wrong before the run begins: there a wrong input is to blame. */
const startChecked = <A, E, R>(program: Effect.Effect<A, E, R | RunEvents>, how: "new" | "resumed") =>
  Effect.suspend(() => {
    let hasBegun = false
    return program.pipe(
      Effect.updateService(RunEvents, (events) => ({
        ...events,
        publish: (event) => {
          hasBegun = true
          return events.publish(event)
        }
      })),
      Effect.mapError((error) => (hasBegun ? error : ExitCode.atStart(error, how)))
    )
  })

const engineOf = (loaded: Load.LoadedRun) => EngineLayer.layer(loaded.config, loaded.folder)

/** What a run that begins takes beside its configuration. */
export interface Beginning {
  readonly folder: string
  /** What the path of a lookup table is relative to. */
  readonly tableFolder: string
  readonly overwrite: boolean
  readonly maxMinutes?: number | undefined
  /** For people, into the manifest, beside what is always noted. */
  readonly notes?: Readonly<Record<string, string>> | undefined
}

/** Begins a run in its folder and goes through its phases; the first Ctrl-C pauses it. */
export const begin = (loaded: Load.LoadedRun, beginning: Beginning) => {
  const { folder, maxMinutes, overwrite, tableFolder } = beginning
  const moved = Load.relocate(loaded, join(resolve(folder), RunFolder.files.config))
  const machine = Check.machine(folder)
  const program = Effect.gen(function* () {
    const pause = yield* pauseOnSignal
    const lookupTable = yield* RunLayers.RunTable
    const latency = yield* RunLayers.latencyNotes(loaded.config.budget.metric)
    if (latency.latency !== undefined) {
      yield* Console.error(
        `Latency is that of ${latency.latency}, as ${loaded.config.budget.lookupTable} says; nothing is measured here.`
      )
    }
    return yield* Lifecycle.run({
      config: moved.config,
      kinds: moved.kinds,
      modules: Load.moduleDigests(loaded),
      configText: Load.toYaml(moved),
      folder,
      baseFolder: moved.folder,
      overwrite,
      notes: { ...notes(), ...modulePlaces(loaded), ...latency, ...beginning.notes },
      files: {
        [RunFolder.files.lookupTable]: LookupTable.encode(lookupTable),
        [RunFolder.files.data]: DataSummary.encode(DataSummary.of(yield* Dataflow))
      },
      machine,
      maxMinutes,
      pause
    })
  })
  return startChecked(
    Effect.scoped(
      Effect.gen(function* () {
        // Before data is read and costs are measured; the folder itself is checked again when it is made.
        const fault = Check.placeFault(folder, overwrite)
        if (fault !== undefined) return yield* new UsageError({ reason: `run folder ${folder}: ${fault}` })
        yield* RunFolder.refuseNested(yield* Disk, folder)
        const components = yield* Check.approve(loaded, tableFolder, machine)
        return yield* Effect.provideContext(program, components)
      })
    ),
    "new"
  )
}

/** Runs `osnas run`. */
export const run = Effect.fn("Run.run")(function* (input: RunInput) {
  const file = Option.getOrElse(input.config, () => quickstart)
  const shownFile = Option.isSome(input.config) ? file : shown(file)
  const flags: ReadonlyArray<Assignment> = [
    ...given(["seed"], input.seed, "--seed"),
    ...given(["name"], input.name, "--name"),
    ...given(["engine", "threads"], input.threads, "--threads"),
    ...given(["engine", "mode"], input.mode, "--mode"),
    ...given(["engine", "name"], input.engine, "--engine")
  ]
  // What is asked for in so many words stands before what --quick would choose.
  const last = given(["searchStrategy", "evaluations"], input.maxEvaluations, "--max-evaluations")
  const asWritten = yield* Load.file(shownFile, { set: input.set, flags: [...flags, ...last] })
  // Does all fit together? That can be seen without the data, too.
  const absent = input.quick ? StandIn.absent(asWritten) : undefined
  const withData =
    absent === undefined
      ? asWritten
      : yield* Load.file(shownFile, { set: input.set, flags: [...flags, ...StandIn.assignments(asWritten), ...last] })
  const loaded = input.quick
    ? yield* Load.file(shownFile, {
        set: input.set,
        flags: [
          ...flags,
          ...(absent === undefined ? [] : StandIn.assignments(asWritten)),
          ...quickAssignments(withData),
          ...last
        ]
      })
    : asWritten
  const folder = Option.getOrElse(input.dir, () => join("runs", `${loaded.config.name}${input.quick ? "-quick" : ""}`))
  const standIn = absent === undefined ? undefined : StandIn.told(absent, asWritten.config.dataflow.name, withData)
  if (standIn !== undefined) yield* Console.error(standIn)
  yield* begin(loaded, {
    folder,
    tableFolder: dirname(resolve(shownFile)),
    overwrite: input.overwrite,
    maxMinutes: Option.getOrUndefined(input.maxMinutes),
    ...(standIn === undefined ? {} : { notes: { standIn } })
  }).pipe(
    Effect.flatMap((outcome) => finish(outcome, input.json)),
    Effect.provide(Layer.merge(drawnEvents(input.json), Disk.layer))
  )
})

/** The configuration of a run that began, `set` laid over it, and the components and costs that it began with. */
export const ofFolder = Effect.fnUntraced(function* (
  dir: string,
  threads: Option.Option<number>,
  set: ReadonlyArray<string> = []
) {
  const folder = resolve(dir)
  const file = join(folder, RunFolder.files.config)
  if (!existsSync(file)) {
    return yield* new UsageError({ reason: `${dir} is no folder of a run: it has no ${RunFolder.files.config}` })
  }
  const flags = [...given(["engine", "threads"], threads, "--threads"), ...(yield* MovedModules.found(folder))]
  const loaded = yield* Load.file(file, { set, flags })
  const layers = RunLayers.layers(loaded.config, loaded.components, engineOf(loaded), {
    given: join(folder, RunFolder.files.lookupTable)
  })
  return { loaded, layers }
})

/** The text of a run's `config.yaml` with values laid over it; undefined if there are none. */
const configText = Effect.fnUntraced(function* (dir: string, set: ReadonlyArray<string>) {
  if (set.length === 0) return undefined
  const flags = yield* MovedModules.found(resolve(dir))
  const file = join(resolve(dir), RunFolder.files.config)
  return Load.toYaml(Load.relocate(yield* Load.file(file, { set, flags }), file))
})

/** A mismatch of the data, with the files that have changed since the run began. */
const withChangedFiles = Effect.fnUntraced(function* (mismatch: RunMismatch) {
  const isOfData = ({ key }: { readonly key: string }): boolean => key === "dataset.digest"
  if (!mismatch.differences.some(isOfData)) return mismatch
  const text = yield* readText(yield* Disk, join(resolve(mismatch.folder), RunFolder.files.data))
  const before = text === undefined ? undefined : DataSummary.decode(text)
  const changed = DataSummary.differences(before?.files ?? null, DataSummary.of(yield* Dataflow).files)
  if (changed.length === 0) return mismatch
  const differences = mismatch.differences.map((difference) =>
    isOfData(difference) ? { ...difference, why: changed.join("; ") } : difference
  )
  return new RunMismatch({ folder: mismatch.folder, differences })
})

/** Resumes the run in a folder; the first Ctrl-C pauses it. */
export const goOn = Effect.fn("Run.goOn")(function* ({ dir, maxMinutes, set, threads }: Omit<ResumeInput, "json">) {
  const { layers, loaded } = yield* ofFolder(dir, threads, set)
  const text = yield* configText(dir, set)
  const program = Effect.gen(function* () {
    const pause = yield* pauseOnSignal
    const minutes = Option.getOrUndefined(maxMinutes)
    const { config, kinds } = loaded
    const modules = Load.moduleDigests(loaded)
    const options = { config, configText: text, kinds, modules, folder: dir, maxMinutes: minutes, pause }
    return yield* Effect.catchTag(Lifecycle.resume(options), "RunMismatch", (mismatch) =>
      Effect.flatMap(withChangedFiles(mismatch), Effect.fail)
    )
  })
  return yield* startChecked(Effect.scoped(program).pipe(Effect.provide(layers)), "resumed")
})

/** Runs `osnas resume`. */
export const resume = Effect.fn("Run.resume")(function* (input: ResumeInput) {
  yield* goOn(input).pipe(
    Effect.flatMap((outcome) => finish(outcome, input.json)),
    Effect.provide(Layer.merge(drawnEvents(input.json), Disk.layer))
  )
})
