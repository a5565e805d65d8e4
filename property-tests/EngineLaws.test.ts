import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { expect, it } from "vitest"
import { Engine } from "../src/engine/Engine.ts"
import * as Engines from "../src/engine/Engines.ts"
import * as EngineLaws from "./EngineLaws.ts"

const options = { mode: "strict", threads: 1 } as const

it("the reference obeys the laws", () => EngineLaws.check(Engines.layer("cpu", options)))

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
