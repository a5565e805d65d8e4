/** The engines by name: which are available, and the Layer of one. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { EngineOptions } from "./Backends.ts"
import * as Cpu from "./Cpu.ts"
import { Engine, EngineError, type EngineMode, type EngineName, type EngineShape } from "./Engine.ts"
import { type SelfTestResult, selfTest } from "./SelfTest.ts"
import * as Simd from "./Simd.ts"
import type { EngineMemoryError } from "./simd/Allocator.ts"
import * as Tensorflow from "./Tensorflow.ts"

export type { EngineOptions } from "./Backends.ts"

/** All engines, in the order of `osnas engines`. */
export const engineNames: ReadonlyArray<EngineName> = ["simd", "cpu", "tensorflow", "tensorflow-gpu"]

/**
 * Starts an engine for a scope; see {@link layer}. `packages` finds the optional packages, by default those installed
 * beside this one.
 *
 * **Example** (In your own scope)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Engines from "./Engines.ts"
 *
 * const name = Effect.map(Engines.acquire("cpu", { mode: "strict", threads: 1 }), (engine) => engine.name)
 * await Effect.runPromise(Effect.scoped(name)) // => "cpu"
 * ```
 */
export const acquire = (
  name: "auto" | EngineName,
  options: EngineOptions,
  packages?: Tensorflow.PackageLoader
): Effect.Effect<EngineShape, EngineError | EngineMemoryError, Scope.Scope> => {
  switch (name) {
    case "simd":
      return Simd.acquire(options)
    case "cpu":
      return Cpu.acquire(options)
    case "tensorflow":
    case "tensorflow-gpu":
      return Tensorflow.acquire(name, options, packages)
    case "auto":
      return Tensorflow.isInstalled("tensorflow-gpu", packages)
        ? Tensorflow.acquire("tensorflow-gpu", options, packages).pipe(Effect.catch(() => Simd.acquire(options)))
        : Simd.acquire(options)
  }
}

/**
 * The Layer of an engine: makes it tfjs's current backend while the Layer's scope is open. Closing the scope frees threads
 * and memory and restores the previous backend.
 *
 * `auto` takes the best one available: `tensorflow-gpu` if its package is installed, loads and finds a GPU, otherwise `simd`.
 * `threads: 0` means as many as the process may use. Fails with an {@link EngineError} that says why, and what to do.
 *
 * **Example** (A sum on the reference engine)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { Engine } from "./Engine.ts"
 * import { layer } from "./Engines.ts"
 *
 * const program = Effect.gen(function* () {
 *   const engine = yield* Engine
 *   return `${engine.name}: ${tf.sum(tf.tensor1d([1, 2, 3])).dataSync()[0]}`
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(layer("cpu", { mode: "strict", threads: 1 })))) // => "cpu: 6"
 * ```
 */
export const layer = (
  name: "auto" | EngineName,
  options: EngineOptions,
  packages?: Tensorflow.PackageLoader
): Layer.Layer<Engine, EngineError | EngineMemoryError> => Layer.effect(Engine, acquire(name, options, packages))

/** One line of `osnas engines`. */
export interface EngineReport {
  readonly name: EngineName
  readonly present: boolean
  /** Why it is not available, or how its self-test failed. */
  readonly reason: string | undefined
  readonly version: string | undefined
  readonly mode: EngineMode | undefined
  readonly threads: number | undefined
  readonly portable: boolean | undefined
  readonly selfTest: SelfTestResult | undefined
  /** Whether `auto` would choose it. */
  readonly chosenByAuto: boolean
}

const absent = (name: EngineName, reason: string): EngineReport => ({
  name,
  present: false,
  reason,
  version: undefined,
  mode: undefined,
  threads: undefined,
  portable: undefined,
  selfTest: undefined,
  chosenByAuto: false
})

const report = Effect.fnUntraced(
  function* (
    name: EngineName,
    options: EngineOptions,
    packages: Tensorflow.PackageLoader | undefined
  ): Effect.fn.Return<EngineReport, EngineError | EngineMemoryError, Scope.Scope> {
    const engine = yield* acquire(name, options, packages)
    const result = yield* Effect.try({
      try: selfTest,
      catch: (cause) => new EngineError({ engine: name, reason: `self-test: ${String(cause)}` })
    })
    return {
      name,
      present: true,
      reason: result.passed
        ? undefined
        : `self-test: ${result.worst} is off by ${result.error.toExponential(1)}, more than 1e-4`,
      version: engine.version,
      mode: engine.mode,
      threads: engine.threads,
      portable: engine.portable,
      selfTest: result,
      chosenByAuto: false
    }
  },
  (body, name) =>
    body.pipe(
      Effect.scoped,
      Effect.catch((error) => Effect.succeed(absent(name, error._tag === "EngineError" ? error.reason : error.message)))
    )
)

/**
 * Tries every engine: whether it is available, version, mode, threads, and the result of a self-test. Optional packages are
 * loaded only if they are installed (`packages` finds them). Engines are started and stopped one after the other.
 *
 * **Example** (Names, and a self-test)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Engines from "./Engines.ts"
 *
 * const reports = await Effect.runPromise(Engines.probe({ mode: "strict", threads: 1 }))
 * reports.map((report) => report.name) // => Engines.engineNames
 * reports.find((report) => report.name === "cpu")?.selfTest?.passed // => true
 * ```
 */
export const probe = Effect.fn("Engines.probe")(function* (
  options: EngineOptions = { mode: "strict", threads: 0 },
  packages?: Tensorflow.PackageLoader
): Effect.fn.Return<ReadonlyArray<EngineReport>> {
  // The GPU package first: a process can load only one of the two, and `auto` prefers it.
  const found = new Map<EngineName, EngineReport>()
  for (const name of [...engineNames].reverse()) found.set(name, yield* report(name, options, packages))
  const auto: EngineName = found.get("tensorflow-gpu")?.present === true ? "tensorflow-gpu" : "simd"
  return engineNames.map((name) => ({ ...found.get(name)!, chosenByAuto: name === auto }))
})
