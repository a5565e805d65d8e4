/**
 * Single kernels of the embedded engine against the machine's limits, at the shapes of ProxylessNAS and Single Path
 * One-Shot: `osnas bench --kernels`.
 *
 * The limits are measured first, with the same threads and in the same mode: multiply-adds in registers alone, and
 * copies of as many bytes as a kernel moves. Products with padding count as no work. A kernel's share is the time those limits would allow (the larger of its
 * arithmetic and its compulsory traffic, as in the roofline model: Williams et al. 2009) over the time it took.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type { EngineOptions } from "./Backends.ts"
import type { ConvStage } from "./ConvChain.ts"
import { convChain, outputSide, weightShape } from "./ConvChainOps.ts"
import { EngineError } from "./Engine.ts"
import * as Engines from "./Engines.ts"
import { channelShuffle, globalAveragePool } from "./FeatureOps.ts"
import { softmaxCrossEntropy } from "./LossOps.ts"
import { adamStep, sgdStep } from "./OptimizerOps.ts"
import { sizeOf } from "./Shape.ts"
import type { EngineMemoryError } from "./simd/Allocator.ts"
import type { SimdBackend } from "./simd/Backend.ts"

/** One convolution on an input of a side. */
export interface ConvolutionCase {
  readonly space: string
  readonly side: number
  readonly stage: ConvStage
}

/** One inverted residual on an input of a side: what the kernels do inside a network, fused with all that surrounds them. */
export interface BlockCase {
  readonly space: string
  readonly side: number
  readonly inChannels: number
  readonly expansion: number
  readonly outChannels: number
  readonly kernel: number
  readonly stride: number
}

/** One line of the report; its keys are those of its JSON. */
export interface KernelMeasurement {
  readonly kernel: string
  readonly pass: "forward" | "backward" | "input-gradient" | "weight-gradient" | "update" | "peak"
  readonly space: string
  readonly shape: string
  readonly mode: string
  readonly threads: number
  /** Median of the repetitions. */
  readonly microseconds: number
  /** Undefined where the kernel only moves numbers. */
  readonly gflops: number | undefined
  /** Bytes that have to be read and written at least, a second; 0 for parts of a block. */
  readonly gbps: number
  readonly share_of_peak: number
  readonly bound: "arithmetic" | "memory"
}

/** Options of {@link benchKernels}. */
export interface KernelBenchOptions extends EngineOptions {
  /** Images a batch; default 64. */
  readonly batch?: number | undefined
  /** Convolutions to measure; default those of ProxylessNAS and SPOS at size 32. */
  readonly convolutions?: ReadonlyArray<ConvolutionCase> | undefined
  /** Inverted residuals to measure; default those of ProxylessNAS with expansion 6 and kernel 5. */
  readonly blocks?: ReadonlyArray<BlockCase> | undefined
  /** How long a kernel is repeated, in seconds; default 0.05. */
  readonly seconds?: number | undefined
}

const conv = (kernel: number, stride: number, inChannels: number, outChannels: number, groups = 1): ConvStage => ({
  kernel,
  stride,
  padding: (kernel - 1) / 2,
  dilation: 1,
  groups,
  inChannels,
  outChannels,
  bias: false,
  norm: false,
  activation: "none"
})

/** The distinct convolutions of ProxylessNAS with expansion 6 at size 32 (stem of stride 2), by side of their input. */
const proxylessNas = (): ReadonlyArray<ConvolutionCase> => {
  const found: Array<ConvolutionCase> = []
  const add = (side: number, stage: ConvStage) => {
    found.push({ space: "proxylessnas", side, stage })
  }
  add(32, conv(3, 2, 3, 32))
  add(16, conv(3, 1, 32, 32, 32))
  add(16, conv(1, 1, 32, 16))
  let [side, from] = [16, 16]
  for (const [width, stride] of [
    [24, 1],
    [40, 2],
    [80, 2],
    [96, 1],
    [192, 2],
    [320, 1]
  ] as const) {
    const hidden = from * 6
    add(side, conv(1, 1, from, hidden))
    for (const kernel of [3, 5, 7]) add(side, conv(kernel, stride, hidden, hidden, hidden))
    side = Math.ceil(side / stride)
    add(side, conv(1, 1, hidden, width))
    from = width
  }
  add(side, conv(1, 1, 320, 1280))
  return found
}

