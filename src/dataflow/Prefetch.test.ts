import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Key from "../random/Key.ts"
import * as BatchPlan from "./BatchPlan.ts"
import type { BatchRequest } from "./Dataflow.ts"
import * as Prefetch from "./Prefetch.ts"

const count = 50
const plan: BatchPlan.BatchPlan = (() => {
  const pixels = new Uint8Array(new SharedArrayBuffer(count * 12))
  pixels.set(Uint8Array.from(Key.uniforms(Key.make(1), count * 12), (u) => u * 256))
  const labels = Int32Array.from({ length: count }, (_, i) => i % 5)
  const all = Uint32Array.from({ length: count }, (_, i) => i)
  const split = { part: "train" as const, indices: all }
  return {
    stored: [2, 2, 3],
    image: [4, 4, 3],
    train: { pixels, labels },
    test: { pixels, labels },
    splits: { supernet: split, validation: split, train: split, test: split },
    table: BatchPlan.normalisation([0.5, 0.5, 0.5], [0.2, 0.2, 0.2]),
    augmentation: { crop: 1, flip: true, cutout: 2 },
    perIdentity: 0,
    files: null,
    key: Key.make(2)
  }
})()

const request = (step: number, epoch = 0, training = true): BatchRequest => ({
  split: "train",
  epoch,
  step,
  batchSize: 8,
  training
})

describe("following", () => {
  it("is the next step, and after a training epoch the first step of the next one", () => {
    expect(Prefetch.following(plan, request(2))).toEqual(request(3))
    expect(Prefetch.following(plan, request(5))).toEqual(request(0, 1))
    expect(Prefetch.following(plan, request(5, 0, false))).toEqual(request(6, 0, false))
    expect(Prefetch.following(plan, request(6, 0, false))).toBeUndefined()
  })
})

describe("make", () => {
  it.live.each([0, 1, 3])("makes the same batches as direct access, %d ahead", (ahead) =>
    Effect.gen(function* () {
      const get = yield* Prefetch.make({ dataset: "d", plan, ahead, workers: 2 })
      const order: Array<BatchRequest> = []
      for (let epoch = 0; epoch < 2; epoch += 1)
        for (let step = 0; step < 6; step += 1) order.push(request(step, epoch))
      // Jumps, repetitions, and another kind of pass in between.
      order.push(request(3, 7), request(3, 7), request(0, 0, false), request(4, 7), request(1, 0, false), request(5, 1))
      for (const wanted of order) {
        expect(yield* get(wanted)).toEqual(BatchPlan.batch(plan, wanted))
        // Sometimes lets the worker finish first.
        if (wanted.step % 2 === 0) yield* Effect.sleep(2)
      }
    })
  )

  it.live("serves concurrent requests, and survives one that is interrupted", () =>
    Effect.gen(function* () {
      const get = yield* Prefetch.make({ dataset: "d", plan, ahead: 2, workers: 1 })
      yield* get(request(0))
      const fiber = yield* Effect.forkChild(get(request(1)))
      yield* Fiber.interrupt(fiber)
      const both = yield* Effect.all([get(request(1)), get(request(1)), get(request(2))], {
        concurrency: "unbounded"
      })
      expect(both).toEqual([1, 1, 2].map((step) => BatchPlan.batch(plan, request(step))))
    })
  )

  it.live("makes batches in place after the scope and its worker have ended", () =>
    Effect.gen(function* () {
      const get = yield* Effect.scoped(
        Effect.tap(Prefetch.make({ dataset: "d", plan, ahead: 2, workers: 1 }), (get) => get(request(0)))
      )
      expect(yield* get(request(1))).toEqual(BatchPlan.batch(plan, request(1)))
    })
  )

  it.live("makes batches in place if no thread can be started", () =>
    Effect.gen(function* () {
      // A function cannot be sent to a thread.
      const unsendable = { ...plan, note: () => "here" }
      const get = yield* Prefetch.make({ dataset: "d", plan: unsendable, ahead: 2, workers: 1 })
      for (const step of [0, 1, 2]) expect(yield* get(request(step))).toEqual(BatchPlan.batch(plan, request(step)))
    })
  )

  it("keeps the process alive only while a batch is awaited", () => {
    const url = (file: string) => JSON.stringify(new URL(file, import.meta.url).href)
    const script = `
      import * as Effect from "effect/Effect"
      import * as Scope from "effect/Scope"
      import * as FashionMnist from ${url("./FashionMnist.ts")}
      import * as InMemory from ${url("./InMemory.ts")}
      import * as Key from ${url("../random/Key.ts")}
      import * as Schema from "effect/Schema"
      const options = Schema.decodeUnknownSync(FashionMnist.Options)({ prefetch: 3 })
      const pixels = new Uint8Array(20 * 784)
      const labels = Int32Array.from({ length: 20 }, (_, i) => i % 10)
      const part = { pixels, labels }
      const data = { name: "x", stored: [28, 28, 1], classes: FashionMnist.classes, train: part, test: part }
      const flow = await Effect.runPromise(InMemory.make(data, options, Key.make(1)).pipe(Scope.provide(Scope.makeUnsafe())))
      for (let step = 0; step < 4; step += 1) {
        const batch = await Effect.runPromise(flow.batch({ split: "train", epoch: 0, step, batchSize: 5, training: true }))
        console.log(step, batch.size)
      }`
    const root = fileURLToPath(new URL("../..", import.meta.url))
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, timeout: 20_000 })
    expect(out.toString()).toBe("0 5\n1 5\n2 5\n3 5\n")
  })
})
