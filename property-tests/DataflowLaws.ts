/**
 * Laws of a dataflow. Apply them to your own in one line of vitest:
 * `it("is lawful", () => DataflowLaws.check(flow))`. A broken law throws an Error that says which, for which request.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import fc from "fast-check"
import type { Batch, BatchRequest, DataflowShape, Split } from "../src/dataflow/Dataflow.ts"

/** Inputs and settings of the check. */
export interface Options {
  /** Batch sizes to try; default 1, 7 and 32. */
  readonly batchSizes?: ReadonlyArray<number> | undefined
  /** Random requests to try; default 40. */
  readonly runs?: number | undefined
  /** Seed of the random requests; default 1. */
  readonly seed?: number | undefined
  /**
   * Whether an epoch of training batches has each image at most once; default true. Dataflows with balanced batches have
   * another law, {@link balanced}.
   */
  readonly onceAnEpoch?: boolean | undefined
  /** Splits of the dataflow; default all four. */
  readonly splits?: ReadonlyArray<Split> | undefined
}

const everySplit: ReadonlyArray<Split> = ["supernet", "validation", "train", "test"]

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`dataflow law broken: ${name}: ${about}`)
}

const same = (a: Batch, b: Batch): boolean =>
  a.size === b.size &&
  Buffer.compare(
    Buffer.from(a.images.buffer, a.images.byteOffset, a.images.byteLength),
    Buffer.from(b.images.buffer, b.images.byteOffset, b.images.byteLength)
  ) === 0 &&
  a.labels.length === b.labels.length &&
  a.labels.every((label, i) => label === b.labels[i])

const copy = (batch: Batch): Batch => ({ images: batch.images.slice(), labels: batch.labels.slice(), size: batch.size })

const get = (flow: DataflowShape, request: BatchRequest): Promise<Batch> => Effect.runPromise(flow.batch(request))

/** An image of an evaluation pass as text: its pixels and its label. */
const names = (flow: DataflowShape, batch: Batch): ReadonlyArray<string> => {
  const length = flow.image[0] * flow.image[1] * flow.image[2]
  return Array.from(batch.labels, (label, i) => {
    const image = batch.images.subarray(i * length, (i + 1) * length)
    const bytes = new Uint8Array(image.buffer, image.byteOffset, image.byteLength)
    return `${label}:${createHash("sha1").update(bytes).digest("base64")}`
  })
}

const pass = async (flow: DataflowShape, split: Split, batchSize: number, training: boolean, epoch = 0) => {
  const batches: Array<Batch> = []
  for (let step = 0; step < flow.steps(split, batchSize, training); step += 1) {
    batches.push(await get(flow, { split, epoch, step, batchSize, training }))
  }
  return batches
}

const checkShape = (flow: DataflowShape, request: BatchRequest, batch: Batch): void => {
  const about = JSON.stringify(request)
  const labels = request.split === "test" ? (flow.verification?.identities ?? flow.classes) : flow.classes
  const length = flow.image[0] * flow.image[1] * flow.image[2]
  law(batch.labels.length === batch.size && batch.images.length === batch.size * length, "sizes agree", about)
  law(
    batch.labels.every((label) => label >= 0 && label < labels.length),
    "labels name classes",
    about
  )
  law(batch.images.every(Number.isFinite), "pixels are finite", about)
}

/** Checks one evaluation pass, and returns its images in order. */
const evaluationPass = async (flow: DataflowShape, split: Split, batchSize: number): Promise<ReadonlyArray<string>> => {
  const batches = await pass(flow, split, batchSize, false)
  const about = `${split}, batch size ${batchSize}`
  const count = flow.count(split)
  const steps = Math.ceil(count / batchSize)
  law(batches.length === steps, "steps round up outside training", `${about}: ${batches.length} for ${steps}`)
  batches.forEach((batch, step) => {
    const request = { split, epoch: 0, step, batchSize, training: false }
    checkShape(flow, request, batch)
    const due = Math.min(batchSize, count - step * batchSize)
    law(batch.size === due, "evaluation shows every image", `${JSON.stringify(request)}: ${batch.size} of ${due}`)
  })
  return batches.flatMap((batch) => names(flow, batch))
}

/** What is wrong with an evaluation pass; undefined if nothing is. */
const faultOf = (flow: DataflowShape, split: Split, batchSize: number): Promise<string | undefined> =>
  evaluationPass(flow, split, batchSize).then(
    () => undefined,
    (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))
  )

