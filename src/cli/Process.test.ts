/** The command in a process: exit codes, output streams, signals, and two runs of one seed. */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { lockName } from "../run/Lock.ts"
import * as Command from "./testing/Command.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-process-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Signals to send, each with a delay in milliseconds, once stderr contains a text. */
interface Sending {
  readonly when: string
  readonly signals: ReadonlyArray<readonly [signal: NodeJS.Signals, millis: number]>
  readonly env?: Readonly<Record<string, string>>
}

/** Runs the command and sends it signals. Hides from it whether the tests run under nohup. */
const osnas = (args: ReadonlyArray<string>, sending?: Sending): Promise<Command.Ended> => {
  const child = Command.start(folder, args, { _: "", ...sending?.env })
  let sent = false
  return Command.ended(child, (err) => {
    if (sending === undefined || sent || !err.includes(sending.when)) return
    sent = true
    for (const [signal, millis] of sending.signals) setTimeout(() => child.kill(signal), millis)
  })
}

/** Runs the command with standard output on a file, or on a pipe whose reader leaves after the first bytes. */
const osnasInto = (args: ReadonlyArray<string>, out: number | "leaves"): Promise<Command.Ended> => {
  const stdout = out === "leaves" ? "pipe" : out
  const child = spawn(process.execPath, [Command.launcher, ...args], { cwd: folder, stdio: ["ignore", stdout, "pipe"] })
  child.stdout?.once("data", () => child.stdout?.destroy())
  let err = ""
  child.stderr?.on("data", (chunk) => {
    err += chunk
  })
  return new Promise((done) => child.on("close", (code) => done({ code, out: "", err })))
}

const leftLocks = (run: string): ReadonlyArray<string> =>
  readdirSync(join(folder, run)).filter((name) => name.startsWith(lockName))

