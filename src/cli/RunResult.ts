/** The end of `osnas run` and `osnas resume`: writes the report and prints the result. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { networkText } from "../report/Drawing.ts"
import { cost, figures, si } from "../report/Format.ts"
import type { ReportData } from "../report/ReportData.ts"
import type { RunOutcome } from "../run/MachineHost.ts"
import { RunPaused } from "./Exit.ts"
import * as Report from "./Report.ts"
import { shownPath } from "./ShownPath.ts"

/** The found architecture, its cost and test result, and where everything is. */
const summary = (data: ReportData, folder: string, page: string | undefined): string => {
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
  lines.push(`  folder  ${shownPath(folder)}`)
  if (page !== undefined) lines.push(`  report  ${shownPath(page)}`)
  return lines.join("\n")
}

/** Writes the report of a run that has ended and prints its result; a paused run fails with {@link RunPaused}. */
export const finish = Effect.fn("RunResult.finish")(function* (outcome: RunOutcome, json: boolean) {
  const { data, file, page } = yield* Report.make(outcome.folder)
  const written = yield* Effect.result(page)
  if (outcome._tag === "Paused") {
    if (Result.isFailure(written)) yield* Console.error(written.failure.message)
    return yield* new RunPaused({ folder: shownPath(outcome.folder) })
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
  } else yield* Console.log(`\n${summary(data, outcome.folder, Result.isSuccess(written) ? file : undefined)}`)
  // A report that cannot be written fails the command, but only after the result is printed.
  return yield* Effect.fromResult(written)
})
