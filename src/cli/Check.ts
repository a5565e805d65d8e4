/** The checks before a run starts, for `osnas run` and `osnas config FILE --check`. */
import { accessSync, constants, existsSync, readdirSync, statfsSync, statSync } from "node:fs"
import { totalmem } from "node:os"
import { dirname, join, resolve, sep } from "node:path"
import * as Console from "effect/Console"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Finding from "../component/Finding.ts"
import * as Assembly from "../run/Assembly.ts"
import * as Checkpoint from "../run/Checkpoint.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as EngineLayer from "../run/EngineLayer.ts"
import type * as Load from "../run/Load.ts"
import type * as Preflight from "../run/Preflight.ts"
import { RunEvents } from "../run/RunEvents.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { services } from "../run/RunServices.ts"
import * as Start from "../run/Start.ts"
import { Disk, temporarySuffix } from "../support/Disk.ts"

/** The nearest folder above a path that exists. */
const existing = (path: string): string => (existsSync(path) ? path : existing(dirname(path)))

/** Longest name of a folder in bytes: what file systems allow, less the suffix that a folder has while it is written. */
const longestName = 255 - temporarySuffix.length

/** Why a folder cannot take a new run; undefined if it can. Writes nothing. */
export const placeFault = (folder: string, overwrite: boolean): string | undefined => {
  const absolute = resolve(folder)
  const long = absolute.split(sep).find((name) => Buffer.byteLength(name) > longestName)
  if (long !== undefined) {
    return `the name ${ConfigFile.show(long)} has ${Buffer.byteLength(long)} bytes; at most ${longestName} fit`
  }
  const above = existing(absolute)
  if (!statSync(above).isDirectory()) {
    const subject = above === absolute ? "it" : above
    return `${subject} is a file; expected a folder, or a path where one can be created`
  }
  try {
    // The folder is written next to its final place and then renamed, so its parent must be writable.
    const written = above === absolute ? [above, dirname(above)] : [above]
    for (const place of written) accessSync(place, constants.W_OK | constants.X_OK)
    if (above !== absolute) return undefined
    const names = readdirSync(absolute)
    if (names.includes(RunFolder.files.manifest)) {
      return overwrite
        ? undefined
        : `it contains a run already; resume it (osnas resume ${folder}), choose another --dir or --name, or replace it with --overwrite`
    }
    return names.length === 0 ? undefined : "it contains files but is not a run; choose another --dir or --name"
  } catch (error) {
    return `${above} cannot be written to (${error instanceof Error ? error.message : error}); choose another --dir`
  }
}

const freeBytes = (folder: string): number | undefined => {
  try {
    const { bavail, bsize } = statfsSync(existing(resolve(folder)))
    return bavail * bsize
  } catch {
    return undefined
  }
}

/** The memory of this machine, and the free disk space for a folder. */
export const machine = (folder: string): Preflight.Machine => ({
  freeBytes: freeBytes(folder),
  memoryBytes: totalmem()
})

const assemble = (loaded: Load.LoadedRun, tableFolder: string, machine: Preflight.Machine) => {
  const table = loaded.config.budget.lookupTable
  return Assembly.assemble({
    config: loaded.config,
    chosen: loaded.components,
    engine: EngineLayer.layer(loaded.config, loaded.folder),
    table: { file: table === null ? undefined : resolve(tableFolder, table) },
    machine
  })
}

/** A finding with its file and line. */
const located = (loaded: Load.LoadedRun, { key, message }: Finding.Finding): ConfigFile.ConfigIssue => ({
  path: key,
  message,
  ...(key === "" ? { line: null, origin: "" } : loaded.origin(key.split(".")))
})

/** The errors among the findings, with file and line. */
const refusal = (loaded: Load.LoadedRun, findings: ReadonlyArray<Finding.Finding>): ConfigFile.ConfigError =>
  new ConfigFile.ConfigError({
    file: loaded.file,
    issues: findings.filter(({ severity }) => severity === "error").map((finding) => located(loaded, finding))
  })

/** Warnings from reading the configuration, then those among the findings. */
const warningsOf = (
  loaded: Load.LoadedRun,
  findings: ReadonlyArray<Finding.Finding>
): ReadonlyArray<ConfigFile.ConfigIssue> => [
  ...loaded.warnings,
  ...findings.filter(({ severity }) => severity === "warning").map((finding) => located(loaded, finding))
]

/** Prints warnings on standard error, one per line. */
const showWarnings = (warnings: ReadonlyArray<ConfigFile.ConfigIssue>): Effect.Effect<void> =>
  Effect.forEach(warnings, (warning) => Console.error(`warning: ${ConfigFile.issueText(warning)}`), { discard: true })

/**
 * Builds the components of a run and prints its warnings; fails with all errors at once. The path of a lookup table is
 * relative to `tableFolder`.
 */
export const approve = Effect.fn("Check.approve")(function* (
  loaded: Load.LoadedRun,
  tableFolder: string,
  machine: Preflight.Machine
) {
  const { components, findings } = yield* assemble(loaded, tableFolder, machine)
  yield* showWarnings(warningsOf(loaded, findings))
  return Option.isNone(components) ? yield* refusal(loaded, findings) : components.value
})

/** Errors for files to start from that cannot be read. */
const unreadable = Effect.fnUntraced(function* (loaded: Load.LoadedRun) {
  const disk = yield* Disk
  const found: Array<Finding.Finding> = []
  for (const key of ["supernet", "network"] as const) {
    const file = loaded.config.start[key]
    if (typeof file !== "string") continue
    const read = yield* Effect.result(Checkpoint.read(disk, resolve(loaded.folder, file)))
    if (Result.isFailure(read)) found.push({ severity: "error", key: `start.${key}`, message: read.failure.message })
  }
  return found
})

/** Errors for weights to start from that do not fit the network. */
const unsuited = Effect.fnUntraced(function* (
  loaded: Load.LoadedRun,
  components: Context.Context<Assembly.Components>
) {
  const { network, supernet } = loaded.config.start
  if (network === null && supernet === null) return []
  const given = yield* services.pipe(Effect.provideContext(components), Effect.provide(RunEvents.layer))
  const read = yield* Effect.result(Start.read(given, loaded.config, loaded.folder))
  if (Result.isSuccess(read)) return []
  const key = `start.${supernet === null ? "network" : "supernet"}`
  return [{ severity: "error", key, message: read.failure.message } as const]
})

/** `osnas config FILE --check`: prints all findings, warnings first; fails if there is an error. */
export const run = Effect.fn("Check.run")(
  function* (loaded: Load.LoadedRun, json: boolean) {
    const assembled = yield* assemble(loaded, loaded.folder, machine(join("runs", loaded.config.name)))
    const missing = yield* unreadable(loaded)
    const isReadable = Option.isSome(assembled.components) && missing.length === 0
    const foreign = isReadable ? yield* unsuited(loaded, assembled.components.value) : []
    const findings = [...assembled.findings, ...missing, ...foreign]
    const error = refusal(loaded, findings)
    const warnings = warningsOf(loaded, findings)
    if (json) yield* Console.log(JSON.stringify({ errors: error.issues, warnings }, null, 2))
    else yield* showWarnings(warnings)
    if (Option.isNone(assembled.components) || error.issues.length > 0) return yield* error
    const count = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`
    if (!json) yield* Console.log(`${loaded.file}: ready to run${warnings.length === 0 ? "" : ` (${count})`}`)
  },
  Effect.scoped,
  Effect.provide(Disk.layer)
)
