/**
 * Batches made ahead of the training step, in worker threads over shared bytes. A batch follows from its request alone,
 * so guessing wrongly what comes next costs time and never changes a result. Where no thread can be had, or one ends
 * unexpectedly, batches are made on the spot.
 *
 * The threads keep no process alive: they are referenced only while a batch is awaited, and end with the scope.
 */
import { Worker } from "node:worker_threads"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as BatchPlan from "./BatchPlan.ts"
import { type Batch, type BatchRequest, DatasetError } from "./Dataflow.ts"
import type { FileBatchResult } from "./FileBatch.ts"

const nameOf = (request: BatchRequest): string =>
  `${request.split}/${request.epoch}/${request.step}/${request.batchSize}/${request.training}`

/** The request that follows in a plain pass: the next step, after the last one of training the next epoch's first. */
export const following = (plan: BatchPlan.BatchPlan, request: BatchRequest): BatchRequest | undefined => {
  const steps = BatchPlan.steps(plan, request.split, request.batchSize, request.training)
  if (request.step + 1 < steps) return { ...request, step: request.step + 1 }
  return request.training ? { ...request, epoch: request.epoch + 1, step: 0 } : undefined
}

/** What to make batches of, and how far ahead. */
export interface Options {
  /** Name of the data set, for failures. */
  readonly dataset: string
  readonly plan: BatchPlan.BatchPlan
  /** How many batches; 0: none, and no thread. */
  readonly ahead: number
  readonly workers: number
}

type Outcome =
  | { readonly made: FileBatchResult }
  | { readonly failure: { readonly file: string; readonly reason: string } }

interface Job {
  readonly id: number
  readonly thread: Thread
  outcome: Outcome | undefined
  /** Waiting for the batch; called with undefined where the thread is gone. */
  waiting: ((outcome: Outcome | undefined) => void) | undefined
}

interface Thread {
  readonly worker: Worker
  busy: number
}

/**
 * A function from requests to batches that keeps up to `ahead` of the following ones in the making. Requests must be
 * valid ({@link BatchPlan.refusal}). A file that was skipped is named in the log, once.
 */
export const make = (
  options: Options
): Effect.Effect<(request: BatchRequest) => Effect.Effect<Batch, DatasetError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { ahead, dataset, plan } = options
    const told = new Set<string>()

    const deliver = (outcome: Outcome): Effect.Effect<Batch, DatasetError> => {
      if ("failure" in outcome) return Effect.fail(new DatasetError({ dataset, ...outcome.failure }))
      const news = outcome.made.skipped.filter(({ file }) => !told.has(file))
      for (const { file } of news) told.add(file)
      return Effect.as(
        Effect.forEach(
          news,
          ({ file, reason }) => Effect.logWarning(`dataset ${dataset}: skipped ${file}: ${reason}`),
          {
            discard: true
          }
        ),
        outcome.made.batch
      )
    }

    const fromFiles = (request: BatchRequest): Effect.Effect<Batch, DatasetError> =>
      Effect.promise(async (): Promise<Outcome> => {
        const [FileBatch, DecodeImage] = await Promise.all([import("./FileBatch.ts"), import("./DecodeImage.ts")])
        try {
          return { made: await FileBatch.batch(plan, request) }
        } catch (cause) {
          if (!(cause instanceof DecodeImage.ImageFailure)) throw cause
          return { failure: { file: cause.file, reason: cause.message } }
        }
      }).pipe(Effect.flatMap(deliver))

    const direct = (request: BatchRequest): Effect.Effect<Batch, DatasetError> =>
      plan.files === null ? Effect.sync(() => BatchPlan.batch(plan, request)) : fromFiles(request)

    if (ahead === 0) return direct

    const jobs = new Map<string, Job>()
    let threads: ReadonlyArray<Thread> | undefined
    let failed = false
    let nextId = 0

    const abandon = () => {
      failed = true
      threads = []
      const open = [...jobs.values()]
      jobs.clear()
      for (const job of open) job.waiting?.(undefined)
    }

    const startThread = (): Thread => {
      const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"
      const worker = new Worker(new URL(`./PrefetchWorker.${extension}`, import.meta.url), { workerData: plan })
      const thread: Thread = { worker, busy: 0 }
      worker.on("message", (message: { readonly id: number } & Outcome) => {
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
      })
      worker.on("error", abandon)
      worker.on("exit", abandon)
      worker.unref()
      return thread
    }

    /** The thread with the least to do; undefined where there is none. */
    const idlest = (): Thread | undefined => {
      if (failed) return undefined
      if (threads === undefined) {
        try {
          threads = Array.from({ length: Math.max(options.workers, 1) }, startThread)
        } catch {
          failed = true
          return undefined
        }
      }
      return threads.reduce((best, thread) => (thread.busy < best.busy ? thread : best), threads[0]!)
    }

    const schedule = (request: BatchRequest): void => {
      const name = nameOf(request)
      const thread = jobs.has(name) ? undefined : idlest()
      if (thread === undefined) return
      jobs.set(name, { id: nextId, thread, outcome: undefined, waiting: undefined })
      thread.busy += 1
      thread.worker.postMessage({ id: nextId, request })
      nextId += 1
    }

    /** Puts the following requests to work and forgets finished ones that a wrong guess has left behind. */
    const lookAhead = (request: BatchRequest) => {
      const wanted = new Set<string>()
      let next = following(plan, request)
      for (let i = 0; i < ahead && next !== undefined; i += 1) {
        wanted.add(nameOf(next))
        schedule(next)
        next = following(plan, next)
      }
      for (const [name, job] of jobs) {
        if (job.waiting === undefined && !wanted.has(name)) jobs.delete(name)
      }
    }

    const release = (thread: Thread) => {
      if (![...jobs.values()].some((job) => job.thread === thread && job.waiting !== undefined)) thread.worker.unref()
    }

    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        const running = threads ?? []
        for (const { worker } of running) worker.removeAllListeners("exit")
        abandon()
        await Promise.all(running.map(({ worker }) => worker.terminate()))
      })
    )

    return (request) =>
      Effect.suspend(() => {
        const name = nameOf(request)
        const ready = jobs.get(name)
        if (ready?.outcome !== undefined) {
          jobs.delete(name)
          lookAhead(request)
          return deliver(ready.outcome)
        }
        // Nothing was made ahead, as at the start of a pass: making it here is faster than asking a thread, which
        // meanwhile makes the next ones. The same where another fiber already waits for it.
        if (ready === undefined || ready.waiting !== undefined) {
          lookAhead(request)
          return direct(request)
        }
        return Effect.callback<Outcome | undefined>((resume) => {
          ready.thread.worker.ref()
          ready.waiting = (outcome) => {
            release(ready.thread)
            resume(Effect.succeed(outcome))
          }
          lookAhead(request)
          return Effect.sync(() => {
            jobs.delete(name)
            release(ready.thread)
          })
        }).pipe(Effect.flatMap((outcome) => (outcome === undefined ? direct(request) : deliver(outcome))))
      })
  })
