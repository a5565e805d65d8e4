/** Kernels that move elements: slices, concatenation, padding, transposition; and constant tensors. */
import * as tf from "@tensorflow/tfjs-core"
import type { SimdBackend } from "../Backend.ts"
import { copyBlock, filled, transpose } from "../Operations.ts"
import { type Info, isFloat, isFourBytes, register } from "./Registration.ts"

/** A copy of a block of x; undefined where the engine has no kernel for its rank. */
const blockOf = (backend: SimdBackend, x: Info, begin: ReadonlyArray<number>, length: ReadonlyArray<number>) => {
  const out = backend.allocate([...length], x.dtype)
  const zeros = begin.map(() => 0)
  if (copyBlock(backend, x, begin, out, zeros, length)) return out
  backend.disposeData(out.dataId)
  return undefined
}
register("Slice", ({ x }, attributes, backend) => {
  if (!isFourBytes(x!)) return undefined
  const [begin, length] = tf.slice_util.parseSliceParams(
    x as tf.Tensor,
    attributes["begin"] as Array<number>,
    attributes["size"] as Array<number>
  ) as [Array<number>, Array<number>]
  tf.slice_util.assertParamsValid(x as tf.Tensor, begin, length)
  return blockOf(backend, x!, begin, length)
})
register("SplitV", ({ x }, attributes, backend) => {
  if (!isFourBytes(x!)) return undefined
  const axis = tf.util.parseAxisParam(attributes["axis"] as number, [...x!.shape])[0]!
  const sizes = tf.backend_util.prepareSplitSize(
    x as tf.Tensor,
    attributes["numOrSizeSplits"] as number | Array<number>,
    axis
  )
  let at = 0
  const parts: Array<Info> = []
  for (const length of sizes) {
    const part = blockOf(
      backend,
      x!,
      x!.shape.map((_, i) => (i === axis ? at : 0)),
      x!.shape.map((full, i) => (i === axis ? length : full))
    )
    if (part === undefined) return undefined
    parts.push(part)
    at += length
  }
  return parts
})
register("Concat", (inputs, attributes, backend) => {
  const all = Object.values(inputs) as Array<Info>
  const first = all[0]
  if (first === undefined || !isFourBytes(first) || all.some((info) => info.dtype !== first.dtype)) return undefined
  const axis = tf.util.parseAxisParam(attributes["axis"] as number, [...first.shape])[0]!
  const shapes = all.map((info) => [...info.shape])
  tf.backend_util.assertParamsConsistent(shapes, axis)
  const out = backend.allocate(tf.backend_util.computeOutShape(shapes, axis), first.dtype)
  let at = 0
  for (const info of all) {
    const zeros = info.shape.map(() => 0)
    const begin = zeros.map((_, i) => (i === axis ? at : 0))
    if (!copyBlock(backend, info, zeros, out, begin, info.shape)) {
      backend.disposeData(out.dataId)
      return undefined
    }
    at += info.shape[axis]!
  }
  return out
})
register("PadV2", ({ x }, attributes, backend) => {
  if (!isFloat(x!)) return undefined
  const paddings = attributes["paddings"] as ReadonlyArray<readonly [number, number]>
  const shape = x!.shape.map((length, i) => length + paddings[i]![0] + paddings[i]![1])
  const out = filled(backend, shape, attributes["constantValue"] as number)
  const zeros = x!.shape.map(() => 0)
  const begin = paddings.map(([before]) => before)
  if (copyBlock(backend, x!, zeros, out, begin, x!.shape)) return out
  backend.disposeData(out.dataId)
  return undefined
})
register("Transpose", ({ x }, attributes, backend) =>
  isFourBytes(x!) ? transpose(backend, x!, attributes["perm"] as ReadonlyArray<number>) : undefined
)
register("Fill", (_, attributes, backend) => {
  const { dtype, shape, value } = attributes as { dtype?: string; shape: Array<number>; value: unknown }
  const float = dtype === "float32" || (dtype === undefined && typeof value === "number")
  return float && typeof value === "number" ? filled(backend, shape, value) : undefined
})
for (const [name, value] of [
  ["ZerosLike", 0],
  ["OnesLike", 1]
] as const) {
  register(name, ({ x }, _, backend) => (isFloat(x!) ? filled(backend, x!.shape, value) : undefined))
}