/** The distinct convolutions of Single Path One-Shot's blocks of stride 1 at size 32. */
const spos = (): ReadonlyArray<ConvolutionCase> =>
  (
    [
      [64, 16],
      [160, 8],
      [320, 4],
      [640, 2]
    ] as const
  ).flatMap(([width, side]) => {
    const half = width / 2
    const stages = [conv(1, 1, half, half), ...[3, 5, 7].map((kernel) => conv(kernel, 1, half, half, half))]
    return stages.map((stage) => ({ space: "spos", side, stage }))
  })

/** What {@link benchKernels} measures unless told otherwise. */
export const standardConvolutions: ReadonlyArray<ConvolutionCase> = [...proxylessNas(), ...spos()]

/** tfjs's own convolutions, which are always measured. */
const plainConvolutions: ReadonlyArray<ConvolutionCase> = [
  { space: "", side: 16, stage: conv(1, 1, 24, 144) },
  { space: "", side: 16, stage: conv(3, 1, 32, 32) },
  { space: "", side: 16, stage: conv(3, 1, 144, 144, 144) },
  { space: "", side: 16, stage: conv(5, 2, 144, 144, 144) }
]

/** The inverted residuals {@link benchKernels} measures unless told otherwise. */
export const standardBlocks: ReadonlyArray<BlockCase> = (
  [
    [16, 16, 24, 1],
    [16, 24, 24, 1],
    [16, 24, 40, 2],
    [8, 40, 40, 1],
    [8, 40, 80, 2],
    [4, 80, 80, 1],
    [4, 80, 96, 1],
    [4, 96, 192, 2],
    [2, 192, 192, 1],
    [2, 192, 320, 1]
  ] as const
).map(([side, inChannels, outChannels, stride]) => ({
  space: "proxylessnas",
  side,
  inChannels,
  expansion: 6,
  outChannels,
  kernel: 5,
  stride
}))

const numbers = (shape: ReadonlyArray<number>): tf.Tensor => {
  const size = sizeOf(shape)
  const values = Float32Array.from({ length: size }, (_, i) => (((i + 1) * 0.6180339887498949) % 1) - 0.5)
  return tf.tensor(values, [...shape])
}

/** Multiply-adds of a convolution along one axis that touch the input, of `outputs * kernel`: the rest is padding. */
const tapsInside = (stage: ConvStage, side: number): number => {
  let taps = 0
  for (let o = 0; o < outputSide(stage, side); o++) {
    for (let k = 0; k < stage.kernel; k++) {
      const at = o * stage.stride - stage.padding + k * stage.dilation
      if (at >= 0 && at < side) taps += 1
    }
  }
  return taps
}

/** Floating-point operations of a convolution of square images; products with padding are not counted. */
const flopsOf = (stage: ConvStage, side: number, batch: number): number =>
  2 * batch * tapsInside(stage, side) ** 2 * (stage.inChannels / stage.groups) * stage.outChannels

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
const best = (values: ReadonlyArray<number>): number => Math.min(...values)

interface Work {
  readonly kernel: string
  readonly pass: KernelMeasurement["pass"]
  readonly space: string
  readonly shape: string
  /** Operations that count, or 0. */
  readonly flops: number
  readonly bytes: number
  readonly tensors: () => ReadonlyArray<tf.Tensor>
  /** Does the work once; `start` marks where what counts begins. */
  readonly once: (tensors: ReadonlyArray<tf.Tensor>, start: () => void) => void
}

