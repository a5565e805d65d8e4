/**
 * Batches prepared ahead of the training step, in worker threads over shared memory. A batch follows from its request
 * alone, so a wrong guess of the next request costs time and never changes a result. If no thread can be started, or one
 * ends unexpectedly, batches are made in place.
 *
 * The threads do not keep the process alive: they are referenced only while a batch is awaited, and end with the scope.
 */
import * as Effect from "effect/Effect"
import * as BatchPlan from "./BatchPlan.ts"
import { type Batch, type BatchRequest, DatasetError } from "./Dataflow.ts"
import * as PrefetchPool from "./PrefetchPool.ts"

/**
 * The request that usually follows: the next step, or after the last step of a training epoch the first of the next epoch.
 */
export const following = (plan: BatchPlan.BatchPlan, request: BatchRequest): BatchRequest | undefined => {
  const steps = BatchPlan.steps(plan, request.split, request.batchSize, request.training)
  if (request.step + 1 < steps) return { ...request, step: request.step + 1 }
  return request.training ? { ...request, epoch: request.epoch + 1, step: 0 } : undefined
}

/** The plan of the batches, and how far ahead to work. */
export interface Options {
  /** Name of the data set, for errors. */
  readonly dataset: string
  readonly plan: BatchPlan.BatchPlan
  /** Batches that are prepared ahead; 0: none, and no thread is started. */
  readonly ahead: number
  readonly workers: number
}

/** Makes a batch of files in this thread. */
const fromFiles = (plan: BatchPlan.BatchPlan, request: BatchRequest): Effect.Effect<PrefetchPool.Outcome> =>
  Effect.promise(async () => {
    const [FileBatch, DecodeImage] = await Promise.all([import("./FileBatch.ts"), import("./DecodeImage.ts")])
    try {
      return { made: await FileBatch.batch(plan, request) }
    } catch (cause) {
      if (!(cause instanceof DecodeImage.ImageFailure)) throw cause
      return { failure: { file: cause.file, reason: cause.message } }
    }
  })

/**
 * A function from requests to batches that has up to `ahead` of the following batches made meanwhile. Requests must be
 * valid ({@link BatchPlan.refusal}). Each skipped file is logged once.
 */
export const make = Effect.fnUntraced(function* ({ ahead, dataset, plan, workers }: Options) {
  const logged = new Set<string>()

  const deliver = (outcome: PrefetchPool.Outcome): Effect.Effect<Batch, DatasetError> => {
    if ("failure" in outcome) return Effect.fail(new DatasetError({ dataset, ...outcome.failure }))
    const news = outcome.made.skipped.filter(({ file }) => !logged.has(file))
    for (const { file } of news) logged.add(file)
    const log = Effect.forEach(
      news,
      ({ file, reason }) => Effect.logWarning(`dataset ${dataset}: skipped ${file}: ${reason}`),
      { discard: true }
    )
    return Effect.as(log, outcome.made.batch)
  }

  const direct = (request: BatchRequest): Effect.Effect<Batch, DatasetError> =>
    plan.files === null
      ? Effect.sync(() => BatchPlan.batch(plan, request))
      : Effect.flatMap(fromFiles(plan, request), deliver)

  if (ahead === 0) return direct

  const pool = PrefetchPool.make(plan, workers)
  yield* Effect.addFinalizer(() => Effect.promise(pool.close))

  /** Schedules the following requests, and drops finished batches that were guessed wrongly. */
  const lookAhead = (request: BatchRequest) => {
    const wanted: Array<BatchRequest> = []
    let next = following(plan, request)
    for (let i = 0; i < ahead && next !== undefined; i += 1) {
      wanted.push(next)
      pool.schedule(next)
      next = following(plan, next)
    }
    pool.retain(wanted)
  }

  return (request: BatchRequest): Effect.Effect<Batch, DatasetError> =>
    Effect.suspend(() => {
      const job = pool.find(request)
      if (job?.outcome !== undefined) {
        pool.remove(request)
        lookAhead(request)
        return deliver(job.outcome)
      }
      // Not prepared, as at the start of a pass: making the batch here is faster than asking a thread, and the threads
      // make the next ones meanwhile. The same if another fiber already waits for it.
      if (job === undefined || job.waiting !== undefined) {
        lookAhead(request)
        return direct(request)
      }
      return Effect.callback<PrefetchPool.Outcome | undefined>((resume) => {
        const stop = pool.wait(request, job, (outcome) => resume(Effect.succeed(outcome)))
        lookAhead(request)
        return Effect.sync(stop)
      }).pipe(Effect.flatMap((outcome) => (outcome === undefined ? direct(request) : deliver(outcome))))
    })
})
