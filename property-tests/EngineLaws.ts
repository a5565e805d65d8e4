/**
 * Laws of an engine. Apply them to your own in one line of vitest: `it("is lawful", () => EngineLaws.check(layer))`.
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

/** Inputs and settings of the check. */
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

const labelsOf = (x: tf.Tensor2D): tf.Tensor1D => tf.argMax(x, 1) as tf.Tensor1D
/** One-hot rows of the labels; tfjs needs at least two classes. */
const oneHot = (x: tf.Tensor2D): tf.Tensor =>
  tf.cast(tf.slice(tf.oneHot(labelsOf(x), x.shape[1] + 1), [0, 0], x.shape), "float32")

/** Computes with int32 and bool cast to float32: an engine that reuses their bytes has other results. */
const casts: Readonly<Record<string, Operation>> = {
  "cast of bool to float32": (x, y) => tf.add(tf.cast(tf.greater(x, y), "float32"), 0.5),
  "cast of int32 to float32": (x) => tf.mul(tf.cast(tf.cast(tf.mul(x, 100), "int32"), "float32"), 0.5),
  "cast of bool to int32": (x, y) => tf.sum(tf.cast(tf.less(x, y), "int32"), 1),
  "cast of float32 to bool": (x) => tf.logicalNot(tf.cast(tf.relu(x), "bool")),
  "view of a cast": (x, y) => tf.add(tf.reshape(tf.cast(tf.reshape(tf.greater(x, y), [-1]), "float32"), x.shape), y),
  "a product with oneHot": (x, y) => tf.mul(oneHot(y), x),
  "where, gather and equal": (x, y) =>
    tf.where(tf.equal(labelsOf(x), labelsOf(y)), tf.gather(tf.max(x, 1), tf.zerosLike(labelsOf(x))), tf.min(y, 1)),
  "gradient of max": (x) => tf.grad((z: tf.Tensor) => tf.max(z, 1))(x),
  "gradient of min": (x) => tf.grad((z: tf.Tensor) => tf.min(z))(x),
  "gradient of a composed cross entropy": (x, y) =>
    tf.grad((z: tf.Tensor) => {
      const shifted = tf.sub(z, tf.max(z, 1, true))
      const logs = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)))
      return tf.neg(tf.mean(tf.sum(tf.mul(logs, oneHot(y)), 1)))
    })(x)
}

/** The operations that training and search use most. */
const operations: Readonly<Record<string, Operation>> = {
  matMul: (x, y) => tf.matMul(x, tf.transpose(y)),
  add: (x, y) => tf.add(x, y),
  relu6: (x) => tf.relu6(x),
  softmax: (x) => tf.softmax(x),
  mean: (x) => tf.mean(x, 0),
  "gradient of a product": (x, y) =>
    tf.grad((z: tf.Tensor) => tf.sum(tf.square(tf.matMul(z as tf.Tensor2D, tf.transpose(y)))))(x),
  ...casts
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
 * Checks all laws; rejects with the first broken one. Laws: while its scope is open, the engine is the current
 * one, passes the self-test, has the results of the reference (also after casts between types), and counts its memory;
 * afterwards the previous engine is current again.
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
