/** Measures the embedded engine's kernels: one piece of work, or a block with its kernels. */
import * as tf from "@tensorflow/tfjs-core"
import { upperMedian } from "../../support/Median.ts"
import type { ConvStage } from "../ConvChain.ts"
import { convChain, outputSide, weightShape } from "../ConvChainOps.ts"
import type { SimdBackend } from "../simd/Backend.ts"
import { type BlockCase, conv, flopsOf, type KernelMeasurement } from "./Cases.ts"
import { type Limits, productFlops, timingJobs } from "./Limits.ts"
import { numbers, type Work } from "./Works.ts"

/** Minimum number of repetitions. */
const REPETITIONS = 5

/** Measures a piece of work for about `seconds`: only time inside kernels counts, and only after the work calls `start`. */
export const measure = (backend: SimdBackend, work: Work, machine: Limits, seconds: number): KernelMeasurement => {
  const { runtime } = backend
  let inside = 0
  const add = (_: string, milliseconds: number): void => {
    inside += milliseconds
  }
  const taken = tf.tidy(() => {
    const tensors = work.tensors()
    return timingJobs(runtime, add, () => {
      const times: Array<number> = []
      const once = () =>
        tf.tidy(() => {
          work.once(tensors, () => {
            inside = 0
          })
        })
      once()
      const until = performance.now() + 1000 * seconds
      while (times.length < REPETITIONS || performance.now() < until) {
        once()
        times.push(inside / 1000)
      }
      return upperMedian(times)
    })
  })
  const arithmetic = work.flops / machine.arithmetic
  const memory = work.bytes / machine.copy(work.bytes)
  return {
    kernel: work.kernel,
    pass: work.pass,
    space: work.space,
    shape: work.shape,
    mode: runtime.mode,
    threads: runtime.threads,
    microseconds: taken * 1e6,
    gflops: work.flops === 0 ? undefined : work.flops / taken / 1e9,
    gbps: work.bytes / taken / 1e9,
    share_of_peak: Math.max(arithmetic, memory) / taken,
    bound: arithmetic > memory ? "arithmetic" : "memory"
  }
}

const passes = ["forward", "backward"] as const
type Pass = (typeof passes)[number]

/** The jobs of a block: seconds of each kernel and of all of them, one entry per repetition, and what each computes. */
class BlockTimes {
  readonly #inside = new Map<string, number>()
  readonly #products = new Map<string, number>()
  readonly times = { forward: new Map<string, Array<number>>(), backward: new Map<string, Array<number>>() }
  /** Floating-point operations of a kernel in a pass; a kernel without an entry is overhead. */
  readonly flops = { forward: new Map<string, number>(), backward: new Map<string, number>() }

  job(kernel: string, milliseconds: number, integers: Int32Array): void {
    this.#inside.set(kernel, (this.#inside.get(kernel) ?? 0) + milliseconds)
    this.#products.set(kernel, (this.#products.get(kernel) ?? 0) + productFlops(kernel, integers))
  }

  start(): void {
    this.#inside.clear()
    this.#products.clear()
  }

