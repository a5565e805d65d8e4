// Measures the machine's limits, to compare kernels with: arithmetic in registers, and a copy.

import { PeakArithmetic, PeakCopy } from "../generated/signatures"
import { madd } from "../math"

/** Twelve independent chains of multiply and add, `rounds` times. */
export function peakArithmetic(args: PeakArithmetic, piece: i32, scratch: usize): void {
  let c0 = f32x4.splat(1), c1 = f32x4.splat(2), c2 = f32x4.splat(3), c3 = f32x4.splat(4)
  let c4 = f32x4.splat(5), c5 = f32x4.splat(6), c6 = f32x4.splat(7), c7 = f32x4.splat(8)
  let c8 = f32x4.splat(9), c9 = f32x4.splat(10), c10 = f32x4.splat(11), c11 = f32x4.splat(12)
  // Read from memory, so that the compiler cannot know the values.
  const a = v128.load32_splat(args.place, 64)
  const b = v128.load32_splat(args.place, 68)
  for (let i = args.rounds; i > 0; i--) {
    c0 = madd(c0, a, b); c1 = madd(c1, a, b); c2 = madd(c2, a, b); c3 = madd(c3, a, b)
    c4 = madd(c4, a, b); c5 = madd(c5, a, b); c6 = madd(c6, a, b); c7 = madd(c7, a, b)
    c8 = madd(c8, a, b); c9 = madd(c9, a, b); c10 = madd(c10, a, b); c11 = madd(c11, a, b)
  }
  const s = f32x4.add(f32x4.add(f32x4.add(c0, c1), f32x4.add(c2, c3)), f32x4.add(f32x4.add(c4, c5), f32x4.add(c6, c7)))
  const t = f32x4.add(s, f32x4.add(f32x4.add(c8, c9), f32x4.add(c10, c11)))
  v128.store(args.place + 128 + ((<usize>piece) << 4), t)
}

/** Copies. */
export function peakCopy(args: PeakCopy, piece: i32, scratch: usize): void {
  const block = args.perPiece
  const start = (<usize>(piece * block)) << 2
  let s = args.source + start
  let d = args.destination + start
  const end = s + ((<usize>min(block, args.count - piece * block)) << 2)
  while (s < end) {
    v128.store(d, v128.load(s))
    v128.store(d, v128.load(s, 16), 16)
    v128.store(d, v128.load(s, 32), 32)
    v128.store(d, v128.load(s, 48), 48)
    s += 64
    d += 64
  }
}
