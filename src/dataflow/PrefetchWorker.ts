/** The thread that makes batches ahead; imports nothing but the plan, and so starts at once. */
import { parentPort, workerData } from "node:worker_threads"
import * as BatchPlan from "./BatchPlan.ts"
import type { BatchRequest } from "./Dataflow.ts"

const plan = workerData as BatchPlan.BatchPlan

parentPort?.on("message", (message: { readonly id: number; readonly request: BatchRequest }) => {
  const batch = BatchPlan.batch(plan, message.request)
  parentPort?.postMessage({ id: message.id, batch }, [
    batch.images.buffer as ArrayBuffer,
    batch.labels.buffer as ArrayBuffer
  ])
})
