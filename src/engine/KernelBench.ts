/**
 * Single kernels of the embedded engine against the machine's limits, at the shapes of ProxylessNAS and Single Path
 * One-Shot: `osnas bench --kernels`.
 *
 * The limits are measured first, with the same threads and in the same mode: multiply-adds in registers, and copies of as
 * many bytes as a kernel moves. Products with padding do not count as work. A kernel's share is the time that these limits
 * allow (the larger of its arithmetic and its compulsory traffic, as in the roofline model: Williams et al. 2009), divided
 * by the time it took.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type { EngineOptions } from "./Backends.ts"
import {
  type BlockCase,
  type ConvolutionCase,
  type KernelMeasurement,
  plainConvolutions,
  standardBlocks,
  standardConvolutions
} from "./bench/Cases.ts"
import { limits } from "./bench/Limits.ts"
import { measure, measureBlock } from "./bench/Measure.ts"
import { convolutionWorks, otherWorks } from "./bench/Works.ts"
import { EngineError } from "./Engine.ts"
import * as Engines from "./Engines.ts"
import type { SimdBackend } from "./simd/Backend.ts"

export {
  type BlockCase,
  type ConvolutionCase,
  type KernelMeasurement,
  standardBlocks,
  standardConvolutions
} from "./bench/Cases.ts"

/** Options of {@link benchKernels}. */
export interface KernelBenchOptions extends EngineOptions {
  /** Images per batch; default 64. */
  readonly batch?: number | undefined
  /** Convolutions to measure; default those of ProxylessNAS and SPOS at size 32. */
  readonly convolutions?: ReadonlyArray<ConvolutionCase> | undefined
  /** Inverted residuals to measure; default those of ProxylessNAS with expansion 6 and kernel 5. */
  readonly blocks?: ReadonlyArray<BlockCase> | undefined
  /** Seconds to repeat each kernel; default 0.05. */
  readonly seconds?: number | undefined
}

/**
 * Starts the embedded engine, measures the machine's limits and every kernel, and passes each line to `emit` at once. The
 * first two lines are the limits.
 */
export const benchKernels = Effect.fn("KernelBench.benchKernels")(function* <E, R>(
  options: KernelBenchOptions,
  emit: (line: KernelMeasurement) => Effect.Effect<void, E, R>
) {
  yield* Engines.acquire("simd", options)
  const backend = tf.backend() as unknown as SimdBackend
  const { mode, threads } = backend.runtime
  const attempt = <A>(body: () => A) =>
    Effect.try({ try: body, catch: (cause) => new EngineError({ engine: "simd", reason: String(cause) }) })
  const machine = yield* attempt(() => limits(backend))
  const far = 2 ** 27
  const peak = { pass: "peak", space: "", mode, threads, share_of_peak: 1 } as const
  yield* emit({
    ...peak,
    kernel: "multiply-add in registers",
    shape: "",
    microseconds: 0,
    gflops: machine.arithmetic / 1e9,
    gbps: 0,
    bound: "arithmetic"
  })
  const rate = yield* attempt(() => machine.copy(far))
  yield* emit({
    ...peak,
    kernel: "copy",
    shape: `${far / 2 ** 20} MiB read and written`,
    microseconds: (far / rate) * 1e6,
    gflops: undefined,
    gbps: rate / 1e9,
    bound: "memory"
  })
  const batch = options.batch ?? 64
  const seconds = options.seconds ?? 0.05
  const works = [
    ...(options.convolutions ?? standardConvolutions).flatMap((entry) => convolutionWorks(entry, batch)),
    ...otherWorks(batch),
    ...plainConvolutions.flatMap((entry) => convolutionWorks(entry, batch, true))
  ]
  for (const work of works) {
    yield* emit(yield* attempt(() => measure(backend, work, machine, seconds)))
    // Lets signals through between two kernels.
    yield* Effect.yieldNow
  }
  for (const block of options.blocks ?? standardBlocks) {
    for (const line of yield* attempt(() => measureBlock(backend, block, machine, batch, 2 * seconds)))
      yield* emit(line)
    yield* Effect.yieldNow
  }
}, Effect.scoped)
