import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as TestConsole from "effect/testing/TestConsole"
import { expect, test } from "vitest"
import type { ComparisonTable } from "../estimator/SearcherComparison.ts"
import * as CompareSearchers from "./CompareSearchers.ts"
import type { Input } from "./commands/CompareSearchers.ts"

const input: Input = {
  table: "nas-bench-macro",
  file: Option.none(),
  dataSet: "c10",
  strategy: [],
  evaluations: "10,50",
  seeds: 3,
  maxFlops: Option.none(),
  json: true
}

const lines = (flags: Partial<Input>) =>
  Effect.gen(function* () {
    yield* CompareSearchers.run({ ...input, ...flags })
    return (yield* TestConsole.logLines).map(String)
  }).pipe(Effect.provide(TestConsole.layer), Effect.result, Effect.runPromise)

const failure = async (flags: Partial<Input>): Promise<string> => {
  const result = await lines(flags)
  return Result.isFailure(result) ? result.failure.message : "no failure"
}

test("one JSON object: every strategy and number of evaluations, beside the expectation of random search", async () => {
  const [json = ""] = Result.getOrThrow(await lines({}))
  const compared = JSON.parse(json) as ComparisonTable
  expect([compared.table, compared.architectures, compared.seeds]).toEqual(["nas-bench-macro", 3969, 3])
  expect(compared.rows.map(({ evaluations, strategy }) => `${strategy} ${evaluations}`)).toEqual([
    "random 10",
    "random 50",
    "evolution 10",
    "evolution 50"
  ])
  expect(compared.random.map(({ mean }) => mean.toFixed(2))).toEqual(["92.43", "92.77"])
  expect(compared.rows.every(({ best, mean, worst }) => worst <= mean && mean <= best && best <= 93.13)).toBe(true)
})

test("text for people, under a budget, with strategies by name", async () => {
  const text = Result.getOrThrow(
    await lines({ json: false, maxFlops: Option.some(50e6), strategy: ["evolution"], evaluations: "20" })
  ).join("\n")
  expect(text).toContain("nas-bench-macro: 1245 different architectures, the best 92.1667")
  expect(text).toMatch(/\nevolution +\d\d\.\d{3} ± \d\.\d{3} \(\d\)\n/)
  expect(text).toMatch(/\nrandom, expected +\d\d\.\d{3}\n/)
})

test("what cannot be done is refused, with the reason", async () => {
  expect(await failure({ evaluations: "10,,5" })).toContain('"" is no number of evaluations')
  expect(await failure({ strategy: ["evolutoin"] })).toContain("did you mean evolution")
  expect(await failure({ maxFlops: Option.some(1e6) })).toContain("the smallest has 7713280")
  expect(await failure({ table: "nas-bench-201" })).toContain("give its CSV file")
})
