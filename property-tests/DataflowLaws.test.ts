import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import type { DataflowShape, Split } from "../src/dataflow/Dataflow.ts"
import * as FashionMnist from "../src/dataflow/FashionMnist.ts"
import * as InMemory from "../src/dataflow/InMemory.ts"
import * as Key from "../src/random/Key.ts"
import * as DataflowLaws from "./DataflowLaws.ts"

const options = Schema.decodeUnknownSync(FashionMnist.Options)

/** 61 + 30 images of 28 x 28 in ten classes, every one different. */
const small: InMemory.ImageData = {
  name: "small",
  stored: [28, 28, 1],
  classes: FashionMnist.classes,
  train: {
    pixels: Uint8Array.from(Key.uniforms(Key.make(1), 61 * 784), (u) => u * 256),
    labels: Int32Array.from({ length: 61 }, (_, i) => i % 10)
  },
  test: {
    pixels: Uint8Array.from(Key.uniforms(Key.make(2), 30 * 784), (u) => u * 256),
    labels: Int32Array.from({ length: 30 }, (_, i) => i % 10)
  }
}

const withFlow = <A>(raw: object, use: (flow: DataflowShape) => Promise<A>): Promise<A> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(InMemory.make(small, options(raw), Key.make(3)), (flow) => Effect.promise(() => use(flow)))
    )
  )

describe("shipped dataflows obey the laws", () => {
  it.each([
    ["plain", { prefetch: 0, crop: 0, flip: false }],
    ["augmented", { prefetch: 0, crop: 3, cutout: 8, size: 32 }],
    ["prefetched", { prefetch: 3, cutout: 5 }]
  ])("in-memory images, %s", (_, raw) => withFlow(raw, (flow) => DataflowLaws.check(flow)))

  it("Fashion-MNIST, shipped subset", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const data = yield* FashionMnist.load(null)
          const flow = yield* InMemory.make(data, options({ trainLimit: 500, testLimit: 100 }), Key.make(4))
          yield* Effect.promise(() => DataflowLaws.check(flow, { runs: 20 }))
        })
      )
    ))
})

describe("wrong twins are caught", () => {
  const twin = (change: (flow: DataflowShape) => Partial<DataflowShape>, law: string) =>
    withFlow({ prefetch: 0 }, async (flow) => {
      await expect(DataflowLaws.check({ ...flow, ...change(flow) })).rejects.toThrow(law)
    })

  it("one that drops an image", () =>
    twin(
      (flow) => ({
        batch: (request) =>
          Effect.map(flow.batch(request), (batch) =>
            request.training || request.step > 0 || batch.size === 1
              ? batch
              : { images: batch.images.slice(784), labels: batch.labels.slice(1), size: batch.size - 1 }
          )
      }),
      'evaluation shows every image: {"split":"supernet","epoch":0,"step":0,"batchSize":2,"training":false}: 1 of 2; counterexample shrunk from batch size 7 to 2'
    ))

  it("one that forgets an image of a person in a balanced batch", () =>
    withFlow({ prefetch: 0 }, async (flow) => {
      const balanced = (labels: ReadonlyArray<number>): DataflowShape => ({
        ...flow,
        steps: () => 1,
        batch: () =>
          Effect.succeed({
            images: new Float32Array(labels.length * 784),
            labels: Int32Array.from(labels),
            size: labels.length
          })
      })
      await DataflowLaws.balanced(balanced([1, 1, 4, 4]), "train", 4, 2)
      await expect(DataflowLaws.balanced(balanced([1, 4, 4, 4]), "train", 4, 2)).rejects.toThrow(
        "2 images of each identity"
      )
    }))

  it("one that remembers what was asked before", () => {
    let asked = 0
    return twin(
      (flow) => ({
        batch: (request) => {
          asked += 1
          return flow.batch(request.training ? { ...request, epoch: asked } : request)
        }
      }),
      "a batch follows from its request"
    )
  })

  it("one that hands out its own arrays", () => {
    const cache = new Map<string, Effect.Success<ReturnType<DataflowShape["batch"]>>>()
    return twin(
      (flow) => ({
        batch: (request) => {
          const name = JSON.stringify(request)
          const known = cache.get(name)
          return known === undefined
            ? Effect.tap(flow.batch(request), (batch) => Effect.sync(() => cache.set(name, batch)))
            : Effect.succeed(known)
        }
      }),
      "a batch follows from its request"
    )
  })

  it("one whose validation images also train the supernet", () =>
    twin((flow) => {
      const other = (split: Split) => (split === "validation" ? "supernet" : split)
      return {
        count: (split) => flow.count(other(split)),
        steps: (split, batchSize, training) => flow.steps(other(split), batchSize, training),
        batch: (request) => flow.batch({ ...request, split: other(request.split) })
      }
    }, "supernet and validation together are train"))

  it("one whose inventory has other labels than its batches, or a mean too many", async () => {
    await twin(
      (flow) => ({ inventory: { ...flow.inventory!, labels: (split) => flow.inventory!.labels(split).map(() => 1) } }),
      "the inventory's labels are those of the batches: supernet"
    )
    await twin(
      (flow) => ({ inventory: { ...flow.inventory!, mean: [0.5, 0.5] } }),
      "the inventory has a mean and a deviation of every channel"
    )
  })

  it("one whose notice is not a sentence", () => twin(() => ({ notices: ["two\nlines"] }), "a notice is one sentence"))

  it("one that shows the same images all epoch", () =>
    twin(
      (flow) => ({ batch: (request) => flow.batch(request.training ? { ...request, step: 0 } : request) }),
      "an epoch shows an image once"
    ))
})
