/** Matrix products, softmax and spectra. */
import * as tf from "@tensorflow/tfjs-core"
import { matMul, softmax } from "../Operations.ts"
import { asFloats, broadcast, fallback, type Info, isFloat, register, size } from "./Registration.ts"

register("BatchMatMul", ({ a, b }, attributes, backend) => {
  if (!isFloat(a!) || !isFloat(b!)) return undefined
  const [transposeA, transposeB] = [attributes["transposeA"] === true, attributes["transposeB"] === true]
  const [lastA, lastB] = [a!.shape.slice(-2) as [number, number], b!.shape.slice(-2) as [number, number]]
  const [rows, k] = transposeA ? [lastA[1], lastA[0]] : lastA
  const [inner, columns] = transposeB ? [lastB[1], lastB[0]] : lastB
  const [outerA, outerB] = [a!.shape.slice(0, -2), b!.shape.slice(0, -2)]
  const [batchA, batchB] = [tf.util.sizeFromShape(outerA), tf.util.sizeFromShape(outerB)]
  // The fallback reports shapes that do not match.
  if (k !== inner) return undefined
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(outerA, outerB)
  const [batch, sizes] = [tf.util.sizeFromShape(outer), { rows, k, columns, transposeA, transposeB }]
  const shape = [...outer, rows, columns]
  if (batch === Math.max(batchA, batchB) && (batchA === batchB || Math.min(batchA, batchB) === 1)) {
    return matMul(backend, a!, b!, { ...sizes, batchA, batchB }, shape)
  }
  // Where batches broadcast both ways or along some axes, the cpu backend computes only a part of them.
  const [wideA, wideB] = [broadcast(backend, a!, [...outer, ...lastA]), broadcast(backend, b!, [...outer, ...lastB])]
  const out = matMul(backend, wideA, wideB, { ...sizes, batchA: batch, batchB: batch }, shape)
  backend.disposeData(wideA.dataId)
  backend.disposeData(wideB.dataId)
  return out
})
register("Softmax", ({ logits }, attributes, backend) => {
  const axis = (attributes["dim"] as number | undefined) ?? -1
  const rank = logits!.shape.length
  if (axis !== -1 && axis !== rank - 1)
    throw new RangeError(`softmax: the axis must be the last of ${rank}, got ${axis}`)
  return asFloats(backend, [logits!], (x) => softmax(backend, x!))
})

// One row at a time: the fallback keeps its temporaries until the call ends.
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
