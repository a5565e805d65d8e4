import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { afterAll } from "vitest"
import * as ExitCode from "./Exit.ts"
import * as InProcess from "./testing/InProcess.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "osnas-tables-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))
const at = (...names: ReadonlyArray<string>): string => path.join(folder, ...names)

const config = at("search.yaml")
fs.writeFileSync(
  config,
  `name: tables
dataflow: { name: fashion-mnist, trainLimit: 60, testLimit: 20, prefetch: 0 }
searchSpace: { name: tiny }
searchStrategy: { name: random, evaluations: 2, generation: 2 }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 16, batches: 1, batchSize: 16 }
engine: { threads: 1 }
budget: { metric: latency, max: 3, lookupTable: phone.json }
supernetTraining: { epochs: 1, batchSize: 24 }
stopAfter: searching
`
)

const { failure, output: printed } = InProcess

describe("lookup-table", () => {
  it.live("writes a table to fill in, and a run searches with it for that device", () =>
    Effect.gen(function* () {
      const text = yield* printed("lookup-table", config, "--editable", "--out", at("phone.json"))
      assert.include(text, "costs of tiny for images of 28x28x1")
      assert.include(text, "Fill in latency.machine and the milliseconds of latency.entries")
      const taken = yield* failure("lookup-table", config, "--editable", "--out", at("phone.json"))
      assert.deepStrictEqual(
        [taken.code, taken.message],
        [ExitCode.usage, `${at("phone.json")} exists already; --force overwrites it`]
      )
      const table = JSON.parse(fs.readFileSync(at("phone.json"), "utf8"))
      assert.notProperty(table, "digest")
      const blank = yield* failure("run", config, "--dir", at("blank"))
      assert.strictEqual(blank.code, ExitCode.usage)
      assert.include(blank.message, "every latency is 0: fill in latency.entries with milliseconds")
      assert.isFalse(fs.existsSync(at("blank")))
      table.latency.machine = { processor: "Phone", cores: 8, engine: "tflite", mode: "float16", threads: 4 }
      // Option n takes n quarters of a millisecond.
      table.latency.entries.layers = table.latency.entries.layers.map((costs: ReadonlyArray<number>) =>
        costs.map((_, option) => option / 4)
      )
      const edited = JSON.stringify(table)
      fs.writeFileSync(at("phone.json"), edited)

      const output = yield* printed("run", config, "--dir", at("run"))
      assert.include(output, "Latency is that of Phone (8 cores), engine tflite float16, 4 threads")
      const manifest = JSON.parse(fs.readFileSync(at("run", "manifest.json"), "utf8"))
      assert.strictEqual(manifest.notes.latency, "Phone (8 cores), engine tflite float16, 4 threads")
      const kept = JSON.parse(fs.readFileSync(at("run", "lookup-table.json"), "utf8"))
      assert.deepStrictEqual(kept.latency.machine, table.latency.machine)
      const found = fs.readFileSync(at("run", "search.jsonl"), "utf8").trim().split("\n")
      assert.strictEqual(found.length, 2)
      for (const line of found) {
        const { architecture, cost } = JSON.parse(line) as { architecture: string; cost: number }
        const quarters = architecture.split(",").reduce((sum, option) => sum + Number(option) / 4, 0)
        assert.strictEqual(cost, quarters)
      }
      assert.include(yield* printed("report", at("run")), "Phone (8 cores)")
      assert.strictEqual(fs.readFileSync(at("phone.json"), "utf8"), edited, "the named file is as it was")

      // The run cannot resume without the latencies it began with.
      fs.renameSync(at("run", "lookup-table.json"), at("kept.json"))
      const lost = yield* failure("resume", at("run"))
      assert.strictEqual(lost.code, ExitCode.failed)
      assert.include(lost.message, "lookup-table.json: it is missing, with the latencies that the run began with")
      assert.isFalse(fs.existsSync(at("run", "lookup-table.json")))
    })
  )

  it.live("a table that does not fit ends a run with exit code 2 before anything is written", () =>
    Effect.gen(function* () {
      const tables = fs.readFileSync(at("phone.json"))
      const refused = yield* failure("run", config, "--dir", at("other"), "--set", "dataflow.size=32")
      assert.strictEqual(refused.code, ExitCode.usage)
      assert.include(refused.message, "it is for an input of 28x28x1; this run's is 32x32x1")
      assert.isFalse(fs.existsSync(at("other")))
      assert.deepStrictEqual(fs.readFileSync(at("phone.json")), tables)
    })
  )

  it.live("counted tables carry a digest", () =>
    Effect.gen(function* () {
      const [line] = (yield* printed("lookup-table", config, "--json", "--out", at("new", "counted.json"))).split("\n")
      assert.deepStrictEqual(JSON.parse(line!), {
        file: at("new", "counted.json"),
        space: "tiny",
        input: [28, 28, 1],
        latency: null
      })
      assert.match(JSON.parse(fs.readFileSync(at("new", "counted.json"), "utf8")).digest, /^[0-9a-f]{64}$/)
      const folderOut = yield* failure("lookup-table", config, "--out", folder)
      assert.deepStrictEqual(
        [folderOut.code, folderOut.message],
        [ExitCode.usage, `--out ${folder}: this is not a file`]
      )
    })
  )
})
