import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it } from "vitest"
import { EngineMemoryError } from "./Allocator.ts"
import * as kernels from "./generated/Kernels.ts"
import { EngineCrashError, makeRuntime, type Runtime, type RuntimeOptions } from "./Runtime.ts"

const open: Array<Runtime> = []
const start = (options: RuntimeOptions): Runtime => {
  const runtime = makeRuntime(options)
  open.push(runtime)
  return runtime
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((runtime) => runtime.close()))
})

const PIECE = 16384
const fill = (runtime: Runtime, address: number, count: number, value: number) =>
  kernels.fill(runtime, Math.ceil(count / PIECE), { address, count, value })

/** A script that starts four threads and posts work. */
const makeScript = `
  const { makeRuntime } = await import(${JSON.stringify(fileURLToPath(new URL("./Runtime.ts", import.meta.url)))})
  const kernels = await import(${JSON.stringify(fileURLToPath(new URL("./generated/Kernels.ts", import.meta.url)))})
  const runtime = makeRuntime({ mode: "strict", threads: 4 })
  const address = runtime.allocator.allocate(1 << 20)
  const work = () => kernels.fill(runtime, 16, { address, count: 1 << 18, value: 1 })
  await new Promise((resolve) => setTimeout(resolve, 100))
  work()`
const run = (script: string) =>
  spawnSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 30_000, encoding: "utf8" })

