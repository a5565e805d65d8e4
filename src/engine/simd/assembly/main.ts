// Jobs and threads. A job is a kernel, its arguments and a number of pieces. Which thread runs which piece is decided by
// an atomic ticket; what a piece computes depends on the shapes alone, so the bits do not depend on the threads.

import {
  COMPLETED,
  CRASHED,
  JOB_ARGS,
  JOB_KERNEL,
  JOB_PIECES,
  QUIT,
  SEQUENCE,
  SLEEPERS,
  TICKET
} from "./abi"
import { dispatch } from "./generated/dispatch"

export * from "./generated/dispatch"

const BIAS: i32 = 0x40000000
/** How often a thread looks for a job, or for the end of one, before it goes to sleep. Each thread has its own. */
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

// Takes pieces of the current job until none is left. The ticket holds generation and count in one word, so a thread
// that comes late either finds nothing left or takes a piece of the newer job, whose fields were written before it.
function takePieces(scratch: usize): void {
  while (true) {
    const left = <i32>(atomic.sub<u64>(TICKET, 1) & 0xffffffff) - BIAS
    if (left <= 0) return
    const pieces = load<i32>(JOB_PIECES)
    dispatch(load<i32>(JOB_KERNEL), <usize>load<u32>(JOB_ARGS), pieces - left, scratch)
    if (atomic.add<i32>(COMPLETED, 1) + 1 == pieces) atomic.notify(COMPLETED, 1)
  }
}

/**
 * Runs a job and returns when every piece is done: 0. A crash of a worker returns 1, no progress for a while 2: then
 * `wait` goes on waiting.
 */
export function run(kernel: i32, args: usize, pieces: i32, workers: i32, scratch: usize): i32 {
  if (workers == 0 || pieces < 2) {
    for (let piece = 0; piece < pieces; piece++) dispatch(kernel, args, piece, scratch)
    return 0
  }
  store<i32>(JOB_KERNEL, kernel)
  store<u32>(JOB_ARGS, <u32>args)
  store<i32>(JOB_PIECES, pieces)
  atomic.store<i32>(COMPLETED, 0)
  const generation = atomic.load<i32>(SEQUENCE) + 1
  atomic.store<u64>(TICKET, ((<u64>generation) << 32) | (<u64>(BIAS + pieces)))
  atomic.store<i32>(SEQUENCE, generation)
  if (atomic.load<i32>(SLEEPERS) > 0) atomic.notify(SEQUENCE, workers)
  takePieces(scratch)
  return wait(pieces)
}

/** Waits for the current job's `pieces`. Returns as `run` does. */
export function wait(pieces: i32): i32 {
  let spins = 0
  let waits = 0
  let last = -1
  while (true) {
    const done = atomic.load<i32>(COMPLETED)
    if (done == pieces) return 0
    if (atomic.load<i32>(CRASHED) != 0) return 1
    if (++spins > patience) {
      waits = done == last ? waits + 1 : 0
      last = done
      if (waits > PATIENCE) return 2
      atomic.wait<i32>(COMPLETED, done, WAIT_NS)
    }
  }
}

/** What a worker does all its life: wait for a job, help with it. Returns when told to quit. */
export function work(scratch: usize): void {
  let seen = 0
  while (true) {
    let spins = 0
    while (atomic.load<i32>(SEQUENCE) == seen) {
      if (atomic.load<i32>(QUIT) != 0) return
      if (++spins > patience) {
        atomic.add<i32>(SLEEPERS, 1)
        atomic.wait<i32>(SEQUENCE, seen, -1)
        atomic.sub<i32>(SLEEPERS, 1)
        spins = 0
      }
    }
    if (atomic.load<i32>(QUIT) != 0) return
    seen = atomic.load<i32>(SEQUENCE)
    takePieces(scratch)
  }
}

/** Tells the workers to return. */
export function quit(): void {
  atomic.store<i32>(QUIT, 1)
  atomic.add<i32>(SEQUENCE, 1)
  atomic.notify(SEQUENCE, -1)
}
