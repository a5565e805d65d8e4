/**
 * The `simd` engine, the embedded default: our own kernels in WebAssembly SIMD over shared memory and a pool of threads.
 * Loaded only on request.
 */
import { availableParallelism } from "node:os"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { version } from "../Package.ts"
import { currentBackend, type EngineOptions } from "./Backends.ts"
import { EngineError, type EngineShape } from "./Engine.ts"
import { registerFusedKernels, unregisterFusedKernels } from "./FusedKernels.ts"
import { registerGradients } from "./Gradients.ts"
import type { EngineMemoryError } from "./simd/Allocator.ts"
import type { SimdBackend } from "./simd/Backend.ts"

/** The backend of this process while any scope uses it. There is only one, as tfjs knows backends by name. */
let open:
  | { readonly backend: SimdBackend; readonly mode: string; readonly threads: number; holders: number }
  | undefined

const started = (options: EngineOptions): Effect.Effect<SimdBackend, EngineError | EngineMemoryError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const threads = options.threads > 0 ? options.threads : availableParallelism()
        const { backendName, registerSimdBackend } = await import("./simd/Backend.ts")
        const { fusedSimdKernels } = await import("./simd/SimdFusedKernels.ts")
        const { EngineMemoryError } = await import("./simd/Allocator.ts")
        if (open === undefined) {
          try {
            const backend = registerSimdBackend({ mode: options.mode, threads }, backendName)
            registerFusedKernels(backendName, fusedSimdKernels)
            open = { backend, mode: options.mode, threads, holders: 0 }
          } catch (cause) {
            if (cause instanceof EngineMemoryError) throw cause
            throw new EngineError({ engine: "simd", reason: cause instanceof Error ? cause.message : String(cause) })
          }
        }
        if (open.mode !== options.mode || open.threads !== threads) {
          throw new EngineError({
            engine: "simd",
            reason:
              `it is open already with mode ${open.mode} and ${open.threads} threads; a process holds one at a time, ` +
              `so mode ${options.mode} with ${threads} threads has to wait until that scope is closed`
          })
        }
        open.holders += 1
        return open.backend
      },
      catch: (cause) => cause as EngineError | EngineMemoryError
    }),
    (backend) =>
      Effect.promise(async () => {
        if (open === undefined || open.backend !== backend) return
        open.holders -= 1
        if (open.holders > 0) return
        open = undefined
        const { backendName } = await import("./simd/Backend.ts")
        unregisterFusedKernels(backendName)
        await backend.runtime.close()
        tf.removeBackend(backendName)
      })
  )

/**
 * Starts the engine for a scope. A second scope with the same mode and threads shares it; one with another mode or number of
 * threads fails while the first is open. Closing the last scope stops the threads and frees the memory.
 */
export const acquire = Effect.fn("Simd.acquire")(function* (
  options: EngineOptions
): Effect.fn.Return<EngineShape, EngineError | EngineMemoryError, Scope.Scope> {
  registerGradients()
  const backend = yield* started(options)
  const { backendName } = yield* Effect.promise(() => import("./simd/Backend.ts"))
  yield* currentBackend("simd", backendName)
  return {
    name: "simd",
    version,
    mode: options.mode,
    threads: backend.runtime.threads,
    portable: options.mode === "strict",
    memory: () => {
      const { inUseBytes, peakBytes } = backend.runtime.allocator.usage()
      return { bytes: inUseBytes, peakBytes }
    }
  }
})
