/**
 * The derivatives of tfjs-core's operations. tfjs-core's Node bundle ships the operations and the tape but registers
 * no gradient at all (that is left to the large `@tensorflow/tfjs` package, whose module files Node cannot resolve one
 * by one), so the engine registers its own. They are the same for every engine, including those that bring tfjs's.
 *
 * Where mathematics leaves a choice: `relu` has slope 0 at 0; `max` and `min` share the gradient evenly among ties;
 * `maximum(a, b)` and `minimum(a, b)` give ties to `a`. Importing this module registers everything.
 */
import * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "./Shape.ts"

type Tensor = tf.Tensor
type Grad = (dy: Tensor, saved: ReadonlyArray<Tensor>, attrs: Record<string, unknown>) => Record<string, () => Tensor>

interface Saves {
  readonly inputs?: ReadonlyArray<string>
  /** Whether output i is saved. */
  readonly outputs?: ReadonlyArray<boolean>
  readonly allInputs?: boolean
}

const one = (saved: ReadonlyArray<Tensor>, index = 0): Tensor => {
  const tensor = saved[index]
  if (tensor === undefined) throw new RangeError(`gradient: saved tensor ${index} is missing`)
  return tensor
}

const run = (kernel: string, inputs: tf.NamedTensorMap, attrs: object): Tensor =>
  tf.engine().runKernel(kernel, inputs, attrs as tf.NamedAttrMap) as Tensor

const float = (x: Tensor): Tensor => tf.cast(x, "float32")

/** `dy` where the condition holds, else 0 (a product would turn an infinite gradient into NaN). */
const masked = (condition: Tensor, dy: Tensor): Tensor => tf.where(condition, dy, tf.zerosLike(dy))

/** Sums a gradient over the axes along which an input was broadcast, and gives it that input's shape. */
const unbroadcast = (gradient: Tensor, like: Tensor, outShape: ReadonlyArray<number>): Tensor => {
  const axes = tf.broadcast_util.getReductionAxes([...like.shape], [...outShape])
  const reduced = axes.length > 0 ? tf.sum(gradient, axes) : gradient
  return tf.reshape(reduced, like.shape)
}

/** The shape of a reduction's result with the reduced axes kept as 1. */
const keptShape = (shape: ReadonlyArray<number>, axis: unknown): Array<number> => {
  const axes = new Set(tf.util.parseAxisParam(axis as number | Array<number>, [...shape]))
  return shape.map((size, i) => (axes.has(i) ? 1 : size))
}

const spread = (dy: Tensor, x: Tensor, axis: unknown): Tensor =>
  tf.broadcastTo(tf.reshape(dy, keptShape(x.shape, axis)), x.shape)

const extremum: Grad = (dy, saved, attrs) => {
  const x = one(saved)
  const y = one(saved, 1)
  // Max and Min name their axes differently.
  const axis = attrs["reductionIndices"] ?? attrs["axis"]
  return {
    x: () => {
      const kept = keptShape(x.shape, axis)
      const hit = float(tf.equal(x, tf.reshape(y, kept)))
      const axes = tf.util.parseAxisParam(axis as number | Array<number>, x.shape)
      const ties = tf.sum(hit, axes, true)
      return tf.mul(hit, tf.div(tf.reshape(dy, kept), ties))
    }
  }
}

/**
 * The cpu backend's own gradient divides by the whole window even where it hangs over the border; so there a padded
 * pooling spreads its gradient, divided by the true counts, with a depthwise kernel of ones.
 */
const averagePool: Grad = (dy, saved, attrs) => {
  const input = one(saved)
  const { filterSize, strides, pad } = attrs
  if (pad === "valid" || pad === 0 || tf.getBackend() !== "cpu") return pooled("AvgPoolGrad", false)(dy, saved, attrs)
  return {
    x: () => {
      const [height, width] = (Array.isArray(filterSize) ? filterSize : [filterSize, filterSize]) as [number, number]
      const channels = input.shape[3] ?? 1
      const options = { strides, pad, dimRoundingMode: attrs["dimRoundingMode"], dilations: [1, 1] }
      const ones: tf.Tensor4D = tf.ones([height, width, channels, 1])
      const counts = run(
        "DepthwiseConv2dNative",
        { x: tf.onesLike(input), filter: ones },
        { ...options, dataFormat: "NHWC" }
      )
      return run(
        "DepthwiseConv2dNativeBackpropInput",
        { dy: tf.div(dy, counts), filter: ones },
        { ...options, inputShape: input.shape }
      )
    }
  }
}