describe("makeRuntime", () => {
  for (const mode of ["strict", "relaxed"] as const) {
    for (const threads of [1, 2, 3, 7]) {
      it(`runs every piece exactly once: ${mode}, ${threads} threads`, async () => {
        const runtime = start({ mode, threads })
        const count = 40 * PIECE + 5
        const address = runtime.allocator.allocate(count * 4)
        for (let round = 0; round < 16; round++) {
          // The first rounds run while workers are starting.
          if (round === 8) await new Promise((resolve) => setTimeout(resolve, 150))
          fill(runtime, address, count, round)
          const values = runtime.float32(address, count)
          expect(values.every((value) => value === round)).toBe(true)
        }
      })
    }
  }

  it("accepts jobs without pieces", () => {
    const runtime = start({ mode: "strict", threads: 2 })
    const address = runtime.allocator.allocate(4)
    runtime.float32(address, 1).fill(7)
    kernels.fill(runtime, 0, { address, count: 1, value: 1 })
    expect([...runtime.float32(address, 1)]).toEqual([7])
  })

  it("runs any number of waiting jobs in order, each after the previous one has ended", async () => {
    for (const threads of [1, 2, 3, 7]) {
      const runtime = start({ mode: "strict", threads })
      const count = 40_000
      const [a, b] = [runtime.allocator.allocate(count * 4), runtime.allocator.allocate(count * 4)]
      await new Promise((resolve) => setTimeout(resolve, 100))
      fill(runtime, a, count, 1)
      // Each job halves what the last one wrote, in one to many pieces taken from the end: far more jobs than can wait.
      let expected = 1
      for (let k = 0; k < 500; k++) {
        const [from, to] = k % 2 === 0 ? [a, b] : [b, a]
        const parts = 1 + (k % 32)
        const length = Math.ceil(count / parts / 4) * 4
        const blocks = Array.from({ length: parts }, (_, i) => {
          const at = 4 * length * (parts - 1 - i)
          return {
            from: from + at,
            to: to + at,
            length: Math.max(0, Math.min(length, count - length * (parts - 1 - i)))
          }
        })
        kernels.blendVectors(runtime, parts, {
          old: blocks.map((block) => block.from),
          fresh: blocks.map((block) => block.from),
          out: blocks.map((block) => block.to),
          length: blocks.map((block) => block.length),
          keep: 0.25,
          momentum: 0.25,
          scale: blocks.map(() => 1)
        })
        expected *= 0.5
        if (k % 100 === 99) {
          const factor = 1 / expected
          const values = runtime.float32(to, count)
          expect(values.every((value) => value === expected)).toBe(true)
          const one = { old: [to], fresh: [to], out: [to], length: [count], keep: 0, momentum: factor, scale: [1] }
          kernels.blendVectors(runtime, 1, one)
          expected = 1
        }
      }
      runtime.settle()
    }
  })

  it("keeps views valid when the memory grows", () => {
    const runtime = start({ mode: "strict", threads: 1 })
    const small = runtime.float32(runtime.allocator.allocate(64), 16)
    small.fill(7)
    const large = runtime.allocator.allocate(300 * 2 ** 20)
    runtime.float32(large + 299 * 2 ** 20, 4).fill(1)
    small[3] = 8
    expect([...runtime.float32(small.byteOffset, 5)]).toEqual([7, 7, 7, 8, 7])
  })

  it("refuses more than 4 GiB with a helpful error", () => {
    const runtime = start({ mode: "strict", threads: 1 })
    expect(() => runtime.allocator.allocate(4 * 2 ** 30)).toThrow(EngineMemoryError)
  })

  it("turns a crash in any piece into an error, and refuses further work", async () => {
    for (const threads of [1, 2, 7]) {
      const runtime = start({ mode: "strict", threads })
      const address = runtime.allocator.allocate(64 * PIECE * 4)
      fill(runtime, address, 64 * PIECE, 1)
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(() => {
        for (let i = 0; i < 1000; i++) kernels.trap(runtime, 64, { piece: i % 64, worker: false })
      }).toThrow(EngineCrashError)
      expect(() => fill(runtime, address, PIECE, 2)).toThrow(EngineCrashError)
    }
  })

  it("reports a worker's crash on the calling thread", async () => {
    for (const threads of [2, 7]) {
      const runtime = start({ mode: "strict", threads })
      await new Promise((resolve) => setTimeout(resolve, 150))
      expect(() => {
        for (let i = 0; i < 100; i++) kernels.trap(runtime, 64, { piece: 0, worker: true })
      }).toThrow("a worker thread crashed")
      expect(() => kernels.fill(runtime, 1, { address: 0, count: 0, value: 1 })).toThrow("a worker thread crashed")
    }
  })

  it("lets a process end whose workers crashed, and one that exits during work or is killed", async () => {
    const script = (end: string) => `
      ${makeScript}
      try { for (let i = 0; i < 100; i++) kernels.trap(runtime, 64, { piece: 0, worker: true }) } catch (error) { process.stdout.write(error._tag) }
      ${end}`
    const crashed = run(script(""))
    expect([crashed.stdout, crashed.signal, crashed.status]).toEqual(["EngineCrashError", null, 0])
    const thrown = run(script("kernels.fill(runtime, 1, { address: 0, count: 0, value: 1 })"))
    expect(thrown.stderr).toContain("cannot be used further")
    expect([thrown.signal, thrown.status]).toEqual([null, 1])
    const exited = run(`${makeScript}; setTimeout(() => process.exit(7), 50); setInterval(work, 1)`)
    expect([exited.signal, exited.status]).toEqual([null, 7])
    // Workers are threads of the process, so they end with it.
    const child = spawn(process.execPath, [
      "--input-type=module",
      "-e",
      `${makeScript}; process.stdout.write("up"); setInterval(work, 1)`
    ])
    await once(child.stdout, "data")
    const ended = once(child, "exit")
    child.kill("SIGKILL")
    expect((await ended)[1]).toBe("SIGKILL")
    expect(() => process.kill(child.pid as number, 0)).toThrow("ESRCH")
  }, 60_000)

  it.skipIf(!existsSync("/proc/self/task"))("ends the workers' threads when closed (counted in /proc)", async () => {
    const threads = () => readdirSync("/proc/self/task").length
    const runtime = start({ mode: "strict", threads: 7 })
    fill(runtime, runtime.allocator.allocate(64 * PIECE * 4), 64 * PIECE, 1)
    await new Promise((resolve) => setTimeout(resolve, 150))
    const before = threads()
    await runtime.close()
    for (let i = 0; i < 100 && threads() > before - 6; i++) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(threads()).toBeLessThanOrEqual(before - 6)
  })

  it("lets a process with idle workers end by itself", () => {
    const child = run(`
      ${makeScript}
      for (let i = 0; i < 10; i++) work()
      process.stdout.write("done")`)
    expect(child.stdout).toBe("done")
    expect(child.signal).toBe(null)
    expect(child.status).toBe(0)
  })
})
