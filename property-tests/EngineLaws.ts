/**
 * Laws of an engine. Apply them to one of your own in a line of vitest: `it("is lawful", () => EngineLaws.check(layer))`.
 * A broken law throws an Error that says which, for which operation.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import fc from "fast-check"
import { Engine, type EngineShape } from "../src/engine/Engine.ts"
import { selfTest } from "../src/engine/SelfTest.ts"
import * as Key from "../src/random/Key.ts"
import { ensureBackend } from "./Reference.ts"

/** What to check with. */
export interface Options {
  /** Random shapes to try; default 20. */
  readonly runs?: number | undefined
  /** Seed of the shapes and numbers; default 1. */
  readonly seed?: number | undefined
  /** Largest deviation from the reference, of the largest entry; default 1e-4. */
  readonly tolerance?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`engine law broken: ${name}: ${about}`)
}

type Operation = (x: tf.Tensor2D, y: tf.Tensor2D) => tf.Tensor

/** What training and search do most. */
const operations: Readonly<Record<string, Operation>> = {
  matMul: (x, y) => tf.matMul(x, tf.transpose(y)),
  add: (x, y) => tf.add(x, y),
  relu6: (x) => tf.relu6(x),
  softmax: (x) => tf.softmax(x),
  mean: (x) => tf.mean(x, 0),
  "gradient of a product": (x, y) =>
    tf.grad((z: tf.Tensor) => tf.sum(tf.square(tf.matMul(z as tf.Tensor2D, tf.transpose(y)))))(x)
}

const checkOperations = (reference: string, backend: string, options: Options): void => {
  const run = (name: string, operation: Operation, [rows, columns, seed]: readonly [number, number, number]) => {
    tf.setBackend(name)
    return tf.tidy(() => {
      const key = Key.make(seed)
      const tensor = (purpose: string) =>
        tf.tensor2d(Key.normals(Key.derive(key, purpose), rows * columns), [rows, columns])
      return Float32Array.from(operation(tensor("x"), tensor("y")).dataSync())
    })
  }
  fc.assert(
    fc.property(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.nat(1000)), (shape) => {
      for (const [name, operation] of Object.entries(operations)) {
        const expected = run(reference, operation, shape)
        const found = run(backend, operation, shape)
        const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
        const off = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (found[i] ?? Number.NaN))), 0)
        law(
          found.length === expected.length && off <= (options.tolerance ?? 1e-4) * scale,
          "operations give what the reference gives",
          `${name} of ${shape[0]} x ${shape[1]}: off by ${off}`
        )
      }
    }),
    { numRuns: options.runs ?? 20, seed: options.seed ?? 1, includeErrorInReport: true }
  )
}

const checkOpen = (engine: EngineShape, before: string, options: Options): void => {
  const backend = tf.getBackend()
  law(engine.threads >= 1, "an engine has a thread at least", `${engine.threads}`)
  const result = selfTest()
  law(result.passed, "the self-test passes", `${result.worst} is off by ${result.error}`)
  const start = engine.memory()
  const kept = tf.zeros([256, 256])
  kept.dataSync()
  const { bytes, peakBytes } = engine.memory()
  law(
    bytes >= start.bytes + 256 * 256 * 4 && peakBytes >= bytes,
    "memory is counted",
    JSON.stringify({ bytes, peakBytes })
  )
  kept.dispose()
  law(engine.memory().bytes <= start.bytes, "memory is given back", `${engine.memory().bytes - start.bytes} bytes stay`)
  try {
    checkOperations(before, backend, options)
  } finally {
    tf.setBackend(backend)
  }
}

/**
 * Checks all laws; rejects with the first that is broken. Laws: while its scope is open the engine is the current one,
 * passes the self-test, gives what the reference gives and counts its memory; afterwards the one before is current again.
 *
 * **Example** (tfjs's reference)
 *
 * ```ts
 * import * as Engines from "../src/engine/Engines.ts"
 * import * as EngineLaws from "./EngineLaws.ts"
 *
 * await EngineLaws.check(Engines.layer("cpu", { mode: "strict", threads: 1 }))
 * ```
 */
export const check = async <E>(layer: Layer.Layer<Engine, E>, options: Options = {}): Promise<void> => {
  await ensureBackend()
  const before = tf.getBackend()
  await Effect.runPromise(
    Effect.flatMap(Engine, (engine) => Effect.sync(() => checkOpen(engine, before, options))).pipe(
      Effect.provide(layer)
    )
  )
  law(tf.getBackend() === before, "closing brings the former engine back", `${tf.getBackend()}, and was ${before}`)
}
