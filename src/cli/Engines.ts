/** `osnas engines`: which tensor engines are here, and whether they work. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { type EngineReport, probe } from "../engine/Engines.ts"
import type { PackageLoader } from "../engine/Tensorflow.ts"
import type { Input } from "./commands/Engines.ts"

const line = (report: EngineReport): string => {
  const name = `${report.chosenByAuto ? "*" : " "} ${report.name.padEnd(15)}`
  if (!report.present) return `${name} not present: ${report.reason ?? "unknown reason"}`
  const test = report.selfTest === undefined ? "" : report.selfTest.passed ? "self-test passed" : `${report.reason}`
  const bits = report.portable ? "same bits on every machine" : "reproducible on one machine"
  return `${name} ${report.version}, ${report.threads} thread${report.threads === 1 ? "" : "s"}, ${report.mode}: ${bits}; ${test}`
}

/** Runs the command. `packages` finds the optional packages; by default the installed ones. */
export const run = Effect.fn("Engines.run")(function* (input: Input, packages?: PackageLoader) {
  const reports = yield* probe({ mode: "strict", threads: 0 }, packages)
  if (input.json) return yield* Console.log(JSON.stringify(reports))
  for (const report of reports) yield* Console.log(line(report))
  yield* Console.log("\n* is what `auto` takes.")
})
