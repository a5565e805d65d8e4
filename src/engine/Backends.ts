/** Shared by the engines' Layers: make a tfjs backend current for a scope, and track its peak memory. */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { EngineError, type EngineMode } from "./Engine.ts"

/** Requested mode and threads of an engine. */
export interface EngineOptions {
  /** Only the embedded engine has both modes; the others ignore it. */
  readonly mode: EngineMode
  /** Number of threads; 0: as many as the process may use. */
  readonly threads: number
}

/**
 * Makes a registered tfjs backend the current one while the scope is open, then the previous one again.
 *
 * **Example** (Current for a scope, and its memory)
 *
 * ```ts
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Effect from "effect/Effect"
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as Backends from "./Backends.ts"
 *
 * const program = Effect.gen(function* () {
 *   yield* Backends.currentBackend("mine", "cpu")
 *   const memory = yield* Backends.trackedMemory
 *   const before = memory().bytes
 *   tf.dispose(tf.zeros([256]))
 *   return { name: tf.getBackend(), rose: memory().peakBytes - before, left: memory().bytes - before }
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => { name: "cpu", rose: 1024, left: 0 }
 * ```
 */
export const currentBackend = (engine: string, backend: string): Effect.Effect<void, EngineError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const previous: string | undefined = tf.getBackend()
        const done = await tf.setBackend(backend)
        if (!done) throw new Error(`tfjs could not start its backend ${backend}`)
        return previous
      },
      catch: (cause) => new EngineError({ engine, reason: cause instanceof Error ? cause.message : String(cause) })
    }),
    (previous) =>
      Effect.promise(async () => {
        if (previous !== undefined && previous !== backend && tf.findBackendFactory(previous) !== null) {
          await tf.setBackend(previous)
        }
      })
  ).pipe(Effect.asVoid)

/**
 * Tracks the bytes of tensors while the scope is open. tfjs counts them but keeps no peak, so its counter becomes a property
 * that remembers its largest value.
 */
export const trackedMemory: Effect.Effect<
  () => { readonly bytes: number; readonly peakBytes: number },
  never,
  Scope.Scope
> = Effect.acquireRelease(
  Effect.sync(() => {
    const state = tf.engine().state as { numBytes: number }
    const outer = Object.getOwnPropertyDescriptor(state, "numBytes")
    let bytes = state.numBytes
    let peakBytes = bytes
    Object.defineProperty(state, "numBytes", {
      configurable: true,
      enumerable: true,
      get: () => bytes,
      set: (value: number) => {
        bytes = value
        if (value > peakBytes) peakBytes = value
      }
    })
    return { state, outer, read: () => ({ bytes, peakBytes }) }
  }),
  ({ state, outer, read }) =>
    Effect.sync(() => {
      const { bytes } = read()
      if (outer !== undefined) Object.defineProperty(state, "numBytes", outer)
      state.numBytes = bytes
    })
).pipe(Effect.map(({ read }) => read))
