/**
 * The `tensorflow` and `tensorflow-gpu` engines: Google's TensorFlow library through @tensorflow/tfjs-node and
 * @tensorflow/tfjs-node-gpu. Both packages are optional. Each is loaded only if its engine is requested, or, for the
 * GPU, if `auto` finds it installed.
 */
import { createRequire } from "node:module"
import * as nodeUtil from "node:util"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { currentBackend, type EngineOptions, trackedMemory } from "./Backends.ts"
import { EngineError, type EngineName, type EngineShape } from "./Engine.ts"
import { registerGradients } from "./Gradients.ts"
import { supportPaddedPooling } from "./PaddedPooling.ts"

/** The two engines of this file. */
export type TensorflowName = Extract<EngineName, "tensorflow" | "tensorflow-gpu">

const packages: Readonly<Record<TensorflowName, string>> = {
  tensorflow: "@tensorflow/tfjs-node",
  "tensorflow-gpu": "@tensorflow/tfjs-node-gpu"
}

/** The part of a package that this file uses. */
interface TfjsNode {
  readonly version: Readonly<Record<string, string>>
}

/** How a package is found and loaded; tests replace it. */
export interface PackageLoader {
  /** The file that a package's name resolves to; throws if it is not installed. */
  readonly resolve: (name: string) => string
  readonly load: (file: string) => Promise<unknown>
}

/** The packages that a module at this address can import. */
export const packagesAt = (place: string | URL): PackageLoader => {
  const own = createRequire(place)
  // Both packages are CommonJS. Loaded synchronously, so that nothing else runs (and prints) before they are ready.
  return { resolve: (name) => own.resolve(name), load: async (file) => own(file) as unknown }
}

const require = createRequire(import.meta.url)

const installed: PackageLoader = packagesAt(import.meta.url)

/** Functions that tfjs-node 4.22 calls but Node 23 removed from `util`. */
const removedFromUtil: Readonly<Record<string, (value: unknown) => boolean>> = {
  isArray: Array.isArray,
  isBoolean: (value) => typeof value === "boolean",
  isFunction: (value) => typeof value === "function",
  isNull: (value) => value === null,
  isNullOrUndefined: (value) => value === null || value === undefined,
  isNumber: (value) => typeof value === "number",
  isObject: (value) => value !== null && typeof value === "object",
  isString: (value) => typeof value === "string",
  isUndefined: (value) => value === undefined
}

/**
 * Restores the functions that Node removed from `util`, for CommonJS modules that call them. Existing ones stay as they are.
 */
export const restoreUtilFunctions = (util: Record<string, unknown> = require("node:util")): void => {
  for (const [name, test] of Object.entries(removedFromUtil)) {
    if (typeof util[name] !== "function") util[name] = test
  }
}

// Both packages register the same tfjs backend, so a process can use only the one it loaded first.
let loadedName: TensorflowName | undefined

/** The first line of an error; the other lines of Node's messages list files. */
const reason = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : nodeUtil.inspect(cause)).trim().split(/\s*\n/)[0] ?? ""

/** Whether the package reports that its library was neither downloaded nor built. */
const lacksBinding = (cause: unknown): boolean =>
  cause instanceof Error && /native addon module|tfjs_binding/.test(cause.message)

/** Why an installed package cannot be used, in one line. */
const loadAdvice = (name: TensorflowName, cause: unknown): string =>
  lacksBinding(cause)
    ? `the package ${packages[name]} is installed without its native library (tfjs_binding.node); ` +
      `\`npm rebuild ${packages[name]}\` downloads it, or choose the engine simd`
    : `${packages[name]} is installed but does not load: ${reason(cause)}; ` +
      `\`npm rebuild ${packages[name]}\` may repair it, or choose the engine simd`

type Print = "debug" | "error" | "info" | "log" | "warn"
const prints: ReadonlyArray<Print> = ["debug", "error", "info", "log", "warn"]

/**
 * Runs `body` while the console is silent: both packages print a line for every kernel and backend that is already
 * registered, partly to standard output. A package that cannot be used is reported as an error instead.
 */
