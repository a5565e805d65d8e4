// The optimisers' updates. All three decay in the same two ways: an L2 penalty on the gradient, or a factor of the parameter
// (decoupled weight decay). Both are skipped if they are switched off, so that they change no bit.

import { AdamUpdate, ELEMENTWISE_PIECE, RmspropUpdate, SgdUpdate } from "../generated/signatures"
import { storeLanes } from "../math"

// Bytes of a piece.
// @ts-ignore: decorator
@inline
function pieceBytes(count: i32, piece: i32): usize {
  return (<usize>min(ELEMENTWISE_PIECE, count - piece * ELEMENTWISE_PIECE)) << 2
}

// Start of a piece, in bytes.
// @ts-ignore: decorator
@inline
function pieceStart(piece: i32): usize {
  return (<usize>(piece * ELEMENTWISE_PIECE)) << 2
}

// @ts-ignore: decorator
@inline
function penalised(gradient: v128, param: v128, l2: f32): v128 {
  return l2 != 0 ? f32x4.add(gradient, f32x4.mul(param, f32x4.splat(l2))) : gradient
}

// @ts-ignore: decorator
@inline
function decayed(param: v128, keep: f32): v128 {
  return keep != 1 ? f32x4.mul(param, f32x4.splat(keep)) : param
}

// Elements of the vector at `at`: four, or fewer at the end.
// @ts-ignore: decorator
@inline
function lanesLeft(bytes: usize, at: usize): i32 {
  return <i32>min<usize>(4, (bytes - at) >> 2)
}

/**
 * One SGD update, as defined in OptimizerOps.ts.
 */
export function sgdUpdate(args: SgdUpdate, piece: i32, scratch: usize): void {
  const bytes = pieceBytes(args.count, piece)
  const at = pieceStart(piece)
  const rate = f32x4.splat(args.learningRate)
  const momentum = f32x4.splat(args.momentum)
  const l2 = args.l2
  const keep = args.keep
  const velocity = args.velocity
  const velocities = args.newVelocity
  const nesterov = args.nesterov
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = lanesLeft(bytes, i)
    const old = v128.load(args.param + at + i)
    const g = penalised(v128.load(args.gradient + at + i), old, l2)
    const p = decayed(old, keep)
    let d = g
    if (velocities) {
      const v = velocity ? f32x4.add(f32x4.mul(v128.load(velocity + at + i), momentum), g) : g
      storeLanes(velocities + at + i, v, n)
      d = nesterov ? f32x4.add(g, f32x4.mul(v, momentum)) : v
    }
    storeLanes(args.newParam + at + i, f32x4.sub(p, f32x4.mul(d, rate)), n)
  }
}

/**
 * One Adam update.
 */
export function adamUpdate(args: AdamUpdate, piece: i32, scratch: usize): void {
  const bytes = pieceBytes(args.count, piece)
  const at = pieceStart(piece)
  const oldFirst = args.first
  const oldSecond = args.second
  const l2 = args.l2
  const keep = args.keep
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = lanesLeft(bytes, i)
    const old = v128.load(args.param + at + i)
    const g = penalised(v128.load(args.gradient + at + i), old, l2)
    const p = decayed(old, keep)
    let m = f32x4.mul(g, f32x4.splat(args.oneMinusBeta1))
    let s = f32x4.mul(f32x4.mul(g, g), f32x4.splat(args.oneMinusBeta2))
    if (oldFirst) m = f32x4.add(f32x4.mul(v128.load(oldFirst + at + i), f32x4.splat(args.beta1)), m)
    if (oldSecond) s = f32x4.add(f32x4.mul(v128.load(oldSecond + at + i), f32x4.splat(args.beta2)), s)
    storeLanes(args.newFirst + at + i, m, n)
    storeLanes(args.newSecond + at + i, s, n)
    const d = f32x4.add(f32x4.mul(f32x4.sqrt(s), f32x4.splat(args.secondScale)), f32x4.splat(args.epsilon))
    storeLanes(args.newParam + at + i, f32x4.sub(p, f32x4.mul(f32x4.div(m, d), f32x4.splat(args.stepSize))), n)
  }
}

/**
 * One RMSprop update.
 */
export function rmspropUpdate(args: RmspropUpdate, piece: i32, scratch: usize): void {
  const bytes = pieceBytes(args.count, piece)
  const at = pieceStart(piece)
  const oldSquare = args.square
  const oldVelocity = args.velocity
  const velocities = args.newVelocity
  const l2 = args.l2
  const keep = args.keep
  for (let i: usize = 0; i < bytes; i += 16) {
    const n = lanesLeft(bytes, i)
    const old = v128.load(args.param + at + i)
    const g = penalised(v128.load(args.gradient + at + i), old, l2)
    const p = decayed(old, keep)
    let s = f32x4.mul(f32x4.mul(g, g), f32x4.splat(args.oneMinusAlpha))
    if (oldSquare) s = f32x4.add(f32x4.mul(v128.load(oldSquare + at + i), f32x4.splat(args.alpha)), s)
    storeLanes(args.newSquare + at + i, s, n)
    let d = f32x4.div(g, f32x4.add(f32x4.sqrt(s), f32x4.splat(args.epsilon)))
    if (velocities) {
      if (oldVelocity) d = f32x4.add(f32x4.mul(v128.load(oldVelocity + at + i), f32x4.splat(args.momentum)), d)
      storeLanes(velocities + at + i, d, n)
    }
    storeLanes(args.newParam + at + i, f32x4.sub(p, f32x4.mul(d, f32x4.splat(args.learningRate))), n)
  }
}
