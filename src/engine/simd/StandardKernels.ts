/**
 * Kernels of the embedded engine under tfjs's names. Each takes float32 tensors in the shapes its kernel covers and
 * leaves the rest to tfjs-backend-cpu's kernel, whose arithmetic (sums and products in double precision, one rounding) is
 * the same on every machine too. Functions for which that kernel would call the host's mathematical library are covered
 * for every shape and type: {@link hostDependentKernels} lists those that are not.
 */
import * as tf from "@tensorflow/tfjs-core"
import { addSimdKernel, type SimdBackend } from "./Backend.ts"
import { type PlainConvolution, plainConvolution } from "./Chain.ts"
import {
  type BinaryOperation,
  binary,
  compare,
  copyBlock,
  filled,
  matMul,
  pool,
  poolGradient,
  type Reduction,
  reduce,
  reductionExtents,
  select,
  softmax,
  transpose,
  type UnaryOperation,
  unary
} from "./Operations.ts"

type Info = tf.TensorInfo
type Inputs = tf.NamedTensorInfoMap
type Attributes = Readonly<Record<string, unknown>>
type Kernel = (inputs: Inputs, attributes: Attributes, backend: SimdBackend) => Info | Array<Info> | undefined

/**
 * Kernels that still compute with the host's exp, log, sine or power, or draw from the host's random generator: none is
 * reached by a run. Fused products with an activation, spectra, local response normalisation, soft non-maximum
 * suppression, rotation of images, complex magnitudes, tfjs's random operations.
 */
export const hostDependentKernels: ReadonlyArray<string> = [
  "ComplexAbs",
  "FFT",
  "FusedConv2D",
  "FusedDepthwiseConv2D",
  "IFFT",
  "LRN",
  "LRNGrad",
  "Multinomial",
  "NonMaxSuppressionV5",
  "RotateWithOffset",
  "_FusedMatMul"
]

/** tfjs-backend-cpu's kernel on the same tensors. */
const fallback = (name: string, inputs: Inputs, attrs: Attributes, backend: SimdBackend): Info | Array<Info> =>
  backend.borrow(
    () =>
      tf.getKernel(name, "cpu").kernelFunc({ inputs, attrs: attrs as tf.NamedAttrMap, backend }) as Info | Array<Info>
  )

/** Registers a kernel that falls back where `kernel` gives undefined. */
const register = (kernelName: string, kernel: Kernel): void =>
  addSimdKernel({
    kernelName,
    kernelFunc: ({ attrs, backend, inputs }) => {
      const simd = backend as SimdBackend
      const given = (attrs ?? {}) as Attributes
      const named = inputs as Inputs
      return kernel(named, given, simd) ?? fallback(kernelName, named, given, simd)
    }
  })

const size = (info: Info): number => tf.util.sizeFromShape(info.shape)
const isFloat = (info: Info): boolean => info.dtype === "float32"
const isFourBytes = (info: Info): boolean => info.dtype === "float32" || info.dtype === "int32"

/** Runs `body` on float32 copies of what is not float32. */
const asFloats = <A>(backend: SimdBackend, infos: ReadonlyArray<Info>, body: (...floats: Array<Info>) => A): A => {
  const made: Array<Info> = []
  try {
    return body(
      ...infos.map((info) => {
        if (isFloat(info)) return info
        const copy = backend.allocate([...info.shape])
        made.push(copy)
        backend.view(copy).set(backend.view(info))
        return copy
      })
    )
  } finally {
    for (const copy of made) backend.disposeData(copy.dataId)
  }
}

// Types. tfjs-backend-cpu puts the label of a wider type on the same data; here every type has data of its own.
const castTypes: ReadonlySet<unknown> = new Set(["float32", "int32", "bool"])
register("Cast", ({ x }, attributes, backend) => {
  const dtype = attributes["dtype"] as tf.DataType
  if (x!.dtype === dtype) return fallback("Identity", { x: x! }, {}, backend)
  // To a complex number and from one: the fallback copies the parts.
  if ((dtype === "complex64" && x!.dtype !== "string") || x!.dtype === "complex64") return undefined
  if (!castTypes.has(dtype) || !castTypes.has(x!.dtype)) {
    throw new TypeError(`cast: a ${x!.dtype} tensor cannot become ${dtype}; numbers and bool can become each other`)
  }
  const out = backend.allocate([...x!.shape], dtype)
  const [from, to] = [backend.view(x!), backend.view(out)]
  // Storing in an Int32Array cuts the fraction off and makes NaN and infinities 0; NaN is not zero, so it is true.
  if (dtype === "bool") for (let i = 0; i < to.length; i++) to[i] = from[i] === 0 ? 0 : 1
  else to.set(from)
  return out
})

