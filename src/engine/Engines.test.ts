import { existsSync, readdirSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Engine, EngineError } from "./Engine.ts"
import { acquire, engineNames, layer, probe } from "./Engines.ts"
import { fusedKernels } from "./FusedKernels.ts"
import { selfTest } from "./SelfTest.ts"
import * as Tensorflow from "./Tensorflow.ts"

const strict = { mode: "strict", threads: 2 } as const
/** Finds no optional package, even if one is installed. */
const noPackages: Tensorflow.PackageLoader = {
  resolve: (name) => {
    throw new Error(`Cannot find module '${name}'`)
  },
  load: () => Promise.reject(new Error("nothing to load"))
}
const using = <A>(name: "simd" | "cpu" | "auto", body: () => A, packages = noPackages) =>
  Effect.runPromise(Effect.sync(body).pipe(Effect.provide(layer(name, strict, packages))))

const failure = async <A>(effect: Effect.Effect<A, unknown>): Promise<EngineError> => {
  const error = await Effect.runPromise(Effect.flip(effect))
  expect(error).toBeInstanceOf(EngineError)
  return error as EngineError
}

describe("layer", () => {
  it("makes the backend current and restores the previous one", async () => {
    const seen = await using("cpu", () => {
      const outer = tf.getBackend()
      return using("simd", () => [outer, tf.getBackend()]).then((names) => [...names, tf.getBackend()])
    })
    expect(await seen).toEqual(["cpu", "osnas-simd", "cpu"])
  })

  it.effect("describes the engine", () =>
    Effect.gen(function* () {
      const engine = yield* Engine.pipe(Effect.provide(layer("simd", { mode: "strict", threads: 3 })))
      expect(engine).toMatchObject({ name: "simd", mode: "strict", threads: 3, portable: true })
      const relaxed = yield* Engine.pipe(Effect.provide(layer("simd", { mode: "relaxed", threads: 1 })))
      expect(relaxed).toMatchObject({ mode: "relaxed", portable: false })
      const cpu = yield* Engine.pipe(Effect.provide(layer("cpu", strict)))
      expect(cpu).toMatchObject({ name: "cpu", version: "4.22.0", threads: 1, portable: false })
    })
  )

  it.effect.each(["cpu", "simd"] as const)("%s counts memory and its peak", (name) =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const engine = yield* Engine
        const before = engine.memory().bytes
        const x = tf.zeros([256, 1024])
        expect(engine.memory().bytes - before).toBe(2 ** 20)
        x.dispose()
        expect(engine.memory().bytes).toBe(before)
        expect(engine.memory().peakBytes - before).toBeGreaterThanOrEqual(2 ** 20)
      }).pipe(Effect.provide(layer(name, strict)))
      expect(tf.memory().numTensors).toBe(0)
    })
  )

  it.effect("the open embedded engine is shared for the same options and refuses others", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* acquire("simd", strict)
          const again = yield* Effect.exit(Effect.scoped(acquire("simd", strict)))
          expect(Exit.isSuccess(again)).toBe(true)
          expect(tf.getBackend()).toBe("osnas-simd")
          expect(tf.sum(tf.tensor1d([1, 2])).dataSync()[0]).toBe(3)
          const other = yield* Effect.flip(Effect.scoped(acquire("simd", { mode: "relaxed", threads: 2 })))
          expect(other.message).toMatch(/open already with mode strict and 2 threads/)
        })
      )
      expect(tf.findBackendFactory("osnas-simd")).toBeNull()
      expect(Object.keys(fusedKernels("osnas-simd"))).toEqual([])
    })
  )

  it.skipIf(!existsSync("/proc/self/task"))("stops its threads when it is closed", async () => {
    const threads = () => readdirSync("/proc/self/task").length
    const during = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const before = threads()
          yield* acquire("simd", { mode: "strict", threads: 7 })
          return [before, threads()] as const
        })
      )
    )
    expect(during[1]).toBeGreaterThanOrEqual(during[0] + 6)
    await expect.poll(threads).toBeLessThanOrEqual(during[0])
  })

  it("auto takes the embedded engine without a GPU package", async () => {
    expect(Tensorflow.isInstalled("tensorflow-gpu", noPackages)).toBe(false)
    expect(await using("auto", () => tf.getBackend())).toBe("osnas-simd")
  })

  it("auto takes the embedded engine if the GPU package does not load", async () => {
    const broken = { resolve: (name: string) => `/nowhere/${name}.js`, load: () => Promise.reject(new Error("broken")) }
    expect(Tensorflow.isInstalled("tensorflow-gpu", broken)).toBe(true)
    expect(await using("auto", () => tf.getBackend(), broken)).toBe("osnas-simd")
  })
})

