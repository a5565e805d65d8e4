/** Random weights, pooling, softmax, and the cross entropy with its gradient. */
import type * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../../Shape.ts"
import type { SimdBackend } from "../Backend.ts"
import * as kernels from "../generated/Kernels.ts"
import { RANDOM_PIECE } from "../Kinds.ts"
import { pieces, unitsOf } from "./Pieces.ts"

type Info = tf.TensorInfo

/** Softmax over the last axis. */
export const softmax = (backend: SimdBackend, x: Info): Info => {
  const out = backend.allocate([...x.shape])
  const columns = x.shape[x.shape.length - 1]!
  const rows = sizeOf(x.shape) / columns
  const rowsPerPiece = unitsOf(columns, 2048)
  kernels.softmaxRows(backend.runtime, pieces(rows, rowsPerPiece), {
    x: backend.address(x),
    out: backend.address(out),
    rows,
    columns,
    rowsPerPiece
  })
  return out
}

/** The loss of each row, and the gradient of their mean, see LossOps.ts. Labels are int32. */
export const crossEntropy = (
  backend: SimdBackend,
  logits: Info,
  labels: Info,
  smoothing: number
): { readonly losses: Info; readonly gradient: Info } => {
  const [rows, columns] = logits.shape as [number, number]
  const losses = backend.allocate([rows])
  const gradient = backend.allocate([rows, columns])
  const rowsPerPiece = unitsOf(columns, 1024)
  kernels.crossEntropyRows(backend.runtime, pieces(rows, rowsPerPiece), {
    logits: backend.address(logits),
    labels: backend.address(labels),
    losses: backend.address(losses),
    gradient: backend.address(gradient),
    rows,
    columns,
    rowsPerPiece,
    smoothing
  })
  return { losses, gradient }
}

const poolingOf = (geometry: tf.backend_util.Conv2DInfo, kind: "avg" | "max"): kernels.Pooling => ({
  height: geometry.inHeight,
  width: geometry.inWidth,
  channels: geometry.inChannels,
  outHeight: geometry.outHeight,
  outWidth: geometry.outWidth,
  windowHeight: geometry.effectiveFilterHeight,
  windowWidth: geometry.effectiveFilterWidth,
  strideHeight: geometry.strideHeight,
  strideWidth: geometry.strideWidth,
  top: geometry.padInfo.top,
  left: geometry.padInfo.left,
  maximum: kind === "max"
})

/** Average or maximum pooling of x [batch, height, width, channels]; averages exclude the padding. */
export const pool = (
  backend: SimdBackend,
  x: Info,
  kind: "avg" | "max",
  geometry: tf.backend_util.Conv2DInfo
): Info => {
  const out = backend.allocate([...geometry.outShape])
  kernels.poolRows(backend.runtime, geometry.batchSize * geometry.outHeight, {
    x: backend.address(x),
    out: backend.address(out),
    pooling: poolingOf(geometry, kind)
  })
  return out
}

/** The gradient of {@link pool}; `x` is read for maxima only. */
export const poolGradient = (
  backend: SimdBackend,
  dy: Info,
  x: Info,
  kind: "avg" | "max",
  geometry: tf.backend_util.Conv2DInfo
): Info => {
  const out = backend.allocate([...x.shape])
  kernels.poolGradient(backend.runtime, geometry.batchSize, {
    x: backend.address(x),
    dy: backend.address(dy),
    pooling: poolingOf(geometry, kind),
    dx: backend.address(out)
  })
  return out
}

const doubleWords = new DataView(new ArrayBuffer(8))

/** The first numbers of a key, see RandomOps.ts. */
export const randomNumbers = (
  backend: SimdBackend,
  key: { readonly k0: number; readonly k1: number },
  shape: ReadonlyArray<number>,
  distribution: "normal" | "uniform",
  factor: number
): Info => {
  const out = backend.allocate([...shape])
  const count = sizeOf(shape)
  doubleWords.setFloat64(0, factor)
  kernels.drawNumbers(backend.runtime, pieces(count, RANDOM_PIECE), {
    out: backend.address(out),
    count,
    key0: key.k0,
    key1: key.k1,
    uniform: distribution === "uniform",
    factorLow: doubleWords.getInt32(4),
    factorHigh: doubleWords.getInt32(0)
  })
  return out
}
