/** The examination before the work, for `osnas run` and `osnas config FILE --check`. */
import { existsSync, statfsSync } from "node:fs"
import { totalmem } from "node:os"
import { dirname, join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as EngineLayer from "../component/EngineLayer.ts"
import * as Finding from "../component/Finding.ts"
import type * as Load from "../component/Load.ts"
import * as Assembly from "../run/Assembly.ts"
import { Disk } from "../run/Disk.ts"
import type * as Preflight from "../run/Preflight.ts"

/** The nearest folder above a path that is there. */
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

/** The components of a configuration, examined. The path of a lookup table is relative to `tableFolder`. */
export const assemble = (loaded: Load.LoadedRun, tableFolder: string, machine: Preflight.Machine) => {
  const table = loaded.config.budget.lookupTable
  return Assembly.assemble({
    config: loaded.config,
    chosen: loaded.components,
    engine: EngineLayer.layer(loaded.config, loaded.folder),
    table: { file: table === null ? undefined : resolve(tableFolder, table) },
    machine
  })
}

/** Warnings as lines on standard error. */
export const showWarnings = (findings: ReadonlyArray<Finding.Finding>): Effect.Effect<void> =>
  Effect.forEach(
    findings.filter(({ severity }) => severity === "warning"),
    (finding) => Console.error(`warning: ${Finding.text(finding)}`),
    { discard: true }
  )

/** `osnas config FILE --check`: all findings, errors first; fails where there is an error. */
export const run = Effect.fn("Check.run")(
  function* (loaded: Load.LoadedRun, shown: string, json: boolean) {
    const { findings } = yield* assemble(loaded, loaded.folder, machine(join("runs", loaded.config.name)))
    if (json) yield* Console.log(JSON.stringify(findings, null, 2))
    else yield* showWarnings(findings)
    if (findings.some(({ severity }) => severity === "error")) return yield* new Finding.PreflightError({ findings })
    if (json) return
    const warnings =
      findings.length === 0 ? "" : ` (${findings.length} ${findings.length === 1 ? "warning" : "warnings"})`
    yield* Console.log(`${shown}: ready to run${warnings}`)
  },
  Effect.scoped,
  Effect.provide(Disk.layer)
)
