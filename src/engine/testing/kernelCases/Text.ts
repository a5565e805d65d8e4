/** Kernels of strings. */
import * as tf from "@tensorflow/tfjs-core"
import { given, type Input, type KernelCases } from "./KernelCase.ts"

const texts = (...values: ReadonlyArray<string>): Input => ({ shape: [values.length], dtype: "string", values })

/** The generators by kernel name. */
export const textCases: Readonly<Record<string, KernelCases>> = {
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