/** A float32 result as the type of the operands, as tfjs has it: fractions are cut off, NaN and infinities become 0. */
const narrowed = (backend: SimdBackend, float: Info, dtype: tf.DataType): Info => {
  if (dtype === "float32") return float
  const out = backend.allocate([...float.shape], dtype)
  backend.view(out).set(backend.view(float))
  backend.disposeData(float.dataId)
  return out
}

// One operand. Functions whose fallback would ask the host's library take any type. Of integers, tfjs makes integers;
// the exponential alone is float32 always.
const hostFunctions: ReadonlyArray<UnaryOperation> = [
  "Exp",
  "Log",
  "Tanh",
  "Sigmoid",
  "Expm1",
  "Log1p",
  "Softplus",
  "Sin",
  "Cos",
  "Tan",
  "Asin",
  "Acos",
  "Atan",
  "Sinh",
  "Cosh",
  "Asinh",
  "Acosh",
  "Atanh",
  "Erf",
  "Elu",
  "Selu"
]
for (const name of hostFunctions) {
  register(name, ({ x }, _, backend) => {
    if (x!.dtype === "complex64" || x!.dtype === "string") return undefined
    const out = asFloats(backend, [x!], (floats) => unary(backend, name, floats!))
    return name === "Exp" ? out : narrowed(backend, out, x!.dtype)
  })
}
const exactFunctions: ReadonlyArray<UnaryOperation> = [
  "Sqrt",
  "Rsqrt",
  "Square",
  "Neg",
  "Abs",
  "Relu",
  "Relu6",
  "Reciprocal",
  "Floor",
  "Ceil",
  "Round"
]
for (const name of exactFunctions) {
  register(name, ({ x }, _, backend) => (isFloat(x!) ? unary(backend, name, x!) : undefined))
}
register("ClipByValue", ({ x }, attributes, backend) =>
  isFloat(x!)
    ? unary(backend, "ClipByValue", x!, [attributes["clipValueMin"] as number, attributes["clipValueMax"] as number])
    : undefined
)
register("Step", ({ x }, attributes, backend) =>
  isFloat(x!) ? unary(backend, "Step", x!, [(attributes["alpha"] as number | undefined) ?? 0, 0]) : undefined
)
register("LeakyRelu", ({ x }, attributes, backend) =>
  isFloat(x!) ? unary(backend, "LeakyRelu", x!, [attributes["alpha"] as number, 0]) : undefined
)
register("EluGrad", ({ dy, y }, _, backend) => {
  if (!isFloat(dy!) || !isFloat(y!)) return undefined
  // dy (y + 1) where y is negative: y + 1 is e^x there, so no exponential is needed again.
  const [slopes, values, out] = [backend.view(y!), backend.view(dy!), backend.allocate([...y!.shape])]
  const result = backend.view(out)
  for (let i = 0; i < values.length; i++) {
    result[i] = slopes[i]! >= 0 ? values[i]! : values[i]! * Math.fround(slopes[i]! + 1)
  }
  return out
})

// Two operands.
for (const name of ["Add", "Sub", "Multiply", "RealDiv", "Maximum", "Minimum", "SquaredDifference"] as const) {
  register(name, ({ a, b }, _, backend) => (isFloat(a!) && isFloat(b!) ? binary(backend, name, a!, b!) : undefined))
}
register("Prelu", ({ alpha, x }, _, backend) =>
  isFloat(x!) && isFloat(alpha!) ? binary(backend, "Prelu", x!, alpha!) : undefined
)

/** A copy of x as it broadcasts to a shape. */
const broadcast = (backend: SimdBackend, x: Info, shape: ReadonlyArray<number>): Info => {
  const out = backend.allocate([...shape], x.dtype)
  const view = backend.view(out)
  const source = backend.view(x)
  const rank = shape.length
  const own = [...new Array<number>(rank - x.shape.length).fill(1), ...x.shape]
  const strides = new Array<number>(rank).fill(0)
  let step = 1
  for (let i = rank - 1; i >= 0; i--) {
    strides[i] = own[i] === 1 ? 0 : step
    step *= own[i]!
  }
  for (let i = 0; i < view.length; i++) {
    let rest = i
    let at = 0
    for (let axis = rank - 1; axis >= 0; axis--) {
      at += (rest % shape[axis]!) * strides[axis]!
      rest = Math.floor(rest / shape[axis]!)
    }
    view[i] = source[at]!
  }
  return out
}

