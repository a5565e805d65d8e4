import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { afterAll } from "vitest"
import { Ranking } from "../ranking/Ranking.ts"
import * as ExitCode from "./Exit.ts"
import * as InProcess from "./testing/InProcess.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "osnas-rank-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))
const at = (...names: ReadonlyArray<string>): string => path.join(folder, ...names)

const config = at("search.yaml")
fs.writeFileSync(
  config,
  `name: ranked
dataflow: { name: fashion-mnist, trainLimit: 80, testLimit: 20, prefetch: 0 }
searchSpace: { name: tiny }
searchStrategy: { name: random, evaluations: 2, generation: 2 }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 16, batches: 1, batchSize: 16 }
engine: { threads: 1 }
budget: { max: 1e9 }
supernetTraining: { epochs: 1, batchSize: 16 }
retraining: { epochs: 1, batchSize: 16 }
stopAfter: supernetTraining
`
)

const { failure, printed } = InProcess
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Ranking))
const csv = at("truth.csv")
const truths = ["0,0,0,0,0,0", "1,1,1,1,1,1", "0,1,0,1,0,1", "1,0,1,0,1,0", "0,0,1,1,0,0", "1,1,0,0,1,1"]
fs.writeFileSync(
  csv,
  ["architecture,accuracy1,accuracy2", ...truths.map((digits, i) => `"${digits}",${80 + i},${81 + i}`)].join("\n")
)

describe("rank", () => {
  it.live("ranks a run's supernet against a file, keeps its scores, and shows the ranking in the report", () =>
    Effect.gen(function* () {
      const run = at("run")
      yield* printed("run", config, "--dir", run)
      const text = yield* printed("rank", run, "--truth", csv, "--picture", at("ranking.svg"))
      assert.match(text, /^ranked: 6 of [\d,]+ architectures of tiny, supernet [0-9a-f]{12}\n/)
      assert.include(text, `Truth: ${csv}, noise 0.50 points`)
      for (const name of ["loss", "top1", "gradient-norm", "snip", "synflow", "naswot", "layers", "flops", "params"]) {
        assert.match(text, new RegExp(`^${name} +(-?\\d\\.\\d\\d|-)`, "m"))
      }
      assert.match(fs.readFileSync(at("ranking.svg"), "utf8"), /^<svg xmlns=/)
      const ranking = decode(fs.readFileSync(path.join(run, "ranking", "ranking.json"), "utf8"))
      assert.strictEqual(ranking.rows.length, 6)
      assert.deepStrictEqual(ranking.rows.map(({ truth }) => truth).toSorted(), [80.5, 81.5, 82.5, 83.5, 84.5, 85.5])
      // Nothing is scored again, also after a crash that tore the last line.
      const log = path.join(run, "ranking", "scores.jsonl")
      const whole = fs.readFileSync(log, "utf8")
      assert.strictEqual(whole.trim().split("\n").length, 6 * 5)
      fs.writeFileSync(log, whole.slice(0, -30))
      assert.deepStrictEqual(decode(yield* printed("rank", run, "--truth", csv, "--json")), ranking)
      assert.strictEqual(fs.readFileSync(log, "utf8"), whole)
      // Nor with other memory, which changes no score; but with other batches.
      const others = ["--truth", csv, "--json", "--set"]
      assert.deepStrictEqual(decode(yield* printed("rank", run, ...others, "estimator.sharedMegabytes=0")), ranking)
      assert.strictEqual(fs.readFileSync(log, "utf8"), whole)
      yield* printed("rank", run, ...others, "estimator.batchSize=8", "--dir", at("other"))
      assert.strictEqual(fs.readFileSync(at("other", "scores.jsonl"), "utf8").trim().split("\n").length, 6 * 5)
      yield* printed("report", run)
      assert.include(fs.readFileSync(path.join(run, "report.html"), "utf8"), "How well the supernet ranks")
      // The same weights, as a file.
      const weights = path.join(run, "checkpoints", "supernet.safetensors")
      const flags = ["--supernet", weights, "--truth", csv, "--dir", at("apart"), "--json"]
      const apart = decode(yield* printed("rank", config, ...flags))
      assert.deepStrictEqual(apart, ranking)
    })
  )

  it.live("trains the truth alone, and reads what it has trained", () =>
    Effect.gen(function* () {
      const run = at("trained")
      yield* printed("run", config, "--dir", run)
      const flags = ["--train", "2", "--epochs", "1", "--json"]
      const ranking = decode(yield* printed("rank", run, ...flags))
      assert.strictEqual(ranking.truth.name, "trained alone for 1 epochs, test top1")
      const networks = at("trained-networks", "1-epochs")
      assert.strictEqual(fs.readdirSync(networks).length, 2)
      for (const { architecture, truth } of ranking.rows) {
        const metrics = path.join(networks, architecture.replaceAll(",", "-"), "metrics.json")
        assert.strictEqual(JSON.parse(fs.readFileSync(metrics, "utf8")).test.top1 * 100, truth)
      }
      assert.deepStrictEqual(decode(yield* printed("rank", run, ...flags)), ranking)
    })
  )

  it.live("refuses what it cannot rank, and says what would be right", () =>
    Effect.gen(function* () {
      yield* printed(
        "run",
        config,
        "--dir",
        at("early"),
        "--set",
        "supernetTraining.epochs=2",
        "--max-minutes",
        "1e-6"
      ).pipe(Effect.ignore)
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [[at("none")], "give the folder of a run whose supernet is trained"],
        [[config], "add --supernet FILE"],
        [[at("early"), "--truth", csv], "its supernet is not trained yet"],
        [[at("run")], "no published accuracies of tiny: give --truth FILE.csv, or --train N"],
        [[at("run"), "--table", "nas-bench-macro"], "--table nas-bench-macro is about search space nas-bench-macro"],
        [[at("run"), "--truth", csv, "--train", "3"], "--table, --truth and --train exclude each other"],
        [[at("run"), "--truth", csv, "--epochs", "3"], "--epochs goes with --train"],
        [[at("run"), "--truth", at("missing.csv")], "missing.csv"]
      ]
      for (const [args, reason] of cases) {
        const { code, message } = yield* failure("rank", ...args)
        assert.include(message, reason)
        assert.strictEqual(code, ExitCode.usage, message)
      }
    })
  )
})
