import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { expect, it } from "vitest"
import { Engine } from "../src/engine/Engine.ts"
import * as Engines from "../src/engine/Engines.ts"
import * as EngineLaws from "./EngineLaws.ts"

const options = { mode: "strict", threads: 1 } as const

it("the reference obeys the laws", () => EngineLaws.check(Engines.layer("cpu", options)))

it("the embedded engine obeys the laws", () => EngineLaws.check(Engines.layer("simd", options)))

it("one that hands on the bytes of bool and int32 as float32 is caught", async () => {
  const relabelled =
    (kernel: tf.KernelConfig): tf.KernelFunc =>
    (params) => {
      const x = params.inputs["x"] as tf.TensorInfo
      const dtype = (params.attrs as unknown as { readonly dtype: tf.DataType }).dtype
      if (dtype !== "float32" || x.dtype === "float32") return kernel.kernelFunc(params)
      const store = params.backend as tf.KernelBackend
      const bytes = Int32Array.from(store.readSync(x.dataId) as Int32Array)
      return { dataId: store.write(new Float32Array(bytes.buffer), x.shape, dtype), shape: x.shape, dtype }
    }
  const layer = Layer.effect(
    Engine,
    Effect.gen(function* () {
      const engine = yield* Engines.acquire("simd", options)
      const right = tf.getKernel("Cast", tf.getBackend())
      tf.unregisterKernel("Cast", right.backendName)
      tf.registerKernel({ ...right, kernelFunc: relabelled(right) })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          tf.unregisterKernel("Cast", right.backendName)
          tf.registerKernel(right)
        })
      )
      return engine
    })
  )
  await expect(EngineLaws.check(layer)).rejects.toThrow(/operations give what the reference gives: cast of/)
})

it("one that counts no memory is caught", () =>
  expect(
    EngineLaws.check(
      Layer.effect(
        Engine,
        Effect.map(Engines.acquire("cpu", options), (engine) => ({
          ...engine,
          memory: () => ({ bytes: 0, peakBytes: 0 })
        }))
      )
    )
  ).rejects.toThrow("memory is counted"))

it("one that stays when its scope is closed is caught", async () => {
  const backend = tf.getBackend()
  const layer = Layer.effect(
    Engine,
    Effect.gen(function* () {
      const reference = tf.backend()
      tf.registerBackend("stays", () => reference)
      yield* Effect.addFinalizer(() => Effect.sync(() => tf.setBackend("stays")))
      return yield* Engines.acquire("cpu", options)
    })
  )
  await expect(EngineLaws.check(layer)).rejects.toThrow("brings the former engine back")
  tf.setBackend(backend)
  tf.removeBackend("stays")
})
