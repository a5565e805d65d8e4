import { CRASHED } from "../abi"
import { ELEMENTWISE_PIECE, Fill, Trap } from "../generated/signatures"

/** Fills [address, address + 4 count) with a float. */
export function fill(args: Fill, piece: i32, scratch: usize): void {
  const count = args.count
  const start = piece * ELEMENTWISE_PIECE
  const end = min(count, start + ELEMENTWISE_PIECE)
  const value = args.value
  let p = args.address + ((<usize>start) << 2)
  const stop = args.address + ((<usize>end) << 2)
  const v = f32x4.splat(value)
  for (; p + 16 <= stop; p += 16) v128.store(p, v)
  for (; p < stop; p += 4) store<f32>(p, value)
}

/**
 * Traps, to test the crash path.
 */
export function trap(args: Trap, piece: i32, scratch: usize): void {
  if (args.worker == 0) {
    if (piece == args.piece) unreachable()
    return
  }
  // The calling thread's scratch is the first.
  if (scratch >= ((__heap_base + 0xffff) & ~0xffff) + 0x10000) unreachable()
  for (let spins: i32 = 0; spins < 2000000 && atomic.load<i32>(CRASHED) == 0; spins++) {}
}