/** A fault with the smallest batch size that shows it. */
const shrunk = async (flow: DataflowShape, split: Split, batchSize: number, fault: string): Promise<Error> => {
  for (let smaller = 1; smaller < batchSize; smaller += 1) {
    const found = await faultOf(flow, split, smaller)
    if (found !== undefined) {
      return new Error(
        `${found}; counterexample shrunk from batch size ${batchSize} to ${smaller}, no smaller one fails`
      )
    }
  }
  return new Error(`${fault}; counterexample of the smallest batch size that fails, ${batchSize}`)
}

/** An evaluation pass shows every image once, in an order that does not depend on the batch size. */
const evaluationIsComplete = async (flow: DataflowShape, split: Split, batchSizes: ReadonlyArray<number>) => {
  for (const batchSize of batchSizes) {
    const fault = await faultOf(flow, split, batchSize)
    if (fault !== undefined) throw await shrunk(flow, split, batchSize, fault)
  }
  const orders = new Set<string>()
  for (const batchSize of batchSizes) orders.add((await evaluationPass(flow, split, batchSize)).join())
  law(orders.size === 1, "the order of evaluation does not depend on the batch size", split)
}

/** Training batches are full, and an epoch has each label as often as the split. */
const trainingIsComplete = async (
  flow: DataflowShape,
  split: Split,
  batchSizes: ReadonlyArray<number>,
  once: boolean
) => {
  const tally = (batches: ReadonlyArray<Batch>) => {
    const counts = new Map<number, number>()
    for (const batch of batches) for (const label of batch.labels) counts.set(label, (counts.get(label) ?? 0) + 1)
    return counts
  }
  const held = tally(await pass(flow, split, Math.max(...batchSizes), false))
  for (const batchSize of batchSizes) {
    const batches = await pass(flow, split, batchSize, true)
    const about = `${split}, batch size ${batchSize}`
    batches.forEach((batch, step) => {
      const request = { split, epoch: 0, step, batchSize, training: true }
      checkShape(flow, request, batch)
      law(batch.size === batchSize, "training batches are full", JSON.stringify(request))
    })
    if (!once) continue
    const steps = Math.floor(flow.count(split) / batchSize)
    law(batches.length === steps, "steps round down in training", `${about}: ${batches.length} for ${steps}`)
    for (const [label, shown] of tally(batches)) {
      const limit = held.get(label) ?? 0
      law(
        shown <= limit,
        "an epoch shows an image once",
        `${about}: label ${label} ${shown} times, the split has ${limit}`
      )
    }
  }
}

/** A batch depends on its request alone: not on earlier requests, nor on what was done to their results. */
const accessIsRandom = async (
  flow: DataflowShape,
  options: {
    readonly batchSizes: ReadonlyArray<number>
    readonly splits: ReadonlyArray<Split>
    readonly runs: number
    readonly seed: number
  }
) => {
  const request = fc
    .record({
      split: fc.constantFrom(...options.splits),
      epoch: fc.nat(5),
      at: fc.nat(),
      batchSize: fc.constantFrom(...options.batchSizes),
      training: fc.boolean()
    })
    .filter(({ batchSize, split, training }) => flow.steps(split, batchSize, training) > 0)
    .map(({ at, ...rest }) => ({ ...rest, step: at % flow.steps(rest.split, rest.batchSize, rest.training) }))
  const property = fc.asyncProperty(request, fc.array(request, { maxLength: 4 }), async (wanted, others) => {
    const first = await get(flow, wanted)
    const kept = copy(first)
    first.images.fill(Number.NaN)
    first.labels.fill(-1)
    for (const other of others) await get(flow, other)
    law(same(await get(flow, wanted), kept), "a batch follows from its request", JSON.stringify(wanted))
  })
  const result = await fc.check(property, { numRuns: options.runs, seed: options.seed })
  if (!result.failed) return
  const cause = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance)
  throw new Error(`${cause}; after the requests ${JSON.stringify(result.counterexample?.[1])}; seed ${result.seed}`)
}

/** `supernet` and `validation` are a partition of `train`. */
const splitsPartition = async (flow: DataflowShape) => {
  const of = async (split: Split) => (await pass(flow, split, 64, false)).flatMap((batch) => names(flow, batch))
  const parts = [...(await of("supernet")), ...(await of("validation"))].sort()
  const whole = [...(await of("train"))].sort()
  law(
    parts.length === whole.length && parts.every((name, i) => name === whole[i]),
    "supernet and validation together are train",
    `${parts.length} images for ${whole.length}`
  )
}

