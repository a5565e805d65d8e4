/** The `cpu` engine: tfjs's reference in plain JavaScript, one thread. Slow, but simple and available everywhere. */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { currentBackend, type EngineOptions, trackedMemory } from "./Backends.ts"
import { EngineError, type EngineShape } from "./Engine.ts"
import { registerGradients } from "./Gradients.ts"

/** Starts the engine for a scope. The options change nothing: it has one mode and one thread. */
export const acquire = Effect.fn("Cpu.acquire")(function* (
  _options: EngineOptions
): Effect.fn.Return<EngineShape, EngineError, Scope.Scope> {
  const loaded = yield* Effect.tryPromise({
    try: () => import("@tensorflow/tfjs-backend-cpu"),
    catch: (cause) => new EngineError({ engine: "cpu", reason: `@tensorflow/tfjs-backend-cpu: ${String(cause)}` })
  })
  registerGradients()
  yield* currentBackend("cpu", "cpu")
  // Otherwise its first tensor prints an advertisement.
  ;(tf.backend() as unknown as { firstUse: boolean }).firstUse = false
  const memory = yield* trackedMemory
  return {
    name: "cpu",
    version: loaded.version_cpu,
    mode: "strict",
    threads: 1,
    // Its exp, log and tanh come from the JavaScript engine, and hosts differ in the last bit.
    portable: false,
    memory
  }
})
