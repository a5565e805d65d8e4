/**
 * Inputs for every kernel of tfjs: a table from a kernel's name to a small generator of calls. Engines are compared on
 * them; see ../simd/Kernels.test.ts. A generator draws dtypes, shapes (ranks 0 to 4, sizes with 0 and 1, few of them
 * multiples of four), attributes and values; everything follows from fast-check's seed.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as fc from "fast-check"
import { sizeOf } from "../Shape.ts"

/** The types a generator draws from. */
export type Dtype = "float32" | "int32" | "bool" | "string"

/** A tensor to be made on each engine. */
export interface Input {
  readonly shape: ReadonlyArray<number>
  readonly dtype: Dtype
  readonly values: Float32Array | Int32Array | Uint8Array | ReadonlyArray<string>
}

/** What a case computes. */
export type Operation = (...tensors: Array<tf.Tensor>) => tf.Tensor | ReadonlyArray<tf.Tensor>

/** One call of a kernel. */
export interface KernelCase {
  readonly inputs: ReadonlyArray<Input>
  readonly operation: Operation
  /** Largest deviation relative to max(1, |reference|); default 0: the same numbers. */
  readonly tolerance?: number
  /** The same for gradients; default 1e-5. */
  readonly gradientTolerance?: number
  /** Why no gradient is compared, where the operation could have one. */
  readonly noGradient?: string | undefined
}

/** Draws from fast-check. */
export class Draw {
  readonly #draw: fc.GeneratorValue

  constructor(draw: fc.GeneratorValue) {
    this.#draw = draw
  }

  int(min: number, max: number): number {
    return this.#draw(fc.integer, { min, max })
  }

  bool(): boolean {
    return this.#draw(fc.boolean)
  }

  pick<A>(...values: ReadonlyArray<A>): A {
    return values[this.int(0, values.length - 1)]!
  }

  /** Sizes of a rank; 0 is rare, since nothing is computed where it occurs. */
  shape(minRank = 0, maxRank = 4, empty = true): Array<number> {
    const rank = this.int(minRank, maxRank)
    const sizes = empty && this.int(0, 11) === 0 ? [0, 1, 3] : [1, 2, 3, 5, 6]
    return Array.from({ length: rank }, () => this.pick(...sizes))
  }

  /** A shape that broadcasts with another: axes missing in front, or of size 1. */
  broadcast(shape: ReadonlyArray<number>): Array<number> {
    return shape.slice(this.int(0, shape.length)).map((size) => (this.int(0, 2) === 0 ? 1 : size))
  }

  axis(shape: ReadonlyArray<number>): number {
    const axis = this.int(0, shape.length - 1)
    return this.bool() ? axis : axis - shape.length
  }

  /** Some of the axes, or undefined for all. */
  axes(shape: ReadonlyArray<number>): Array<number> | undefined {
    return this.int(0, 3) === 0 ? undefined : shape.map((_, i) => i).filter(() => this.bool())
  }

  /** Numbers in [low, high), whole ones for int32; few are equal. `special` mixes in NaN, infinities and zeros. */
  tensor(shape: ReadonlyArray<number>, dtype: Dtype = "float32", low = -4, high = 4, special = false): Input {
    let state = this.int(1, 2 ** 31 - 1)
    const next = (): number => {
      // mulberry32
      state = (state + 0x6d2b79f5) | 0
      let bits = Math.imul(state ^ (state >>> 15), 1 | state)
      bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
      return ((bits ^ (bits >>> 14)) >>> 8) / 2 ** 24
    }
    const length = sizeOf(shape)
    const number = (): number => low + next() * (high - low)
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 0.5, -2.5, 3e9]
    switch (dtype) {
      case "float32":
        return {
          shape,
          dtype,
          values: Float32Array.from({ length }, () =>
            special && next() < 0.3 ? odd[Math.floor(next() * odd.length)]! : number()
          )
        }
      case "int32":
        return { shape, dtype, values: Int32Array.from({ length }, () => Math.floor(number())) }
      case "bool":
        return { shape, dtype, values: Uint8Array.from({ length }, () => (next() < 0.5 ? 0 : 1)) }
      case "string":
        return {
          shape,
          dtype,
          values: Array.from({ length }, () => ["a", "bb", "", "ü", "a b"][Math.floor(next() * 5)]!)
        }
    }
  }

  /** Whole numbers in [low, high). */
  whole(shape: ReadonlyArray<number>, low: number, high: number): Input {
    return this.tensor(shape, "int32", low, high)
  }
}

/** Calls of one kernel. */
export type KernelCases = (draw: Draw) => KernelCase

const numbers = ["float32", "float32", "int32", "bool"] as const
const numeric = ["float32", "float32", "int32"] as const
const any = ["float32", "float32", "int32", "bool", "string"] as const

const run = (kernel: string, inputs: Record<string, tf.Tensor | Array<tf.Tensor>>, attrs: object = {}) =>
  tf.engine().runKernel(kernel, inputs as unknown as tf.NamedTensorMap, attrs as unknown as tf.NamedAttrMap) as
    | tf.Tensor
    | Array<tf.Tensor>

const given = (shape: ReadonlyArray<number>, dtype: "int32" | "float32", values: ReadonlyArray<number>): Input => ({
  shape,
  dtype,
  values: dtype === "int32" ? Int32Array.from(values) : Float32Array.from(values)
})
const texts = (...values: ReadonlyArray<string>): Input => ({ shape: [values.length], dtype: "string", values })

type One = (x: tf.Tensor) => tf.Tensor

/** Entry by entry. */
const unary =
  (op: One, low = -4, high = 4, tolerance = 0, gradientTolerance = 1e-5): KernelCases =>
  (draw) => ({
    // Zero included: slopes there are part of what has to agree.
    inputs: [draw.tensor(draw.shape(), draw.pick(...numbers), low, high, draw.int(0, 3) === 0)],
    operation: (x) => op(x!),
    tolerance,
    gradientTolerance
  })

/** Two operands that broadcast either way. */
const binary =
  (
    op: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
    dtypes: ReadonlyArray<Dtype> = numbers,
    low = -4,
    high = 4,
    tolerance = 0
  ): KernelCases =>
  (draw) => {
    const shape = draw.shape()
    const special = draw.int(0, 4) === 0
    const make = (own: ReadonlyArray<number>): Input => draw.tensor(own, draw.pick(...dtypes), low, high, special)
    const both = [make(shape), make(draw.bool() ? shape : draw.broadcast(shape))]
    return {
      inputs: draw.bool() ? both : both.reverse(),
      operation: (a, b) => op(a!, b!),
      tolerance,
      // An upcast of both gradients to the wider type's precision, and sums over broadcast axes.
      gradientTolerance: 1e-4
    }
  }

const reduction =
  (
    op: (x: tf.Tensor, axis?: Array<number>, keep?: boolean) => tf.Tensor,
    dtypes: ReadonlyArray<Dtype> = numbers,
    tolerance = 0,
    empty = true
  ): KernelCases =>
  (draw) => {
    const shape = draw.shape(0, 4, empty)
    const [axes, keep] = [draw.axes(shape), draw.bool()]
    return {
      inputs: [draw.tensor(shape, draw.pick(...dtypes))],
      operation: (x) => op(x!, axes, keep),
      tolerance
    }
  }

