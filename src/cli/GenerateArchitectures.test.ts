/** A run with the architecture generator, killed while the generator learns, and the architectures it generates; in processes. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Result from "effect/Result"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { parseBudgets } from "./GenerateArchitectures.ts"
import * as Command from "./testing/Command.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-generate-test-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs the command, and kills it as soon as `kill` returns true. */
const osnas = (args: ReadonlyArray<string>, kill: () => boolean = () => false): Promise<Command.Ended> => {
  const child = Command.start(folder, args)
  const watch = setInterval(() => {
    if (kill()) child.kill("SIGKILL")
  }, 2)
  return Command.ended(child).finally(() => clearInterval(watch))
}

writeFileSync(
  join(folder, "generator.yaml"),
  `
name: generator
seed: 3
engine: { name: simd, threads: 1 }
dataflow: { name: fashion-mnist, trainLimit: 60, testLimit: 20, prefetch: 0 }
searchSpace:
  name: macro
  first: [{ block: { _tag: Conv, kernel: 3 }, width: 4, stride: 4 }]
  search: [{ width: 4 }, { width: 6, stride: 2 }, { width: 6 }]
  choices: [{ _tag: Mobile, kernel: 3, expansion: 1 }, { _tag: Mobile, kernel: 3, expansion: 2 }, { _tag: Mobile, kernel: 5, expansion: 3 }]
  last: [{ block: { _tag: GlobalAverage } }, { block: { _tag: Classifier }, width: head }]
budget: { max: 20000 }
supernetTraining: { epochs: 1, batchSize: 10 }
searchStrategy: { name: architecture-generator, epochs: 4, batchSize: 4, evaluations: 3, channels: 8, sweep: 12 }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 10, batchSize: 10 }
retraining: { epochs: 1, batchSize: 10 }
checkpoint: { everySteps: 1, keep: 1 }
`
)

const json = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))

const generate = (...args: ReadonlyArray<string>) => osnas(["generate-architectures", "A", ...args])

