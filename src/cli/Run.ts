/** `osnas run` and `osnas resume`: from a configuration, or a run folder, to a finished run. */
import { existsSync } from "node:fs"
import * as os from "node:os"
import { dirname, join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as LookupTable from "../cost/LookupTable.ts"
import { Dataflow } from "../dataflow/Dataflow.ts"
import { quickstart, version } from "../Package.ts"
import * as DataSummary from "../report/DataSummary.ts"
import * as EngineLayer from "../run/EngineLayer.ts"
import * as Lifecycle from "../run/Lifecycle.ts"
import * as Load from "../run/Load.ts"
import * as MovedModules from "../run/MovedModules.ts"
import { RunMismatch } from "../run/RunError.ts"
import { RunEvents } from "../run/RunEvents.ts"
import * as RunFolder from "../run/RunFolder.ts"
import * as RunLayers from "../run/RunLayers.ts"
import { Disk, readText } from "../support/Disk.ts"
import * as Check from "./Check.ts"
import type { Input as ResumeInput } from "./commands/Resume.ts"
import type { Input as RunInput } from "./commands/Run.ts"
import * as DrawnEvents from "./DrawnEvents.ts"
import * as ExitCode from "./Exit.ts"
import { UsageError } from "./Exit.ts"
import * as Quick from "./Quick.ts"
import { finish } from "./RunResult.ts"
import { shownPath } from "./ShownPath.ts"
import { type Reason, Signals } from "./Signals.ts"
import * as StandIn from "./StandIn.ts"

const given = (
  path: ReadonlyArray<string>,
  value: Option.Option<unknown>,
  flag: string
): ReadonlyArray<Quick.Assignment> => (Option.isSome(value) ? [[path, value.value, flag]] : [])

/** Notes in the manifest, for people: the versions and the machine. */
const notes = (): Readonly<Record<string, string | number>> => ({
  osnas: version,
  node: process.versions.node,
  platform: `${process.platform} ${process.arch}`,
  processor: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30)
})

const finishing = "Finishing the current step and saving"
/** The answer to a request to pause. */
const pauseText: Readonly<Record<Reason, string>> = {
  SIGINT: `\n${finishing}; press Ctrl-C again to stop at once.`,
  SIGTERM: `\n${finishing} (SIGTERM); a second one stops at once.`,
  SIGHUP: `\n${finishing} (SIGHUP); a second one stops at once.`,
  output: `\n${finishing}: nothing reads standard output any more.`
}

/** Paths of the user's own modules, so that they are found after the run folder has moved. */
const modulePlaces = ({ modules }: Load.LoadedRun): Readonly<Record<string, Readonly<Record<string, string>>>> => {
  const places = Object.entries(modules).map(([kind, { file }]) => [kind, file] as const)
  return places.length === 0 ? {} : { modules: Object.fromEntries(places) }
}

/** Completes on the first request to pause, such as Ctrl-C. */
export const pauseOnSignal = Effect.gen(function* () {
  const signals = yield* Signals
  const pause = yield* Deferred.make<void>()
  yield* signals.onPause((reason) => {
    process.stderr.write(`${pauseText[reason]}\n`)
    Effect.runFork(Deferred.succeed(pause, undefined))
  })
  return Deferred.await(pause)
})

/** An error before the first event of the run is blamed on the input: see {@link ExitCode.atStart}. */
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

/** The engine of a configuration. */
export const engineOf = (loaded: Load.LoadedRun) => EngineLayer.layer(loaded.config, loaded.folder)

/** What a new run takes besides its configuration. */
export interface BeginOptions {
  readonly folder: string
  /** The folder that the path of a lookup table is relative to. */
  readonly tableFolder: string
  readonly overwrite: boolean
  readonly maxMinutes?: number | undefined
  /** More notes for the manifest. */
  readonly notes?: Readonly<Record<string, string>> | undefined
}