describe("self-test", () => {
  it.each(["cpu", "simd"] as const)("%s passes and leaves nothing behind", async (name) => {
    const [result, tensors] = await using(name, () => {
      const before = tf.memory().numTensors
      return [selfTest(), tf.memory().numTensors - before] as const
    })
    expect(result).toMatchObject({ passed: true })
    expect(result.error).toBeLessThan(2e-5)
    expect(tensors).toBe(0)
  })

  it("fails on a wrong kernel", async () => {
    const result = await using("cpu", () => {
      const right = tf.getKernel("Rsqrt", "cpu")
      tf.unregisterKernel("Rsqrt", "cpu")
      tf.registerKernel({ ...tf.getKernel("Sqrt", "cpu"), kernelName: "Rsqrt" })
      try {
        return selfTest()
      } finally {
        tf.unregisterKernel("Rsqrt", "cpu")
        tf.registerKernel(right)
      }
    })
    expect(result.passed).toBe(false)
    expect(result.worst).not.toBe("")
  })
})

describe("tensorflow", () => {
  const loader = (given: Partial<Tensorflow.PackageLoader>): Tensorflow.PackageLoader => ({
    resolve: (name) => `/nowhere/${name}.js`,
    load: () => Promise.reject(new Error("the native addon is missing")),
    ...given
  })
  it("the error for a missing package says how to install it", async () => {
    const error = await failure(Effect.scoped(acquire("tensorflow", strict, noPackages)))
    expect(error.message).toMatch(/engine tensorflow: .*npm install @tensorflow\/tfjs-node@4\.22\.0/)
    const gpu = await failure(Effect.scoped(acquire("tensorflow-gpu", strict, noPackages)))
    expect(gpu.message).toMatch(/npm install @tensorflow\/tfjs-node-gpu@4\.22\.0.*CUDA/)
  })
  it("the error for a package that does not load gives the reason", async () => {
    const error = await failure(Effect.scoped(Tensorflow.acquire("tensorflow", strict, loader({}))))
    expect(error.reason).toMatch(/is installed but does not load: the native addon is missing/)
  })
  it("a package with a tfjs-core of its own is refused, and the two packages exclude each other", async () => {
    const load = () => Promise.resolve({ version: { "tfjs-node": "0.0.0" } })
    const error = await failure(Effect.scoped(Tensorflow.acquire("tensorflow", strict, loader({ load }))))
    expect(error.reason).toMatch(/another copy of @tensorflow\/tfjs-core.*npm dedupe/)
    const other = await failure(Effect.scoped(Tensorflow.acquire("tensorflow-gpu", strict, loader({ load }))))
    expect(other.reason).toMatch(/exclude each other/)
  })
  it("restores what Node removed from util, and nothing else", () => {
    const own = () => false
    const util: Record<string, unknown> = { isArray: own }
    Tensorflow.restoreUtilFunctions(util)
    expect(util["isArray"]).toBe(own)
    const test = util["isNullOrUndefined"] as (value: unknown) => boolean
    expect([test(null), test(undefined), test(0)]).toEqual([true, true, false])
  })
})

describe("probe", () => {
  it("reports every engine: available, or why not", async () => {
    const reports = await Effect.runPromise(probe(strict, noPackages))
    expect(reports.map((report) => report.name)).toEqual(engineNames)
    const simd = reports[0]!
    expect(simd).toMatchObject({ present: true, reason: undefined, mode: "strict", threads: 2, chosenByAuto: true })
    expect(simd.selfTest?.passed).toBe(true)
    for (const report of reports.slice(2)) {
      expect(report).toMatchObject({ present: false, version: undefined, chosenByAuto: false })
      expect(report.reason).toMatch(/npm install/)
    }
  })
})
