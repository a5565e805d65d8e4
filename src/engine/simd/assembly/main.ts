// Jobs and threads. A job is a kernel, its arguments and a number of pieces. Jobs run one after the other, in the order in
// which they were posted; an atomic ticket decides which thread takes which piece. What a piece computes depends on shapes
// alone, so the bits do not depend on the threads.

import {
  ARGUMENTS,
  COMPLETED,
  CRASHED,
  CURRENT,
  KERNEL,
  PIECES,
  QUEUE,
  QUIT,
  SEQUENCE,
  SLEEPERS,
  SLOT,
  SLOTS,
  TICKET
} from "./abi"
import { dispatch } from "./generated/dispatch"

export * from "./generated/dispatch"

/** How often a thread looks for work before it goes to sleep. Each thread has its own. */
let patience: i32 = 20000
const WAIT_NS: i64 = 2000000
/** Waits without progress before the caller looks at its clock. */
const PATIENCE: i32 = 500

/** First address that the compiled module leaves free. */
export function heapBase(): usize {
  return __heap_base
}

/** Sets how often this thread looks before it goes to sleep. */
export function setPatience(spins: i32): void {
  patience = spins
}

/** Number of jobs that can wait. */
export function slots(): i32 {
  return SLOTS
}

// @ts-ignore: decorator
@inline
function slotOf(job: i32): usize {
  return QUEUE + <usize>(job & (SLOTS - 1)) * SLOT
}

/** Address for the arguments of job number `job`: 128 integers, then 128 floats. */
export function argumentsOf(job: i32): usize {
  return slotOf(job) + ARGUMENTS
}

// Wakes idle threads.
function signal(): void {
  atomic.add<i32>(SEQUENCE, 1)
  if (atomic.load<i32>(SLEEPERS) > 0) atomic.notify(SEQUENCE, -1)
}

// Runs pieces of the current job until none is left, and returns whether it ran any. The ticket contains the job's number
// besides the pieces left, so a late thread takes no piece of the next job in the same slot.
function assist(scratch: usize): bool {
  const job = atomic.load<i32>(CURRENT)
  const slot = slotOf(job)
  let worked = false
  while (true) {
    const ticket = atomic.load<u64>(slot + TICKET)
    const left = <i32>ticket
    if (<i32>(ticket >> 32) != job || left == 0) return worked
    if (atomic.cmpxchg<u64>(slot + TICKET, ticket, ticket - 1) != ticket) continue
    const pieces = load<i32>(slot + PIECES)
    dispatch(load<i32>(slot + KERNEL), slot + ARGUMENTS, pieces - left, scratch)
    worked = true
    if (atomic.add<i32>(slot + COMPLETED, 1) + 1 == pieces) {
      atomic.store<i32>(CURRENT, job + 1)
      signal()
      return true
    }
  }
}

/** Posts job number `job`, with at least one piece, to the workers. Its arguments are written, and its slot was free. */
export function post(job: i32, kernel: i32, pieces: i32): void {
  const slot = slotOf(job)
  store<i32>(slot + KERNEL, kernel)
  store<i32>(slot + PIECES, pieces)
  atomic.store<i32>(slot + COMPLETED, 0)
  atomic.store<u64>(slot + TICKET, ((<u64>(<u32>job)) << 32) | (<u64>(<u32>pieces)))
  signal()
}

/**
 * Helps until all jobs before number `job` are done, then returns 0. Returns 1 if a worker crashed, 2 after a while without
 * progress; then it may be called again.
 */
export function settle(job: i32, scratch: usize): i32 {
  let spins = 0
  let waits = 0
  let last = 0
  while (true) {
    const sequence = atomic.load<i32>(SEQUENCE)
    const current = atomic.load<i32>(CURRENT)
    if (current - job >= 0) return 0
    if (atomic.load<i32>(CRASHED) != 0) return 1
    if (assist(scratch)) {
      spins = 0
      waits = 0
    } else if (++spins > patience) {
      const progress = sequence + atomic.load<i32>(slotOf(current) + COMPLETED)
      waits = progress == last ? waits + 1 : 0
      last = progress
      if (waits > PATIENCE) return 2
      atomic.add<i32>(SLEEPERS, 1)
      atomic.wait<i32>(SEQUENCE, sequence, WAIT_NS)
      atomic.sub<i32>(SLEEPERS, 1)
    }
  }
}

/** The number of the current job. */
export function current(): i32 {
  return atomic.load<i32>(CURRENT)
}

/** Runs a job without the workers. */
export function alone(kernel: i32, args: usize, pieces: i32, scratch: usize): void {
  for (let piece = 0; piece < pieces; piece++) dispatch(kernel, args, piece, scratch)
}

/** The loop of a worker: wait for work, do it. Returns when the engine quits. */
export function work(scratch: usize): void {
  let spins = 0
  while (true) {
    const sequence = atomic.load<i32>(SEQUENCE)
    if (atomic.load<i32>(QUIT) != 0) return
    if (assist(scratch)) {
      spins = 0
    } else if (++spins > patience) {
      atomic.add<i32>(SLEEPERS, 1)
      atomic.wait<i32>(SEQUENCE, sequence, -1)
      atomic.sub<i32>(SLEEPERS, 1)
      spins = 0
    }
  }
}

/** Asks the workers to return. */
export function quit(): void {
  atomic.store<i32>(QUIT, 1)
  signal()
}