describe("a run with the architecture generator", () => {
  beforeAll(async () => {
    const ended = await osnas(["run", "generator.yaml", "--dir", "A"])
    assert.strictEqual(ended.code, 0, ended.err)
    assert.include(ended.err, "costs follow their targets")
  }, 120_000)

  it("records and draws how costs follow targets", () => {
    const { searching } = JSON.parse(readFileSync(join(folder, "A/metrics.json"), "utf8"))
    const { costs, metrics, targets } = searching.learning.review
    assert.lengthOf(targets, 12)
    assert.lengthOf(costs, 12)
    assert.isAtMost(Math.abs(metrics.kendall ?? 0), 1)
    assert.isNumber(metrics.deviation)
    assert.include(readFileSync(join(folder, "A/report.html"), "utf8"), "The generator: target against cost")
    assert.isAtMost(JSON.parse(readFileSync(join(folder, "A/architecture.json"), "utf8")).costs.flops, 20000)
  })

  it("ends in the same bits when it is killed while the generator learns", async () => {
    const learning = () =>
      existsSync(join(folder, "K/checkpoints")) &&
      readdirSync(join(folder, "K/checkpoints")).some((name) => /^searching-0*[2-9]\./.test(name))
    const killed = await osnas(["run", "generator.yaml", "--dir", "K", "--set", "stopAfter=searching"], learning)
    assert.isNull(killed.code)
    assert.isFalse(existsSync(join(folder, "K/checkpoints/searcher.safetensors")))
    const resumed = await osnas(["resume", "K"])
    assert.strictEqual(resumed.code, 0, resumed.err)
    for (const file of ["checkpoints/supernet.safetensors", "checkpoints/searcher.safetensors", "architecture.json"]) {
      assert.isTrue(readFileSync(join(folder, "K", file)).equals(readFileSync(join(folder, "A", file))), file)
    }
    const verified = await osnas(["verify", "K"])
    assert.strictEqual(verified.code, 0, verified.err)
    assert.match(verified.out, /searcher\.safetensors +[0-9a-f]{64}/)
  }, 120_000)

  it("generates for any number of budgets without training, the same every time, and changes nothing", async () => {
    const files = () =>
      readdirSync(join(folder, "A"), { recursive: true })
        .map(String)
        .sort()
        .map((name) => `${name} ${statSync(join(folder, "A", name)).mtimeMs}`)
    const before = files()
    const ended = await generate("--budgets", "14k,16k,15k-18k,2e4", "--json")
    assert.strictEqual(ended.code, 0, ended.err)
    const lines = json(ended.out)
    assert.lengthOf(lines, 4)
    for (const { architecture, budget, cost, macs } of lines) {
      const { max, min } = budget as { readonly max: number; readonly min: number }
      assert.isAtLeast(cost as number, min)
      assert.isAtMost(cost as number, max)
      assert.strictEqual(macs, cost)
      assert.match(architecture as string, /^[0-2],[0-2],[0-2]$/)
    }
    assert.strictEqual((await generate("--budgets", "14k,16k,15k-18k,2e4", "--json")).out, ended.out)
    assert.deepStrictEqual(files(), before)
    const table = await generate("--budgets", "14k")
    assert.match(table.out, /^budget +cost +MACs +parameters +architecture\n14k MACs +/)
  })

  it("reads no data: generates even if the images are missing", async () => {
    const config = join(folder, "A/config.yaml")
    const text = readFileSync(config, "utf8")
    const moved = text.replace(/folder: .*/, "folder: /nowhere/at/all")
    assert.notStrictEqual(moved, text)
    writeFileSync(config, moved)
    const ended = await generate("--budgets", "16k", "--json")
    writeFileSync(config, text)
    assert.strictEqual(ended.code, 0, ended.err)
  })

  it("refuses at once an infeasible or malformed budget, another strategy, and a run without a generator", async () => {
    const none = await generate("--budgets", "16k,1k", "--json")
    assert.strictEqual(none.code, 2)
    assert.strictEqual(none.out, "")
    assert.match(none.err, /no architecture of macro has flops between 0 and 1000: the smallest has \d+/)
    const text = await generate("--budgets", "16k,many")
    assert.strictEqual(text.code, 2)
    assert.include(text.err, '"many" is not a budget; expected')
    const nowhere = await osnas(["generate-architectures", "nowhere", "--budgets", "1k"])
    assert.strictEqual(nowhere.code, 2)
    assert.include(nowhere.err, "is not a run folder")
    const trained = join(folder, "A/checkpoints/searcher.safetensors")
    renameSync(trained, `${trained}.away`)
    const untrained = await generate("--budgets", "16k")
    renameSync(`${trained}.away`, trained)
    assert.strictEqual(untrained.code, 2)
    assert.include(untrained.err, "osnas resume A")
    const config = join(folder, "A/config.yaml")
    const written = readFileSync(config, "utf8")
    writeFileSync(config, written.replace(/searchStrategy:\n(?: +.*\n)+/, "searchStrategy:\n  name: random\n"))
    const other = await generate("--budgets", "16k")
    writeFileSync(config, written)
    assert.strictEqual(other.code, 2)
    assert.include(other.err, "expected a run with searchStrategy architecture-generator")
  })
})

it("budgets have units and one or both ends; anything else is refused", () => {
  const read = (text: string) =>
    Result.map(parseBudgets(text, "params"), (budgets) => budgets.map((b) => [b.min, b.max]))
  assert.deepStrictEqual(Result.getOrThrow(read("5M, 2.5e6 ,0.3-0.5,1k-2G")), [
    [0, 5e6],
    [0, 2.5e6],
    [0.3, 0.5],
    [1e3, 2e9]
  ])
  for (const bad of ["", "5M,", "M", "-5M", "5-4", "1e-3", "5 M", "nan"])
    assert.isTrue(Result.isFailure(read(bad)), bad)
})
