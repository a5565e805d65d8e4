/** Worker threads that make batches of a plan, and the batches that they have made or are making. */
import { Worker } from "node:worker_threads"
import type { BatchPlan } from "./BatchPlan.ts"
import type { BatchRequest } from "./Dataflow.ts"
import type { FileBatchResult } from "./FileBatch.ts"

/** A batch, or why there is none. */
export type Outcome =
  | { readonly made: FileBatchResult }
  | { readonly failure: { readonly file: string; readonly reason: string } }

/** A batch that a thread has made or is making. */
export interface Job {
  readonly id: number
  readonly thread: Thread
  /** Undefined until the batch is made. */
  outcome: Outcome | undefined
  /** Receives the batch, or undefined if the threads end first; undefined if no caller waits. */
  waiting: ((outcome: Outcome | undefined) => void) | undefined
}

interface Thread {
  readonly worker: Worker
  busy: number
}

/** The jobs of all threads, by request. */
export interface PrefetchPool {
  /** Has a batch made, unless that has begun or no thread can be started. Starts the threads on the first call. */
  readonly schedule: (request: BatchRequest) => void
  readonly find: (request: BatchRequest) => Job | undefined
  readonly remove: (request: BatchRequest) => void
  /** Removes the jobs of all other requests, except those that are waited for. */
  readonly retain: (requests: ReadonlyArray<BatchRequest>) => void
  /** Waits for a job: its thread keeps the process alive until `receive` is called, or the returned function. */
  readonly wait: (request: BatchRequest, job: Job, receive: (outcome: Outcome | undefined) => void) => () => void
  /** Ends all threads. Callers that wait receive undefined. */
  readonly close: () => Promise<void>
}

const nameOf = (request: BatchRequest): string =>
  `${request.split}/${request.epoch}/${request.step}/${request.batchSize}/${request.training}`

/** A batch from a thread, with the id of its job. */
type Message = { readonly id: number } & Outcome

/** Starts a thread, which does not keep the process alive. Throws if the plan cannot be sent to it. */
const startThread = (
  plan: BatchPlan,
  onMessage: (thread: Thread, message: Message) => void,
  onEnd: () => void
): Thread => {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"
  const worker = new Worker(new URL(`./PrefetchWorker.${extension}`, import.meta.url), { workerData: plan })
  const thread: Thread = { worker, busy: 0 }
  worker.on("message", (message: Message) => onMessage(thread, message))
  worker.on("error", onEnd)
  worker.on("exit", onEnd)
  worker.unref()
  return thread
}

/** A pool of `workers` threads, none of them started yet. */
export const make = (plan: BatchPlan, workers: number): PrefetchPool => {
  const jobs = new Map<string, Job>()
  let threads: ReadonlyArray<Thread> | undefined
  let hasFailed = false
  let nextId = 0

  const abandon = () => {
    hasFailed = true
    threads = []
    const open = [...jobs.values()]
    jobs.clear()
    for (const job of open) job.waiting?.(undefined)
  }

  const receive = (thread: Thread, message: Message) => {
    thread.busy -= 1
    for (const [name, job] of jobs) {
      if (job.id !== message.id) continue
      if (job.waiting === undefined) {
        job.outcome = message
      } else {
        jobs.delete(name)
        job.waiting(message)
      }
    }
  }

  /** The thread with the fewest batches to make; undefined if there is no thread. */
  const idlest = (): Thread | undefined => {
    if (hasFailed) return undefined
    if (threads === undefined) {
      try {
        threads = Array.from({ length: Math.max(workers, 1) }, () => startThread(plan, receive, abandon))
      } catch {
        hasFailed = true
        return undefined
      }
    }
    return threads.reduce((best, thread) => (thread.busy < best.busy ? thread : best), threads[0]!)
  }

  const release = (thread: Thread) => {
    if (![...jobs.values()].some((job) => job.thread === thread && job.waiting !== undefined)) thread.worker.unref()
  }

  return {
    schedule: (request) => {
      const name = nameOf(request)
      const thread = jobs.has(name) ? undefined : idlest()
      if (thread === undefined) return
      jobs.set(name, { id: nextId, thread, outcome: undefined, waiting: undefined })
      thread.busy += 1
      thread.worker.postMessage({ id: nextId, request })
      nextId += 1
    },
    find: (request) => jobs.get(nameOf(request)),
    remove: (request) => {
      jobs.delete(nameOf(request))
    },
    retain: (requests) => {
      const wanted = new Set(requests.map(nameOf))
      for (const [name, job] of jobs) {
        if (job.waiting === undefined && !wanted.has(name)) jobs.delete(name)
      }
    },
    wait: (request, job, receive) => {
      job.thread.worker.ref()
      job.waiting = (outcome) => {
        release(job.thread)
        receive(outcome)
      }
      return () => {
        jobs.delete(nameOf(request))
        release(job.thread)
      }
    },
    close: async () => {
      const running = threads ?? []
      for (const { worker } of running) worker.removeAllListeners("exit")
      abandon()
      await Promise.all(running.map(({ worker }) => worker.terminate()))
    }
  }
}