const extremeIndex =
  (op: (x: tf.Tensor, axis: number) => tf.Tensor): KernelCases =>
  (draw) => {
    const shape = draw.shape(1, 4, false)
    const axis = draw.axis(shape)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => op(x!, axis) }
  }

const cumulative =
  (op: typeof tf.cumsum): KernelCases =>
  (draw) => {
    const shape = draw.shape(1, 4)
    const [axis, exclusive, reverse] = [draw.axis(shape), draw.bool(), draw.bool()]
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric), -2, 2)],
      operation: (x) => op(x!, axis, exclusive, reverse)
    }
  }

const logical =
  (op: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): KernelCases =>
  (draw) => {
    const shape = draw.shape()
    return {
      inputs: [draw.tensor(shape, "bool"), draw.tensor(draw.broadcast(shape), "bool")],
      operation: (a, b) => op(a!, b!)
    }
  }

type Pad = "valid" | "same" | number
const image = (draw: Draw, low = 4, high = 7): [number, number, number, number] => [
  draw.int(1, 2),
  draw.int(low, high),
  draw.int(low, high),
  draw.pick(1, 2, 3, 4, 5)
]

const pool2d =
  (op: (x: tf.Tensor4D, size: number, strides: number, pad: Pad) => tf.Tensor, tolerance: number): KernelCases =>
  (draw) => {
    const [size, strides] = [draw.int(1, 3), draw.int(1, 2)]
    const pad: Pad = draw.pick<Pad>("valid", "same")
    return {
      inputs: [draw.tensor(image(draw), draw.pick(...numeric))],
      operation: (x) => op(x as tf.Tensor4D, size, strides, pad),
      tolerance
    }
  }

/** The gradient kernel of a pooling, called by its name: `dy` in the shape of the pooled map. */
const poolGradient = (kernel: string, three: boolean): KernelCases => {
  const pooled = kernel.startsWith("Avg") ? (three ? "AvgPool3D" : "AvgPool") : three ? "MaxPool3D" : "MaxPool"
  return (draw) => {
    const shape = three ? [1, 4, draw.int(3, 5), draw.int(3, 5), draw.int(1, 3)] : image(draw)
    // Average pooling of the cpu backend divides by the whole window at a border, so "valid" alone is comparable.
    const attrs = {
      filterSize: three ? [2, 2, 2] : [2, 2],
      strides: three ? [2, 2, 2] : [draw.int(1, 2), 2],
      pad: kernel.startsWith("Avg") ? "valid" : draw.pick("valid", "same"),
      dimRoundingMode: undefined,
      dataFormat: "NDHWC",
      dilations: 1
    }
    return {
      inputs: [draw.tensor(shape)],
      operation: (input) => {
        const output = run(pooled, { x: input! }, attrs) as tf.Tensor
        return run(kernel, { dy: tf.mul(output, 0.5), input: input!, output }, attrs)
      },
      tolerance: 1e-6,
      noGradient: "a gradient kernel"
    }
  }
}

const pool3d =
  (op: (x: tf.Tensor5D, size: number, strides: number, pad: "valid" | "same") => tf.Tensor): KernelCases =>
  (draw) => {
    const [size, strides, pad] = [draw.int(1, 3), draw.int(1, 2), draw.pick("valid", "same")]
    return {
      inputs: [draw.tensor([draw.int(1, 2), 4, draw.int(3, 5), draw.int(3, 5), draw.int(1, 3)])],
      operation: (x) => op(x as tf.Tensor5D, size, strides, pad as "valid" | "same"),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  }

interface ConvolutionDraw {
  readonly x: Input
  readonly filter: Input
  readonly strides: number
  readonly pad: "valid" | "same"
  readonly dilations: number
}
const convolution = (draw: Draw, depthwise: boolean): ConvolutionDraw => {
  const shape = image(draw, 5, 8)
  const dilations = draw.pick(1, 1, 1, 2)
  return {
    x: draw.tensor(shape),
    filter: draw.tensor([draw.int(1, 3), draw.int(1, 3), shape[3], depthwise ? draw.pick(1, 1, 2) : draw.int(1, 5)]),
    strides: dilations > 1 ? 1 : draw.int(1, 2),
    pad: draw.pick("valid", "same"),
    dilations
  }
}
const convolved = (draw: Draw, depthwise: boolean, op: (c: ConvolutionDraw) => Operation): KernelCase => {
  const drawn = convolution(draw, depthwise)
  return {
    inputs: [drawn.x, drawn.filter],
    operation: op(drawn),
    tolerance: 1e-5,
    gradientTolerance: 1e-4,
    ...(drawn.dilations > 1 ? { noGradient: "dilations must be 1" } : {})
  }
}
/** The gradient kernels of convolutions, `dy` being half the output. */
const convolutionGradient = (kernel: string, depthwise: boolean, filterGradient: boolean): KernelCases => {
  const forward = depthwise ? "DepthwiseConv2dNative" : "Conv2D"
  return (draw) => ({
    ...convolved(draw, depthwise, (drawn) => (x, filter) => {
      const attrs = { strides: drawn.strides, pad: drawn.pad, dataFormat: "NHWC", dilations: [1, 1] }
      const dy = tf.mul(run(forward, { x: x!, filter: filter! }, attrs) as tf.Tensor, 0.5)
      return filterGradient
        ? run(kernel, { x: x!, dy }, { ...attrs, filterShape: filter!.shape })
        : run(kernel, { dy, filter: filter! }, { ...attrs, inputShape: x!.shape })
    }),
    tolerance: 5e-5,
    noGradient: "a gradient kernel"
  })
}
const activations = ["linear", "relu", "relu6", "elu", "sigmoid", "leakyrelu", "prelu"] as const

const conv3d = (draw: Draw) => {
  const channels = draw.int(1, 3)
  return {
    x: draw.tensor([1, 4, draw.int(3, 5), draw.int(3, 5), channels]),
    filter: draw.tensor([draw.int(1, 2), 2, draw.int(1, 3), channels, draw.int(1, 3)]),
    attrs: { strides: [draw.int(1, 2), 1, 1], pad: draw.pick("valid", "same"), dataFormat: "NDHWC", dilations: 1 }
  }
}

const dilation = (kernel: "Dilation2D" | "Dilation2DBackpropInput" | "Dilation2DBackpropFilter"): KernelCases => {
  return (draw) => {
    const shape = image(draw)
    const attrs = { strides: draw.int(1, 2), pad: draw.pick("valid", "same"), dilations: 1 }
    return {
      inputs: [draw.tensor(shape), draw.tensor([2, draw.int(1, 3), shape[3]])],
      operation: (x, filter) => {
        const out = run("Dilation2D", { x: x!, filter: filter! }, attrs) as tf.Tensor
        return kernel === "Dilation2D" ? out : run(kernel, { x: x!, filter: filter!, dy: tf.mul(out, 0.5) }, attrs)
      },
      noGradient: "none registered"
    }
  }
}

const resized = (op: typeof tf.image.resizeBilinear, tolerance: number): KernelCases => {
  return (draw) => {
    const target: [number, number] = [draw.int(1, 9), draw.int(1, 9)]
    const align = draw.bool()
    const centers = !align && draw.bool()
    return {
      inputs: [draw.tensor(image(draw, 2, 5), draw.pick(...numeric))],
      operation: (x) => op(x as tf.Tensor4D, target, align, centers),
      tolerance,
      ...(centers ? { noGradient: "the cpu backend's gradient ignores halfPixelCenters" } : {})
    }
  }
}
const resizedGradient =
  (kernel: string): KernelCases =>
  (draw) => {
    const shape = image(draw, 2, 5)
    const alignCorners = draw.bool()
    return {
      inputs: [draw.tensor([shape[0], draw.int(1, 7), draw.int(1, 7), shape[3]]), draw.tensor(shape)],
      operation: (dy, images) => run(kernel, { dy: dy!, images: images! }, { alignCorners }),
      noGradient: "a gradient kernel"
    }
  }

const boxes = (draw: Draw, count: number): Input => {
  const corner = draw.tensor([count, 2], "float32", 0, 3).values as Float32Array
  const extent = draw.tensor([count, 2], "float32", 0.5, 3).values as Float32Array
  const values = new Float32Array(count * 4)
  for (let i = 0; i < count; i++) {
    values.set(
      [corner[2 * i]!, corner[2 * i + 1]!, corner[2 * i]! + extent[2 * i]!, corner[2 * i + 1]! + extent[2 * i + 1]!],
      4 * i
    )
  }
  return { shape: [count, 4], dtype: "float32", values }
}
const suppression =
  (
    op: (boxes: tf.Tensor2D, scores: tf.Tensor1D, draw: readonly [number, number]) => ReadonlyArray<tf.Tensor>
  ): KernelCases =>
  (draw) => {
    const count = draw.int(1, 8)
    const limits = [draw.int(1, 6), draw.int(0, 9) / 10] as const
    return {
      inputs: [boxes(draw, count), draw.tensor([count], "float32", 0, 1)],
      operation: (b, s) => op(b as tf.Tensor2D, s as tf.Tensor1D, limits),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  }

const ofComplex =
  (op: (x: tf.Tensor) => tf.Tensor, tolerance = 0): KernelCases =>
  (draw) => {
    const shape = draw.shape(1, 3, false)
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape)],
      operation: (a, b) => op(tf.complex(a!, b!)),
      tolerance,
      noGradient: "none registered"
    }
  }
