/**
 * Batches made ahead of the training step, in a worker thread over shared bytes. A batch follows from its request alone,
 * so guessing wrongly what comes next costs time and never changes a result. Where no thread can be had, or it ends
 * unexpectedly, batches are made on the spot.
 *
 * The thread keeps no process alive: it is referenced only while a batch is awaited, and ends with the scope.
 */
import { Worker } from "node:worker_threads"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as BatchPlan from "./BatchPlan.ts"
import type { Batch, BatchRequest } from "./Dataflow.ts"

const nameOf = (request: BatchRequest): string =>
  `${request.split}/${request.epoch}/${request.step}/${request.batchSize}/${request.training}`

/** The request that follows in a plain pass: the next step, after the last one of training the next epoch's first. */
export const following = (plan: BatchPlan.BatchPlan, request: BatchRequest): BatchRequest | undefined => {
  const steps = BatchPlan.steps(BatchPlan.count(plan, request.split), request.batchSize, request.training)
  if (request.step + 1 < steps) return { ...request, step: request.step + 1 }
  return request.training ? { ...request, epoch: request.epoch + 1, step: 0 } : undefined
}

interface Job {
  readonly id: number
  readonly request: BatchRequest
  batch: Batch | undefined
  /** Waiting for the batch; called with undefined where the worker is gone. */
  waiting: ((batch: Batch | undefined) => void) | undefined
}

/**
 * A function from requests to batches that keeps up to `ahead` of the following ones in the making; 0: none, and no
 * thread. Requests must be valid ({@link BatchPlan.refusal}).
 */
export const make = (
  plan: BatchPlan.BatchPlan,
  ahead: number
): Effect.Effect<(request: BatchRequest) => Effect.Effect<Batch>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const direct = (request: BatchRequest) => Effect.sync(() => BatchPlan.batch(plan, request))
    if (ahead === 0) return direct

    const jobs = new Map<string, Job>()
    let worker: Worker | undefined
    let failed = false
    let nextId = 0

    const abandon = () => {
      failed = true
      worker = undefined
      const open = [...jobs.values()]
      jobs.clear()
      for (const job of open) job.waiting?.(undefined)
    }

    const start = (): Worker | undefined => {
      if (worker !== undefined || failed) return worker
      try {
        const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"
        const started = new Worker(new URL(`./PrefetchWorker.${extension}`, import.meta.url), { workerData: plan })
        started.on("message", (message: { readonly id: number; readonly batch: Batch }) => {
          for (const [name, job] of jobs) {
            if (job.id !== message.id) continue
            if (job.waiting === undefined) {
              job.batch = message.batch
            } else {
              jobs.delete(name)
              job.waiting(message.batch)
            }
          }
        })
        started.on("error", abandon)
        started.on("exit", abandon)
        started.unref()
        worker = started
      } catch {
        failed = true
      }
      return worker
    }

    const schedule = (request: BatchRequest): Job | undefined => {
      const running = start()
      if (running === undefined) return undefined
      const name = nameOf(request)
      const known = jobs.get(name)
      if (known !== undefined) return known
      const job: Job = { id: nextId, request, batch: undefined, waiting: undefined }
      nextId += 1
      jobs.set(name, job)
      running.postMessage({ id: job.id, request })
      return job
    }

    const release = (running: Worker | undefined) => {
      if (![...jobs.values()].some((job) => job.waiting !== undefined)) running?.unref()
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

    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        const running = worker
        running?.removeAllListeners("exit")
        abandon()
        await running?.terminate()
      })
    )

    return (request) =>
      Effect.suspend(() => {
        const name = nameOf(request)
        const ready = jobs.get(name)
        if (ready?.batch !== undefined) {
          jobs.delete(name)
          lookAhead(request)
          return Effect.succeed(ready.batch)
        }
        // Nothing was made ahead, as at the start of a pass: making it here is faster than asking the worker, which
        // meanwhile makes the next ones. The same where another fiber already waits for it.
        if (ready === undefined || ready.waiting !== undefined) {
          lookAhead(request)
          return direct(request)
        }
        return Effect.callback<Batch | undefined>((resume) => {
          const running = worker
          running?.ref()
          ready.waiting = (batch) => {
            release(running)
            resume(Effect.succeed(batch))
          }
          lookAhead(request)
          return Effect.sync(() => {
            jobs.delete(name)
            release(running)
          })
        }).pipe(Effect.flatMap((batch) => (batch === undefined ? direct(request) : Effect.succeed(batch))))
      })
  })
