import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { afterAll } from "vitest"
import { osnas } from "./Commands.ts"
import * as ExitCode from "./Exit.ts"

const root = path.resolve(import.meta.dirname, "../..")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "osnas-moved-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))
const at = (...names: ReadonlyArray<string>): string => path.join(folder, ...names)
const source = (name: string): string => JSON.stringify(path.join(root, "src", name))

fs.mkdirSync(at("parts"))
fs.writeFileSync(
  at("parts/searcher.ts"),
  `import { component as random } from ${source("search-strategy/Random.ts")}
export const component = { ...random, name: "mine" }
`
)
fs.writeFileSync(
  at("search.yaml"),
  `name: moved
dataflow: { name: fashion-mnist, trainLimit: 60, testLimit: 20, prefetch: 0 }
searchSpace: { name: tiny }
searchStrategy: { name: ./parts/searcher.ts, evaluations: 2, generation: 2 }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 16, batches: 1, batchSize: 16 }
engine: { threads: 1 }
budget: { max: 3e6 }
supernetTraining: { epochs: 1, batchSize: 24 }
retraining: { epochs: 1, batchSize: 24 }
stopAfter: supernetTraining
`
)

/** Runs a command in this process; returns its exit code and what it prints. */
const run = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const collect = (...texts: ReadonlyArray<unknown>) => void lines.push(texts.join(" "))
    const console = { ...(yield* Console.Console), log: collect, error: collect }
    const ended = yield* Command.runWith(osnas, { version: "0.0.0" })(args).pipe(
      Effect.provideService(Console.Console, console),
      Effect.provide(NodeServices.layer),
      Effect.sandbox,
      Effect.result
    )
    if (ended._tag === "Success") return { code: 0, text: lines.join("\n") }
    const { code, message } = ExitCode.of(ended.failure)
    return { code, text: [...lines, message].join("\n") }
  })

const manifest = (name: string) => JSON.parse(fs.readFileSync(at(name, "manifest.json"), "utf8"))

describe("a run with a module of the user's own", () => {
  it.live(
    "resumes after its folder has moved and the module was edited",
    () =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* run("run", at("search.yaml"), "--dir", at("a"))).code, 0)
        assert.deepStrictEqual(manifest("a").notes.modules, { searchStrategy: at("parts/searcher.ts") })
        fs.mkdirSync(at("deep/er"), { recursive: true })
        fs.renameSync(at("a"), at("deep/er/b"))
        fs.appendFileSync(at("parts/searcher.ts"), "// mended\n")
        const reported = yield* run("report", at("deep/er/b"), "--json")
        assert.strictEqual(reported.code, 0, reported.text)
        const resumed = yield* run("resume", at("deep/er/b"), "--set", "stopAfter=evaluating")
        assert.strictEqual(resumed.code, 0, resumed.text)
        const [change] = manifest("deep/er/b").changes
        assert.strictEqual(change.key, "modules.searchStrategy")
        assert.notStrictEqual(change.was, change.is)
        // The run is now recorded with the edited module, and verify reproduces it.
        const verified = yield* run("verify", at("deep/er/b"))
        assert.strictEqual(verified.code, 0, verified.text)
      }),
    60_000
  )

  it.live("its resume with a budget that no architecture meets names the key and what is feasible", () =>
    Effect.gen(function* () {
      const { code, text } = yield* run("resume", at("deep/er/b"), "--set", "budget.max=5")
      assert.strictEqual(code, 2, text)
      assert.match(text, /budget\.max: no architecture of tiny has flops between 0 and 5: .*; expected at least 390016/)
    })
  )

  it.live("its supernet is checked against the space of the next run before that begins", () =>
    Effect.gen(function* () {
      const supernet = `start.supernet=${at("deep/er/b/checkpoints/supernet.safetensors")}`
      const check = (...set: ReadonlyArray<string>) =>
        run(
          "config",
          at("search.yaml"),
          "--check",
          ...[supernet, "stopAfter=searching", ...set].flatMap((one) => ["--set", one])
        )
      assert.strictEqual((yield* check()).code, 0)
      const { code, text } = yield* check("searchSpace.stemStride=1")
      assert.strictEqual(code, 2)
      assert.include(text, "trained in search space tiny with stemStride 2, and searchSpace.stemStride is 1")
    })
  )

  it.live("names the missing module and where it looked for it", () =>
    Effect.gen(function* () {
      fs.renameSync(at("parts/searcher.ts"), at("parts/gone.ts"))
      const { code, text } = yield* run("resume", at("deep/er/b"))
      fs.renameSync(at("parts/gone.ts"), at("parts/searcher.ts"))
      assert.strictEqual(code, 2)
      assert.include(text, "searchStrategy.name: the module")
      assert.include(text, "does not exist")
    })
  )

  it.live("that throws while its Layer is built is bad input: nothing is written, the exit code is 2", () =>
    Effect.gen(function* () {
      const own = fs.readFileSync(at("parts/searcher.ts"), "utf8")
      fs.writeFileSync(at("parts/throws.ts"), `${own}component.layer = () => { throw new Error("no table") }\n`)
      const set = ["--set", "searchStrategy.name=./parts/throws.ts"]
      const begun = yield* run("run", at("search.yaml"), "--dir", at("c"), ...set)
      assert.strictEqual(begun.code, 2, begun.text)
      assert.include(begun.text, "searchStrategy: the module failed while its component was built: no table")
      assert.include(begun.text, at("parts/throws.ts"))
      assert.isFalse(fs.existsSync(at("c")))
    })
  )
})
