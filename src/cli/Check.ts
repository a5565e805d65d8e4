/** The examination before the work, for `osnas run` and `osnas config FILE --check`. */
import { existsSync, statfsSync } from "node:fs"
import { totalmem } from "node:os"
import { dirname, join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Finding from "../component/Finding.ts"
import * as Assembly from "../run/Assembly.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as EngineLayer from "../run/EngineLayer.ts"
import type * as Load from "../run/Load.ts"
import type * as Preflight from "../run/Preflight.ts"
import { Disk } from "../support/Disk.ts"

/** The nearest folder above a path that exists. */
const existing = (path: string): string => (existsSync(path) ? path : existing(dirname(path)))

const freeBytes = (folder: string): number | undefined => {
  try {
    const { bavail, bsize } = statfsSync(existing(resolve(folder)))
    return bavail * bsize
  } catch {
    return undefined
  }
}

/** What this machine has for a run in a folder. */
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

/** A finding at its place in the configuration's file. */
const located = (loaded: Load.LoadedRun, { key, message }: Finding.Finding): ConfigFile.ConfigIssue => ({
  path: key,
  message,
  ...(key === "" ? { line: null, origin: "" } : loaded.origin(key.split(".")))
})

/** The errors among findings, with file and line. */
const refusal = (loaded: Load.LoadedRun, findings: ReadonlyArray<Finding.Finding>): ConfigFile.ConfigError =>
  new ConfigFile.ConfigError({
    file: loaded.file,
    issues: findings.filter(({ severity }) => severity === "error").map((finding) => located(loaded, finding))
  })

/** Warnings, those of the configuration's reading first. */
const warningsOf = (
  loaded: Load.LoadedRun,
  findings: ReadonlyArray<Finding.Finding>
): ReadonlyArray<ConfigFile.ConfigIssue> => [
  ...loaded.warnings,
  ...findings.filter(({ severity }) => severity === "warning").map((finding) => located(loaded, finding))
]

/** Warnings as lines on standard error. */
const showWarnings = (warnings: ReadonlyArray<ConfigFile.ConfigIssue>): Effect.Effect<void> =>
  Effect.forEach(warnings, (warning) => Console.error(`warning: ${ConfigFile.issueText(warning)}`), { discard: true })

/**
 * The components of a run that may begin, its warnings shown; fails with all errors at once. The path of a lookup table is
 * relative to `tableFolder`.
 */
export const approve = (loaded: Load.LoadedRun, tableFolder: string, machine: Preflight.Machine) =>
  Effect.gen(function* () {
    const { components, findings } = yield* assemble(loaded, tableFolder, machine)
    yield* showWarnings(warningsOf(loaded, findings))
    return Option.isNone(components) ? yield* refusal(loaded, findings) : components.value
  })

/** `osnas config FILE --check`: all findings, warnings first; fails where there is an error. */
export const run = Effect.fn("Check.run")(
  function* (loaded: Load.LoadedRun, json: boolean) {
    const { components, findings } = yield* assemble(loaded, loaded.folder, machine(join("runs", loaded.config.name)))
    const error = refusal(loaded, findings)
    const warnings = warningsOf(loaded, findings)
    if (json) yield* Console.log(JSON.stringify({ errors: error.issues, warnings }, null, 2))
    else yield* showWarnings(warnings)
    if (Option.isNone(components)) return yield* error
    const count = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`
    if (!json) yield* Console.log(`${loaded.file}: ready to run${warnings.length === 0 ? "" : ` (${count})`}`)
  },
  Effect.scoped,
  Effect.provide(Disk.layer)
)