/** a^b in 32 bits, as a product of them: exact, where a float32 would hold 24 bits. b < 0 leaves the fraction out. */
const wholePower = (a: number, b: number): number => {
  if (b < 0) return a === 1 || (a === -1 && b % 2 === 0) ? 1 : a === -1 ? -1 : 0
  let [result, square, rest] = [1, a, b]
  while (rest > 0) {
    if (rest % 2 === 1) result = Math.imul(result, square)
    square = Math.imul(square, square)
    rest = Math.floor(rest / 2)
  }
  return result
}
/** Runs `body` on two operands of the shape that they have together. */
const together = <A>(backend: SimdBackend, a: Info, b: Info, body: (a: Info, b: Info) => A): A => {
  const shape = tf.broadcast_util.assertAndGetBroadcastShape([...a.shape], [...b.shape])
  const wide = [broadcast(backend, a, shape), broadcast(backend, b, shape)] as const
  try {
    return body(...wide)
  } finally {
    for (const info of wide) backend.disposeData(info.dataId)
  }
}

for (const name of ["Pow", "Atan2"] as const satisfies ReadonlyArray<BinaryOperation>) {
  register(name, ({ a, b }, _, backend) => {
    if (name === "Pow" && a!.dtype === "int32" && b!.dtype === "int32") {
      return together(backend, a!, b!, (x, y) => {
        const out = backend.allocate([...x.shape], "int32")
        const [bases, exponents, powers] = [backend.view(x), backend.view(y), backend.view(out)]
        for (let i = 0; i < powers.length; i++) powers[i] = wholePower(bases[i]!, exponents[i]!)
        return out
      })
    }
    const result = asFloats(
      backend,
      [a!, b!],
      (x, y) =>
        binary(backend, name, x!, y!) ??
        together(backend, x!, y!, (wideX, wideY) => binary(backend, name, wideX, wideY))
    )
    return result === undefined ? undefined : narrowed(backend, result, a!.dtype === b!.dtype ? a!.dtype : "float32")
  })
}

// Reductions.
const reduced = (
  reduction: Reduction,
  x: Info,
  attributes: Attributes,
  axisKey: string,
  backend: SimdBackend,
  mean: boolean
): Info | undefined => {
  if (!isFloat(x) || size(x) === 0) return undefined
  const axes = tf.util.parseAxisParam(attributes[axisKey] as number | Array<number>, [...x.shape])
  const extents = reductionExtents(x.shape, axes)
  if (extents === undefined) return undefined
  const gone = new Set(axes)
  const keep = attributes["keepDims"] === true
  const shape = x.shape.flatMap((length, i) => (gone.has(i) ? (keep ? [1] : []) : [length]))
  return reduce(backend, reduction, x, extents, shape, mean ? { divisor: extents[1] } : {})
}
register("Sum", ({ x }, attributes, backend) => reduced("Sum", x!, attributes, "axis", backend, false))
register("Mean", ({ x }, attributes, backend) => reduced("Sum", x!, attributes, "axis", backend, true))
register("Max", ({ x }, attributes, backend) => reduced("Max", x!, attributes, "reductionIndices", backend, false))
register("Min", ({ x }, attributes, backend) => reduced("Min", x!, attributes, "axis", backend, false))

// Products and softmax.
register("BatchMatMul", ({ a, b }, attributes, backend) => {
  if (!isFloat(a!) || !isFloat(b!)) return undefined
  const [transposeA, transposeB] = [attributes["transposeA"] === true, attributes["transposeB"] === true]
  const [lastA, lastB] = [a!.shape.slice(-2) as [number, number], b!.shape.slice(-2) as [number, number]]
  const [rows, k] = transposeA ? [lastA[1], lastA[0]] : lastA
  const [inner, columns] = transposeB ? [lastB[1], lastB[0]] : lastB
  const [outerA, outerB] = [a!.shape.slice(0, -2), b!.shape.slice(0, -2)]
  const [batchA, batchB] = [tf.util.sizeFromShape(outerA), tf.util.sizeFromShape(outerB)]
  // The fallback says what is wrong with shapes that do not fit.
  if (k !== inner) return undefined
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(outerA, outerB)
  const [batch, sizes] = [tf.util.sizeFromShape(outer), { rows, k, columns, transposeA, transposeB }]
  const shape = [...outer, rows, columns]
  if (batch === Math.max(batchA, batchB) && (batchA === batchB || Math.min(batchA, batchB) === 1)) {
    return matMul(backend, a!, b!, { ...sizes, batchA, batchB }, shape)
  }
  // Batches that broadcast both ways, or along some of their axes: the cpu backend computes a part of them only.
  const [wideA, wideB] = [broadcast(backend, a!, [...outer, ...lastA]), broadcast(backend, b!, [...outer, ...lastB])]
  const out = matMul(backend, wideA, wideB, { ...sizes, batchA: batch, batchB: batch }, shape)
  backend.disposeData(wideA.dataId)
  backend.disposeData(wideB.dataId)
  return out
})
register("Softmax", ({ logits }, attributes, backend) => {
  const axis = (attributes["dim"] as number | undefined) ?? -1
  const rank = logits!.shape.length
  if (axis !== -1 && axis !== rank - 1) throw new RangeError(`softmax: axis ${axis} is not the last of ${rank}`)
  return asFloats(backend, [logits!], (x) => softmax(backend, x!))
})

