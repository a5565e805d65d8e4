import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestConsole from "effect/testing/TestConsole"
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

const lines = Effect.fnUntraced(function* (flags: Partial<Input>) {
  const before = (yield* TestConsole.logLines).length
  yield* CompareSearchers.run({ ...input, ...flags })
  return (yield* TestConsole.logLines).slice(before).map(String)
})

const failure = (flags: Partial<Input>) => Effect.map(Effect.flip(lines(flags)), ({ message }) => message)

it.effect(
  "prints one JSON object: every strategy and number of evaluations, and the expectation of random search",
  () =>
    Effect.gen(function* () {
      const [json = ""] = yield* lines({})
      const compared = JSON.parse(json) as ComparisonTable
      assert.deepStrictEqual([compared.table, compared.architectures, compared.seeds], ["nas-bench-macro", 3969, 3])
      assert.deepStrictEqual(
        compared.rows.map(({ evaluations, strategy }) => `${strategy} ${evaluations}`),
        ["random 10", "random 50", "evolution 10", "evolution 50"]
      )
      assert.deepStrictEqual(
        compared.random.map(({ mean }) => mean.toFixed(2)),
        ["92.43", "92.77"]
      )
      assert.isTrue(compared.rows.every(({ best, mean, worst }) => worst <= mean && mean <= best && best <= 93.13))
    })
)

it.effect("prints text, under a budget, with named strategies", () =>
  Effect.gen(function* () {
    const flags = { json: false, maxFlops: Option.some(50e6), strategy: ["evolution"], evaluations: "20" }
    const text = (yield* lines(flags)).join("\n")
    assert.include(text, "nas-bench-macro: 1245 different architectures, the best 92.1667")
    assert.match(text, /\nevolution +\d\d\.\d{3} ± \d\.\d{3} \(\d\)\n/)
    assert.match(text, /\nrandom, expected +\d\d\.\d{3}\n/)
  })
)

it.effect("refuses impossible requests, with the reason", () =>
  Effect.gen(function* () {
    assert.include(yield* failure({ evaluations: "10,,5" }), '"" is not a number of evaluations')
    assert.include(yield* failure({ strategy: ["evolutoin"] }), "did you mean evolution")
    assert.include(yield* failure({ maxFlops: Option.some(1e6) }), "the smallest has 7713280")
    assert.include(yield* failure({ table: "nas-bench-201" }), "give its CSV file")
  })
)
