/** An engine: the embedded one with one kernel replaced. */
import { section, type Template } from "../Template.ts"

/** The template of an engine. */
export const template: Template = {
  kind: "engine",
  module: ({ name }) => `/**
 * The engine \`${name}\`: computes tensors. An engine is a backend of tfjs; this one is the embedded engine with one kernel
 * replaced. Replace more kernels, or make a backend of your own current instead: any backend with tfjs's kernels can train
 * and search.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define, Engine, Engines } from "osnas"

/** Options of the engine. */
export const Options = Schema.Struct({
  threads: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
    .annotate({ description: "Threads to use; 0: all cores" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))
})
/** Options of the engine. */
export type Options = typeof Options.Type

/** The new kernel: an element-wise activation. */
const relu6: tf.KernelFunc = ({ inputs, backend }) => {
  const x = inputs["x"] as tf.TensorInfo
  const store = backend as tf.KernelBackend
  const values = Float32Array.from(store.readSync(x.dataId) as Float32Array, (value) => Math.min(Math.max(value, 0), 6))
  return { dataId: store.write(values, x.shape, "float32"), shape: x.shape, dtype: "float32" }
}

/** Replaces a kernel of a backend while the scope is open. */
const replaced = (kernelName: string, backendName: string, kernelFunc: tf.KernelFunc) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = tf.getKernel(kernelName, backendName)
      tf.unregisterKernel(kernelName, backendName)
      tf.registerKernel({ ...before, kernelFunc })
      return before
    }),
    (before) =>
      Effect.sync(() => {
        tf.unregisterKernel(kernelName, backendName)
        tf.registerKernel(before)
      })
  )

/** The engine, current while the scope of its Layer is open. */
export const layer = (options: Options) =>
  Layer.effect(
    Engine.Engine,
    Effect.gen(function* () {
      const embedded = yield* Engines.acquire("simd", { mode: "strict", threads: options.threads })
      yield* replaced("Relu6", tf.getBackend(), relu6)
      return Engine.Engine.of({ ...embedded, name: "${name}" })
    })
  )

/** The component that configurations name. */
export const component = define({
  kind: "engine",
  name: "${name}",
  description: "The embedded engine with one kernel replaced",
  options: Options,
  layer
})
`,
  test: ({ identifier, name }) => `import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import { Engine } from "osnas"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("computes under its own name", async () => {
  const program = Effect.map(Engine.Engine, (engine) => {
    const values = tf.tidy(() => Array.from(tf.relu6(tf.tensor1d([-1, 3, 9])).dataSync()))
    return { name: engine.name, threads: engine.threads, values }
  })
  const found = await Effect.runPromise(Effect.provide(program, ${identifier}.layer({ threads: 1 })))
  expect(found).toEqual({ name: "${name}", threads: 1, values: [0, 3, 6] })
})
`,
  laws: ({ identifier, name }) => `import { EngineLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("obeys the laws of engines", () => EngineLaws.check(${identifier}.layer({ threads: 1 })))
`,
  yaml: section("engine")
}