const pooled =
  (kernel: string, withOutput: boolean): Grad =>
  (dy, saved, attrs) => ({
    x: () =>
      run(
        kernel,
        withOutput ? { dy, input: one(saved), output: one(saved, 1) } : { dy, input: one(saved) },
        attrs as object
      )
  })

const noDilation = (operation: string, attrs: Record<string, unknown>): void => {
  const dilations = attrs["dilations"]
  const all = Array.isArray(dilations) ? dilations : [dilations ?? 1]
  if (all.some((d) => d !== 1)) {
    throw new RangeError(`gradient of ${operation}: dilations ${JSON.stringify(dilations)} must be 1; use convChain`)
  }
}

const convInput = (shape: Array<number>, dy: Tensor, filter: Tensor, attrs: Record<string, unknown>): Tensor =>
  run("Conv2DBackpropInput", { dy, filter }, { ...attrs, inputShape: shape })

const convFilter = (x: Tensor, dy: Tensor, shape: Array<number>, attrs: Record<string, unknown>): Tensor =>
  run("Conv2DBackpropFilter", { x, dy }, { ...attrs, filterShape: shape })

const convAttrs = (attrs: Record<string, unknown>): Record<string, unknown> => ({
  strides: attrs["strides"],
  pad: attrs["pad"],
  dataFormat: attrs["dataFormat"],
  dimRoundingMode: attrs["dimRoundingMode"]
})

/** A function of one input `x`, its derivative from the saved input. */
const unary =
  (derivative: (x: Tensor) => Tensor): Grad =>
  (dy, saved) => ({ x: () => tf.mul(dy, derivative(float(one(saved)))) })

const flat: Grad = (dy) => ({ x: () => tf.zerosLike(dy) })

const x: Saves = { inputs: ["x"] }
const y: Saves = { outputs: [true] }
const ab: Saves = { inputs: ["a", "b"] }

/** SELU's constants (Klambauer et al. 2017, equation 2): the scale, and the scale times alpha. */
const selu = { scale: 1.0507009873554805, scaleAlpha: 1.7580993408473768 }

