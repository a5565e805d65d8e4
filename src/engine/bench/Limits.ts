/** The machine's limits, to compare kernels with, and the time that jobs take. */
import type { SimdBackend } from "../simd/Backend.ts"
import { argumentPlaces, kernelNames, peakArithmetic, peakCopy } from "../simd/generated/Kernels.ts"
import type { Runtime } from "../simd/Runtime.ts"

/** A machine's limits. */
export interface Limits {
  /** Multiply-adds in registers: floating-point operations per second. */
  readonly arithmetic: number
  /** Bytes per second of a copy whose reads and writes together are about `bytes` bytes. */
  readonly copy: (bytes: number) => number
}

/** Measures a machine's limits, with the engine's threads and in its mode. */
export const limits = (backend: SimdBackend): Limits => {
  const { runtime } = backend
  const { allocator } = runtime
  const timed = (times: number, run: () => void, leastMilliseconds = 0): number => {
    const found: Array<number> = []
    const until = performance.now() + leastMilliseconds
    while (found.length < times || performance.now() < until) {
      const start = performance.now()
      run()
      runtime.settle()
      found.push((performance.now() - start) / 1000)
    }
    return Math.min(...found)
  }
  const arithmetic = (): number => {
    const [pieces, rounds] = [16 * runtime.threads, 100_000]
    const place = allocator.allocate(128 + 16 * pieces)
    try {
      runtime.float32(place + 64, 2).set([0.999, 0.001])
      // Workers may take this long to start; the best repetition is one with all threads working.
      const seconds = timed(6, () => peakArithmetic(runtime, pieces, { rounds, place }), 500)
      return (pieces * rounds * 12 * 4 * 2) / seconds
    } finally {
      allocator.free(place)
    }
  }
  const copies = new Map<number, number>()
  /** Bytes a second of a copy whose reads and writes together are about `bytes` bytes. */
  const copy = (bytes: number): number => {
    const footprint = 2 ** Math.min(27, Math.max(17, Math.round(Math.log2(bytes))))
    const known = copies.get(footprint)
    if (known !== undefined) return known
    const floats = footprint / 8
    const [from, to] = [allocator.allocate(floats * 4), allocator.allocate(floats * 4)]
    try {
      runtime.float32(from, floats).fill(1)
      const piece = Math.min(16384, Math.max(1024, floats / (4 * runtime.threads)))
      const repeats = Math.max(1, Math.floor(2 ** 24 / footprint))
      const seconds = timed(8, () => {
        const job = { source: from, destination: to, count: floats, perPiece: piece }
        for (let i = 0; i < repeats; i++) peakCopy(runtime, Math.ceil(floats / piece), job)
      })
      const rate = (footprint * repeats) / seconds
      copies.set(footprint, rate)
      return rate
    } finally {
      allocator.free(from)
      allocator.free(to)
    }
  }
  return { arithmetic: arithmetic(), copy }
}

/** Multiply-adds per product of `rows`, `k` and `columns`, of the kernels that compute products. */
const productKernels: Readonly<Record<string, number>> = { gemmRows: 2, gemmWeights: 2, gemmBoth: 4 }

/** Operations of a product's job, from the arguments in its slot. */
export const productFlops = (kernel: string, integers: Int32Array): number =>
  ["rows", "k", "columns"].reduce(
    (flops, field) => (flops === 0 ? 0 : flops * integers[argumentPlaces[kernel]![field]!]!),
    productKernels[kernel] ?? 0
  )

/** Runs `body`, finishes every job before the next, and reports the milliseconds of each to `counted`. */
export const timingJobs = <A>(
  runtime: Runtime,
  counted: (kernel: string, milliseconds: number, integers: Int32Array) => void,
  body: () => A
): A => {
  const { submit } = runtime
  const timed: typeof submit = (kernel, pieces) => {
    const { integers } = runtime.slot()
    const start = performance.now()
    submit(kernel, pieces)
    runtime.settle()
    counted(kernelNames[kernel]!, performance.now() - start, integers)
  }
  Object.assign(runtime, { submit: timed })
  try {
    return body()
  } finally {
    Object.assign(runtime, { submit })
  }
}
