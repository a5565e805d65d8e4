import * as tf from "@tensorflow/tfjs-core"
import { activationsOf, applyAll, define, measure, type Operation, parametersOf } from "../Operation.ts"

/**
 * `x + operations(x)`. A chain alone adds its input itself.
 *
 * **Example** (The input is added)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { applyAll } from "../Operation.ts"
 * import { ChannelShuffle } from "./ChannelShuffle.ts"
 * import { Residual } from "./Residual.ts"
 *
 * const none = { variables: { params: {}, stats: {} }, mode: "eval", statistics: {} } as const
 * const doubled = Residual.make({ operations: [ChannelShuffle.make({ groups: 1 })] })
 * Array.from(applyAll([doubled], none, tf.fill([1, 1, 1, 2], 3)).dataSync()) // => [6, 6]
 * ```
 */
export const Residual = define<{ readonly operations: ReadonlyArray<Operation> }>({
  name: "Residual",
  parameters: ({ operations }) => parametersOf(operations),
  shapeAndCost: ({ operations }, shape) => measure(operations, shape),
  activations: ({ operations }, shape) => activationsOf(operations, shape),
  apply: ({ operations }, context, x) => tf.add(applyAll(operations, context, x), x)
})
