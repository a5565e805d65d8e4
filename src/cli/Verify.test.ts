/** `osnas verify` and the limits of a run, on a run that takes a second, in processes. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Command from "./testing/Command.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-verify-test-"))
// The command creates its temporary folders in here, so the tests see what it leaves behind.
const temporary = mkdtempSync(join(tmpdir(), "osnas-verify-temporary-"))
afterAll(() => {
  for (const each of [folder, temporary]) rmSync(each, { recursive: true })
})

const start = (args: ReadonlyArray<string>) => Command.start(folder, args, { TMPDIR: temporary })
const osnas = (...args: ReadonlyArray<string>) => Command.ended(start(args))

writeFileSync(
  join(folder, "tiny.yaml"),
  `
name: tiny
seed: 3
engine: { name: simd, threads: 1 }
dataflow: { name: fashion-mnist, trainLimit: 40, testLimit: 20, prefetch: 0 }
searchSpace:
  name: macro
  first: [{ block: { _tag: Conv, kernel: 3 }, width: 4, stride: 4 }]
  search: [{ width: 4 }, { width: 6, stride: 2 }]
  choices: [{ _tag: Mobile, kernel: 3, expansion: 1 }, { _tag: Mobile, kernel: 3, expansion: 2 }]
  last: [{ block: { _tag: GlobalAverage } }, { block: { _tag: Classifier }, width: head }]
budget: { max: 1e6 }
supernetTraining: { epochs: 2, batchSize: 10 }
searchStrategy: { name: random, evaluations: 4, generation: 2 }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 10, batchSize: 10 }
retraining: { epochs: 2, batchSize: 10 }
checkpoint: { keep: 9 }
`
)

const lastLine = (text: string): Record<string, unknown> => JSON.parse(text.trim().split("\n").at(-1) ?? "")

describe("osnas verify", () => {
  beforeAll(async () => {
    const ended = await osnas("run", "tiny.yaml", "--dir", "A", "--max-evaluations", "3")
    assert.strictEqual(ended.code, 0, ended.err)
  })

  it("reproduces the run, prints digests, leaves nothing behind; the run kept to --max-evaluations", async () => {
    assert.strictEqual(readFileSync(join(folder, "A/search.jsonl"), "utf8").trim().split("\n").length, 3)
    const ended = await osnas("verify", "A")
    assert.strictEqual(ended.code, 0, ended.err)
    assert.include(ended.out, "A: reproduced, bit for bit, through evaluation")
    for (const file of ["checkpoints/supernet.safetensors", "search.jsonl", "network.safetensors", "metrics.json"])
      assert.match(ended.out, new RegExp(`${file} +[0-9a-f]{64}`))
    assert.include(ended.err, "Supernet   epoch 2/2")
    assert.deepStrictEqual(
      readdirSync(temporary).filter((name) => name.startsWith("osnas-verify-")),
      []
    )
    assert.deepStrictEqual(readdirSync(folder).sort(), ["A", "tiny.yaml"])
  })

  it("repeats a part from a checkpoint", async () => {
    const from = readdirSync(join(folder, "A/checkpoints")).find((name) => /^retraining-0*4\./.test(name))
    assert.isDefined(from)
    const ended = await osnas("verify", "A", "--from", `checkpoints/${from}`, "--steps", "4", "--json")
    assert.strictEqual(ended.code, 0, ended.err)
    const { compared, equal, to } = lastLine(ended.out)
    assert.deepStrictEqual({ compared, equal, to }, { compared: [8], equal: true, to: 8 })
    const few = await osnas("verify", "A", "--from", `A/checkpoints/${from}`, "--steps", "1")
    assert.strictEqual(few.code, 1)
    assert.include(few.err, "nothing to compare with")
  })

  it("names the first difference, and the damaged file and tensor", async () => {
    const metrics = join(folder, "A/metrics.json")
    const text = readFileSync(metrics, "utf8")
    const changed = { ...JSON.parse(text), test: { ...JSON.parse(text).test, top1: 2 } }
    writeFileSync(metrics, JSON.stringify(changed))
    const different = await osnas("verify", "A", "--json")
    assert.strictEqual(different.code, 1, different.err)
    assert.match(different.err, /First difference: metrics\.json, test\.\S+\n {2}recorded 2\n/)
    assert.isFalse(lastLine(different.out)["equal"])
    writeFileSync(metrics, text)

    const weights = join(folder, "A/network.safetensors")
    const bytes = readFileSync(weights)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(weights, bytes)
    const damaged = await osnas("verify", "A")
    assert.strictEqual(damaged.code, 1)
    assert.match(damaged.err, /network\.safetensors, tensor \S+: /)
    const before = readdirSync(join(folder, "A")).map((name) => [name, statSync(join(folder, "A", name)).mtimeMs])
    const resumed = await osnas("resume", "A")
    assert.strictEqual(resumed.code, 1, resumed.out)
    assert.match(resumed.err, /network\.safetensors, tensor \S+: its bytes are damaged/)
    assert.deepStrictEqual(
      readdirSync(join(folder, "A")).map((name) => [name, statSync(join(folder, "A", name)).mtimeMs]),
      before
    )
  })

  it("refuses other folders, and --steps without --from", async () => {
    const none = await osnas("verify", "nowhere")
    assert.strictEqual(none.code, 2)
    assert.include(none.err, "is not a run folder")
    const steps = await osnas("verify", "A", "--steps", "3")
    assert.strictEqual(steps.code, 2)
    assert.include(steps.err, "--from")
  })
})

it("--max-minutes pauses a new and a resumed run, with one hint to resume", async () => {
  const paused = await osnas(
    "run",
    "tiny.yaml",
    "--dir",
    "P",
    "--max-minutes",
    "0.00001",
    "--set",
    "retraining.epochs=50"
  )
  assert.strictEqual(paused.code, 130, paused.err)
  assert.strictEqual(paused.err.split("osnas resume P").length - 1, 1, paused.err)
  const again = await osnas("resume", "P", "--max-minutes", "0.00001")
  assert.strictEqual(again.code, 130, again.err)
})

/** Whether a process is running, and not a zombie. */
const runs = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

it.runIf(process.platform === "linux")("bench --compare ends the peer when it is ended", async () => {
  // In place of the peer: an interpreter behind a wrapper, which records its process id and waits.
  const wrapper = join(folder, "python")
  writeFileSync(wrapper, `#!/bin/sh\nsleep 60 &\necho $! > "$1.pid"\nwait\n`, { mode: 0o755 })
  const peer = join(folder, "peer.py")
  writeFileSync(peer, "")
  const bench = ["bench", "--space", "tiny", "--size", "8", "--batch", "1", "--steps", "1", "--threads", "1"]
  const child = start([...bench, "--compare", wrapper, "--peer", peer])
  const closed = new Promise<number | null>((done) => child.on("close", done))
  const said = () => (existsSync(`${peer}.pid`) ? readFileSync(`${peer}.pid`, "utf8").trim() : "")
  while (said() === "" && child.exitCode === null) await new Promise((next) => setTimeout(next, 20))
  const pid = Number(said())
  assert.isAbove(pid, 0)
  assert.isTrue(runs(pid))
  child.kill("SIGTERM")
  assert.strictEqual(await closed, 143)
  for (let waited = 0; waited < 50 && runs(pid); waited++) await new Promise((next) => setTimeout(next, 20))
  assert.isFalse(runs(pid))
})
