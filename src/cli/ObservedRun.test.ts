/** A run that is inspected, claimed by others or cut short while it works; and the same run on other numbers of threads. */
import { createHash } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Command from "./testing/Command.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-live-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs the command; once stderr contains `at`, suspends it until `meanwhile` has ended. */
const osnas = (
  args: ReadonlyArray<string>,
  at?: string,
  meanwhile?: (pid: number) => Promise<void>
): Promise<Command.Ended> =>
  new Promise((done, failed) => {
    const child = Command.start(folder, args)
    let stopped = false
    const heard = (err: string) => {
      if (at === undefined || meanwhile === undefined || stopped || !err.includes(at)) return
      stopped = true
      child.kill("SIGSTOP")
      meanwhile(child.pid ?? 0)
        .catch(failed)
        .finally(() => child.kill("SIGCONT"))
    }
    Command.ended(child, heard).then(done, failed)
  })

writeFileSync(
  join(folder, "small.yaml"),
  `
name: small
seed: 3
engine: { name: simd, threads: 1 }
dataflow: { name: fashion-mnist, trainLimit: 60, testLimit: 20, prefetch: 0 }
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
`
)

const run = (dir: string, ...more: ReadonlyArray<string>) => ["run", "small.yaml", "--dir", dir, ...more]

const outcome = (dir: string): ReadonlyArray<string> =>
  [
    "checkpoints/supernet.safetensors",
    "search.jsonl",
    "architecture.json",
    "network.safetensors",
    "metrics.json",
    "lookup-table.json"
  ].map((name) =>
    createHash("sha256")
      .update(readFileSync(join(folder, dir, name)))
      .digest("hex")
  )

/** All files with size and modification time. */
const listing = (dir: string): ReadonlyArray<string> =>
  readdirSync(join(folder, dir), { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const { mtimeMs, size } = statSync(join(folder, dir, name))
      return `${name} ${size} ${mtimeMs}`
    })

describe("a run", () => {
  beforeAll(async () => {
    const ended = await osnas(run("A"))
    assert.strictEqual(ended.code, 0, ended.err)
  }, 120_000)

  it.each([2, 4])(
    "of %i threads has the same bytes in all phases",
    async (threads) => {
      const ended = await osnas(run(`T${threads}`, "--threads", String(threads)))
      assert.strictEqual(ended.code, 0, ended.err)
      assert.deepStrictEqual(outcome(`T${threads}`), outcome("A"))
    },
    120_000
  )

  it.skipIf(process.platform === "win32")(
    "can be reported while it works, and its folder is locked",
    async () => {
      let pid = 0
      const ended = await osnas(run("B"), "Search     generation 1", async (running) => {
        pid = running
        const before = listing("B")
        const json = await osnas(["report", "B", "--json"])
        assert.strictEqual(json.code, 0, json.err)
        const { phases, search, status } = JSON.parse(json.out)
        assert.strictEqual(status, "running")
        // The best architecture so far is on disk, with all evaluations.
        assert.isAtLeast(search.length, 2)
        assert.deepStrictEqual(
          phases.map(({ state }: { readonly state: string }) => state),
          ["done", "running", "waiting", "waiting"]
        )
        const page = await osnas(["report", "B", "--output", join(folder, "page.html")])
        assert.strictEqual(page.code, 0, page.err)
        assert.include(page.out, "small: running")
        const resumed = await osnas(["resume", "B"])
        assert.strictEqual(resumed.code, 1)
        assert.match(
          resumed.err,
          new RegExp(`in use by process ${running} .*for \\d+ s: it is suspended; let it continue`)
        )
        const replaced = await osnas(run("B", "--overwrite"))
        assert.strictEqual(replaced.code, 1)
        assert.include(replaced.err, `in use by process ${running}`)
        assert.deepStrictEqual(listing("B"), before)
      })
      assert.isAbove(pid, 0)
      assert.strictEqual(ended.code, 0, ended.err)
      assert.deepStrictEqual(outcome("B"), outcome("A"))
    },
    240_000
  )

  it.runIf(process.platform === "linux")(
    "says so when the disk is full, and resumes when there is space",
    async () => {
      const part = join(folder, "C/network.safetensors.part")
      const ended = await osnas(run("C"), "Supernet   epoch 1/2", async () => symlinkSync("/dev/full", part))
      assert.strictEqual(ended.code, 1, ended.err)
      assert.match(ended.err, /cannot write .*network\.safetensors\.part: ENOSPC.*; free some space and resume the run/)
      assert.deepStrictEqual(
        listing("C").filter((name) => /\.part|run\.lock/.test(name)),
        []
      )
      const report = await osnas(["report", "C"])
      assert.include(report.out, "small: failed (cannot write")
      const resumed = await osnas(["resume", "C"])
      assert.strictEqual(resumed.code, 0, resumed.err)
      assert.deepStrictEqual(outcome("C"), outcome("A"))
    },
    240_000
  )
})
