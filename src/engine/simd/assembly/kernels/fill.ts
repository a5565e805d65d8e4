import { argF, argI, argP, CRASHED } from "../abi"

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

/**
 * Traps: for the tests of the crash path. Args: 0 the piece that does, 1 whether it is a worker that does, with the calling thread
 * waiting for that (and going on after a while).
 */
export function trap(args: usize, piece: i32, scratch: usize): void {
  if (argI(args, 1) == 0) {
    if (piece == argI(args, 0)) unreachable()
    return
  }
  // The calling thread's scratch is the first.
  if (scratch >= ((__heap_base + 0xffff) & ~0xffff) + 0x10000) unreachable()
  for (let spins: i32 = 0; spins < 2000000 && atomic.load<i32>(CRASHED) == 0; spins++) {}
}