/** A convolution as a chain of its own, or (`plain`) as tfjs's operation, which blocks of a user's own may call. */
const convolutionWorks = (
  { side, space, stage }: ConvolutionCase,
  batch: number,
  plain = false
): ReadonlyArray<Work> => {
  const { groups, inChannels, kernel, outChannels, stride } = stage
  const out = outputSide(stage, side)
  const inShape = [batch, side, side, inChannels]
  const outShape = [batch, out, out, outChannels]
  const weights = weightShape(stage)
  const kind = groups === 1 ? (kernel === 1 ? "pointwise" : "dense") : groups === inChannels ? "depthwise" : "grouped"
  const shared = {
    kernel: `${plain ? "tf " : ""}${kind} ${kernel}x${kernel}${stride > 1 ? `/${stride}` : ""}`,
    space,
    shape: `[${inShape}] -> ${outChannels}`,
    flops: flopsOf(stage, side, batch),
    bytes: 4 * (sizeOf(inShape) + sizeOf(weights) + sizeOf(outShape)),
    tensors: () => [numbers(inShape), numbers(weights), numbers(outShape)]
  }
  const options = { mode: "train", epsilon: 1e-5, residual: false } as const
  const apply = (given: tf.Tensor, by: tf.Tensor): tf.Tensor => {
    const [x, weight] = [given as tf.Tensor4D, by as tf.Tensor4D]
    if (!plain) return convChain(x, [stage], [{ weight }], options).output
    const operation = groups === 1 ? tf.conv2d : tf.depthwiseConv2d
    return operation(x, weight, stride, stage.padding, "NHWC", 1, "floor")
  }
  const gradient = (which: 0 | 1): Work["once"] => {
    return (tensors, start) => {
      const [x, weight, dy] = tensors as [tf.Tensor, tf.Tensor, tf.Tensor]
      const f = (t: tf.Tensor) => {
        const output = which === 0 ? apply(t, weight) : apply(x, t)
        start()
        return output
      }
      tf.grad(f)(which === 0 ? x : weight, dy)
    }
  }
  return [
    {
      ...shared,
      pass: "forward",
      once: ([x, weight], start) => {
        start()
        apply(x!, weight!)
      }
    },
    { ...shared, pass: "input-gradient", once: gradient(0) },
    { ...shared, pass: "weight-gradient", once: gradient(1) }
  ]
}