const table: ReadonlyArray<readonly [kernel: string, saves: Saves, gradient: Grad]> = [
  // Arithmetic with broadcasting.
  [
    "Add",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(dy, one(s), dy.shape),
      b: () => unbroadcast(dy, one(s, 1), dy.shape)
    })
  ],
  [
    "Sub",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(dy, one(s), dy.shape),
      b: () => unbroadcast(tf.neg(dy), one(s, 1), dy.shape)
    })
  ],
  [
    "Multiply",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(tf.mul(dy, float(one(s, 1))), one(s), dy.shape),
      b: () => unbroadcast(tf.mul(dy, float(one(s))), one(s, 1), dy.shape)
    })
  ],
  [
    "RealDiv",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(tf.div(dy, float(one(s, 1))), one(s), dy.shape),
      b: () => {
        const b = float(one(s, 1))
        return unbroadcast(tf.neg(tf.div(tf.mul(dy, float(one(s))), tf.square(b))), b, dy.shape)
      }
    })
  ],
  [
    "FloorDiv",
    ab,
    (_, s) => ({
      a: () => tf.zeros(one(s).shape),
      b: () => tf.zeros(one(s, 1).shape)
    })
  ],
  [
    "Mod",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(dy, one(s), dy.shape),
      b: () => unbroadcast(tf.mul(dy, tf.neg(tf.floor(tf.div(one(s), one(s, 1))))), one(s, 1), dy.shape)
    })
  ],
  [
    "Maximum",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(masked(tf.greaterEqual(one(s), one(s, 1)), dy), one(s), dy.shape),
      b: () => unbroadcast(masked(tf.less(one(s), one(s, 1)), dy), one(s, 1), dy.shape)
    })
  ],
  [
    "Minimum",
    ab,
    (dy, s) => ({
      a: () => unbroadcast(masked(tf.lessEqual(one(s), one(s, 1)), dy), one(s), dy.shape),
      b: () => unbroadcast(masked(tf.greater(one(s), one(s, 1)), dy), one(s, 1), dy.shape)
    })
  ],
  [
    "SquaredDifference",
    ab,
    (dy, s) => {
      const twice = () => tf.mul(dy, tf.mul(tf.sub(one(s), one(s, 1)), 2))
      return {
        a: () => unbroadcast(twice(), one(s), dy.shape),
        b: () => unbroadcast(tf.neg(twice()), one(s, 1), dy.shape)
      }
    }
  ],
  [
    "Pow",
    { inputs: ["a", "b"], outputs: [true] },
    (dy, s) => ({
      a: () => {
        const [a, b] = [one(s), float(one(s, 1))]
        return unbroadcast(tf.mul(dy, tf.mul(b, tf.pow(a, tf.sub(b, 1)))), a, dy.shape)
      },
      b: () => {
        const a = one(s)
        const log = tf.where(tf.greater(a, 0), tf.log(a), tf.zerosLike(a))
        return unbroadcast(tf.mul(dy, tf.mul(one(s, 2), log)), one(s, 1), dy.shape)
      }
    })
  ],
  [
    "Atan2",
    ab,
    (dy, s) => {
      const over = (t: Tensor) => tf.div(t, tf.add(tf.square(one(s)), tf.square(one(s, 1))))
      return {
        a: () => unbroadcast(tf.mul(dy, over(one(s, 1))), one(s), dy.shape),
        b: () => unbroadcast(tf.neg(tf.mul(dy, over(one(s)))), one(s, 1), dy.shape)
      }
    }
  ],
  [
    "AddN",
    { allInputs: true },
    (dy, s) => Object.fromEntries(s.map((_, i) => [String(i), () => tf.clone(dy)] as const))
  ],

  // One input.
  ["Abs", x, unary(tf.sign)],
  ["Acos", x, unary((t) => tf.neg(tf.rsqrt(tf.sub(1, tf.square(t)))))],
  ["Acosh", x, unary((t) => tf.rsqrt(tf.sub(tf.square(t), 1)))],
  ["Asin", x, unary((t) => tf.rsqrt(tf.sub(1, tf.square(t))))],
  ["Asinh", x, unary((t) => tf.rsqrt(tf.add(tf.square(t), 1)))],
  ["Atan", x, unary((t) => tf.reciprocal(tf.add(tf.square(t), 1)))],
  ["Atanh", x, unary((t) => tf.reciprocal(tf.sub(1, tf.square(t))))],
  ["Ceil", {}, flat],
  ["Cos", x, unary((t) => tf.neg(tf.sin(t)))],
  ["Cosh", x, unary(tf.sinh)],
  ["Erf", x, unary((t) => tf.mul(tf.exp(tf.neg(tf.square(t))), 2 / Math.sqrt(Math.PI)))],
  ["Exp", y, (dy, s) => ({ x: () => tf.mul(dy, one(s)) })],
  ["Expm1", x, unary(tf.exp)],
  ["Floor", {}, flat],
  ["Log", x, (dy, s) => ({ x: () => tf.div(dy, float(one(s))) })],
  ["Log1p", x, (dy, s) => ({ x: () => tf.div(dy, tf.add(one(s), 1)) })],
  ["Neg", {}, (dy) => ({ x: () => tf.neg(dy) })],
  ["Reciprocal", x, (dy, s) => ({ x: () => tf.neg(tf.div(dy, tf.square(one(s)))) })],
  ["Relu", y, (dy, s) => ({ x: () => masked(tf.greater(one(s), 0), dy) })],
  ["Relu6", x, (dy, s) => ({ x: () => masked(tf.logicalAnd(tf.greater(one(s), 0), tf.lessEqual(one(s), 6)), dy) })],
  ["Round", {}, flat],
  ["Rsqrt", y, (dy, s) => ({ x: () => tf.mul(tf.mul(dy, -0.5), tf.mul(one(s), tf.square(one(s)))) })],
  ["Elu", y, (dy, s) => ({ x: () => tf.where(tf.greater(one(s), 0), dy, tf.mul(dy, tf.add(one(s), 1))) })],
  [
    "Selu",
    x,
    (dy, s) => ({
      x: () =>
        tf.where(tf.greater(one(s), 0), tf.mul(dy, selu.scale), tf.mul(dy, tf.mul(tf.exp(one(s)), selu.scaleAlpha)))
    })
  ],
  ["Sigmoid", y, (dy, s) => ({ x: () => tf.mul(dy, tf.mul(one(s), tf.sub(1, one(s)))) })],
  ["Sign", {}, flat],
  ["Sin", x, unary(tf.cos)],
  ["Sinh", x, unary(tf.cosh)],
  ["Softplus", x, unary(tf.sigmoid)],
  ["Sqrt", y, (dy, s) => ({ x: () => tf.div(tf.mul(dy, 0.5), one(s)) })],
  ["Square", x, (dy, s) => ({ x: () => tf.mul(dy, tf.mul(float(one(s)), 2)) })],
  ["Step", {}, flat],
  ["Tan", x, unary((t) => tf.reciprocal(tf.square(tf.cos(t))))],
  ["Tanh", y, (dy, s) => ({ x: () => tf.mul(dy, tf.sub(1, tf.square(one(s)))) })],
  [
    "ClipByValue",
    x,
    (dy, s, attrs) => ({
      x: () =>
        masked(
          tf.logicalAnd(
            tf.greaterEqual(one(s), attrs["clipValueMin"] as number),
            tf.lessEqual(one(s), attrs["clipValueMax"] as number)
          ),
          dy
        )
    })
  ],
  [
    "LeakyRelu",
    x,
    (dy, s, attrs) => ({
      x: () => tf.where(tf.greater(one(s), 0), dy, tf.mul(dy, attrs["alpha"] as number))
    })
  ],
  [
    "Prelu",
    { inputs: ["x", "alpha"] },
    (dy, s) => ({
      x: () => tf.where(tf.greater(one(s), 0), dy, tf.mul(dy, one(s, 1))),
      alpha: () =>
        unbroadcast(tf.where(tf.greater(one(s), 0), tf.zerosLike(dy), tf.mul(dy, one(s))), one(s, 1), dy.shape)
    })
  ],
  ["Cast", {}, (dy) => ({ x: () => tf.clone(dy) })],
  ["Identity", {}, (dy) => ({ x: () => tf.clone(dy) })],
  ["OnesLike", {}, flat],
  ["ZerosLike", {}, flat],

  // Reductions.
  ["Sum", x, (dy, s, attrs) => ({ x: () => spread(dy, one(s), attrs["axis"]) })],
  [
    "Mean",
    x,
    (dy, s, attrs) => ({
      x: () => tf.div(spread(dy, one(s), attrs["axis"]), one(s).size / Math.max(1, dy.size))
    })
  ],
  ["Max", { inputs: ["x"], outputs: [true] }, extremum],
  ["Min", { inputs: ["x"], outputs: [true] }, extremum],
  ["ArgMax", x, (_, s) => ({ x: () => tf.zeros(one(s).shape) })],
  ["ArgMin", x, (_, s) => ({ x: () => tf.zeros(one(s).shape) })],
  [
    "Cumsum",
    x,
    (dy, _, attrs) => ({
      x: () => tf.cumsum(dy, attrs["axis"] as number, attrs["exclusive"] as boolean, !attrs["reverse"])
    })
  ],
  [
    "Softmax",
    y,
    (dy, s, attrs) => ({
      logits: () => {
        const weighted = tf.mul(dy, one(s))
        return tf.sub(weighted, tf.mul(tf.sum(weighted, attrs["dim"] as number, true), one(s)))
      }
    })
  ],
  [
    "LogSoftmax",
    y,
    (dy, s, attrs) => ({
      logits: () => tf.sub(dy, tf.mul(tf.sum(dy, attrs["axis"] as number, true), tf.exp(one(s))))
    })
  ],

  // Products, convolutions, pooling.
  [
    "BatchMatMul",
    ab,
    (dy, s, attrs) => {
      const [a, b] = [one(s), one(s, 1)]
      const [ta, tb] = [attrs["transposeA"] as boolean, attrs["transposeB"] as boolean]
      return {
        a: () => unbroadcast(ta ? tf.matMul(b, dy, tb, true) : tf.matMul(dy, b, false, !tb), a, batched(dy, a)),
        b: () => unbroadcast(tb ? tf.matMul(dy, a, true, ta) : tf.matMul(a, dy, !ta, false), b, batched(dy, b))
      }
    }
  ],
  [
    "Conv2D",
    { inputs: ["x", "filter"] },
    (dy, s, attrs) => {
      noDilation("conv2d", attrs)
      return {
        x: () => convInput(one(s).shape, dy, one(s, 1), convAttrs(attrs)),
        filter: () => convFilter(one(s), dy, one(s, 1).shape, convAttrs(attrs))
      }
    }
  ],
  [
    "Conv2DBackpropInput",
    { inputs: ["dy", "filter"] },
    (ddx, s, attrs) => ({
      dy: () => run("Conv2D", { x: ddx, filter: one(s, 1) }, { ...convAttrs(attrs), dilations: 1 }),
      filter: () => convFilter(ddx, one(s), one(s, 1).shape, convAttrs(attrs))
    })
  ],
  [
    "DepthwiseConv2dNative",
    { inputs: ["x", "filter"] },
    (dy, s, attrs) => {
      noDilation("depthwiseConv2d", attrs)
      const shared = {
        strides: attrs["strides"],
        pad: attrs["pad"],
        dimRoundingMode: attrs["dimRoundingMode"],
        dilations: [1, 1]
      }
      return {
        x: () =>
          run("DepthwiseConv2dNativeBackpropInput", { dy, filter: one(s, 1) }, { ...shared, inputShape: one(s).shape }),
        filter: () =>
          run("DepthwiseConv2dNativeBackpropFilter", { x: one(s), dy }, { ...shared, filterShape: one(s, 1).shape })
      }
    }
  ],
  ["AvgPool", x, averagePool],
  ["MaxPool", { inputs: ["x"], outputs: [true] }, pooled("MaxPoolGrad", true)],
  [
    "ResizeBilinear",
    { inputs: ["images"] },
    (dy, s, attrs) => ({
      images: () =>
        // The cpu backend swaps height and width in the shape of an otherwise right result.
        tf.reshape(run("ResizeBilinearGrad", { dy, images: one(s) }, attrs), one(s).shape)
    })
  ],

  // Shapes and places.
  ["Reshape", x, (dy, s) => ({ x: () => tf.reshape(dy, one(s).shape) })],
  ["ExpandDims", { inputs: ["input"] }, (dy, s) => ({ input: () => tf.reshape(dy, one(s).shape) })],
  [
    "Transpose",
    {},
    (dy, _, attrs) => {
      const perm = attrs["perm"] as ReadonlyArray<number>
      const back = perm.map((_, i) => perm.indexOf(i))
      return { x: () => tf.transpose(dy, back) }
    }
  ],
  ["Reverse", {}, (dy, _, attrs) => ({ x: () => tf.reverse(dy, attrs["dims"] as Array<number>) })],
  [
    "Concat",
    { allInputs: true },
    (dy, s, attrs) => {
      const shapes = s.map((t) => t.shape)
      const axis = tf.util.parseAxisParam(attrs["axis"] as number, one(s).shape)[0] ?? 0
      let start = 0
      const parts = shapes.map((shape, i) => {
        const begin = shape.map((_, d) => (d === axis ? start : 0))
        start += shape[axis] ?? 0
        return [String(i), () => tf.slice(dy, begin, shape)] as const
      })
      return Object.fromEntries(parts)
    }
  ],
  [
    "Slice",
    x,
    (dy, s, attrs) => {
      const input = one(s)
      const [begin] = tf.slice_util.parseSliceParams(
        input,
        attrs["begin"] as Array<number>,
        attrs["size"] as Array<number>
      )
      const paddings = dy.shape.map((size, i): [number, number] => {
        const before = begin?.[i] ?? 0
        return [before, (input.shape[i] ?? 0) - before - size]
      })
      return { x: () => tf.pad(dy, paddings) }
    }
  ],
  [
    "PadV2",
    x,
    (dy, s, attrs) => {
      const begin = (attrs["paddings"] as ReadonlyArray<readonly [number, number]>).map(([before]) => before)
      return { x: () => tf.slice(dy, begin, one(s).shape) }
    }
  ],
  [
    "Tile",
    x,
    (dy, s, attrs) => {
      const input = one(s)
      const reps = attrs["reps"] as ReadonlyArray<number>
      // Merged into [before, reps, size and after] one axis at a time, so that no rank grows past four.
      return {
        x: () => {
          let gradient = dy
          reps.forEach((count, axis) => {
            if (count === 1) return
            const shape = gradient.shape
            const before = sizeOf(shape.slice(0, axis))
            const after = sizeOf(shape.slice(axis + 1))
            const size = input.shape[axis] ?? 1
            const summed = tf.sum(tf.reshape(gradient, [before, count, size * after]), 1)
            gradient = tf.reshape(summed, [...shape.slice(0, axis), size, ...shape.slice(axis + 1)])
          })
          return tf.reshape(gradient, input.shape)
        }
      }
    }
  ],
  [
    "Select",
    { inputs: ["condition"] },
    (dy, s) => ({
      condition: () => tf.zeros(one(s).shape),
      t: () => masked(one(s), dy),
      e: () => tf.where(one(s), tf.zerosLike(dy), dy)
    })
  ],
  ["OneHot", { inputs: ["indices"] }, (_, s) => ({ indices: () => tf.zeros(one(s).shape) })],
  [
    "GatherV2",
    { inputs: ["x", "indices"] },
    (dy, s, attrs) => {
      const [input, indices] = [one(s), one(s, 1)]
      if (((attrs["batchDims"] as number | undefined) ?? 0) !== 0) {
        throw new RangeError("gradient of gather: batchDims must be 0")
      }
      const axis = tf.util.parseAxisParam(attrs["axis"] as number, input.shape)[0] ?? 0
      return {
        x: () => {
          const before = sizeOf(input.shape.slice(0, axis))
          const after = sizeOf(input.shape.slice(axis + 1))
          const rows = tf.transpose(tf.reshape(dy, [before, indices.size, after]), [1, 0, 2])
          const summed = tf.unsortedSegmentSum(
            rows,
            tf.reshape(indices, [indices.size]) as tf.Tensor1D,
            input.shape[axis] ?? 0
          )
          return tf.reshape(tf.transpose(summed, [1, 0, 2]), input.shape)
        },
        indices: () => tf.zeros(indices.shape)
      }
    }
  ],
  [
    "UnsortedSegmentSum",
    { inputs: ["segmentIds"] },
    (dy, s) => {
      const ids = one(s)
      return {
        x: () => {
          const rows = tf.gather(dy, tf.maximum(ids, tf.zerosLike(ids)) as tf.Tensor1D)
          const shape = [ids.size, ...rows.shape.slice(1).map(() => 1)]
          const inside = tf.reshape(tf.greaterEqual(ids, tf.scalar(0, "int32")), shape)
          return masked(tf.broadcastTo(inside, rows.shape), rows)
        },
        segmentIds: () => tf.zeros(ids.shape)
      }
    }
  ]
]

