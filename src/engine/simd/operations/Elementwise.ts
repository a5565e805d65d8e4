/** Elementwise operations: unary, binary with broadcasting, comparisons, selection, constants. */
import * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../../Shape.ts"
import type { SimdBackend } from "../Backend.ts"
import * as kernels from "../generated/Kernels.ts"
import {
  binaryOperations,
  comparisons,
  ELEMENTWISE_PIECE,
  FIRST_SCALAR_OPERATION,
  type Kind,
  unaryOperations
} from "../Kinds.ts"
import { pieces, unitsOf } from "./Pieces.ts"

type Info = tf.TensorInfo

/** Elements of a piece of operations that take one element at a time. */
const SCALAR_PIECE = 2048

/** An operation of one operand. */
export type UnaryOperation = Kind<"UnaryOperation">
/** An operation of two operands. */
export type BinaryOperation = Kind<"BinaryOperation">
/** A comparison. */
export type Comparison = Kind<"Comparison">

/** op(x), float32. */
export const unary = (
  backend: SimdBackend,
  operation: UnaryOperation,
  x: Info,
  constants: readonly [number, number] = [0, 0]
): Info => {
  const out = backend.allocate([...x.shape])
  const count = sizeOf(x.shape)
  const perPiece = unaryOperations[operation] >= FIRST_SCALAR_OPERATION ? SCALAR_PIECE : ELEMENTWISE_PIECE
  kernels.unary(backend.runtime, pieces(count, perPiece), {
    x: backend.address(x),
    out: backend.address(out),
    count,
    operation,
    perPiece,
    a: constants[0],
    b: constants[1]
  })
  return out
}

/** An operand as rows of `length`: one row serves `shared` rows of the output. */
interface Operand {
  readonly splat: boolean
  readonly step: number
  readonly shared: number
}

interface BinaryPlan {
  readonly length: number
  readonly a: Operand
  readonly b: Operand
}

/**
 * How two shapes combine in rows: they are equal, one is a single number, or one lacks a run of adjacent axes (leading,
 * trailing or in the middle). Undefined for any other combination.
 */
const binaryPlan = (
  a: ReadonlyArray<number>,
  b: ReadonlyArray<number>,
  out: ReadonlyArray<number>
): BinaryPlan | undefined => {
  const total = sizeOf(out)
  const [sizeA, sizeB] = [sizeOf(a), sizeOf(b)]
  const flat: Operand = { splat: false, step: ELEMENTWISE_PIECE, shared: 1 }
  const single: Operand = { splat: true, step: 0, shared: 1 }
  if (sizeA === total && sizeB === total) return { length: ELEMENTWISE_PIECE, a: flat, b: flat }
  if (sizeB === 1) return { length: ELEMENTWISE_PIECE, a: flat, b: single }
  if (sizeA === 1) return { length: ELEMENTWISE_PIECE, a: single, b: flat }
  const [whole, part] = sizeA === total ? ["a", b] : sizeB === total ? ["b", a] : [undefined, a]
  if (whole === undefined) return undefined
  const padded = [...new Array<number>(out.length - part.length).fill(1), ...part]
  // [outer axes present][axes missing][inner axes present]
  let first = 0
  while (first < out.length && padded[first] === out[first]) first++
  let last = out.length
  while (last > first && padded[last - 1] === out[last - 1]) last--
  // Axes of size 1 in both match anywhere.
  if (padded.slice(first, last).some((size) => size !== 1)) return undefined
  const middle = sizeOf(out.slice(first, last))
  const inner = sizeOf(out.slice(last))
  const plan = (length: number, operand: Operand): BinaryPlan => {
    const own: Operand = { splat: false, step: length, shared: 1 }
    return whole === "a" ? { length, a: own, b: operand } : { length, a: operand, b: own }
  }
  return inner === 1
    ? plan(middle, { splat: true, step: 1, shared: 1 })
    : plan(inner, { splat: false, step: inner, shared: middle })
}

/** Posts a job over rows; undefined if no kernel covers the combination of shapes. */
const rowwise = (
  backend: SimdBackend,
  kernel: typeof kernels.binary,
  operation: number,
  a: Info,
  b: Info,
  dtype: "float32" | "bool",
  piece: number
): Info | undefined => {
  const shape = tf.broadcast_util.assertAndGetBroadcastShape([...a.shape], [...b.shape])
  const plan = binaryPlan(a.shape, b.shape, shape)
  if (plan === undefined) return undefined
  const out = backend.allocate(shape, dtype)
  const count = sizeOf(shape)
  const rowsPerPiece = unitsOf(plan.length, piece)
  kernel(backend.runtime, pieces(Math.ceil(count / plan.length), rowsPerPiece), {
    a: backend.address(a),
    b: backend.address(b),
    out: backend.address(out),
    operation,
    count,
    length: plan.length,
    splat: plan.b.splat ? "b" : plan.a.splat ? "a" : "none",
    stepA: plan.a.step,
    sharedA: plan.a.shared,
    stepB: plan.b.step,
    sharedB: plan.b.shared,
    rowsPerPiece
  })
  return out
}

/** op(a, b) with broadcasting, float32; undefined if no kernel covers the combination of shapes. */
export const binary = (backend: SimdBackend, operation: BinaryOperation, a: Info, b: Info): Info | undefined => {
  const code = binaryOperations[operation]
  const piece = code >= FIRST_SCALAR_OPERATION ? SCALAR_PIECE : ELEMENTWISE_PIECE
  return rowwise(backend, kernels.binary, code, a, b, "float32", piece)
}

/** The comparison of a and b as bool, with the broadcasting of {@link binary}. */
export const compare = (backend: SimdBackend, comparison: Comparison, a: Info, b: Info): Info | undefined =>
  rowwise(backend, kernels.compare, comparisons[comparison], a, b, "bool", ELEMENTWISE_PIECE)

/** t where the condition (bool) holds, e elsewhere; all of the same shape. */
export const select = (backend: SimdBackend, condition: Info, t: Info, e: Info): Info => {
  const out = backend.allocate([...t.shape])
  const count = sizeOf(t.shape)
  kernels.select(backend.runtime, pieces(count, ELEMENTWISE_PIECE), {
    condition: backend.address(condition),
    t: backend.address(t),
    e: backend.address(e),
    out: backend.address(out),
    count
  })
  return out
}

/** Writes one number to `count` floats from an address. */
export const fill = (backend: SimdBackend, address: number, count: number, value: number): void =>
  kernels.fill(backend.runtime, pieces(count, ELEMENTWISE_PIECE), { address, count, value })

/** A float32 tensor full of one number. */
export const filled = (backend: SimdBackend, shape: ReadonlyArray<number>, value: number): Info => {
  const out = backend.allocate([...shape])
  fill(backend, backend.address(out), sizeOf(shape), value)
  return out
}
