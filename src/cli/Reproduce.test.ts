import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll, describe, expect, it } from "vitest"
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

const lines = <A extends object, E>(run: (flags: A) => Effect.Effect<unknown, E>, flags: A) =>
  Effect.gen(function* () {
    yield* run(flags)
    return (yield* TestConsole.logLines).map(String).join("\n")
  }).pipe(Effect.provide(TestConsole.layer), Effect.result, Effect.runPromise)

const reproduce = (flags: Partial<ReproduceInput> = {}) =>
  lines((all: ReproduceInput) => Reproduce.run(all), { ...input, ...flags })
const failure = async (flags: Partial<ReproduceInput>): Promise<string> => {
  const result = await reproduce(flags)
  return Result.isFailure(result) ? result.failure.message : "no failure"
}

describe("reproduce", () => {
  it("runs a row's seeds, prints mean and deviation, and does not run them again", { timeout: 120_000 }, async () => {
    const first = Result.getOrThrow(await reproduce())
    expect(first).toMatch(/random +2 +\S+ ± \S+ +\d+\.\d\d % ± \d+\.\d\d % +\S+ s ± \S+ s +117,649\n/)
    expect(first).toContain("its figures mean nothing")
    expect(first).toContain("Not the paper's protocol: searchSpace={name: tiny}")
    expect(first).toContain("their cells are left empty")
    expect(readFileSync(join(dir, "table-3-quick", "table.md"), "utf8")).toContain("| random | 2 |")

    const metrics = join(dir, "table-3-quick", "random", "seed-2", "events.jsonl")
    const before = readFileSync(metrics, "utf8")
    const again = JSON.parse(Result.getOrThrow(await reproduce({ json: true })))
    expect(readFileSync(metrics, "utf8")).toBe(before)
    expect(again.rows[0].top1.count).toBe(2)
    expect(again.rows[0].paper).toEqual({ flops: null, score: null, searchSeconds: null })
    expect(again.rows[0].runs.map(({ seed }: { seed: number }) => seed)).toEqual([1, 2])

    const listed = Result.getOrThrow(await reproduce({ list: true, row: ["random", "evolution"] }))
    expect(listed).toMatch(/random +1 +done[^\n]+\nrandom +2 +done[^\n]+\nevolution +1 +not begun/)

    expect(await failure({ set: [...small, "retraining.epochs=2"] })).toContain(
      "retraining.epochs is 1, asked for 2. Choose another --dir"
    )

    const compared = Result.getOrThrow(
      await lines((all: CompareRunsInput) => CompareRuns.run(all), { runs: [dir], output: Option.none(), json: false })
    )
    expect(compared).toMatch(/table-3-random +2 /)
    expect(compared).not.toContain("Not fair")
  })

  it("refuses impossible requests before it runs anything", async () => {
    expect(await failure({ row: ["evoluton"] })).toContain("did you mean evolution?")
    expect(await failure({ table: "table-4", row: [], data: Option.some(join(dir, "none")) })).toContain(
      "does not exist"
    )
    expect(await failure({ row: [], set: ["budget.max=-1"] })).toContain("budget.max")
  })
})

describe("the tables", () => {
  it.each(Object.values(tables))("$name names components that ship, or says which it needs", (table) => {
    for (const { name, needs } of table.rows) {
      expect(needs.length, name).toBeGreaterThan(0)
      for (const [kind] of needs) expect(Registry.names(kind).length).toBeGreaterThan(0)
    }
    expect(new Set(table.rows.map(({ name }) => name)).size).toBe(table.rows.length)
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
  it.each(runs)("$name, quick $quick: the budget can be met", async ({ name, quick, row, table }) => {
    const source = ConfigFile.fromValue(name, configOf(table, row, 1, quick, { folder: null }))
    const loaded = await Effect.runPromise(Load.decode(source, process.cwd()))
    expect(await Effect.runPromise(withinBudget(loaded))).toBeGreaterThan(0n)
  })
})

describe("compare-runs", () => {
  const compare = async (flags: Partial<CompareRunsInput>) => {
    const result = await lines((all: CompareRunsInput) => CompareRuns.run(all), {
      runs: [dir],
      output: Option.none(),
      json: false,
      ...flags
    })
    return Result.isFailure(result) ? result.failure.message : "no failure"
  }

  it("refuses other folders, and files it cannot write", async () => {
    expect(await compare({ runs: [join(dir, "nothing")] })).toContain("is not a run folder")
    expect(await compare({ output: Option.some("table.pdf") })).toContain("must end in .html (a page) or .md")
  })
})
