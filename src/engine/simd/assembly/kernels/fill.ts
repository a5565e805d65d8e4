import { argF, argI, argP } from "../abi"

/** Fills [address, address + 4 count) with a float. Pieces of 16384 elements. Args: address, count; value. */
export function fill(args: usize, piece: i32, scratch: usize): void {
  const count = argI(args, 1)
  const start = piece << 14
  const end = min(count, start + 16384)
  const value = argF(args, 0)
  let p = argP(args, 0) + ((<usize>start) << 2)
  const stop = argP(args, 0) + ((<usize>end) << 2)
  const v = f32x4.splat(value)
  for (; p + 16 <= stop; p += 16) v128.store(p, v)
  for (; p < stop; p += 4) store<f32>(p, value)
}

/** Traps: for the tests of the crash path. Args: whether the last piece only. */
export function trap(args: usize, piece: i32, scratch: usize): void {
  if (piece == argI(args, 0)) unreachable()
}
