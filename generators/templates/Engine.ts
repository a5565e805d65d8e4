/** An engine: tfjs's reference under a name of its own, with one kernel replaced. */
import { section, type Template } from "../Template.ts"

/** The template of an engine. */
export const template: Template = {
  kind: "engine",
  module: ({ name }) => `/**
 * The engine \`${name}\`: what tensors are computed by. An engine is a backend of tfjs; this one is tfjs's reference in plain
 * JavaScript under a name of its own, with one kernel replaced. Replace more of them, or register a backend that you
 * have: whatever has tfjs's kernels can train and search.
 */
import { MathBackendCPU, version_cpu } from "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Backends, define, Engine } from "osnas"

/** Options of the engine; none yet. */
export const Options = Schema.Struct({})
/** Options of the engine. */
export type Options = typeof Options.Type

/** The name of the backend in tfjs. */
export const backendName = "${name}"

/** A kernel of one's own: an activation, entry by entry. */
const relu6: tf.KernelFunc = ({ inputs, backend }) => {
  const x = inputs["x"] as tf.TensorInfo
  const cpu = backend as MathBackendCPU
  const values = cpu.data.get(x.dataId).values as Float32Array
  const result = values.map((value) => Math.min(Math.max(value, 0), 6))
  return cpu.makeTensorInfo(x.shape, "float32", result)
}

/** Registers the backend while the scope is open: all kernels of the reference, and ours in the place of one. */
const registered = Effect.acquireRelease(
  Effect.sync(() => {
    tf.registerBackend(backendName, () => new MathBackendCPU())
    tf.copyRegisteredKernels("cpu", backendName)
    tf.unregisterKernel("Relu6", backendName)
    tf.registerKernel({ kernelName: "Relu6", backendName, kernelFunc: relu6 })
  }),
  () =>
    Effect.sync(() => {
      tf.removeBackend(backendName)
      for (const { kernelName } of tf.getKernelsForBackend(backendName)) tf.unregisterKernel(kernelName, backendName)
    })
)

/** The engine: current while its Layer's scope is open; then the one before is current again. */
export const layer = (_options: Options): Layer.Layer<Engine.Engine, Engine.EngineError> =>
  Layer.effect(
    Engine.Engine,
    Effect.gen(function* () {
      yield* registered
      yield* Backends.currentBackend(backendName, backendName)
      const memory = yield* Backends.trackedMemory
      return { name: backendName, version: version_cpu, mode: "strict", threads: 1, portable: false, memory } as const
    })
  )

/** The component. */
export const component = define({
  kind: "engine",
  name: "${name}",
  description: "tfjs's reference with one kernel replaced",
  options: Options,
  layer
})
`,
  test: ({ identifier, name }) => `import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import { Engine } from "osnas"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("is the current engine while its scope is open, and computes", async () => {
  const program = Effect.map(Engine.Engine, (engine) => {
    const values = tf.tidy(() => Array.from(tf.relu6(tf.tensor1d([-1, 3, 9])).dataSync()))
    return { name: engine.name, backend: tf.getBackend(), values }
  })
  const found = await Effect.runPromise(Effect.provide(program, ${identifier}.layer({})))
  expect(found).toEqual({ name: "${name}", backend: ${identifier}.backendName, values: [0, 3, 6] })
  expect(tf.findBackendFactory(${identifier}.backendName)).toBeNull()
})
`,
  laws: ({ identifier, name }) => `import { EngineLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("obeys the laws of engines", () => EngineLaws.check(${identifier}.layer({})))
`,
  yaml: section("engine")
}