// Spectra, one row after the other: the fallback keeps all it needs for one call until it is done.
for (const name of ["FFT", "IFFT"] as const) {
  register(name, ({ input }, _, backend) => {
    const shape = [...input!.shape]
    const columns = shape[shape.length - 1]!
    const rows = columns === 0 ? 0 : size(input!) / columns
    const values = backend.readSync(input!.dataId) as Float32Array
    const out = new Float32Array(2 * rows * columns)
    for (let row = 0; row < rows; row++) {
      const [from, to] = [2 * row * columns, 2 * (row + 1) * columns]
      const dataId = backend.write(values.slice(from, to), [1, columns], "complex64")
      const result = fallback(name, { input: { dataId, shape: [1, columns], dtype: "complex64" } }, {}, backend) as Info
      out.set(backend.readSync(result.dataId) as Float32Array, from)
      backend.disposeData(dataId)
      backend.disposeData(result.dataId)
    }
    return { dataId: backend.write(out, shape, "complex64"), shape, dtype: "complex64" }
  })
}

// Places.
const wholeBlock = (backend: SimdBackend, x: Info, begin: ReadonlyArray<number>, length: ReadonlyArray<number>) => {
  const out = backend.allocate([...length], x.dtype)
  if (
    copyBlock(
      backend,
      x,
      begin,
      out,
      begin.map(() => 0),
      length
    )
  ) {
    return out
  }
  backend.disposeData(out.dataId)
  return undefined
}
register("Slice", ({ x }, attributes, backend) => {
  if (!isFourBytes(x!)) return undefined
  const [begin, length] = tf.slice_util.parseSliceParams(
    x as tf.Tensor,
    attributes["begin"] as Array<number>,
    attributes["size"] as Array<number>
  ) as [Array<number>, Array<number>]
  tf.slice_util.assertParamsValid(x as tf.Tensor, begin, length)
  return wholeBlock(backend, x!, begin, length)
})
register("SplitV", ({ x }, attributes, backend) => {
  if (!isFourBytes(x!)) return undefined
  const axis = tf.util.parseAxisParam(attributes["axis"] as number, [...x!.shape])[0]!
  const sizes = tf.backend_util.prepareSplitSize(
    x as tf.Tensor,
    attributes["numOrSizeSplits"] as number | Array<number>,
    axis
  )
  let at = 0
  const parts: Array<Info> = []
  for (const length of sizes) {
    const part = wholeBlock(
      backend,
      x!,
      x!.shape.map((_, i) => (i === axis ? at : 0)),
      x!.shape.map((full, i) => (i === axis ? length : full))
    )
    if (part === undefined) return undefined
    parts.push(part)
    at += length
  }
  return parts
})
register("Concat", (inputs, attributes, backend) => {
  const all = Object.values(inputs) as Array<Info>
  const first = all[0]
  if (first === undefined || !isFourBytes(first) || all.some((info) => info.dtype !== first.dtype)) return undefined
  const axis = tf.util.parseAxisParam(attributes["axis"] as number, [...first.shape])[0]!
  const shapes = all.map((info) => [...info.shape])
  tf.backend_util.assertParamsConsistent(shapes, axis)
  const out = backend.allocate(tf.backend_util.computeOutShape(shapes, axis), first.dtype)
  let at = 0
  for (const info of all) {
    const zeros = info.shape.map(() => 0)
    const begin = zeros.map((_, i) => (i === axis ? at : 0))
    if (!copyBlock(backend, info, zeros, out, begin, info.shape)) {
      backend.disposeData(out.dataId)
      return undefined
    }
    at += info.shape[axis]!
  }
  return out
})
register("PadV2", ({ x }, attributes, backend) => {
  if (!isFloat(x!)) return undefined
  const paddings = attributes["paddings"] as ReadonlyArray<readonly [number, number]>
  const shape = x!.shape.map((length, i) => length + paddings[i]![0] + paddings[i]![1])
  const out = filled(backend, shape, attributes["constantValue"] as number)
  const zeros = x!.shape.map(() => 0)
  const begin = paddings.map(([before]) => before)
  if (copyBlock(backend, x!, zeros, out, begin, x!.shape)) return out
  backend.disposeData(out.dataId)
  return undefined
})
register("Transpose", ({ x }, attributes, backend) =>
  isFourBytes(x!) ? transpose(backend, x!, attributes["perm"] as ReadonlyArray<number>) : undefined
)
register("Fill", (_, attributes, backend) => {
  const { dtype, shape, value } = attributes as { dtype?: string; shape: Array<number>; value: unknown }
  const float = dtype === "float32" || (dtype === undefined && typeof value === "number")
  return float && typeof value === "number" ? filled(backend, shape, value) : undefined
})
for (const [name, value] of [
  ["ZerosLike", 0],
  ["OnesLike", 1]
] as const) {
  register(name, ({ x }, _, backend) => (isFloat(x!) ? filled(backend, x!.shape, value) : undefined))
}

