/**
 * Operations are what blocks compile to. An operation is an {@link OperationKind}, one record with everything about it, together
 * with its settings. Parameters, shape, cost and value of a network are each one function of its operations, so they
 * cannot disagree.
 *
 * A new kind of operation is one file in `operations/`: an interface of its settings and a `define({ ... })`. Nothing
 * registers it: the operation carries its record, so a training step looks nothing up.
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
 * `train` normalises by the statistics of the batch and reports them; `eval` uses the running statistics.
 */
export type Mode = "train" | "eval"

/** The result of applying a network. */
export interface Applied {
  /** Logits [batch, classes] or embeddings [batch, dimension]. */
  readonly output: Tensor
  /** In `train` mode: statistics of the batch for every batch normalisation passed, by its name (`search.3.1.expand.norm`). */
  readonly statistics: Readonly<Record<string, BatchStatistics>>
}

/** What operations need when they are applied. */
export interface Context {
  readonly variables: Variables
  readonly mode: Mode
  /** Filled while operations are applied, in `train` mode. */
  readonly statistics: Record<string, BatchStatistics>
  /** Called with the output of every activation function of a chain, which is then computed stage by stage as well. */
  readonly observe?: ((activation: Tensor) => void) | undefined
}

/** The shape of an output, and its cost for one image. */
export interface ShapeAndCost {
  /** Shape of the output; vectors are [1, 1, features]. */
  readonly shape: ImageShape
  /** Multiply-accumulates of convolutions and linear layers. */
  readonly macs: number
}

/** Everything about one kind of operation. */
export interface OperationKind<Settings> {
  readonly name: string
  /** Its tensors. Default: none. */
  readonly parameters?: (settings: Settings) => ReadonlyArray<ParameterSpec>
  readonly shapeAndCost: (settings: Settings, shape: ImageShape) => ShapeAndCost
  /** Floats that are kept for the backward pass of one image of this shape (an upper estimate). Default: the input. */
  readonly activations?: (settings: Settings, shape: ImageShape) => number
  /** Its value, differentiable in `x` and the parameters. Intermediate tensors belong to the scope of the caller. */
  readonly apply: (settings: Settings, context: Context, x: Tensor) => Tensor
  /** One operation for this one and the next, if the engine has such; else undefined. */
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

/** The tensors of a sequence of operations. */
export const parametersOf = (operations: ReadonlyArray<Operation>): ReadonlyArray<ParameterSpec> =>
  operations.flatMap((operation) => operation.parameters())

/** Shape and cost of a sequence of operations. */
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
 * Floats that are kept for the backward pass of one image through a sequence of operations. An upper estimate: every operation
 * is counted at the size of the first input.
 */
export const activationsOf = (operations: ReadonlyArray<Operation>, shape: ImageShape): number =>
  operations.reduce((sum, operation) => sum + operation.activations(shape), 0)

/** The value of a sequence of operations. */
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

/** The shape that remains if every `stride`-th position is taken, from the first on. */
export const strided = ([height, width, channels]: ImageShape, stride: number): ImageShape => [
  Math.ceil(height / stride),
  Math.ceil(width / stride),
  channels
]
