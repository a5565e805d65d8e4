/** Building blocks of the derivatives of tfjs's operations. */
import * as tf from "@tensorflow/tfjs-core"

type Tensor = tf.Tensor
/** A gradient function, by the names of the inputs. */
export type Grad = (
  dy: Tensor,
  saved: ReadonlyArray<Tensor>,
  attrs: Record<string, unknown>
) => Record<string, () => Tensor>

/** What an operation saves for its gradient. */
export interface Saves {
  readonly inputs?: ReadonlyArray<string>
  /** Whether output i is saved. */
  readonly outputs?: ReadonlyArray<boolean>
  readonly allInputs?: boolean
}

/** A saved tensor. */
export const one = (saved: ReadonlyArray<Tensor>, index = 0): Tensor => {
  const tensor = saved[index]
  if (tensor === undefined) throw new RangeError(`gradient: saved tensor ${index} is missing`)
  return tensor
}

/** Runs a kernel of the current backend. */
export const run = (kernel: string, inputs: tf.NamedTensorMap, attrs: object): Tensor =>
  tf.engine().runKernel(kernel, inputs, attrs as tf.NamedAttrMap) as Tensor

/** As float32. */
export const float = (x: Tensor): Tensor => tf.cast(x, "float32")

/** `dy` where the condition holds, else 0 (a product would turn an infinite gradient into NaN). */
export const masked = (condition: Tensor, dy: Tensor): Tensor => tf.where(condition, dy, tf.zerosLike(dy))

/** Sums a gradient over the axes along which an input was broadcast, and gives it that input's shape. */
export const unbroadcast = (gradient: Tensor, like: Tensor, outShape: ReadonlyArray<number>): Tensor => {
  const axes = tf.broadcast_util.getReductionAxes([...like.shape], [...outShape])
  const reduced = axes.length > 0 ? tf.sum(gradient, axes) : gradient
  return tf.reshape(reduced, like.shape)
}

/** The shape of a reduction's result with the reduced axes kept as 1. */
export const keptShape = (shape: ReadonlyArray<number>, axis: unknown): Array<number> => {
  const axes = new Set(tf.util.parseAxisParam(axis as number | Array<number>, [...shape]))
  return shape.map((size, i) => (axes.has(i) ? 1 : size))
}

/** The gradient of a sum, spread over the axes that were reduced. */
export const spread = (dy: Tensor, x: Tensor, axis: unknown): Tensor =>
  tf.broadcastTo(tf.reshape(dy, keptShape(x.shape, axis)), x.shape)

/** The gradient of a function that is constant almost everywhere. */
export const flat: Grad = (dy) => ({ x: () => tf.zerosLike(dy) })

/** The input, the output, or both operands are saved. */
export const x: Saves = { inputs: ["x"] }
export const y: Saves = { outputs: [true] }
export const ab: Saves = { inputs: ["a", "b"] }

/** The derivative of one operation, under its kernel's name. */
export type Entry = readonly [kernel: string, saves: Saves, gradient: Grad]
