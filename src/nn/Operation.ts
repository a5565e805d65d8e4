/**
 * Operations are what blocks compile to. An operation is an {@link OperationKind}, one record that says all there is to
 * know of it, together with its settings. Parameters, shape, cost and value of a network are each one function of its
 * operations, so they cannot disagree.
 *
 * A new kind of operation is one file in `operations/`: an interface of its settings and a `define({ ... })`. Nothing
 * registers it: the record travels with the operation, and no step of training looks anything up.
 *
 * **Example** (An operation that halves its input)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import * as Operation from "./Operation.ts"
 *
 * const Times = Operation.define<{ readonly factor: number }>({
 *   name: "Times",
 *   shapeAndCost: (_, shape) => ({ shape, macs: 0 }),
 *   apply: ({ factor }, _, x) => tf.mul(x, factor)
 * })
 * const half = Times.make({ factor: 0.5 })
 * Times.is(half) // => true
 * Operation.parametersOf([half]) // => []
 * Operation.measure([half, half], [4, 4, 3]) // => { shape: [4, 4, 3], macs: 0 }
 * Operation.activationsOf([half, half], [4, 4, 3]) // => 96
 * const none = { variables: { params: {}, stats: {} }, mode: "eval", statistics: {} } as const
 * Array.from(Operation.applyAll([half, half], none, tf.tensor1d([8])).dataSync()) // => [2]
 * Operation.strided([7, 5, 3], 2) // => [4, 3, 3]
 * ```
 */
import type { Tensor } from "@tensorflow/tfjs-core"
import type { BatchStatistics } from "../engine/ConvChain.ts"
import type { ImageShape } from "../engine/Shape.ts"
import type { ParameterSpec } from "./Parameter.ts"
import type { Variables } from "./ParameterTree.ts"

/**
 * `train` normalises by the batch's own statistics and reports them; `eval` uses the running statistics.
 */
export type Mode = "train" | "eval"

/** What applying a network gives. */
export interface Applied {
  /** Logits [batch, classes] or embeddings [batch, dimension]. */
  readonly output: Tensor
  /** In `train` mode: statistics of the batch for every batch normalisation passed, by its name (`search.3.1.expand.norm`). */
  readonly statistics: Readonly<Record<string, BatchStatistics>>
}

/** What operations are applied with. */
export interface Context {
  readonly variables: Variables
  readonly mode: Mode
  /** Filled while operations are applied, in `train` mode. */
  readonly statistics: Record<string, BatchStatistics>
  /** Called with the output of every activation function of a chain, which is then computed stage by stage as well. */
  readonly observe?: ((activation: Tensor) => void) | undefined
}

/** What an operation makes of one image, and at what cost. */
export interface ShapeAndCost {
  /** Of the output; vectors are [1, 1, features]. */
  readonly shape: ImageShape
  /** Multiply-accumulates of convolutions and linear layers. */
  readonly macs: number
}

/** Everything about one kind of operation. */
export interface OperationKind<Settings> {
  readonly name: string
  /** Its tensors; none unless given. */
  readonly parameters?: (settings: Settings) => ReadonlyArray<ParameterSpec>
  readonly shapeAndCost: (settings: Settings, shape: ImageShape) => ShapeAndCost
  /** Floats that a backward pass needs kept for one image of this shape, an upper estimate; the input unless given. */
  readonly activations?: (settings: Settings, shape: ImageShape) => number
  /** Its value. Tensors made on the way are the caller's scope's. Differentiable in `x` and the parameters. */
  readonly apply: (settings: Settings, context: Context, x: Tensor) => Tensor
  /** One operation that does this one and the next, where the engine has such; undefined where it has not. */
  readonly fuse?: (settings: Settings, next: Operation) => Operation | undefined
}

/** A kind of operation with its settings. */
export interface Operation {
  readonly kind: { readonly name: string }
  readonly parameters: () => ReadonlyArray<ParameterSpec>
  readonly shapeAndCost: (shape: ImageShape) => ShapeAndCost
  readonly activations: (shape: ImageShape) => number
  readonly apply: (context: Context, x: Tensor) => Tensor
  readonly fuse: (next: Operation) => Operation | undefined
}

/** An operation whose settings can be read. */
export interface OperationOf<Settings> extends Operation {
  readonly settings: Settings
}

/** How operations of one kind are made and recognised. */
export interface Constructor<Settings> {
  readonly make: (settings: Settings) => OperationOf<Settings>
  readonly is: (operation: Operation | undefined) => operation is OperationOf<Settings>
}

/** Makes the constructor of a kind of operation. */
export const define = <Settings>(kind: OperationKind<Settings>): Constructor<Settings> => ({
  make: (settings) => ({
    kind,
    settings,
    parameters: () => kind.parameters?.(settings) ?? [],
    shapeAndCost: (shape) => kind.shapeAndCost(settings, shape),
    activations: (shape) => kind.activations?.(settings, shape) ?? shape[0] * shape[1] * shape[2],
    apply: (context, x) => kind.apply(settings, context, x),
    fuse: (next) => kind.fuse?.(settings, next)
  }),
  is: (operation): operation is OperationOf<Settings> => operation?.kind === kind
})

/** The tensors of operations in a row. */
export const parametersOf = (operations: ReadonlyArray<Operation>): ReadonlyArray<ParameterSpec> =>
  operations.flatMap((operation) => operation.parameters())

/** Shape and cost of operations in a row. */
export const measure = (operations: ReadonlyArray<Operation>, shape: ImageShape): ShapeAndCost => {
  let macs = 0
  let at = shape
  for (const operation of operations) {
    const measured = operation.shapeAndCost(at)
    macs += measured.macs
    at = measured.shape
  }
  return { shape: at, macs }
}

/**
 * Floats that a backward pass through operations in a row needs kept for one image: an upper estimate, every operation
 * counted at the size of the first one's input.
 */
export const activationsOf = (operations: ReadonlyArray<Operation>, shape: ImageShape): number =>
  operations.reduce((sum, operation) => sum + operation.activations(shape), 0)

/** The value of operations in a row. */
export const applyAll = (operations: ReadonlyArray<Operation>, context: Context, x: Tensor): Tensor => {
  let out = x
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    const next = operations[i + 1]
    const fused = next === undefined ? undefined : operation.fuse(next)
    out = (fused ?? operation).apply(context, out)
    if (fused !== undefined) i++
  }
  return out
}

/** The shape of every `stride`-th position, beginning with the first. */
export const strided = ([height, width, channels]: ImageShape, stride: number): ImageShape => [
  Math.ceil(height / stride),
  Math.ceil(width / stride),
  channels
]
