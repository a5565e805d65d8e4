/** Registers kernels of the embedded engine under tfjs's names; helpers that they share. */
import * as tf from "@tensorflow/tfjs-core"
import { addSimdKernel, type SimdBackend } from "../Backend.ts"

export type Info = tf.TensorInfo
type Inputs = tf.NamedTensorInfoMap
export type Attributes = Readonly<Record<string, unknown>>
type Kernel = (inputs: Inputs, attributes: Attributes, backend: SimdBackend) => Info | Array<Info> | undefined

/** tfjs-backend-cpu's kernel on the same tensors. */
export const fallback = (name: string, inputs: Inputs, attrs: Attributes, backend: SimdBackend): Info | Array<Info> =>
  backend.borrow(
    () =>
      tf.getKernel(name, "cpu").kernelFunc({ inputs, attrs: attrs as tf.NamedAttrMap, backend }) as Info | Array<Info>
  )

/** Registers a kernel that falls back if `kernel` returns undefined. */
export const register = (kernelName: string, kernel: Kernel): void =>
  addSimdKernel({
    kernelName,
    kernelFunc: ({ attrs, backend, inputs }) => {
      const simd = backend as SimdBackend
      const given = (attrs ?? {}) as Attributes
      const named = inputs as Inputs
      return kernel(named, given, simd) ?? fallback(kernelName, named, given, simd)
    }
  })

export const size = (info: Info): number => tf.util.sizeFromShape(info.shape)
export const isFloat = (info: Info): boolean => info.dtype === "float32"
export const isFourBytes = (info: Info): boolean => info.dtype === "float32" || info.dtype === "int32"

/** Runs `body` on the tensors, with float32 copies in place of those of another type. */
export const asFloats = <A>(
  backend: SimdBackend,
  infos: ReadonlyArray<Info>,
  body: (...floats: Array<Info>) => A
): A => {
  const made: Array<Info> = []
  try {
    return body(
      ...infos.map((info) => {
        if (isFloat(info)) return info
        const copy = backend.allocate([...info.shape])
        made.push(copy)
        backend.view(copy).set(backend.view(info))
        return copy
      })
    )
  } finally {
    for (const copy of made) backend.disposeData(copy.dataId)
  }
}

/** A float32 result in the operands' type, as in tfjs: fractions are cut off, NaN and infinities become 0. */
export const narrowed = (backend: SimdBackend, float: Info, dtype: tf.DataType): Info => {
  if (dtype === "float32") return float
  const out = backend.allocate([...float.shape], dtype)
  backend.view(out).set(backend.view(float))
  backend.disposeData(float.dataId)
  return out
}

/** A copy of x broadcast to a shape. */
export const broadcast = (backend: SimdBackend, x: Info, shape: ReadonlyArray<number>): Info => {
  const out = backend.allocate([...shape], x.dtype)
  const view = backend.view(out)
  const source = backend.view(x)
  const rank = shape.length
  const own = [...new Array<number>(rank - x.shape.length).fill(1), ...x.shape]
  const strides = new Array<number>(rank).fill(0)
  let step = 1
  for (let i = rank - 1; i >= 0; i--) {
    strides[i] = own[i] === 1 ? 0 : step
    step *= own[i]!
  }
  for (let i = 0; i < view.length; i++) {
    let rest = i
    let at = 0
    for (let axis = rank - 1; axis >= 0; axis--) {
      at += (rest % shape[axis]!) * strides[axis]!
      rest = Math.floor(rest / shape[axis]!)
    }
    view[i] = source[at]!
  }
  return out
}
