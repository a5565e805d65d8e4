/**
 * The derivatives of tfjs-core's operations. tfjs-core's Node bundle ships the operations and the tape, but no gradients:
 * they are in the large `@tensorflow/tfjs` package, whose module files Node cannot resolve one by one. So we register our
 * own, the same for every engine, including those whose package brings tfjs's.
 *
 * Conventions where a derivative is not unique: `relu` has slope 0 at 0; `max` and `min` share the gradient evenly among ties;
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

/** With several outputs the tape passes a list of gradients, which tfjs's types do not allow for. */
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
 * Registers the derivatives of every operation listed in gradients/, replacing any that another package registered. Runs
 * when this module is imported; an engine calls it again after it has loaded a tfjs package.
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
