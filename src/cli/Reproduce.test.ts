import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll } from "vitest"
import { configOf, tables } from "../reproduce/Tables.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "../run/Load.ts"
import * as Registry from "../run/Registry.ts"
import { withinBudget } from "../run/testing/withinBudget.ts"
import * as CompareRuns from "./CompareRuns.ts"
import type { Input as CompareRunsInput } from "./commands/CompareRuns.ts"
import type { Input as ReproduceInput } from "./commands/Reproduce.ts"
import * as Reproduce from "./Reproduce.ts"

const dir = mkdtempSync(join(tmpdir(), "osnas-reproduce-"))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

// The smallest space on a few images: these test the command, not its figures.
const small = [
  "searchSpace={name: tiny}",
  "engine.threads=1",
  "dataflow.trainLimit=40",
  "dataflow.testLimit=20",
  "dataflow.prefetch=0",
  "supernetTraining.batchSize=16",
  "retraining.batchSize=16",
  "searchStrategy.evaluations=2",
  "searchStrategy.generation=2",
  "estimator.recalibrationBatchSize=8"
]
const input: ReproduceInput = {
  table: "table-3",
  row: ["random"],
  seeds: Option.some(2),
  data: Option.none(),
  dir,
  set: small,
  quick: true,
  list: false,
  json: false
}

const lines = Effect.fnUntraced(function* <E>(run: Effect.Effect<unknown, E>) {
  const before = (yield* TestConsole.logLines).length
  yield* run
  return (yield* TestConsole.logLines).slice(before).map(String).join("\n")
})

const reproduce = (flags: Partial<ReproduceInput> = {}) => lines(Reproduce.run({ ...input, ...flags }))
const compareRuns = (flags: Partial<CompareRunsInput> = {}) =>
  lines(CompareRuns.run({ runs: [dir], output: Option.none(), json: false, ...flags }))
const failure = <E extends { readonly message: string }>(run: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(run), ({ message }) => message)

describe("reproduce", () => {
  it.live(
    "runs a row's seeds, prints mean and deviation, and does not run them again",
    () =>
      Effect.gen(function* () {
        const first = yield* reproduce()
        assert.match(first, /random +2 +\S+ ± \S+ +\d+\.\d\d % ± \d+\.\d\d % +\S+ s ± \S+ s +117,649\n/)
        assert.include(first, "its figures mean nothing")
        assert.include(first, "Not the paper's protocol: searchSpace={name: tiny}")
        assert.include(first, "their cells are left empty")
        assert.include(readFileSync(join(dir, "table-3-quick", "table.md"), "utf8"), "| random | 2 |")

        const events = join(dir, "table-3-quick", "random", "seed-2", "events.jsonl")
        const before = readFileSync(events, "utf8")
        const again = JSON.parse(yield* reproduce({ json: true }))
        assert.strictEqual(readFileSync(events, "utf8"), before)
        assert.strictEqual(again.rows[0].top1.count, 2)
        assert.deepStrictEqual(again.rows[0].paper, { flops: null, score: null, searchSeconds: null })
        assert.deepStrictEqual(
          again.rows[0].runs.map(({ seed }: { seed: number }) => seed),
          [1, 2]
        )

        const listed = yield* reproduce({ list: true, row: ["random", "evolution"] })
        assert.match(listed, /random +1 +done[^\n]+\nrandom +2 +done[^\n]+\nevolution +1 +not begun/)

        assert.include(
          yield* failure(reproduce({ set: [...small, "retraining.epochs=2"] })),
          "retraining.epochs is 1, asked for 2. Choose another --dir"
        )

        const compared = yield* compareRuns()
        assert.match(compared, /table-3-random +2 /)
        assert.notInclude(compared, "Not fair")
      }).pipe(Effect.provide(TestConsole.layer)),
    120_000
  )

  it.effect("refuses impossible requests before it runs anything", () =>
    Effect.gen(function* () {
      assert.include(yield* failure(reproduce({ row: ["evoluton"] })), "did you mean evolution?")
      const absent = Option.some(join(dir, "none"))
      assert.include(yield* failure(reproduce({ table: "table-4", row: [], data: absent })), "does not exist")
      assert.include(yield* failure(reproduce({ row: [], set: ["budget.max=-1"] })), "budget.max")
    })
  )
})

describe("the tables", () => {
  it.each(Object.values(tables))("$name names components that ship, or says which it needs", (table) => {
    for (const { name, needs } of table.rows) {
      assert.isAbove(needs.length, 0, name)
      for (const [kind] of needs) assert.isAbove(Registry.names(kind).length, 0)
    }
    assert.strictEqual(new Set(table.rows.map(({ name }) => name)).size, table.rows.length)
  })

  // A quick run of classification has the budget of a full one.
  const runs = Object.values(tables).flatMap((table) =>
    table.rows.flatMap((row) =>
      (table.task === "faces" ? [false, true] : [false]).map((quick) => ({
        table,
        row,
        quick,
        name: `${table.name} ${row.name}`
      }))
    )
  )
  it.effect.each(runs)("$name, quick $quick: the budget can be met", ({ name, quick, row, table }) =>
    Effect.gen(function* () {
      const source = ConfigFile.fromValue(name, configOf(table, row, 1, quick, { folder: null }))
      const loaded = yield* Load.decode(source, process.cwd())
      assert.isTrue((yield* withinBudget(loaded)) > 0n)
    })
  )
})

describe("compare-runs", () => {
  it.effect("refuses other folders, and files it cannot write", () =>
    Effect.gen(function* () {
      assert.include(yield* failure(compareRuns({ runs: [join(dir, "nothing")] })), "is not a run folder")
      assert.include(
        yield* failure(compareRuns({ output: Option.some("table.pdf") })),
        "must end in .html (a page) or .md"
      )
    })
  )
})