const parts = (x: tf.Tensor): ReadonlyArray<tf.Tensor> => [tf.real(x), tf.imag(x)]
const spectrum =
  (op: (x: tf.Tensor) => tf.Tensor): KernelCases =>
  (draw) => {
    const shape = [draw.int(1, 3), draw.pick(1, 2, 3, 4, 5, 8)]
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape)],
      operation: (a, b) => parts(op(tf.complex(a!, b!))),
      tolerance: 1e-5,
      noGradient: "none registered"
    }
  }

/** Increasing positions of rows in [0, limit). */
const sorted = (draw: Draw, count: number, limit: number): ReadonlyArray<number> =>
  Array.from({ length: count }, () => draw.int(0, limit - 1)).sort((a, b) => a - b)

const sparseSegments =
  (op: (data: tf.Tensor, indices: tf.Tensor1D, segments: tf.Tensor1D) => tf.Tensor): KernelCases =>
  (draw) => {
    const [rows, count] = [draw.int(1, 5), draw.int(1, 6)]
    return {
      inputs: [
        draw.tensor([rows, draw.int(1, 5)], draw.pick(...numeric)),
        draw.whole([count], 0, rows),
        given([count], "int32", sorted(draw, count, 4))
      ],
      operation: (data, indices, segments) => op(data!, indices as tf.Tensor1D, segments as tf.Tensor1D)
    }
  }

/** Distinct places in a matrix of 4 rows and 5 columns, one a row. */
const places = (draw: Draw): { readonly indices: Input; readonly count: number } => {
  const count = draw.int(1, 4)
  return {
    count,
    indices: given([count, 2], "int32", Array.from({ length: count }, (_, i) => [i, draw.int(0, 4)]).flat())
  }
}

const likes =
  (op: One): KernelCases =>
  (draw) => ({ inputs: [draw.tensor(draw.shape(), draw.pick(...numbers))], operation: (x) => op(x!) })

const comparison = (op: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): KernelCases => {
  return (draw) => {
    const shape = draw.shape()
    const dtype = draw.pick(...numbers)
    const special = draw.bool()
    // Few distinct numbers, so that many are equal.
    const make = (own: ReadonlyArray<number>): Input => {
      const input = draw.tensor(own, dtype, -2, 2, special)
      return input.dtype === "float32"
        ? { ...input, values: (input.values as Float32Array).map((value) => Math.round(value)) }
        : input
    }
    return { inputs: [make(shape), make(draw.broadcast(shape))], operation: (a, b) => op(a!, b!) }
  }
}

