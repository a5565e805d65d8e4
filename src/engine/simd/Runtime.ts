/**
 * The machine below the embedded backend: one WebAssembly memory, the kernels compiled from `assembly/`, an allocator and
 * a pool of worker threads. A job is a kernel, its arguments and a number of pieces. The calling thread and the workers
 * take pieces as they become idle, so a result must not depend on which thread runs a piece. The functions of
 * generated/Kernels.ts, one per kernel, post the jobs.
 */
import { existsSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import * as Schema from "effect/Schema"
import { type Allocator, makeAllocator } from "./Allocator.ts"
import { kernelNames, signatureDigest } from "./generated/Kernels.ts"

/**
 * `strict`: separate multiply and add, the same bits on every machine. `relaxed`: relaxed-SIMD multiply-add, faster, the
 * same bits only on machines of the same kind.
 */
export type SimdMode = "strict" | "relaxed"

/** The compiled kernels are missing or cannot be loaded. */
export class EngineLoadError extends Schema.TaggedError<EngineLoadError>()("EngineLoadError", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The engine's kernels at ${this.file} cannot be loaded: ${this.reason}. In a checkout, build them with \`npm run build:wasm\`.`
  }
}

/** A kernel crashed, on the calling thread or on a worker. */
export class EngineCrashError extends Schema.TaggedError<EngineCrashError>()("EngineCrashError", {
  kernel: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The engine's kernel ${this.kernel} failed: ${this.reason}. Its results are lost and this engine cannot be used further.`
  }
}

/** Options of {@link makeRuntime}. */
export interface RuntimeOptions {
  readonly mode: SimdMode
  /** Threads that work on a job, including the calling one. 1 starts no worker. */
  readonly threads: number
}

/** Where a job's arguments are written: views of the shared memory, 128 words each. */
export interface JobSlot {
  readonly integers: Int32Array
  readonly floats: Float32Array
}

/** What a kernel's function needs from the runtime. */
export interface JobQueue {
  /** The slot of the next job. Waits for a free one; throws if the engine has failed. */
  readonly slot: () => JobSlot
  /**
   * Posts the job whose arguments are in {@link JobQueue.slot}: a kernel, by its number, with `pieces` pieces (0: nothing to
   * do). With workers it returns at once: they run the jobs in order while the calling thread prepares the next ones. Call
   * {@link Runtime.settle} before you read or write the memory; the views do so when they are made. A job's failure is
   * thrown by the next call that notices it.
   */
  readonly submit: (kernel: number, pieces: number) => void
}

/** See the module's description. Made by {@link makeRuntime}. */
export interface Runtime extends JobQueue {
  readonly mode: SimdMode
  readonly threads: number
  readonly allocator: Allocator
  readonly memory: WebAssembly.Memory
  /** Returns when all jobs are done. */
  readonly settle: () => void
  /** Views of memory; they stay valid when memory grows. Length in elements. */
  readonly float32: (address: number, length: number) => Float32Array
  readonly int32: (address: number, length: number) => Int32Array
  readonly uint8: (address: number, length: number) => Uint8Array
  /** Stops the workers. The memory stays readable. */
  readonly close: () => Promise<void>
}

const PAGE = 65536
const LIMIT = 65536 * PAGE
/** A job has this many integer arguments, and as many floats. */
const ARGUMENTS = 128
/** Scratch of one thread, enough for every kernel's blocks; untouched pages cost nothing. */
const SCRATCH = 8 * 2 ** 20
const GROWTH = 32 * 2 ** 20
/**
 * How often a thread looks for a job, or for the end of one, before it goes to sleep. JavaScript takes ten to a few hundred
 * microseconds between two jobs of a training step; so do the last piece of a job and waking a sleeping thread. If every
 * thread has a processor to itself, it spins for about half a millisecond; if not, spinning would hold up the others.
 */
const SPINS = { alone: 400_000, shared: 20_000 } as const
/** Milliseconds without progress after which a job counts as failed. */
const PATIENCE = 120_000
/** What `settle` returns if the current job made no progress for a while. */
const STALLED = 2

interface Exports {
  readonly signatures: WebAssembly.Global
  readonly heapBase: () => number
  readonly slots: () => number
  readonly argumentsOf: (job: number) => number
  readonly alone: (kernel: number, args: number, pieces: number, scratch: number) => void
  readonly post: (job: number, kernel: number, pieces: number) => void
  readonly settle: (job: number, scratch: number) => number
  readonly current: () => number
  readonly quit: () => void
  readonly setPatience: (spins: number) => void
}

// Evaluated as text, so that no file of its own has to be found when the package is bundled or compiled.
const workerSource = `
const { workerData, parentPort } = require("node:worker_threads")
const { module, memory, scratch, crashed, spins } = workerData
try {
  const { setPatience, work } = new WebAssembly.Instance(module, { env: { memory } }).exports
  setPatience(spins)
  work(scratch)
} catch (error) {
  const flag = new Int32Array(memory.buffer, crashed, 1)
  Atomics.store(flag, 0, 1)
  parentPort.postMessage(String(error))
}`
/** Address of the flag that a worker crashed, as in assembly/abi.ts. */
const CRASHED = 1408

const kernelFile = (mode: SimdMode): string => fileURLToPath(new URL(`./kernels-${mode}.wasm`, import.meta.url))

const load = (mode: SimdMode): WebAssembly.Module => {
  const file = kernelFile(mode)
  if (!existsSync(file)) throw new EngineLoadError({ file, reason: "the file does not exist" })
  try {
    return new WebAssembly.Module(readFileSync(file))
  } catch (error) {
    throw new EngineLoadError({ file, reason: String(error) })
  }
}

