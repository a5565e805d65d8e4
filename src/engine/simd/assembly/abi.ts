// The memory below 64 KiB that the main thread and the workers share, and how a kernel reads its arguments.
// Every field that several threads write sits on a cache line of its own.

export const TICKET: usize = 1024 // u64: generation << 32 | BIAS + pieces left
export const COMPLETED: usize = 1152 // i32: pieces done of the current job
export const SEQUENCE: usize = 1280 // i32: generation; workers sleep on it
export const SLEEPERS: usize = 1408 // i32: workers asleep
export const CRASHED: usize = 1536 // i32: a worker died in a kernel
export const QUIT: usize = 1664 // i32: workers are to return
export const JOB_KERNEL: usize = 1792 // i32, with the two that follow: written by main before the ticket
export const JOB_ARGS: usize = 1796 // usize
export const JOB_PIECES: usize = 1800 // i32

/** Argument n, an integer. */
// @ts-ignore: decorator
@inline
export function argI(args: usize, n: i32): i32 {
  return load<i32>(args + ((<usize>n) << 2))
}

/** Argument n, an address. */
// @ts-ignore: decorator
@inline
export function argP(args: usize, n: i32): usize {
  return <usize>load<u32>(args + ((<usize>n) << 2))
}

/** Float argument n; floats live 512 bytes after the integers. */
// @ts-ignore: decorator
@inline
export function argF(args: usize, n: i32): f32 {
  return load<f32>(args + 512 + ((<usize>n) << 2))
}