/** The generators by kernel name. */
export const kernelCases: Readonly<Record<string, KernelCases>> = {
  // Types.
  Cast: (draw) => {
    const to = draw.pick<tf.DataType>("float32", "int32", "bool")
    const input = draw.tensor(draw.shape(), draw.pick(...numbers), -4, 4, draw.bool())
    const shape = [...input.shape]
    // As it is; behind a view; computed with, by kernels of the engine and by tfjs-backend-cpu's.
    const use = draw.pick<One>(
      (y) => y,
      (y) => tf.reshape(y, [sizeOf(shape)]),
      (y) => tf.add(y, y),
      (y) => tf.max(y),
      (y) => tf.cast(y, "float32")
    )
    return { inputs: [input], operation: (x) => use(tf.cast(x!, to)) }
  },
  Identity: (draw) => ({ inputs: [draw.tensor(draw.shape(), draw.pick(...any))], operation: (x) => tf.clone(x!) }),
  Reshape: (draw) => {
    const shape = draw.shape()
    const target = draw.pick([sizeOf(shape)], [1, ...shape.slice().reverse()])
    return { inputs: [draw.tensor(shape, draw.pick(...any))], operation: (x) => tf.reshape(x!, target) }
  },
  ExpandDims: (draw) => {
    const shape = draw.shape(0, 3)
    const axis = draw.int(0, shape.length)
    return { inputs: [draw.tensor(shape, draw.pick(...any))], operation: (x) => tf.expandDims(x!, axis) }
  },

  // Entry by entry.
  Abs: unary(tf.abs),
  Acos: unary(tf.acos, -0.95, 0.95, 1e-6, 1e-4),
  Acosh: unary(tf.acosh, 1.05, 9, 1e-6, 1e-4),
  Asin: unary(tf.asin, -0.95, 0.95, 1e-6, 1e-4),
  Asinh: unary(tf.asinh, -4, 4, 1e-6),
  Atan: unary(tf.atan, -4, 4, 1e-6),
  Atanh: unary(tf.atanh, -0.95, 0.95, 1e-6, 1e-4),
  Ceil: unary(tf.ceil),
  Cos: unary(tf.cos, -4, 4, 1e-6),
  Cosh: unary(tf.cosh, -4, 4, 1e-6),
  Elu: unary(tf.elu, -4, 4, 1e-6),
  Erf: unary(tf.erf, -4, 4, 1e-6),
  Exp: unary(tf.exp, -4, 4, 1e-6),
  Expm1: unary(tf.expm1, -4, 4, 1e-6),
  Floor: unary(tf.floor),
  IsFinite: unary(tf.isFinite),
  IsInf: unary(tf.isInf),
  IsNan: unary(tf.isNaN),
  Log: unary(tf.log, 0.1, 9, 1e-6),
  Log1p: unary(tf.log1p, -0.9, 9, 1e-6),
  LogicalNot: (draw) => ({ inputs: [draw.tensor(draw.shape(), "bool")], operation: (x) => tf.logicalNot(x!) }),
  Neg: unary(tf.neg),
  Reciprocal: unary(tf.reciprocal, 0.2, 4, 1e-6),
  Relu: unary(tf.relu),
  Relu6: unary(tf.relu6, -4, 9),
  Round: unary(tf.round),
  Rsqrt: unary(tf.rsqrt, 0.1, 9, 1e-6),
  Selu: unary(tf.selu, -4, 4, 1e-6),
  Sigmoid: unary(tf.sigmoid, -4, 4, 1e-6),
  Sign: unary(tf.sign),
  Sin: unary(tf.sin, -4, 4, 1e-6),
  Sinh: unary(tf.sinh, -4, 4, 1e-6),
  Softplus: unary(tf.softplus, -4, 4, 1e-6),
  Sqrt: unary(tf.sqrt, 0.1, 9),
  Square: unary(tf.square),
  Step: unary((x) => tf.step(x, 0.25)),
  Tan: unary(tf.tan, -1.4, 1.4, 1e-6, 1e-4),
  Tanh: unary(tf.tanh, -4, 4, 1e-6),
  ClipByValue: unary((x) => tf.clipByValue(x, -1, 2)),
  LeakyRelu: unary((x) => tf.leakyRelu(x, 0.25)),
  EluGrad: (draw) => {
    const shape = draw.shape()
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape, "float32", -0.99, 2)],
      operation: (dy, y) => run("EluGrad", { dy: dy!, y: y! }),
      tolerance: 1e-6,
      noGradient: "a gradient kernel"
    }
  },
  OnesLike: likes(tf.onesLike),
  ZerosLike: likes(tf.zerosLike),

  // Two operands.
  Add: binary(tf.add),
  Sub: binary(tf.sub),
  Multiply: binary(tf.mul),
  RealDiv: binary(tf.div, numbers, 0.5, 4),
  FloorDiv: binary(tf.floorDiv, numeric, 1, 5),
  Mod: binary(tf.mod, numeric, 1, 5, 1e-6),
  Maximum: binary(tf.maximum),
  Minimum: binary(tf.minimum),
  SquaredDifference: binary(tf.squaredDifference, numbers, -4, 4, 1e-6),
  Pow: (draw) => {
    const shape = draw.shape()
    const [a, b] = [draw.pick(...numeric), draw.pick(...numeric)]
    // Whole powers up to 9^9: more than a float32 holds exactly.
    const low = a === "int32" && b === "int32" ? -9 : 0.2
    return {
      inputs: [draw.tensor(shape, a, low, 9.9), draw.tensor(draw.broadcast(shape), b, a === b ? -3 : 0, 9.9)],
      operation: (x, y) => tf.pow(x!, y!),
      tolerance: a === "int32" && b === "int32" ? 0 : 1e-6,
      gradientTolerance: 1e-4
    }
  },
  Atan2: binary(tf.atan2, numeric, -4, 4, 1e-6),
  Prelu: binary(tf.prelu, ["float32"]),
  BitwiseAnd: (draw) => {
    const shape = draw.shape()
    return {
      inputs: [draw.whole(shape, -99, 99), draw.whole(shape, -99, 99)],
      operation: (a, b) => tf.bitwiseAnd(a!, b!)
    }
  },
  AddN: (draw) => {
    const [shape, dtype] = [draw.shape(), draw.pick(...numeric)]
    const inputs = Array.from({ length: draw.int(1, 4) }, () => draw.tensor(shape, dtype))
    return { inputs, operation: (...all) => tf.addN(all) }
  },
  Equal: comparison(tf.equal),
  NotEqual: comparison(tf.notEqual),
  Greater: comparison(tf.greater),
  GreaterEqual: comparison(tf.greaterEqual),
  Less: comparison(tf.less),
  LessEqual: comparison(tf.lessEqual),
  LogicalAnd: logical(tf.logicalAnd),
  LogicalOr: logical(tf.logicalOr),
  Select: (draw) => {
    const shape = draw.shape()
    const [t, e] = [draw.pick(...numbers), draw.pick(...numbers)]
    const condition = draw.pick(shape, draw.broadcast(shape))
    return {
      inputs: [draw.tensor(condition, "bool"), draw.tensor(shape, t), draw.tensor(draw.broadcast(shape), e)],
      operation: (c, a, b) => tf.where(c!, a!, b!)
    }
  },

  // Reductions and sorting.
  Sum: reduction(tf.sum, numbers, 1e-6),
  Mean: reduction(tf.mean, numbers, 1e-6),
  Prod: reduction(tf.prod, numbers, 1e-6),
  Max: reduction(tf.max, numbers, 0, false),
  Min: reduction(tf.min, numbers, 0, false),
  All: reduction(tf.all, ["bool"], 0, false),
  Any: reduction(tf.any, ["bool"], 0, false),
  ArgMax: extremeIndex(tf.argMax),
  ArgMin: extremeIndex(tf.argMin),
  Cumsum: cumulative(tf.cumsum),
  Cumprod: cumulative(tf.cumprod),
  Softmax: (draw) => ({
    inputs: [draw.tensor(draw.shape(1, 4), draw.pick(...numeric))],
    operation: (x) => tf.softmax(x as tf.Tensor1D),
    tolerance: 1e-6
  }),
  TopK: (draw) => {
    const shape = draw.shape(1, 3, false)
    const k = draw.int(1, shape[shape.length - 1]!)
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) => {
        const { indices, values } = tf.topk(x!, k)
        return [values, indices]
      },
      noGradient: "none registered"
    }
  },
  Unique: (draw) => {
    const shape = draw.shape(1, 2, false)
    const axis = draw.int(0, shape.length - 1)
    return {
      inputs: [draw.tensor(shape, draw.pick("int32", "float32", "bool"), -2, 2)],
      operation: (x) => {
        const { indices, values } = tf.unique(x!, axis)
        return [values, indices]
      },
      noGradient: "none registered"
    }
  },
  SearchSorted: (draw) => {
    const [rows, columns] = [draw.int(1, 3), draw.int(1, 6)]
    const ordered = Array.from({ length: rows }, () => sorted(draw, columns, 9)).flat()
    const [side, dtype] = [draw.pick("left", "right"), draw.pick("int32", "float32")]
    return {
      inputs: [
        given([rows, columns], dtype as "int32" | "float32", ordered),
        draw.tensor([rows, draw.int(1, 4)], dtype as Dtype, 0, 9)
      ],
      operation: (s, v) => tf.searchSorted(s!, v!, side as "left" | "right"),
      noGradient: "none registered"
    }
  },
  Bincount: (draw) => {
    const count = draw.int(1, 9)
    return {
      inputs: [draw.whole([count], 0, 6), draw.tensor([draw.pick(0, count)], "float32")],
      operation: (x, weights) => tf.bincount(x as tf.Tensor1D, weights as tf.Tensor1D, 5),
      noGradient: "none registered"
    }
  },
  DenseBincount: (draw) => {
    const shape = draw.shape(1, 2, false)
    const binary = draw.bool()
    return {
      inputs: [draw.whole(shape, 0, 6), draw.tensor(draw.bool() ? shape : [0], "float32")],
      operation: (x, weights) => tf.denseBincount(x as tf.Tensor1D, weights as tf.Tensor1D, 5, binary),
      noGradient: "none registered"
    }
  },

  // Products.
  BatchMatMul: (draw) => {
    const [rows, inner, columns] = [draw.int(1, 6), draw.int(1, 6), draw.int(1, 6)]
    const [ta, tb] = [draw.bool(), draw.bool()]
    const batch = draw.pick(
      [[], []],
      [[3], [3]],
      [[3], [1]],
      [
        [2, 3],
        [2, 3]
      ],
      [[2, 3], [3]],
      [[1], [3]]
    )
    const dtype = draw.pick(...numeric)
    return {
      inputs: [
        draw.tensor([...batch[0]!, ...(ta ? [inner, rows] : [rows, inner])], dtype),
        draw.tensor([...batch[1]!, ...(tb ? [columns, inner] : [inner, columns])], dtype)
      ],
      operation: (a, b) => tf.matMul(a!, b!, ta, tb),
      tolerance: 1e-5,
      gradientTolerance: 1e-4
    }
  },
  Einsum: (draw) => {
    const [i, j, k] = [draw.int(1, 4), draw.int(1, 4), draw.int(1, 4)]
    const [equation, a, b] = draw.pick<readonly [string, Array<number>, Array<number> | undefined]>(
      ["ij,jk->ik", [i, j], [j, k]],
      ["bij,bjk->bik", [2, i, j], [2, j, k]],
      ["ij->ji", [i, j], undefined],
      ["ij->i", [i, j], undefined],
      ["i,i->", [i], [i]],
      ["ij,kj->ik", [i, j], [k, j]]
    )
    const dtype = draw.pick(...numeric)
    return {
      inputs: b === undefined ? [draw.tensor(a, dtype)] : [draw.tensor(a, dtype), draw.tensor(b, dtype)],
      operation: (...all) => tf.einsum(equation, ...all),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  },
  _FusedMatMul: (draw) => {
    const [rows, inner, columns] = [draw.int(1, 5), draw.int(1, 5), draw.int(1, 5)]
    const [ta, tb, activation] = [draw.bool(), draw.bool(), draw.pick(...activations)]
    return {
      inputs: [
        draw.tensor(ta ? [inner, rows] : [rows, inner]),
        draw.tensor(tb ? [columns, inner] : [inner, columns]),
        draw.tensor([columns]),
        draw.tensor([columns])
      ],
      operation: (a, b, bias, slope) =>
        tf.fused.matMul({
          a: a!,
          b: b!,
          transposeA: ta,
          transposeB: tb,
          bias: bias!,
          activation,
          ...(activation === "prelu" ? { preluActivationWeights: slope! } : {}),
          leakyreluAlpha: 0.25
        }),
      tolerance: 1e-5,
      gradientTolerance: 1e-4,
      ...(["linear", "relu", "relu6"].includes(activation) ? {} : { noGradient: "tfjs-core has none for it" })
    }
  },
  FusedConv2D: (draw) => {
    const activation = draw.pick(...activations)
    const drawn = convolution(draw, false)
    const out = drawn.filter.shape[3]!
    return {
      inputs: [drawn.x, drawn.filter, draw.tensor([out]), draw.tensor([out])],
      operation: (x, filter, bias, slope) =>
        tf.fused.conv2d({
          x: x as tf.Tensor4D,
          filter: filter as tf.Tensor4D,
          strides: drawn.strides,
          pad: drawn.pad,
          dilations: drawn.dilations,
          bias: bias!,
          activation,
          ...(activation === "prelu" ? { preluActivationWeights: slope! } : {}),
          leakyreluAlpha: 0.25
        }),
      tolerance: 1e-5,
      gradientTolerance: 1e-4,
      ...(["linear", "relu", "relu6"].includes(activation) && drawn.dilations === 1
        ? {}
        : { noGradient: "tfjs-core has none for it" })
    }
  },
  FusedDepthwiseConv2D: (draw) => {
    const activation = draw.pick(...activations)
    const drawn = convolution(draw, true)
    const out = drawn.filter.shape[2]! * drawn.filter.shape[3]!
    return {
      inputs: [drawn.x, drawn.filter, draw.tensor([out]), draw.tensor([out])],
      operation: (x, filter, bias, slope) =>
        tf.fused.depthwiseConv2d({
          x: x as tf.Tensor4D,
          filter: filter as tf.Tensor4D,
          strides: drawn.strides,
          pad: drawn.pad,
          dilations: drawn.dilations,
          bias: bias!,
          activation,
          ...(activation === "prelu" ? { preluActivationWeights: slope! } : {}),
          leakyreluAlpha: 0.25
        }),
      tolerance: 1e-5,
      gradientTolerance: 1e-4,
      ...(["linear", "relu", "relu6"].includes(activation) && drawn.dilations === 1
        ? {}
        : { noGradient: "tfjs-core has none for it" })
    }
  },
  Conv2D: (draw) =>
    convolved(
      draw,
      false,
      ({ dilations, pad, strides }) =>
        (x, filter) =>
          tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, strides, pad, "NHWC", dilations)
    ),
  Conv2DBackpropFilter: convolutionGradient("Conv2DBackpropFilter", false, true),
  Conv2DBackpropInput: (draw) => {
    const shape = image(draw, 2, 4)
    const [strides, pad] = [draw.int(1, 2), draw.pick("valid", "same")]
    const [size, out] = [draw.int(1, 3), draw.int(1, 4)]
    const extent = (length: number) => (pad === "same" ? length * strides : (length - 1) * strides + size)
    const target: [number, number, number, number] = [shape[0], extent(shape[1]), extent(shape[2]), out]
    return {
      inputs: [draw.tensor(shape), draw.tensor([size, size, out, shape[3]])],
      operation: (x, filter) =>
        tf.conv2dTranspose(x as tf.Tensor4D, filter as tf.Tensor4D, target, strides, pad as "valid" | "same"),
      tolerance: 1e-5,
      gradientTolerance: 1e-4
    }
  },
  DepthwiseConv2dNative: (draw) =>
    convolved(
      draw,
      true,
      ({ dilations, pad, strides }) =>
        (x, filter) =>
          tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, strides, pad, "NHWC", dilations)
    ),
  DepthwiseConv2dNativeBackpropFilter: convolutionGradient("DepthwiseConv2dNativeBackpropFilter", true, true),
  DepthwiseConv2dNativeBackpropInput: convolutionGradient("DepthwiseConv2dNativeBackpropInput", true, false),
  Conv3D: (draw) => {
    const { attrs, filter, x } = conv3d(draw)
    return {
      inputs: [x, filter],
      operation: (a, b) => run("Conv3D", { x: a!, filter: b! }, attrs),
      tolerance: 1e-5,
      noGradient: "none registered"
    }
  },
  Conv3DBackpropFilterV2: (draw) => {
    const { attrs, filter, x } = conv3d(draw)
    return {
      inputs: [x, filter],
      operation: (a, b) => {
        const dy = run("Conv3D", { x: a!, filter: b! }, attrs) as tf.Tensor
        return run("Conv3DBackpropFilterV2", { x: a!, dy }, { ...attrs, filterShape: filter.shape })
      },
      tolerance: 1e-4,
      noGradient: "a gradient kernel"
    }
  },
  Conv3DBackpropInputV2: (draw) => {
    const { attrs, filter, x } = conv3d(draw)
    return {
      inputs: [x, filter],
      operation: (a, b) => {
        const dy = run("Conv3D", { x: a!, filter: b! }, attrs) as tf.Tensor
        return run("Conv3DBackpropInputV2", { dy, filter: b! }, { ...attrs, inputShape: x.shape })
      },
      tolerance: 1e-4,
      noGradient: "a gradient kernel"
    }
  },
  Dilation2D: dilation("Dilation2D"),
  Dilation2DBackpropFilter: dilation("Dilation2DBackpropFilter"),
  Dilation2DBackpropInput: dilation("Dilation2DBackpropInput"),
  FusedBatchNorm: (draw) => {
    const shape = draw.shape(2, 4, false)
    const last = draw.bool() ? shape.slice(-1) : shape
    return {
      inputs: [
        draw.tensor(shape),
        draw.tensor(last),
        draw.tensor(last, "float32", 0.3, 3),
        draw.tensor(last),
        draw.tensor(last)
      ],
      operation: (x, mean, variance, offset, scale) =>
        run(
          "FusedBatchNorm",
          { x: x!, mean: mean!, variance: variance!, offset: offset!, scale: scale! },
          {
            varianceEpsilon: 1e-3
          }
        ),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  },
  LRN: (draw) => ({
    inputs: [draw.tensor(image(draw))],
    operation: (x) => tf.localResponseNormalization(x as tf.Tensor4D, 2, 1, 0.5, 0.5),
    tolerance: 1e-6,
    noGradient: "none registered"
  }),
  LRNGrad: (draw) => {
    const shape = image(draw)
    const attrs = { depthRadius: 2, bias: 1, alpha: 0.5, beta: 0.5 }
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape)],
      operation: (x, dy) => run("LRNGrad", { x: x!, y: run("LRN", { x: x! }, attrs) as tf.Tensor, dy: dy! }, attrs),
      tolerance: 1e-6,
      noGradient: "a gradient kernel"
    }
  },

  // Pooling.
  AvgPool: pool2d((x, size, strides, pad) => tf.avgPool(x, size, strides, pad), 1e-6),
  MaxPool: pool2d((x, size, strides, pad) => tf.maxPool(x, size, strides, pad), 0),
  AvgPoolGrad: poolGradient("AvgPoolGrad", false),
  MaxPoolGrad: poolGradient("MaxPoolGrad", false),
  AvgPool3D: pool3d((x, size, strides, pad) => tf.avgPool3d(x, size, strides, pad)),
  MaxPool3D: pool3d((x, size, strides, pad) => tf.maxPool3d(x, size, strides, pad)),
  AvgPool3DGrad: poolGradient("AvgPool3DGrad", true),
  MaxPool3DGrad: poolGradient("MaxPool3DGrad", true),
  MaxPoolWithArgmax: (draw) => {
    const [size, strides, pad, batch] = [draw.int(1, 3), draw.int(1, 2), draw.pick("valid", "same"), draw.bool()]
    return {
      inputs: [draw.tensor(image(draw))],
      operation: (x) => {
        const { indexes, result } = tf.maxPoolWithArgmax(x as tf.Tensor4D, size, strides, pad as "valid", batch)
        // The places are used as well as read.
        return [result!, indexes!, tf.add(indexes!, tf.scalar(1, "int32"))]
      },
      noGradient: "none registered"
    }
  },

  // Places.
  Slice: (draw) => {
    const shape = draw.shape(1, 4, false)
    const begin = shape.map((size) => draw.int(0, size - 1))
    const size = shape.map((full, i) => draw.pick(-1, draw.int(0, full - begin[i]!)))
    return { inputs: [draw.tensor(shape, draw.pick(...any))], operation: (x) => tf.slice(x!, begin, size) }
  },
  StridedSlice: (draw) => {
    const shape = draw.shape(1, 3, false)
    const begin = shape.map((size) => draw.int(0, size - 1))
    const end = shape.map((size, i) => draw.int(begin[i]!, size))
    const strides = shape.map(() => draw.int(1, 2))
    const masks = [draw.int(0, 3), draw.int(0, 3)] as const
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) => tf.stridedSlice(x!, begin, end, strides, ...masks),
      noGradient: "none registered"
    }
  },
  SplitV: (draw) => {
    const shape = draw.shape(1, 4, false)
    const axis = draw.int(0, shape.length - 1)
    const first = draw.int(0, shape[axis]!)
    const sizes = draw.pick<number | Array<number>>(shape[axis]!, [first, shape[axis]! - first])
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.split(x!, sizes, axis) }
  },
  Concat: (draw) => {
    const [shape, dtype] = [draw.shape(1, 4), draw.pick(...any)]
    const axis = draw.int(0, shape.length - 1)
    const inputs = Array.from({ length: draw.int(1, 3) }, () =>
      draw.tensor(
        shape.map((size, i) => (i === axis ? draw.int(0, 3) : size)),
        dtype
      )
    )
    return { inputs, operation: (...all) => tf.concat(all, axis) }
  },
  Pack: (draw) => {
    const [shape, dtype] = [draw.shape(0, 3), draw.pick(...any)]
    const axis = draw.int(0, shape.length)
    const inputs = Array.from({ length: draw.int(1, 3) }, () => draw.tensor(shape, dtype))
    return { inputs, operation: (...all) => tf.stack(all, axis) }
  },
  Unpack: (draw) => {
    const shape = draw.shape(1, 4, false)
    const axis = draw.axis(shape)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.unstack(x!, axis) }
  },
  PadV2: (draw) => {
    const shape = draw.shape(1, 4)
    const paddings = shape.map((): [number, number] => [draw.int(0, 2), draw.int(0, 2)])
    const value = draw.int(-1, 2)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.pad(x!, paddings, value) }
  },
  MirrorPad: (draw) => {
    const shape = draw.shape(1, 3, false)
    const mode = draw.pick("reflect", "symmetric")
    const most = (size: number) => Math.min(2, mode === "reflect" ? size - 1 : size)
    const paddings = shape.map((size): [number, number] => [draw.int(0, most(size)), draw.int(0, most(size))])
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) => tf.mirrorPad(x!, paddings, mode as "reflect" | "symmetric"),
      noGradient: "none registered"
    }
  },
  Tile: (draw) => {
    const shape = draw.shape(1, 4)
    const reps = shape.map(() => draw.int(0, 3))
    return { inputs: [draw.tensor(shape, draw.pick(...any))], operation: (x) => tf.tile(x!, reps) }
  },
  Transpose: (draw) => {
    const shape = draw.shape()
    const keys = shape.map(() => draw.int(0, 99))
    const perm = shape.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]!)
    return { inputs: [draw.tensor(shape, draw.pick(...any))], operation: (x) => tf.transpose(x!, perm) }
  },
  Reverse: (draw) => {
    const shape = draw.shape()
    const axes = draw.axes(shape)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.reverse(x!, axes) }
  },
  Fill: (draw) => {
    const shape = draw.shape()
    const number = draw.int(-3, 3)
    const [value, dtype] = draw.pick<readonly [number | string, "float32" | "int32" | "bool" | "string" | undefined]>(
      [number, "float32"],
      [number, "int32"],
      [1, "bool"],
      [number, undefined],
      ["text", "string"]
    )
    return { inputs: [], operation: () => tf.fill(shape, value, dtype as "float32") }
  },
  LinSpace: (draw) => {
    const [from, to, count] = [draw.int(-5, 5), draw.int(-5, 5), draw.int(1, 9)]
    return { inputs: [], operation: () => tf.linspace(from, to, count) }
  },
  Range: (draw) => {
    const [from, to, step] = [draw.int(-5, 5), draw.int(-5, 5), draw.int(1, 3)]
    const dtype = draw.pick("float32", "int32")
    return {
      inputs: [],
      operation: () => tf.range(from, to, from <= to ? step : -step, dtype as "float32" | "int32")
    }
  },
  Diag: (draw) => ({
    inputs: [draw.tensor(draw.shape(1, 2, false), draw.pick(...numbers))],
    operation: (x) => tf.diag(x!),
    noGradient: "none registered"
  }),
  OneHot: (draw) => {
    const shape = draw.shape(0, 3)
    const [depth, dtype] = [draw.int(1, 5), draw.pick("float32", "int32", "bool")]
    const dtypes = draw.pick<Dtype>("int32", "float32")
    return {
      inputs: [draw.tensor(shape, dtypes, -1, 6)],
      operation: (x) => tf.oneHot(tf.cast(x!, "int32"), depth, 2, -1, dtype as "float32")
    }
  },
  GatherV2: (draw) => {
    const shape = draw.shape(1, 3, false)
    const axis = draw.int(0, shape.length - 1)
    const indices = draw.whole(draw.shape(1, 2), 0, shape[axis]!)
    return {
      inputs: [draw.tensor(shape, draw.pick(...any)), indices],
      operation: (x, i) => tf.gather(x!, i as tf.Tensor1D, axis)
    }
  },
  GatherNd: (draw) => ({
    inputs: [
      draw.tensor([3, 4, draw.int(1, 3)], draw.pick(...numeric)),
      draw.whole([draw.int(1, 4), draw.int(1, 2)], 0, 3)
    ],
    operation: (x, indices) => tf.gatherND(x!, indices!),
    noGradient: "none registered"
  }),
  ScatterNd: (draw) => {
    const count = draw.int(1, 5)
    return {
      inputs: [draw.whole([count, 1], 0, 4), draw.tensor([count, 3], draw.pick(...numeric))],
      operation: (indices, updates) => tf.scatterND(indices!, updates!, [4, 3]),
      noGradient: "none registered"
    }
  },
  TensorScatterUpdate: (draw) => {
    const [count, dtype] = [draw.int(1, 4), draw.pick(...numeric)]
    return {
      inputs: [draw.tensor([4, 3], dtype), draw.whole([count, 1], 0, 4), draw.tensor([count, 3], dtype)],
      operation: (x, indices, updates) => tf.tensorScatterUpdate(x!, indices!, updates!),
      noGradient: "none registered"
    }
  },
  SparseToDense: (draw) => {
    const { count, indices } = places(draw)
    const dtype = draw.pick("float32", "int32", "bool")
    return {
      inputs: [indices, draw.tensor([count], dtype as Dtype), draw.tensor([], dtype as Dtype)],
      operation: (i, values, otherwise) => tf.sparseToDense(i!, values!, [4, 5], otherwise as tf.Scalar),
      noGradient: "none registered"
    }
  },
  SparseFillEmptyRows: (draw) => {
    const { count, indices } = places(draw)
    const dtype = draw.pick(...numeric)
    return {
      inputs: [indices, draw.tensor([count], dtype), given([2], "int32", [5, 5]), draw.tensor([], dtype)],
      operation: (i, values, shape, otherwise) =>
        Object.values(
          tf.sparse.sparseFillEmptyRows(
            i as tf.Tensor2D,
            values as tf.Tensor1D,
            shape as tf.Tensor1D,
            otherwise as tf.Scalar
          )
        ) as Array<tf.Tensor>,
      noGradient: "none registered"
    }
  },
  SparseReshape: (draw) => ({
    inputs: [
      places(draw).indices,
      given([2], "int32", [4, 5]),
      given([2], "int32", draw.pick([2, 10], [5, -1], [20, 1]))
    ],
    operation: (i, from, to) =>
      Object.values(
        tf.sparse.sparseReshape(i as tf.Tensor2D, from as tf.Tensor1D, to as tf.Tensor1D)
      ) as Array<tf.Tensor>,
    noGradient: "none registered"
  }),
  SparseSegmentMean: sparseSegments(tf.sparse.sparseSegmentMean),
  SparseSegmentSum: sparseSegments(tf.sparse.sparseSegmentSum),
  UnsortedSegmentSum: (draw) => {
    const shape = draw.shape(1, 3, false)
    const ids = draw.whole([shape[0]!], -1, 4)
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric)), ids],
      operation: (x, i) => tf.unsortedSegmentSum(x!, i as tf.Tensor1D, 4),
      tolerance: 1e-6
    }
  },
  BroadcastArgs: (draw) => {
    const shape = draw.shape(1, 4, false)
    const other = draw.broadcast(shape)
    return {
      inputs: [given([shape.length], "int32", shape), given([other.length], "int32", other)],
      operation: (a, b) => tf.broadcastArgs(a!, b!)
    }
  },
  BatchToSpaceND: (draw) => {
    const block = [draw.int(1, 2), draw.int(1, 3)]
    const shape = [block[0]! * block[1]! * draw.int(1, 2), draw.int(2, 3), draw.int(2, 3), draw.int(1, 3)]
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) =>
        tf.batchToSpaceND(x!, block, [
          [0, 1],
          [1, 0]
        ]),
      noGradient: "none registered"
    }
  },
  SpaceToBatchND: (draw) => {
    const block = [draw.int(1, 2), draw.int(1, 3)]
    const shape = [draw.int(1, 2), block[0]! * draw.int(1, 3), block[1]! * draw.int(1, 2), draw.int(1, 3)]
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) =>
        tf.spaceToBatchND(x!, block, [
          [block[0]!, 0],
          [0, block[1]!]
        ]),
      noGradient: "none registered"
    }
  },
  DepthToSpace: (draw) => ({
    inputs: [draw.tensor([draw.int(1, 2), draw.int(1, 3), draw.int(1, 3), 4 * draw.int(1, 2)], draw.pick(...numeric))],
    operation: (x) => tf.depthToSpace(x as tf.Tensor4D, 2, "NHWC"),
    noGradient: "none registered"
  }),

  // Images.
  ResizeBilinear: resized(tf.image.resizeBilinear, 1e-6),
  ResizeNearestNeighbor: (draw) => ({
    ...resized(tf.image.resizeNearestNeighbor as typeof tf.image.resizeBilinear, 0)(draw),
    noGradient: "none registered"
  }),
  ResizeBilinearGrad: resizedGradient("ResizeBilinearGrad"),
  ResizeNearestNeighborGrad: resizedGradient("ResizeNearestNeighborGrad"),
  CropAndResize: (draw) => {
    const [count, shape] = [draw.int(1, 3), image(draw)]
    const method = draw.pick("bilinear", "nearest")
    return {
      inputs: [
        draw.tensor(shape, draw.pick(...numeric)),
        draw.tensor([count, 4], "float32", -0.2, 1.2),
        draw.whole([count], 0, shape[0])
      ],
      operation: (x, b, i) =>
        tf.image.cropAndResize(
          x as tf.Tensor4D,
          b as tf.Tensor2D,
          i as tf.Tensor1D,
          [3, 2],
          method as "bilinear" | "nearest",
          0.5
        ),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  },
  FlipLeftRight: (draw) => ({
    inputs: [draw.tensor(image(draw), draw.pick(...numeric))],
    operation: (x) => tf.image.flipLeftRight(x as tf.Tensor4D),
    noGradient: "none registered"
  }),
  RotateWithOffset: (draw) => {
    const radians = draw.int(0, 20) / 7
    return {
      inputs: [draw.tensor(image(draw), draw.pick(...numeric))],
      operation: (x) => tf.image.rotateWithOffset(x as tf.Tensor4D, radians, 1),
      noGradient: "none registered"
    }
  },
  Transform: (draw) => {
    const [method, mode] = [draw.pick("nearest", "bilinear"), draw.pick("constant", "reflect", "wrap", "nearest")]
    // The cpu backend transforms the first image of a batch only.
    const [, ...rest] = image(draw)
    const target = draw.pick<[number, number] | undefined>([4, 3], undefined)
    return {
      inputs: [draw.tensor([1, ...rest]), given([1, 8], "float32", [1, 0.25, 1, -0.25, 1, 0.5, 0, 0])],
      operation: (x, t) =>
        tf.image.transform(
          x as tf.Tensor4D,
          t as tf.Tensor2D,
          method as "nearest" | "bilinear",
          mode as "constant" | "reflect" | "wrap" | "nearest",
          0.5,
          target
        ),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  },
  NonMaxSuppressionV3: suppression((b, s, [count, overlap]) => [tf.image.nonMaxSuppression(b, s, count, overlap, 0.2)]),
  NonMaxSuppressionV4: suppression(
    (b, s, [count, overlap]) =>
      Object.values(tf.image.nonMaxSuppressionPadded(b, s, count, overlap, 0.2, true)) as Array<tf.Tensor>
  ),
  NonMaxSuppressionV5: suppression(
    (b, s, [count, overlap]) =>
      Object.values(tf.image.nonMaxSuppressionWithScore(b, s, count, overlap, 0.2, 0.5)) as Array<tf.Tensor>
  ),
  Draw: (draw) => {
    const dtype = draw.pick<Dtype>("float32", "int32")
    const shape = [draw.int(1, 3), draw.int(1, 4), draw.pick(1, 3, 4)]
    return {
      inputs: [draw.tensor(shape, dtype, 0, dtype === "float32" ? 1 : 255)],
      operation: (x) => {
        let drawn: ReadonlyArray<number> = []
        const context = { putImageData: (data: { readonly data: Uint8ClampedArray }) => (drawn = [...data.data]) }
        const canvas = { width: 0, height: 0, getContext: () => context }
        const scope = globalThis as { ImageData?: unknown }
        const before = scope.ImageData
        scope.ImageData = class {
          readonly data: Uint8ClampedArray
          constructor(data: Uint8ClampedArray) {
            this.data = data
          }
        }
        try {
          run("Draw", { image: x! }, { canvas })
        } finally {
          if (before === undefined) delete scope.ImageData
          else scope.ImageData = before
        }
        return tf.tensor1d([...drawn], "int32")
      },
      noGradient: "draws on a canvas"
    }
  },

  // Complex numbers.
  Complex: ofComplex((x) => x),
  Real: ofComplex((x) => tf.add(tf.real(x), 1)),
  Imag: ofComplex((x) => tf.add(tf.imag(x), 1)),
  ComplexAbs: ofComplex(tf.abs, 1e-6),
  FFT: spectrum(tf.fft),
  IFFT: spectrum(tf.ifft),

  // Random, of a given seed.
  Multinomial: (draw) => {
    const [samples, seed, normalized] = [draw.int(1, 9), draw.int(1, 99), draw.bool()]
    return {
      inputs: [draw.tensor([draw.int(1, 3), draw.int(2, 5)], "float32", 0.01, 0.2)],
      operation: (x) => tf.multinomial(x as tf.Tensor2D, samples, seed, normalized),
      noGradient: "none registered"
    }
  },

  // Ragged tensors.
  RaggedGather: (draw) => ({
    inputs: [
      given([4], "int32", [0, 2, 3, 5]),
      draw.tensor([5, 2], draw.pick(...numeric)),
      draw.whole([draw.int(1, 4)], 0, 3)
    ],
    operation: (splits, values, indices) => {
      const { outputDenseValues, outputNestedSplits } = tf.raggedGather([splits!], values!, indices!, 1)
      return [...outputNestedSplits, outputDenseValues]
    },
    noGradient: "none registered"
  }),
  RaggedRange: (draw) => ({
    inputs: [draw.whole([3], 0, 3), draw.whole([3], 3, 9), draw.whole([3], 1, 3)],
    operation: (starts, limits, deltas) => Object.values(tf.raggedRange(starts!, limits!, deltas!)) as Array<tf.Tensor>,
    noGradient: "none registered"
  }),
  RaggedTensorToTensor: (draw) => {
    const dtype = draw.pick(...numeric)
    return {
      inputs: [
        given([2], "int32", [4, 4]),
        draw.tensor([5], dtype),
        draw.tensor([], dtype),
        given([4], "int32", [0, 2, 3, 5])
      ],
      operation: (shape, values, otherwise, splits) =>
        tf.raggedTensorToTensor(shape!, values!, otherwise!, [splits!], ["ROW_SPLITS"]),
      noGradient: "none registered"
    }
  },

  // Text.
  StaticRegexReplace: (draw) => {
    const all = draw.bool()
    return {
      inputs: [draw.tensor(draw.shape(0, 2), "string")],
      operation: (x) => tf.string.staticRegexReplace(x!, "a|ü", "z", all)
    }
  },
  StringNGrams: (draw) => {
    const [width, preserve] = [draw.int(1, 3), draw.bool()]
    return {
      inputs: [texts("a", "b", "c", "d"), given([3], "int32", [0, draw.int(0, 4), 4])],
      operation: (data, splits) =>
        Object.values(
          tf.string.stringNGrams(data as tf.Tensor1D, splits!, "|", [width], "L", "R", -1, preserve)
        ) as Array<tf.Tensor>
    }
  },
  StringSplit: (draw) => {
    const skip = draw.bool()
    return {
      inputs: [texts("a b", "", " c  d"), { shape: [], dtype: "string", values: [" "] }],
      operation: (x, by) =>
        Object.values(tf.string.stringSplit(x as tf.Tensor1D, by as tf.Scalar, skip)) as Array<tf.Tensor>
    }
  },
  StringToHashBucketFast: (draw) => {
    const buckets = draw.int(1, 99)
    return {
      inputs: [draw.tensor(draw.shape(0, 2), "string")],
      operation: (x) => tf.string.stringToHashBucketFast(x!, buckets)
    }
  }
}