  /** Ends a pass; drops the first repetition, which warms up. */
  end(pass: Pass, keep: boolean): void {
    const add = (name: string, milliseconds: number): void => {
      if (keep) this.times[pass].set(name, [...(this.times[pass].get(name) ?? []), milliseconds / 1000])
    }
    for (const [name, milliseconds] of this.#inside) add(name, milliseconds)
    add(
      "all",
      [...this.#inside.values()].reduce((sum, milliseconds) => sum + milliseconds, 0)
    )
    for (const [name, count] of this.#products) if (count > 0) this.flops[pass].set(name, count)
    this.start()
  }
}

const stagesOf = ({ expansion, inChannels, kernel, outChannels, stride }: BlockCase): ReadonlyArray<ConvStage> => {
  const hidden = inChannels * expansion
  return [
    { ...conv(1, 1, inChannels, hidden), norm: true, activation: "relu6" },
    { ...conv(kernel, stride, hidden, hidden, hidden), norm: true, activation: "relu6" },
    { ...conv(1, 1, hidden, outChannels), norm: true }
  ]
}

/** Runs a block forward and backward for about `seconds`. */
const runBlock = (backend: SimdBackend, block: BlockCase, batch: number, seconds: number): BlockTimes => {
  const { inChannels, outChannels, side, stride } = block
  const stages = stagesOf(block)
  const out = outputSide(stages[1]!, side)
  const options = { mode: "train", epsilon: 1e-5, residual: stride === 1 && inChannels === outChannels } as const
  const found = new BlockTimes()
  const forward =
    (keep: boolean) =>
    (...inputs: Array<tf.Tensor>) => {
      found.start()
      const params = stages.map((_, i) => ({
        weight: inputs[1 + 3 * i] as tf.Tensor4D,
        gamma: inputs[2 + 3 * i] as tf.Tensor1D,
        beta: inputs[3 + 3 * i] as tf.Tensor1D
      }))
      const { output } = convChain(inputs[0] as tf.Tensor4D, stages, params, options)
      found.end("forward", keep)
      return output
    }
  tf.tidy(() => {
    const dy = numbers([batch, out, out, outChannels])
    const parameters = stages.flatMap((stage) => [
      numbers(weightShape(stage)),
      tf.ones([stage.outChannels]),
      tf.zeros([stage.outChannels])
    ])
    const inputs = [numbers([batch, side, side, inChannels]), ...parameters]
    const once = (keep: boolean) =>
      tf.tidy(() => {
        tf.grads(forward(keep))(inputs, dy)
        found.end("backward", keep)
      })
    const job: BlockTimes["job"] = (...given) => found.job(...given)
    timingJobs(backend.runtime, job, () => {
      once(false)
      const until = performance.now() + 1000 * seconds
      for (let i = 0; i < REPETITIONS || performance.now() < until; i++) once(true)
    })
  })
  return found
}

/** Measures a block forward and backward: as a whole, and each of its kernels. */
export const measureBlock = (
  backend: SimdBackend,
  block: BlockCase,
  machine: Limits,
  batch: number,
  seconds: number
): ReadonlyArray<KernelMeasurement> => {
  const { runtime } = backend
  const { expansion, inChannels, kernel, outChannels, side, stride } = block
  const [expand, depthwise, project] = stagesOf(block) as [ConvStage, ConvStage, ConvStage]
  const points = flopsOf(expand, side, batch) + flopsOf(project, outputSide(depthwise, side), batch)
  const depth = flopsOf(depthwise, side, batch)
  const { flops, times } = runBlock(backend, block, batch, seconds)
  flops.forward.set("depthwiseForward", depth)
  flops.backward.set("depthwiseBackward", 2 * depth)
  const hidden = inChannels * expansion
  const shape = `[${[batch, side, side, inChannels]}] -> ${hidden} k${kernel}/${stride} -> ${outChannels}`
  return passes.flatMap((pass) => {
    const line = (kernel: string, seconds: number, flops: number): KernelMeasurement => ({
      kernel,
      pass,
      space: block.space,
      shape,
      mode: runtime.mode,
      threads: runtime.threads,
      microseconds: seconds * 1e6,
      gflops: flops === 0 ? undefined : flops / seconds / 1e9,
      gbps: 0,
      share_of_peak: flops === 0 ? 0 : flops / machine.arithmetic / seconds,
      bound: "arithmetic"
    })
    const whole = (pass === "forward" ? 1 : 2) * (points + depth)
    const all = upperMedian(times[pass].get("all") ?? [])
    const parts = [...flops[pass]].map(([name, count]) =>
      line(`  ${name}`, upperMedian(times[pass].get(name) ?? []), count)
    )
    const rest = all - parts.reduce((sum, part) => sum + part.microseconds / 1e6, 0)
    return [line("inverted residual", all, whole), ...parts, line("  the rest", Math.max(0, rest), 0)]
  })
}