/** The shape of the gradient of a matrix product's operand before its broadcast batch axes are summed. */
const batched = (dy: Tensor, operand: Tensor): Array<number> => [...dy.shape.slice(0, -2), ...operand.shape.slice(-2)]

const zeroOfInputs: ReadonlyArray<string> = ["Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual"]

/** Several outputs: the tape hands their gradients as a list, which the types of tfjs keep apart. */
const many: ReadonlyArray<readonly [string, tf.GradConfig["gradFunc"]]> = [
  ["SplitV", (dy, _, attrs) => ({ x: () => tf.concat(dy as Array<Tensor>, attrs["axis"] as number) })],
  ["Unpack", (dy, _, attrs) => ({ value: () => tf.stack(dy as Array<Tensor>, attrs["axis"] as number) })],
  [
    "Pack",
    (dy, _, attrs) => {
      const parts = tf.unstack(dy as Tensor, attrs["axis"] as number)
      return Object.fromEntries(parts.map((part, i) => [String(i), () => part] as const))
    }
  ]
]

/**
 * Registers (or registers again) the derivatives of every operation listed above, replacing those another package may
 * have brought. Called once by the import of this module, and by an engine after it loaded a package of tfjs's.
 */
export const registerGradients = (): void => {
  for (const [kernelName, saves, gradient] of table) {
    const config: tf.GradConfig = {
      kernelName,
      gradFunc: (dy, saved, attrs) => gradient(dy as Tensor, saved, attrs as Record<string, unknown>)
    }
    if (saves.inputs !== undefined) config.inputsToSave = [...saves.inputs]
    if (saves.outputs !== undefined) config.outputsToSave = [...saves.outputs]
    if (saves.allInputs !== undefined) config.saveAllInputs = saves.allInputs
    tf.registerGradient(config)
  }
  for (const [kernelName, gradFunc] of many) {
    tf.registerGradient(
      kernelName === "Pack" ? { kernelName, saveAllInputs: true, gradFunc } : { kernelName, gradFunc }
    )
  }
  for (const kernelName of zeroOfInputs) {
    tf.registerGradient({
      kernelName,
      inputsToSave: ["a", "b"],
      gradFunc: (_, saved) => ({
        a: () => tf.zeros(one(saved).shape),
        b: () => tf.zeros(one(saved, 1).shape)
      })
    })
  }
}

registerGradients()