// Comparisons and choice.
for (const name of ["Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"] as const) {
  register(name, ({ a, b }, _, backend) => (isFloat(a!) && isFloat(b!) ? compare(backend, name, a!, b!) : undefined))
}
register("Select", ({ condition, e, t }, _, backend) => {
  const direct = condition!.dtype === "bool" && isFloat(t!) && isFloat(e!) && size(condition!) === size(t!)
  return direct && size(t!) === size(e!) ? select(backend, condition!, t!, e!) : undefined
})

// Pooling.
const geometryOf = (x: Info, attributes: Attributes): tf.backend_util.Conv2DInfo => {
  const { dimRoundingMode, filterSize, pad, strides } = attributes as {
    dimRoundingMode?: "floor" | "round" | "ceil"
    filterSize: [number, number] | number
    pad: "valid" | "same" | number
    strides: [number, number] | number
  }
  const shape = x.shape as [number, number, number, number]
  return tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode)
}
for (const [name, kind] of [
  ["AvgPool", "avg"],
  ["MaxPool", "max"]
] as const) {
  register(name, ({ x }, attributes, backend) =>
    isFloat(x!) ? pool(backend, x!, kind, geometryOf(x!, attributes)) : undefined
  )
  register(`${name}Grad`, ({ dy, input }, attributes, backend) =>
    isFloat(dy!) && isFloat(input!)
      ? poolGradient(backend, dy!, input!, kind, geometryOf(input!, attributes))
      : undefined
  )
}

// Convolutions: those of a chain, one by one.
const convolutionOf = (
  x: ReadonlyArray<number>,
  filter: ReadonlyArray<number>,
  attributes: Attributes,
  depthwise: boolean,
  backend: SimdBackend
): PlainConvolution | undefined => {
  const { dataFormat, dilations, dimRoundingMode, pad, strides } = attributes as {
    dataFormat?: "NHWC" | "NCHW"
    dilations?: [number, number] | number
    dimRoundingMode?: "floor" | "round" | "ceil"
    pad: "valid" | "same" | number
    strides: [number, number] | number
  }
  // The filter of a convolution in groups has fewer channels: the fallback's.
  if ((dataFormat ?? "NHWC") !== "NHWC" || filter[2] !== x[3] || (depthwise && filter[3] !== 1)) return undefined
  const info = tf.backend_util.computeConv2DInfo(
    x as [number, number, number, number],
    filter as [number, number, number, number],
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
    depthwise
  )
  return plainConvolution(backend, info, depthwise)
}
for (const [depthwise, forward, backward] of [
  [false, "Conv2D", "Conv2DBackprop"],
  [true, "DepthwiseConv2dNative", "DepthwiseConv2dNativeBackprop"]
] as const) {
  register(forward, ({ filter, x }, attributes, backend) =>
    isFloat(x!) && isFloat(filter!)
      ? convolutionOf(x!.shape, filter!.shape, attributes, depthwise, backend)?.forward(x!, filter!)
      : undefined
  )
  register(`${backward}Input`, ({ dy, filter }, attributes, backend) =>
    isFloat(dy!) && isFloat(filter!)
      ? convolutionOf(
          attributes["inputShape"] as Array<number>,
          filter!.shape,
          attributes,
          depthwise,
          backend
        )?.inputGradient(dy!, filter!)
      : undefined
  )
  register(`${backward}Filter`, ({ dy, x }, attributes, backend) =>
    isFloat(dy!) && isFloat(x!)
      ? convolutionOf(
          x!.shape,
          attributes["filterShape"] as Array<number>,
          attributes,
          depthwise,
          backend
        )?.weightGradient(x!, dy!)
      : undefined
  )
}
