import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it } from "vitest"
import { EngineMemoryError } from "./Allocator.ts"
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
  runtime.run("fill", Math.ceil(count / PIECE), [address, count], [value])

describe("makeRuntime", () => {
  for (const mode of ["strict", "relaxed"] as const) {
    for (const threads of [1, 2, 3, 7]) {
      it(`runs every piece exactly once: ${mode}, ${threads} threads`, async () => {
        const runtime = start({ mode, threads })
        const count = 40 * PIECE + 5
        const address = runtime.allocator.allocate(count * 4)
        for (let round = 0; round < 16; round++) {
          // Workers start while the first rounds run already.
          if (round === 8) await new Promise((resolve) => setTimeout(resolve, 150))
          fill(runtime, address, count, round)
          const values = runtime.float32(address, count)
          expect(values.every((value) => value === round)).toBe(true)
        }
      })
    }
  }

  it("runs jobs of no pieces, and refuses kernels it does not have", () => {
    const runtime = start({ mode: "strict", threads: 2 })
    expect(() => runtime.run("fill", 0, [0, 0], [1])).not.toThrow()
    expect(() => runtime.run("nothing", 1, [])).toThrow("no kernel nothing")
  })

  it("keeps views true when the memory grows", () => {
    const runtime = start({ mode: "strict", threads: 1 })
    const small = runtime.float32(runtime.allocator.allocate(64), 16)
    small.fill(7)
    const large = runtime.allocator.allocate(300 * 2 ** 20)
    runtime.float32(large + 299 * 2 ** 20, 4).fill(1)
    small[3] = 8
    expect([...runtime.float32(small.byteOffset, 5)]).toEqual([7, 7, 7, 8, 7])
  })

  it("refuses more than 4 GiB with an error that helps", () => {
    const runtime = start({ mode: "strict", threads: 1 })
    expect(() => runtime.allocator.allocate(4 * 2 ** 30)).toThrow(EngineMemoryError)
  })

  it("turns a crash, wherever it happens, into an error and stays closed to further work", async () => {
    for (const threads of [1, 2, 7]) {
      const runtime = start({ mode: "strict", threads })
      const address = runtime.allocator.allocate(64 * PIECE * 4)
      fill(runtime, address, 64 * PIECE, 1)
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(() => {
        for (let i = 0; i < 1000; i++) runtime.run("trap", 64, [i % 64])
      }).toThrow(EngineCrashError)
      expect(() => fill(runtime, address, PIECE, 2)).toThrow(EngineCrashError)
    }
  })

  it("leaves no process behind: one with idle workers ends by itself", () => {
    const module = fileURLToPath(new URL("./Runtime.ts", import.meta.url))
    const script = `
      const { makeRuntime } = await import(${JSON.stringify(module)})
      const runtime = makeRuntime({ mode: "strict", threads: 4 })
      const address = runtime.allocator.allocate(1 << 20)
      await new Promise((resolve) => setTimeout(resolve, 100))
      for (let i = 0; i < 10; i++) runtime.run("fill", 16, [address, 1 << 18], [i])
      process.stdout.write("done")`
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 20000,
      encoding: "utf8"
    })
    expect(child.stdout).toBe("done")
    expect(child.signal).toBe(null)
    expect(child.status).toBe(0)
  })
})