/** Begins a run in its folder and goes through its phases; the first Ctrl-C pauses it. */
export const begin = Effect.fn("Run.begin")(
  function* (loaded: Load.LoadedRun, options: BeginOptions) {
    const { folder, maxMinutes, overwrite, tableFolder } = options
    // Fail before data is read and costs are measured; creating the folder checks it again.
    const fault = Check.placeFault(folder, overwrite)
    if (fault !== undefined) return yield* new UsageError({ reason: `run folder ${folder}: ${fault}` })
    yield* RunFolder.refuseNested(yield* Disk, folder)
    const machine = Check.machine(folder)
    const components = yield* Check.approve(loaded, tableFolder, machine)
    const moved = Load.relocate(loaded, join(resolve(folder), RunFolder.files.config))
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
        notes: { ...notes(), ...modulePlaces(loaded), ...latency, ...options.notes },
        files: {
          [RunFolder.files.lookupTable]: LookupTable.encode(lookupTable),
          [RunFolder.files.data]: DataSummary.encode(DataSummary.of(yield* Dataflow))
        },
        machine,
        maxMinutes,
        pause
      })
    })
    return yield* Effect.provideContext(program, components)
  },
  Effect.scoped,
  (program) => startChecked(program, "new")
)

/** Runs `osnas run`. */
export const run = Effect.fn("Run.run")(function* (input: RunInput) {
  const file = Option.getOrElse(input.config, () => quickstart)
  const shownFile = Option.isSome(input.config) ? file : shownPath(file)
  const flags: ReadonlyArray<Quick.Assignment> = [
    ...given(["seed"], input.seed, "--seed"),
    ...given(["name"], input.name, "--name"),
    ...given(["engine", "threads"], input.threads, "--threads"),
    ...given(["engine", "mode"], input.mode, "--mode"),
    ...given(["engine", "name"], input.engine, "--engine")
  ]
  // An explicit --max-evaluations wins over --quick.
  const last = given(["searchStrategy", "evaluations"], input.maxEvaluations, "--max-evaluations")
  const asWritten = yield* Load.file(shownFile, { set: input.set, flags: [...flags, ...last] })
  // Without the data, --quick uses images that ship.
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
          ...Quick.assignments(withData),
          ...last
        ]
      })
    : asWritten
  const folder = Option.getOrElse(input.dir, () => join("runs", `${loaded.config.name}${input.quick ? "-quick" : ""}`))
  const standIn = absent === undefined ? undefined : StandIn.notice(absent, asWritten.config.dataflow.name, withData)
  if (standIn !== undefined) yield* Console.error(standIn)
  yield* begin(loaded, {
    folder,
    tableFolder: dirname(resolve(shownFile)),
    overwrite: input.overwrite,
    maxMinutes: Option.getOrUndefined(input.maxMinutes),
    ...(standIn === undefined ? {} : { notes: { standIn } })
  }).pipe(
    Effect.flatMap((outcome) => finish(outcome, input.json)),
    Effect.provide(Layer.merge(DrawnEvents.layer(input.json), Disk.layer))
  )
})

/** The configuration of a recorded run with `set` laid over it, and its components with the costs it began with. */
export const ofFolder = Effect.fnUntraced(function* (
  dir: string,
  threads: Option.Option<number>,
  set: ReadonlyArray<string> = []
) {
  const folder = resolve(dir)
  const file = join(folder, RunFolder.files.config)
  if (!existsSync(file)) {
    return yield* new UsageError({ reason: `${dir} is not a run folder: it has no ${RunFolder.files.config}` })
  }
  const flags = [...given(["engine", "threads"], threads, "--threads"), ...(yield* MovedModules.found(folder))]
  const loaded = yield* Load.file(file, { set, flags })
  const layers = RunLayers.layers(loaded.config, loaded.components, engineOf(loaded), {
    given: join(folder, RunFolder.files.lookupTable)
  })
  return { loaded, layers }
})

/** The text of a run's `config.yaml` with `set` laid over it; undefined if `set` is empty. */
const configText = Effect.fnUntraced(function* (dir: string, set: ReadonlyArray<string>) {
  if (set.length === 0) return undefined
  const flags = yield* MovedModules.found(resolve(dir))
  const file = join(resolve(dir), RunFolder.files.config)
  return Load.toYaml(Load.relocate(yield* Load.file(file, { set, flags }), file))
})

/** Adds to a mismatch of the data which files have changed since the run began. */
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
export const resumeFolder = Effect.fn("Run.resumeFolder")(function* ({
  dir,
  maxMinutes,
  set,
  threads
}: Omit<ResumeInput, "json">) {
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
  yield* resumeFolder(input).pipe(
    Effect.flatMap((outcome) => finish(outcome, input.json)),
    Effect.provide(Layer.merge(DrawnEvents.layer(input.json), Disk.layer))
  )
})
