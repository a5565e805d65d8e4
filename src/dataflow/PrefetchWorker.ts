/** A worker thread that makes batches. It imports only the plan, so that it starts quickly. */
import { parentPort, workerData } from "node:worker_threads"
import * as BatchPlan from "./BatchPlan.ts"
import type { BatchRequest } from "./Dataflow.ts"
import type { FileBatchResult } from "./FileBatch.ts"

const plan = workerData as BatchPlan.BatchPlan

const make = async (request: BatchRequest): Promise<FileBatchResult> => {
  if (plan.files === null) return { batch: BatchPlan.batch(plan, request), skipped: [] }
  const FileBatch = await import("./FileBatch.ts")
  return FileBatch.batch(plan, request)
}

parentPort?.on("message", (message: { readonly id: number; readonly request: BatchRequest }) => {
  make(message.request).then(
    ({ batch, skipped }) =>
      parentPort?.postMessage({ id: message.id, made: { batch, skipped } }, [
        batch.images.buffer as ArrayBuffer,
        batch.labels.buffer as ArrayBuffer
      ]),
    (cause: unknown) => {
      const file = typeof cause === "object" && cause !== null && "file" in cause ? String(cause.file) : "(batch)"
      parentPort?.postMessage({
        id: message.id,
        failure: { file, reason: cause instanceof Error ? cause.message : `${cause}` }
      })
    }
  )
})
