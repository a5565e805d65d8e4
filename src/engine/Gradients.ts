/**
 * The derivatives of tfjs-core's operations. tfjs-core's Node bundle ships the operations and the tape but registers
 * no gradient at all (that is left to the large `@tensorflow/tfjs` package, whose module files Node cannot resolve one
 * by one), so the engine registers its own. They are the same for every engine, including those that bring tfjs's.
 *
 * Where mathematics leaves a choice: `relu` has slope 0 at 0; `max` and `min` share the gradient evenly among ties;
 * `maximum(a, b)` and `minimum(a, b)` give ties to `a`. Importing this module registers everything.
 */
import * as tf from "@tensorflow/tfjs-core"
import { arithmetic } from "./gradients/Arithmetic.ts"
import { functions } from "./gradients/Functions.ts"
import { one } from "./gradients/Gradient.ts"
import { products } from "./gradients/Products.ts"
import { reductions } from "./gradients/Reductions.ts"
import { shapes } from "./gradients/Shapes.ts"

type Tensor = tf.Tensor

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
 * Registers (or registers again) the derivatives of every operation listed in gradients/, replacing those another package may
 * have brought. Called once by the import of this module, and by an engine after it loaded a package of tfjs's.
 */
export const registerGradients = (): void => {
  for (const [kernelName, saves, gradient] of [...arithmetic, ...functions, ...reductions, ...products, ...shapes]) {
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