const otherWorks = (batch: number): ReadonlyArray<Work> => {
  const map = [batch, 16, 16, 144]
  const size = sizeOf(map)
  const parameters = [1280, 1000]
  const count = sizeOf(parameters)
  const forward = (
    kernel: string,
    space: string,
    shapes: ReadonlyArray<ReadonlyArray<number>>,
    bytes: number,
    flops: number,
    run: (...tensors: Array<tf.Tensor>) => unknown
  ): Work => ({
    kernel,
    pass: "forward",
    space,
    shape: shapes.map((shape) => `[${shape}]`).join(" "),
    flops,
    bytes,
    tensors: () => shapes.map(numbers),
    once: (tensors, start) => {
      start()
      run(...tensors)
    }
  })
  const classes = 100
  const update = (kernel: string, tensors: number, run: (...t: Array<tf.Tensor>) => unknown): Work => ({
    ...forward(kernel, "", Array(tensors).fill(parameters), 4 * count * (2 * tensors - 1), 0, run),
    shape: `[${parameters}]`,
    pass: "update"
  })
  const decay = { learningRate: 0.1, weightDecay: 4e-5, decoupled: false }
  return [
    forward("add", "", [map, map], 12 * size, 0, (a, b) => tf.add(a!, b!)),
    forward("multiply by a number", "", [map, []], 8 * size, 0, (a, b) => tf.mul(a!, b!)),
    forward("relu6", "", [map], 8 * size, 0, (x) => tf.relu6(x!)),
    forward("exp", "", [map], 8 * size, 0, (x) => tf.exp(x!)),
    forward("sum over positions", "", [map], 4 * size, 0, (x) => tf.sum(x!, [0, 1, 2])),
    forward("global average pool", "", [map], 4 * size, 0, (x) => globalAveragePool(x as tf.Tensor4D)),
    forward("concat channels", "", [map, map], 16 * size, 0, (a, b) => tf.concat([a!, b!], 3)),
    forward("transpose", "", [[2304, 1024]], 8 * 2304 * 1024, 0, (x) => tf.transpose(x!)),
    ...(
      [
        [64, 16],
        [160, 8],
        [320, 4],
        [640, 2]
      ] as const
    ).map(([width, side]) =>
      forward("channel shuffle", "spos", [[batch, side, side, width]], 8 * batch * side * side * width, 0, (x) =>
        channelShuffle(x as tf.Tensor4D, 2)
      )
    ),
    forward(
      "linear",
      "proxylessnas",
      [
        [batch, 1280],
        [1280, classes]
      ],
      4 * (batch * 1280 + 1280 * classes + batch * classes),
      2 * batch * 1280 * classes,
      (x, w) => tf.matMul(x!, w!)
    ),
    forward(
      "linear, weight gradient",
      "proxylessnas",
      [
        [batch, 1280],
        [batch, classes]
      ],
      4 * (batch * 1280 + 1280 * classes + batch * classes),
      2 * batch * 1280 * classes,
      (x, dy) => tf.matMul(x!, dy!, true, false)
    ),
    forward("softmax cross entropy", "", [[batch, classes]], 8 * batch * classes, 0, (x) =>
      softmaxCrossEntropy(x as tf.Tensor2D, tf.zeros([batch], "int32"), 0.1)
    ),
    update("sgd with momentum", 3, (param, gradient, velocity) =>
      sgdStep({ param: param!, gradient: gradient!, velocity }, { ...decay, momentum: 0.9, nesterov: false })
    ),
    update("adam", 4, (param, gradient, first, second) =>
      adamStep(
        { param: param!, gradient: gradient!, first, second, count: 3 },
        { ...decay, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
      )
    )
  ]
}

/** A machine's limits, with the engine's threads and in its mode. */
const limits = (backend: SimdBackend) => {
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
    return best(found)
  }
  const arithmetic = (): number => {
    const [pieces, rounds] = [16 * runtime.threads, 100_000]
    const place = allocator.allocate(128 + 16 * pieces)
    try {
      runtime.float32(place + 64, 2).set([0.999, 0.001])
      // As long as workers may take to start: the best of them is with all threads at work.
      const seconds = timed(6, () => runtime.run("peakArithmetic", pieces, [rounds, place]), 500)
      return (pieces * rounds * 12 * 4 * 2) / seconds
    } finally {
      allocator.free(place)
    }
  }
  const copies = new Map<number, number>()
  /** Bytes a second of a copy whose reads and writes together are about so many bytes. */
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
        for (let i = 0; i < repeats; i++) runtime.run("peakCopy", Math.ceil(floats / piece), [from, to, floats, piece])
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

/** Operations of a job of products, by its arguments (assembly/kernels/gemm.ts): rows, k and columns are the words from 40 on. */
const productFlops = (kernel: string, integers: ReadonlyArray<number>): number => {
  const times = { gemmRows: 2, gemmWeights: 2, gemmBoth: 4 }[kernel]
  return times === undefined ? 0 : times * integers[40]! * integers[41]! * integers[42]!
}

/** Measures a block forward and backward: its whole, and each of its kernels. */
const measureBlock = (
  backend: SimdBackend,
  block: BlockCase,
  machine: ReturnType<typeof limits>,
  options: KernelBenchOptions
): ReadonlyArray<KernelMeasurement> => {
  const { runtime } = backend
  const batch = options.batch ?? 64
  const { expansion, inChannels, kernel, outChannels, side, stride } = block
  const hidden = inChannels * expansion
  const stages: ReadonlyArray<ConvStage> = [
    { ...conv(1, 1, inChannels, hidden), norm: true, activation: "relu6" },
    { ...conv(kernel, stride, hidden, hidden, hidden), norm: true, activation: "relu6" },
    { ...conv(1, 1, hidden, outChannels), norm: true }
  ]
  const out = outputSide(stages[1]!, side)
  const points = flopsOf(stages[0]!, side, batch) + flopsOf(stages[2]!, out, batch)
  const depth = flopsOf(stages[1]!, side, batch)
  const residual = stride === 1 && inChannels === outChannels
  const original = runtime.run
  const inside = new Map<string, number>()
  /** What each kernel computes in a pass; a kernel without an entry is overhead. */
  const flops = { forward: new Map<string, number>(), backward: new Map<string, number>() }
  const products = new Map<string, number>()
  const counted: typeof original = (name, pieces, integers, floats) => {
    const start = performance.now()
    original(name, pieces, integers, floats)
    runtime.settle()
    inside.set(name, (inside.get(name) ?? 0) + performance.now() - start)
    products.set(name, (products.get(name) ?? 0) + productFlops(name, integers))
  }
  const times = { forward: new Map<string, Array<number>>(), backward: new Map<string, Array<number>>() }
  const record = (pass: "forward" | "backward", keep: boolean): void => {
    let total = 0
    for (const [name, milliseconds] of inside) {
      total += milliseconds
      if (keep) times[pass].set(name, [...(times[pass].get(name) ?? []), milliseconds / 1000])
    }
    if (keep) times[pass].set("all", [...(times[pass].get("all") ?? []), total / 1000])
    for (const [name, count] of products) if (count > 0) flops[pass].set(name, count)
    inside.clear()
    products.clear()
  }
  tf.tidy(() => {
    const x = numbers([batch, side, side, inChannels])
    const dy = numbers([batch, out, out, outChannels])
    const weights = stages.map((stage) => numbers(weightShape(stage)))
    const vectors = stages.map((stage) => [tf.ones([stage.outChannels]), tf.zeros([stage.outChannels])])
    const f =
      (keep: boolean) =>
      (...inputs: Array<tf.Tensor>) => {
        inside.clear()
        products.clear()
        const params = stages.map((_, i) => ({
          weight: inputs[1 + 3 * i] as tf.Tensor4D,
          gamma: inputs[2 + 3 * i] as tf.Tensor1D,
          beta: inputs[3 + 3 * i] as tf.Tensor1D
        }))
        const { output } = convChain(inputs[0] as tf.Tensor4D, stages, params, {
          mode: "train",
          epsilon: 1e-5,
          residual
        })
        record("forward", keep)
        return output
      }
    const inputs = [x, ...stages.flatMap((_, i) => [weights[i]!, ...vectors[i]!])]
    Object.assign(runtime, { run: counted })
    try {
      const once = (keep: boolean) =>
        tf.tidy(() => {
          tf.grads(f(keep))(inputs, dy)
          record("backward", keep)
        })
      once(false)
      const until = performance.now() + 2000 * (options.seconds ?? 0.05)
      for (let i = 0; i < 5 || performance.now() < until; i++) once(true)
    } finally {
      Object.assign(runtime, { run: original })
    }
  })
  const shape = `[${[batch, side, side, inChannels]}] -> ${hidden} k${kernel}/${stride} -> ${outChannels}`
  return (["forward", "backward"] as const).flatMap((pass) => {
    const whole = pass === "forward" ? points + depth : 2 * (points + depth)
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
    const all = median(times[pass].get("all") ?? [])
    if (pass === "forward") flops.forward.set("depthwiseForward", depth)
    else flops.backward.set("depthwiseBackward", 2 * depth)
    const parts = [...flops[pass]].map(([name, count]) => line(`  ${name}`, median(times[pass].get(name) ?? []), count))
    const rest = all - parts.reduce((sum, part) => sum + part.microseconds / 1e6, 0)
    return [line("inverted residual", all, whole), ...parts, line("  the rest", Math.max(0, rest), 0)]
  })
}

/** Measures a piece of work: only the time inside kernels counts, from where the work says it starts. */
const measure = (
  backend: SimdBackend,
  work: Work,
  machine: ReturnType<typeof limits>,
  options: KernelBenchOptions
): KernelMeasurement => {
  const { runtime } = backend
  const original = runtime.run
  let inside = 0
  const counted: typeof original = (kernel, pieces, integers, floats) => {
    const start = performance.now()
    original(kernel, pieces, integers, floats)
    runtime.settle()
    inside += performance.now() - start
  }
  const seconds = tf.tidy(() => {
    const tensors = work.tensors()
    Object.assign(runtime, { run: counted })
    try {
      const times: Array<number> = []
      const once = () =>
        tf.tidy(() => {
          work.once(tensors, () => {
            inside = 0
          })
        })
      once()
      const until = performance.now() + 1000 * (options.seconds ?? 0.05)
      while (times.length < 5 || performance.now() < until) {
        once()
        times.push(inside / 1000)
      }
      return median(times)
    } finally {
      Object.assign(runtime, { run: original })
    }
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
    microseconds: seconds * 1e6,
    gflops: work.flops === 0 ? undefined : work.flops / seconds / 1e9,
    gbps: work.bytes / seconds / 1e9,
    share_of_peak: Math.max(arithmetic, memory) / seconds,
    bound: arithmetic > memory ? "arithmetic" : "memory"
  }
}

/**
 * Starts the embedded engine, measures the machine's limits and every kernel, and hands each line to `emit` as soon as it
 * is there. The first two lines are the limits themselves.
 */
export const benchKernels = <E, R>(
  options: KernelBenchOptions,
  emit: (line: KernelMeasurement) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | EngineError | EngineMemoryError, R> =>
  Effect.scoped(
    Effect.gen(function* () {
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
      const works = [
        ...(options.convolutions ?? standardConvolutions).flatMap((entry) => convolutionWorks(entry, batch)),
        ...otherWorks(batch),
        ...plainConvolutions.flatMap((entry) => convolutionWorks(entry, batch, true))
      ]
      for (const work of works) {
        yield* emit(yield* attempt(() => measure(backend, work, machine, options)))
        // Lets signals through between two kernels.
        yield* Effect.yieldNow
      }
      for (const block of options.blocks ?? standardBlocks) {
        for (const line of yield* attempt(() => measureBlock(backend, block, machine, options))) yield* emit(line)
        yield* Effect.yieldNow
      }
    })
  )
