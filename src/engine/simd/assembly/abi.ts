// The memory below 128 KiB that the main thread and the workers share, and how a kernel reads its arguments.
// Every field that several threads write has its own cache line.

export const CURRENT: usize = 1024 // i32: number of finished jobs, which is the number of the current one
export const SEQUENCE: usize = 1152 // i32: counts posted and finished jobs; idle threads sleep on it
export const SLEEPERS: usize = 1280 // i32: threads asleep
export const CRASHED: usize = 1408 // i32: a worker crashed in a kernel
export const QUIT: usize = 1536 // i32: asks workers to return

// Jobs wait in slots: job n in slot n modulo SLOTS.
export const QUEUE: usize = 4096
export const SLOTS: i32 = 64
export const SLOT: usize = 1280
export const TICKET: usize = 0 // u64: the job's number << 32 | pieces not taken yet
export const COMPLETED: usize = 64 // i32: pieces done
export const KERNEL: usize = 128 // i32
export const PIECES: usize = 132 // i32
export const ARGUMENTS: usize = 192 // 128 integers, 128 floats

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

/** Float argument n; floats begin 512 bytes after the integers. */
// @ts-ignore: decorator
@inline
export function argF(args: usize, n: i32): f32 {
  return load<f32>(args + 512 + ((<usize>n) << 2))
}