const silently = <A>(body: () => A): A => {
  const before = prints.map((key) => [key, console[key]] as const)
  for (const key of prints) console[key] = () => {}
  try {
    return body()
  } finally {
    for (const [key, print] of before) console[key] = print
  }
}

/** Whether the package is installed; does not load it. */
export const isInstalled = (name: TensorflowName, loader: PackageLoader = installed): boolean => {
  try {
    loader.resolve(packages[name])
    return true
  } catch {
    return false
  }
}

/** How to install the package of an engine. */
export const installAdvice = (name: TensorflowName): string =>
  `the package ${packages[name]} is not installed; \`npm install ${packages[name]}@4.22.0\` installs it` +
  (name === "tensorflow-gpu" ? " (it needs an NVIDIA GPU with CUDA 11)" : "") +
  ", or choose the engine simd"

const load = Effect.fnUntraced(function* (name: TensorflowName, threads: number, loader: PackageLoader) {
  const fail = (why: string) => new EngineError({ engine: name, reason: why })
  if (!isInstalled(name, loader)) return yield* Effect.fail(fail(installAdvice(name)))
  if (loadedName !== undefined && loadedName !== name) {
    return yield* Effect.fail(
      fail(`${packages[loadedName]} is loaded in this process already, and the two exclude each other`)
    )
  }
  // Null if the current backend has been removed, as the embedded engine's is when its scope closes.
  const previous: string | null | undefined = tf.getBackend()
  const found = yield* Effect.tryPromise({
    try: async () => {
      restoreUtilFunctions()
      // The package depends on this one too. If it has a copy of its own, the second one to load prints a line for every
      // kernel: that has to be the copy loaded below.
      await import("@tensorflow/tfjs-backend-cpu")
      // TensorFlow reads these when it starts; it offers no other way.
      if (threads > 0 && loadedName === undefined) {
        process.env["TF_NUM_INTRAOP_THREADS"] = String(threads)
        process.env["TF_NUM_INTEROP_THREADS"] = "1"
      }
      process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "2"
      const module = (await silently(() => loader.load(loader.resolve(packages[name])))) as TfjsNode & {
        readonly default?: TfjsNode
      }
      return module.version === undefined && module.default !== undefined ? module.default : module
    },
    catch: (cause) => fail(loadAdvice(name, cause))
    // The package registered tfjs's derivatives, even if it failed afterwards.
  }).pipe(Effect.ensuring(Effect.sync(registerGradients)))
  if (loadedName === undefined) supportPaddedPooling("tensorflow")
  loadedName = name
  // The package made its backend current: restore the previous one, unless it is gone.
  if (previous && tf.getBackend() !== previous && tf.findBackendFactory(previous) !== null) {
    yield* Effect.promise(() => tf.setBackend(previous))
  }
  if (tf.findBackendFactory("tensorflow") === null) {
    return yield* Effect.fail(
      fail(
        `${packages[name]} uses another copy of @tensorflow/tfjs-core than ${tf.version_core}; \`npm dedupe\` joins them`
      )
    )
  }
  return found
})

/** Starts the engine for a scope; `tensorflow-gpu` fails unless TensorFlow really uses a GPU. */
export const acquire = Effect.fn("Tensorflow.acquire")(function* (
  name: TensorflowName,
  options: EngineOptions,
  loader: PackageLoader = installed
): Effect.fn.Return<EngineShape, EngineError, Scope.Scope> {
  const found = yield* load(name, options.threads, loader)
  yield* currentBackend(name, "tensorflow")
  const backend = tf.backend() as unknown as { readonly isUsingGpuDevice?: boolean }
  if (name === "tensorflow-gpu" && backend.isUsingGpuDevice !== true) {
    return yield* Effect.fail(
      new EngineError({ engine: name, reason: "the package loads, but TensorFlow finds no GPU it can use" })
    )
  }
  const memory = yield* trackedMemory
  return {
    name,
    version: found.version["tfjs-node"] ?? found.version["tfjs-core"] ?? "unknown",
    mode: "relaxed",
    threads: options.threads > 0 ? options.threads : require("node:os").availableParallelism(),
    portable: false,
    memory
  }
})
