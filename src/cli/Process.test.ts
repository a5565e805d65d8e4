/** The command as a process of its own: exit codes, what lands on which stream, signals, and two runs of one seed. */
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import * as Command from "./testing/Command.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-process-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs the command; `interruptAt` sends it Ctrl-C when stderr first holds that text, `times` times. */
const osnas = (args: ReadonlyArray<string>, interruptAt?: string, times = 1): Promise<Command.Ended> => {
  const child = Command.start(folder, args)
  let sent = false
  return Command.ended(child, (err) => {
    if (interruptAt === undefined || sent || !err.includes(interruptAt)) return
    sent = true
    for (let press = 0; press < times; press++) setTimeout(() => child.kill("SIGINT"), 20 * press)
  })
}

// A space of 81 architectures as data, a few images, one thread: a whole run in seconds.
const small = `
name: small
seed: 3
engine: { name: simd, threads: 1 }
dataflow: { name: fashion-mnist, trainLimit: 100, testLimit: 40, prefetch: 0 }
searchSpace:
  name: macro
  first: [{ block: { _tag: Conv, kernel: 3 }, width: 4, stride: 4 }]
  search: [{ width: 4 }, { width: 6, stride: 2 }, { width: 6 }, { width: 6 }]
  choices:
    - { _tag: Mobile, kernel: 3, expansion: 1 }
    - { _tag: Mobile, kernel: 3, expansion: 2 }
    - { _tag: Skip }
  last: [{ block: { _tag: GlobalAverage } }, { block: { _tag: Classifier }, width: head }]
budget: { max: 1e6 }
supernetTraining: { epochs: 2, batchSize: 20 }
searchStrategy: { name: random, evaluations: 6, generation: 3 }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 20, batchSize: 20 }
retraining: { epochs: 2, batchSize: 20 }
`
const config = join(folder, "small.yaml")
writeFileSync(config, small)

const digest = (run: string, name: string): string =>
  createHash("sha256")
    .update(readFileSync(join(folder, run, name)))
    .digest("hex")

const outcome = (run: string): ReadonlyArray<string> =>
  ["metrics.json", "architecture.json", "network.safetensors", "search.jsonl", "lookup-table.json"].map((name) =>
    digest(run, name)
  )

describe("exit codes", () => {
  it("0 for help and version, on stdout", async () => {
    const version = await osnas(["--version"])
    assert.strictEqual(version.code, 0)
    assert.include(version.out, "0.1.0")
    const help = await osnas([])
    assert.strictEqual(help.code, 0)
    assert.include(help.out, "SUBCOMMANDS")
  })

  it("2 for a configuration with five mistakes: five messages, no file made", async () => {
    const wrong = join(folder, "wrong.yaml")
    writeFileSync(
      wrong,
      small
        .replace("seed: 3", "seed: three")
        .replace("name: simd", "name: gpu")
        .replace("max: 1e6", "most: 1e6, max: -1")
        .replace("name: random", "name: randon")
    )
    const before = readdirSync(folder)
    const ended = await osnas(["run", wrong])
    assert.strictEqual(ended.code, 2)
    assert.strictEqual(ended.err.split("\n").filter((line) => /^ {2}line \d+: /.test(line)).length, 5, ended.err)
    assert.strictEqual(ended.out, "")
    assert.deepStrictEqual(readdirSync(folder), before)
  })

  it("2 for wrong usage and for a budget nothing fits, with the smallest and largest cost", async () => {
    const usage = await osnas(["rnu"])
    assert.strictEqual(usage.code, 2)
    assert.include(usage.err, "run")
    const infeasible = await osnas(["run", config, "--set", "budget.max=10", "--dir", "never"])
    assert.strictEqual(infeasible.code, 2, infeasible.err)
    assert.match(infeasible.err, /the smallest has \d+, the largest \d+/)
    assert.isFalse(existsSync(join(folder, "never")))
  })
})

describe("run", () => {
  it("leaves a whole folder, says where, and the same seed gives the same bits", async () => {
    const first = await osnas(["run", config, "--dir", "A"])
    assert.strictEqual(first.code, 0, first.err)
    assert.match(first.out, /Found architecture [0-2](,[0-2]){3}/)
    assert.match(first.out, /cost .* MACs/)
    assert.match(first.out, /test {4}loss [\d.]+\n[\s\S]* top1 [\d.]+ %/)
    assert.include(first.out, "folder  A")
    assert.include(first.err, "Supernet   epoch 2/2")
    const second = await osnas(["run", config, "--dir", "B", "--json"])
    assert.strictEqual(second.code, 0, second.err)
    const lines = second.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    assert.strictEqual(lines[0]._tag, "RunStarted")
    assert.strictEqual(lines.at(-1)._tag, "Result")
    assert.deepStrictEqual(outcome("B"), outcome("A"))
    const page = readFileSync(join(folder, "A/report.html"), "utf8")
    assert.include(page, "Found architecture")
    const again = await osnas(["run", config, "--dir", "A"])
    assert.strictEqual(again.code, 2)
    assert.include(again.err, "osnas resume A")

    const report = await osnas(["report", "A"])
    assert.strictEqual(report.code, 0, report.err)
    assert.include(report.out, "small: done")
  })

  it("130 at Ctrl-C, and a resumed run ends as the undisturbed one", async () => {
    const paused = await osnas(["run", config, "--dir", "C"], "Supernet   epoch 1/2")
    assert.strictEqual(paused.code, 130, paused.err)
    assert.strictEqual(paused.err.split("osnas resume C").length - 1, 1, paused.err)
    const report = await osnas(["report", "C"])
    assert.include(report.out, "small: paused")
    const resumed = await osnas(["resume", "C"])
    assert.strictEqual(resumed.code, 0, resumed.err)
    assert.include(resumed.err, "resumed")
    assert.deepStrictEqual(outcome("C"), outcome("A"))
  })

  it("a second Ctrl-C stops at once, and the run still goes on to the same end", async () => {
    const stopped = await osnas(["run", config, "--dir", "D"], "Supernet   epoch 1/2", 2)
    assert.strictEqual(stopped.code, 130, stopped.err)
    const resumed = await osnas(["resume", "D"])
    assert.strictEqual(resumed.code, 0, resumed.err)
    assert.deepStrictEqual(outcome("D"), outcome("A"))
  })
})