const refusesBeyondTheEnd = async (flow: DataflowShape, split: Split, batchSize: number) => {
  for (const training of [true, false]) {
    const request = { split, epoch: 0, step: flow.steps(split, batchSize, training), batchSize, training }
    const tag = await Effect.runPromise(
      Effect.match(flow.batch(request), { onFailure: (e) => e._tag, onSuccess: () => "" })
    )
    law(tag === "DatasetError", "a step beyond the last is refused", JSON.stringify(request))
  }
}

/** The inventory of a dataflow agrees with its batches. */
const inventoryAgrees = async (flow: DataflowShape, split: Split, batchSize: number) => {
  const { inventory } = flow
  for (const notice of flow.notices ?? []) {
    law(notice.length > 0 && !notice.includes("\n"), "a notice is one sentence", JSON.stringify(notice))
  }
  if (inventory === undefined) return
  const channels = flow.image[2]
  law(
    inventory.mean.length === channels && inventory.std.length === channels && inventory.std.every((std) => std > 0),
    "the inventory has a mean and a deviation of every channel",
    `mean ${inventory.mean.join()}, std ${inventory.std.join()}`
  )
  const labels = inventory.labels(split)
  const shown = (await pass(flow, split, batchSize, false)).flatMap((batch) => Array.from(batch.labels))
  law(labels.join() === shown.join(), "the inventory's labels are those of the batches", split)
  for (const at of new Set([0, labels.length - 1].filter((at) => at >= 0))) {
    const { channels, height, pixels, width } = await Effect.runPromise(inventory.image(split, at))
    law(pixels.length === width * height * channels, "the inventory's images have their pixels", `${split} ${at}`)
  }
}

/**
 * Checks all laws; rejects with the first broken one.
 *
 * **Example** (The images that ship)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as FashionMnist from "../src/dataflow/FashionMnist.ts"
 * import * as InMemory from "../src/dataflow/InMemory.ts"
 * import * as Key from "../src/random/Key.ts"
 * import * as DataflowLaws from "./DataflowLaws.ts"
 *
 * const decode = Schema.decodeUnknownSync(FashionMnist.Options)
 * const options = decode({ trainLimit: 40, testLimit: 10, prefetch: 0 })
 * const data = await Effect.runPromise(FashionMnist.load(null))
 * const flow = await Effect.runPromise(Effect.scoped(InMemory.make(data, options, Key.make(1))))
 * await DataflowLaws.check(flow, { batchSizes: [8], runs: 2 })
 * ```
 */
export const check = async (flow: DataflowShape, options: Options = {}): Promise<void> => {
  const batchSizes = options.batchSizes ?? [1, 7, 32]
  const splits = options.splits ?? everySplit
  for (const split of splits) await evaluationIsComplete(flow, split, batchSizes)
  if (splits.includes("supernet") && splits.includes("validation") && splits.includes("train"))
    await splitsPartition(flow)
  await accessIsRandom(flow, { batchSizes, splits, runs: options.runs ?? 40, seed: options.seed ?? 1 })
  for (const split of splits) {
    await trainingIsComplete(flow, split, batchSizes, options.onceAnEpoch ?? true)
    await refusesBeyondTheEnd(flow, split, batchSizes[0]!)
  }
  for (const split of splits) await inventoryAgrees(flow, split, Math.max(...batchSizes))
}

/**
 * Every training batch of an epoch has exactly `perIdentity` images of each of its identities.
 *
 * **Example** (Four images of each of two people)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type { DataflowShape } from "../src/dataflow/Dataflow.ts"
 * import * as DataflowLaws from "./DataflowLaws.ts"
 *
 * const flow: DataflowShape = {
 *   name: "two",
 *   image: [1, 1, 1],
 *   classes: ["a", "b"],
 *   count: () => 8,
 *   steps: () => 1,
 *   batch: () =>
 *     Effect.succeed({ images: new Float32Array(8), labels: Int32Array.from([0, 0, 0, 0, 1, 1, 1, 1]), size: 8 }),
 *   digest: ""
 * }
 * await DataflowLaws.balanced(flow, "supernet", 8, 4) // => undefined
 * ```
 */
export const balanced = async (
  flow: DataflowShape,
  split: Split,
  batchSize: number,
  perIdentity: number
): Promise<void> => {
  for (const [step, batch] of (await pass(flow, split, batchSize, true)).entries()) {
    const counts = new Map<number, number>()
    for (const label of batch.labels) counts.set(label, (counts.get(label) ?? 0) + 1)
    const about = `${split}, step ${step}: ${JSON.stringify([...counts])}`
    law(counts.size === batchSize / perIdentity, "as many identities as the batch has room for", about)
    law(
      [...counts.values()].every((count) => count === perIdentity),
      `${perIdentity} images of each identity`,
      about
    )
  }
}
