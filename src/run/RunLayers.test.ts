import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { afterAll } from "vitest"
import type { CostMetric } from "../cost/CostModel.ts"
import * as FeasibleSet from "../cost/FeasibleSet.ts"
import * as Latency from "../cost/Latency.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import * as SearchBudget from "../cost/SearchBudget.ts"
import { Engine } from "../engine/Engine.ts"
import * as Engines from "../engine/Engines.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import * as Tiny from "../search-space/Tiny.ts"
import { Disk } from "../support/Disk.ts"
import * as RunLayers from "./RunLayers.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "osnas-layers-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))

const task = { input: [12, 12, 1], head: { _tag: "Classifier", classes: 4 } } as const
const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
const counted = LookupTable.fromSpace(space)
const entries = { base: 1, layers: counted.flops.layers.map((costs) => costs.map((_, at) => at / 4)) }
const phone = { processor: "Phone", cores: 8, engine: "tflite", mode: "float16", threads: 4 }
const ofPhone: LookupTable.LookupTable = {
  ...counted,
  latency: { machine: phone, warmUp: 0, runs: 0, entries, spread: entries }
}

const needs = Layer.mergeAll(
  Layer.succeed(SearchSpace, space),
  Engines.layer("cpu", { mode: "strict", threads: 1 }),
  Disk.layer
)

const tableOf = (metric: CostMetric, source: RunLayers.TableSource) =>
  Effect.gen(function* () {
    const table = yield* RunLayers.RunTable
    return { table, notes: yield* RunLayers.latencyNotes(metric) }
  }).pipe(Effect.provide(RunLayers.costs(metric, source)), Effect.provide(needs))

const file = path.join(folder, "lookup-table.json")
const write = (text: string): void => fs.writeFileSync(file, text)
const refusal = (metric: CostMetric, source: RunLayers.TableSource = { given: file }) =>
  Effect.map(Effect.flip(tableOf(metric, source)), (error) => `${error._tag}: ${error.message}`)

describe("the budget of a run", () => {
  it.effect(
    "that no architecture meets is refused with its key and the feasible values, whatever builds the Layers",
    () =>
      Effect.gen(function* () {
        const refused = (min: number, max: number) =>
          SearchBudget.SearchBudget.pipe(
            Effect.provide(RunLayers.budget({ metric: "flops", min, max, lookupTable: null })),
            Effect.provide(LookupTable.layerCounted),
            Effect.provide(needs),
            Effect.flip,
            Effect.map((error) => error.message)
          )
        const { largest, smallest } = yield* Effect.flip(
          Effect.fromResult(FeasibleSet.make(space, counted.flops, { metric: "flops", min: 0, max: 5 }))
        )
        const message = (range: string, key: string, expected: string) =>
          `1 mistake found before the start\n  ${key}: no architecture of tiny has flops between ${range}: the smallest has ${smallest}, the largest ${largest}; expected ${expected}`
        assert.strictEqual(yield* refused(0, 5), message("0 and 5", "budget.max", `at least ${smallest}`))
        assert.strictEqual(
          yield* refused(1e9, 2e9),
          message("1000000000 and 2000000000", "budget.min", `at most ${largest}`)
        )
        assert.strictEqual(
          yield* refused(smallest + 1, smallest + 1),
          message(`${smallest + 1} and ${smallest + 1}`, "budget", "a wider range")
        )
      })
  )
})

describe("the table of a run that resumes", () => {
  it.effect("counts costs again if it is missing", () =>
    Effect.gen(function* () {
      fs.rmSync(file, { force: true })
      for (const metric of ["flops", "params"] as const) {
        assert.deepStrictEqual((yield* tableOf(metric, { given: file })).table, counted)
      }
      assert.isFalse(fs.existsSync(file))
    })
  )

  it.effect("latency is never measured again: a missing table, and one without latency, are refused by name", () =>
    Effect.gen(function* () {
      fs.rmSync(file, { force: true })
      const missing = yield* refusal("latency")
      assert.include(missing, `SnapshotError: ${file}: it is missing, with the latencies that the run began with`)
      assert.include(missing, "put a good copy in its place, or begin a new run")
      write(LookupTable.encode(counted))
      assert.include(yield* refusal("latency"), "it has no latency, and the budget of the run is one of latency")
      assert.deepStrictEqual((yield* tableOf("flops", { given: file })).table, counted)
    })
  )

  it.effect("damage and another space are named, with what to do", () =>
    Effect.gen(function* () {
      write(LookupTable.encode(counted).replace('"base": ', '"base": 1'))
      assert.match(yield* refusal("flops"), /its digest is .*; delete it to count it again from the search space/)
      const other = Result.getOrThrow(Tiny.make({ stemStride: 1 }, task))
      write(LookupTable.encode(LookupTable.fromSpace(other)))
      assert.include(yield* refusal("params"), "it does not fit the run: its blocks differ: flops of the fixed part")
      assert.include(yield* refusal("latency"), "put a good copy in its place")
    })
  )

  it.effect("keeps the latency it began with, whichever machine measured it", () =>
    Effect.gen(function* () {
      write(LookupTable.encode(ofPhone))
      assert.deepStrictEqual((yield* tableOf("latency", { given: file })).table, ofPhone)
    })
  )
})

describe("a table that the user names", () => {
  it.effect("is used with the latency of another machine, and the run notes whose it is", () =>
    Effect.gen(function* () {
      write(LookupTable.encode(ofPhone))
      const { notes, table } = yield* tableOf("latency", { file })
      assert.deepStrictEqual(table, ofPhone)
      assert.deepStrictEqual(notes, { latency: "Phone (8 cores), engine tflite float16, 4 threads" })
      // Not noted if the budget is not one of latency.
      assert.deepStrictEqual((yield* tableOf("flops", { file })).notes, {})
      const here = Latency.machine(yield* Engine)
      write(LookupTable.encode({ ...ofPhone, latency: { ...ofPhone.latency!, machine: here } }))
      assert.deepStrictEqual((yield* tableOf("latency", { file })).notes, {})
    }).pipe(Effect.provide(needs))
  )

  it.effect("is refused if it does not fit, and is not changed", () =>
    Effect.gen(function* () {
      write(LookupTable.encode(counted))
      const message = yield* refusal("latency", { file })
      assert.include(message, "LookupTableError: lookup table")
      assert.include(message, "no latency, which the budget needs")
      assert.strictEqual(fs.readFileSync(file, "utf8"), LookupTable.encode(counted))
    })
  )
})
