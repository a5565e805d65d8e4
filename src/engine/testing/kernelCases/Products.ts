/** Matrix products and contractions. */
import * as tf from "@tensorflow/tfjs-core"
import { activations, type KernelCases, numeric } from "./KernelCase.ts"

/** The generators by kernel name. */
export const productCases: Readonly<Record<string, KernelCases>> = {
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
  }
}
