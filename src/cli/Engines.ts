/** `osnas engines`: which tensor engines are installed, and whether they work. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { type EngineReport, probe } from "../engine/Engines.ts"
import type { PackageLoader } from "../engine/Tensorflow.ts"
import * as TextTable from "../report/TextTable.ts"
import type { Input } from "./commands/Engines.ts"

const textOf = (report: EngineReport): string => {
  if (!report.present) return `not present: ${report.reason ?? "unknown reason"}`
  const test = report.selfTest === undefined ? "" : report.selfTest.passed ? "self-test passed" : `${report.reason}`
  const bits = report.portable ? "same bits on every machine" : "reproducible on one machine"
  return `${report.version}, ${report.threads} thread${report.threads === 1 ? "" : "s"}, ${report.mode}: ${bits}; ${test}`
}

/** Runs the command. `packages` loads the optional packages; default: the installed ones. */
export const run = Effect.fn("Engines.run")(function* (input: Input, packages?: PackageLoader) {
  const reports = yield* probe({ mode: "strict", threads: 0 }, packages)
  if (input.json) return yield* Console.log(JSON.stringify(reports))
  const rows = reports.map((report) => [`${report.chosenByAuto ? "*" : " "} ${report.name}`, textOf(report)])
  for (const line of TextTable.format(rows, { align: ["left", "left"] }).split("\n")) yield* Console.log(line)
  yield* Console.log("\n* marks the engine that `auto` chooses.")
})