const instantiate = (mode: SimdMode, module: WebAssembly.Module, memory: WebAssembly.Memory): Exports => {
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports
  if (exports.signatures?.value !== signatureDigest) {
    const reason = "it was compiled from other signatures of kernels than this code was made for"
    throw new EngineLoadError({ file: kernelFile(mode), reason })
  }
  return exports
}

/** Starts one worker per scratch address. */
const startWorkers = (
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  spins: number,
  scratches: ReadonlyArray<number>
): ReadonlyArray<Worker> =>
  scratches.map((scratch) => {
    const worker = new Worker(workerSource, {
      eval: true,
      execArgv: [],
      env: {},
      workerData: { module, memory, scratch, crashed: CRASHED, spins }
    })
    // Without a listener an 'error' event would throw out of the event loop; the crash flag informs the caller instead.
    worker.on("error", () => Atomics.store(new Int32Array(memory.buffer, CRASHED, 1), 0, 1))
    worker.unref()
    return worker
  })

interface Queue extends JobQueue {
  readonly settle: () => void
  readonly hasFailed: () => boolean
}

/** The slots in the shared memory, and which of them hold jobs that are not done. */
const makeQueue = (exports: Exports, memory: WebAssembly.Memory, scratch: number, hasWorkers: boolean): Queue => {
  const slots = exports.slots()
  const places = Array.from({ length: slots }, (_, slot) => {
    const at = exports.argumentsOf(slot)
    return {
      at,
      integers: new Int32Array(memory.buffer, at, ARGUMENTS),
      floats: new Float32Array(memory.buffer, at + 4 * ARGUMENTS, ARGUMENTS)
    }
  })
  // Jobs posted to the workers so far, how many of them are known to be done, and the kernel in each slot.
  let posted = 0
  let done = 0
  const kernelAt = new Int32Array(slots)
  let failure: EngineCrashError | undefined

  const fail = (job: number, reason: string): never => {
    failure = new EngineCrashError({ kernel: kernelNames[kernelAt[job & (slots - 1)]!]!, reason })
    throw failure
  }

  /** Returns when all jobs before number `job` are done. */
  const finish = (job: number): void => {
    if (failure !== undefined) throw failure
    let code = 0
    try {
      code = exports.settle(job, scratch)
      if (code === STALLED) {
        const start = performance.now()
        while (code === STALLED && performance.now() - start < PATIENCE) code = exports.settle(job, scratch)
      }
    } catch (error) {
      fail(exports.current(), String(error))
    }
    if (code !== 0)
      fail(exports.current(), code === 1 ? "a worker thread crashed" : "a worker thread makes no progress")
    done = job
  }

  return {
    hasFailed: () => failure !== undefined,
    settle: () => {
      if (done < posted) finish(posted)
    },
    slot: () => {
      if (failure !== undefined) throw failure
      if (posted - done >= slots) finish(posted - slots + 1)
      return places[posted & (slots - 1)]!
    },
    submit: (kernel, pieces) => {
      if (pieces <= 0) return
      const index = posted & (slots - 1)
      kernelAt[index] = kernel
      if (hasWorkers) {
        exports.post(posted, kernel, pieces)
        posted++
        return
      }
      try {
        exports.alone(kernel, places[index]!.at, pieces, scratch)
      } catch (error) {
        fail(posted, String(error))
      }
    }
  }
}

/**
 * Loads the kernels and starts `threads - 1` workers. They do not keep the process alive. The first job need not wait for
 * them to start: until then the calling thread does all the work.
 */
export const makeRuntime = (options: RuntimeOptions): Runtime => {
  const { mode } = options
  const threads = Math.max(1, Math.floor(options.threads))
  const module = load(mode)
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true })
  const exports = instantiate(mode, module, memory)

  let bytes = 16 * PAGE
  const grow = (end: number): void => {
    if (end <= bytes) return
    const pages = Math.min(65536, Math.ceil(Math.max(end, bytes + GROWTH) / PAGE))
    memory.grow(pages - bytes / PAGE)
    bytes = pages * PAGE
  }
  const scratch = Math.ceil(exports.heapBase() / PAGE) * PAGE
  const heap = scratch + threads * SCRATCH
  grow(heap)
  // Kernels may read (never write) up to a cache line past a tensor's end, so the last page is kept out of use.
  const allocator = makeAllocator({ start: heap, limit: LIMIT - PAGE, grow: (end) => grow(end + PAGE) })

  const spins = threads <= availableParallelism() ? SPINS.alone : SPINS.shared
  exports.setPatience(spins)
  const scratches = Array.from({ length: threads - 1 }, (_, i) => scratch + (i + 1) * SCRATCH)
  const workers = startWorkers(module, memory, spins, scratches)
  const { hasFailed, settle, slot, submit } = makeQueue(exports, memory, scratch, workers.length > 0)

  const view = <A>(make: () => A): A => {
    settle()
    return make()
  }

  return {
    mode,
    threads,
    allocator,
    memory,
    slot,
    submit,
    settle,
    float32: (address, length) => view(() => new Float32Array(memory.buffer, address, length)),
    int32: (address, length) => view(() => new Int32Array(memory.buffer, address, length)),
    uint8: (address, length) => view(() => new Uint8Array(memory.buffer, address, length)),
    close: async () => {
      try {
        // After a failure, settling would wait for pieces that no worker finishes.
        if (!hasFailed()) settle()
      } finally {
        exports.quit()
        await Promise.all(workers.map((worker) => worker.terminate()))
      }
    }
  }
}