// A space of 81 architectures, a few images, one thread: a whole run takes seconds.
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

  it("2 for a configuration with five mistakes: five messages, no file written", async () => {
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

  it("2 for wrong usage, and for an infeasible budget with the smallest and largest cost", async () => {
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
  it("writes a complete folder, says where, and the same seed gives the same bits", async () => {
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

  it.each(["SIGINT", "SIGTERM"] as const)(
    "130 on %s, and the resumed run ends like the uninterrupted one",
    async (signal) => {
      const run = `paused-${signal}`
      // A second signal right after the first is the same request: npx forwards what the terminal has already sent.
      const signals = [
        [signal, 0],
        [signal, 20]
      ] as const
      const paused = await osnas(["run", config, "--dir", run], { when: "Supernet   epoch 1/2", signals })
      assert.strictEqual(paused.code, 130, paused.err)
      assert.strictEqual(paused.err.split(`osnas resume ${run}`).length - 1, 1, paused.err)
      assert.match(paused.err, /(Supernet|Search|Retraining) +(paused at (step|candidate) \d+\/\d+, after|done in)/)
      assert.deepStrictEqual(leftLocks(run), [])
      const report = await osnas(["report", run])
      assert.include(report.out, "small: paused")
      const resumed = await osnas(["resume", run])
      assert.strictEqual(resumed.code, 0, resumed.err)
      assert.include(resumed.err, "resumed")
      assert.deepStrictEqual(outcome(run), outcome("A"))
    }
  )

  it("a closed terminal pauses the run, though its output has no reader", async () => {
    const child = Command.start(folder, ["run", config, "--dir", "closed"], { _: "" })
    const code = new Promise((done) => child.on("exit", done))
    child.stderr.once("data", () => {
      child.stderr.destroy()
      child.stdout.destroy()
      child.kill("SIGHUP")
    })
    assert.strictEqual(await code, 130)
    assert.deepStrictEqual(leftLocks("closed"), [])
    const resumed = await osnas(["resume", "closed"])
    assert.strictEqual(resumed.code, 0, resumed.err)
    assert.deepStrictEqual(outcome("closed"), outcome("A"))
  })

  it("survives a closed terminal under nohup", async () => {
    const ended = await osnas(["run", config, "--dir", "nohup"], {
      when: "Supernet begins",
      signals: [["SIGHUP", 0]],
      env: { _: "/usr/bin/nohup" }
    })
    assert.strictEqual(ended.code, 0, ended.err)
    assert.deepStrictEqual(outcome("nohup"), outcome("A"))
  })

  it("a second request stops at once and leaves no lock, and the resumed run ends the same", async () => {
    // The first batch takes ten seconds.
    const source = (file: string) => JSON.stringify(new URL(`../${file}`, import.meta.url).href)
    const effect = (name: string) => JSON.stringify(import.meta.resolve(`effect/${name}`))
    writeFileSync(
      join(folder, "slow.mjs"),
      `import * as Effect from ${effect("Effect")}
import * as Layer from ${effect("Layer")}
import { component as inner } from ${source("dataflow/FashionMnist.ts")}
import { Dataflow } from ${source("dataflow/Dataflow.ts")}
const slow = (flow) => ({
  ...flow,
  batch: (request) => (process.env.SLOW ? Effect.delay(flow.batch(request), 10_000) : flow.batch(request))
})
export const component = {
  ...inner,
  layer: (options) => Layer.effect(Dataflow, Effect.map(Dataflow, slow)).pipe(Layer.provide(inner.layer(options)))
}
`
    )
    writeFileSync(join(folder, "slow.yaml"), small.replace("fashion-mnist", "./slow.mjs"))
    const stopped = await osnas(["run", "slow.yaml", "--dir", "D"], {
      when: "Supernet begins",
      signals: [
        ["SIGTERM", 0],
        ["SIGTERM", 800]
      ],
      env: { SLOW: "1" }
    })
    assert.strictEqual(stopped.code, 143, stopped.err)
    assert.include(stopped.err, "a second one stops at once")
    assert.notInclude(stopped.err, "osnas resume D")
    assert.deepStrictEqual(leftLocks("D"), [])
    const resumed = await osnas(["resume", "D"])
    assert.strictEqual(resumed.code, 0, resumed.err)
    assert.deepStrictEqual(outcome("D"), outcome("A"))
  })
})

describe("standard output", () => {
  it.skipIf(!existsSync("/dev/full"))("1 if it cannot be written, with the reason in one line", async () => {
    const full = openSync("/dev/full", "w")
    for (const args of [["list"], ["report", "A"]]) {
      const ended = await osnasInto(args, full)
      assert.strictEqual(ended.code, 1, args.join(" "))
      assert.match(ended.err, /^standard output could not be written: ENOSPC: [^\n]*\n$/)
    }
    const run = await osnasInto(["run", config, "--dir", "full", "--json"], full)
    closeSync(full)
    assert.strictEqual(run.code, 1)
    assert.match(run.err, /paused; resume with: osnas resume full\nstandard output could not be written: ENOSPC/)
    const resumed = await osnas(["resume", "full"])
    assert.strictEqual(resumed.code, 0, resumed.err)
    assert.deepStrictEqual(outcome("full"), outcome("A"))
  })

  it("a reader that leaves pauses a run (130), and ends a command that only prints (0)", async () => {
    assert.strictEqual((await osnasInto(["list"], "leaves")).code, 0)
    const run = await osnasInto(["run", config, "--dir", "left", "--json"], "leaves")
    assert.strictEqual(run.code, 130, run.err)
    assert.include(run.err, "paused; resume with: osnas resume left")
    // The result of verify is its exit code, so it continues without a reader.
    assert.strictEqual((await osnasInto(["verify", "A", "--json"], "leaves")).code, 0)
  })

  it("contains only JSON lines, whatever else in the process writes there", async () => {
    writeFileSync(
      join(folder, "noisy.mjs"),
      `console.log("said by a module")
process.stdout.write("written by a module\\n")
process.emitWarning("warned by a module")
export { component } from ${JSON.stringify(new URL("../criterion/CrossEntropy.ts", import.meta.url).href)}
`
    )
    const args = ["--set", "criterion.name=./noisy.mjs", "--dir", "noisy", "--json"]
    const ended = await osnas(["run", config, ...args])
    assert.strictEqual(ended.code, 0, ended.err)
    for (const line of ended.out.trim().split("\n")) assert.property(JSON.parse(line), "_tag")
    for (const words of ["said", "written", "warned"]) assert.include(ended.err, `${words} by a module`)
  })

  it("a module that waits forever ends the command with 1 and a message, not silently with 0", async () => {
    writeFileSync(join(folder, "waits.ts"), "await new Promise(() => {})\n")
    const { code, err, out } = await osnas(["config", config, "--check", "--set", "searchSpace.name=./waits.ts"])
    assert.strictEqual(code, 1, err)
    assert.strictEqual(out, "")
    assert.include(err, "a module of your own")
  }, 60_000)
})
