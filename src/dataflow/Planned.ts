/** The dataflow of a batch plan. */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Key } from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as BatchPlan from "./BatchPlan.ts"
import { Dataflow, type DataflowShape, DatasetError, type Inventory, type Skipped, type Split } from "./Dataflow.ts"
import * as Prefetch from "./Prefetch.ts"
import * as Resample from "./Resample.ts"

/** A plan, and what a dataflow says about itself beside it. */
export interface Planned {
  readonly name: string
  readonly classes: ReadonlyArray<string>
  readonly plan: BatchPlan.BatchPlan
  /** Batches that are prepared ahead; 0: none. */
  readonly prefetch: number
  /** Threads that prepare them. */
  readonly workers: number
  readonly digest: string
  readonly listingDigest?: string | undefined
  readonly notices?: ReadonlyArray<string> | undefined
  /** Where the images come from. */
  readonly place: string
  /** Files of the images by part, if each has its own and the plan does not list them. */
  readonly files?: { readonly train: ReadonlyArray<string>; readonly test: ReadonlyArray<string> } | undefined
  readonly skipped?: ReadonlyArray<Skipped> | undefined
  readonly broken?: Inventory["broken"]
  readonly listing?: Inventory["listing"]
  /** Identities and pairs of the test split, if it has other identities than training. */
  readonly verification?: DataflowShape["verification"]
}

/** A number to six digits: single precision has no more. */
const rounded = (value: number): number => Number(value.toPrecision(6))

const inventory = ({ name, plan, ...planned }: Planned): Inventory => {
  const channels = plan.stored[2]
  const [height, width] = plan.stored
  const inFiles = plan.files
  const paths = inFiles === null ? planned.files : inFiles
  const root = inFiles === null ? "" : inFiles.root
  const spread = Array.from({ length: channels }, (_, c) => plan.table[256 * c + 255]! - plan.table[256 * c]!)
  const place = (split: Split, at: number) => {
    const { indices, part } = plan.splits[split]
    return { part, index: indices[at]! }
  }
  const failed = (cause: unknown) =>
    new DatasetError({
      dataset: name,
      file: typeof cause === "object" && cause !== null && "file" in cause ? String(cause.file) : "(image)",
      reason: cause instanceof Error ? cause.message : String(cause)
    })
  return {
    place: planned.place,
    mean: spread.map((range, c) => rounded(-plan.table[256 * c]! / range)),
    std: spread.map((range) => rounded(1 / range)),
    labels: (split) => {
      const { indices, part } = plan.splits[split]
      return Int32Array.from(indices, (index) => plan[part].labels[index]!)
    },
    image: (split, at) => {
      const { index, part } = place(split, at)
      if (inFiles !== null) {
        const read = async () => {
          const { decodePlanned } = await import("./DecodeImage.ts")
          return Resample.withChannels(await decodePlanned(inFiles, inFiles[part][index]!), channels === 1 ? 1 : 3)
        }
        return Effect.tryPromise({ try: read, catch: failed })
      }
      const size = height * width * channels
      const pixels = plan[part].pixels.subarray(index * size, (index + 1) * size)
      return channels === 1 || channels === 3
        ? Effect.succeed({ width, height, channels, pixels })
        : Effect.fail(failed(new Error(`has ${channels} channels; 1 or 3 are expected`)))
    },
    ...(paths === undefined
      ? {}
      : {
          file: (split, at) => {
            const { index, part } = place(split, at)
            return join(root, paths[part][index]!)
          }
        }),
    skipped: planned.skipped ?? [],
    broken: planned.broken ?? [],
    listing: planned.listing
  }
}

/** The dataflow of a plan. Its worker threads end with the scope. */
export const make = Effect.fnUntraced(function* (planned: Planned) {
  const { name, plan } = planned
  const prefetch = yield* Prefetch.make({ dataset: name, plan, ahead: planned.prefetch, workers: planned.workers })
  const flow: DataflowShape = {
    name,
    image: plan.image,
    classes: planned.classes,
    count: (split) => BatchPlan.count(plan, split),
    steps: (split, batchSize, training) => BatchPlan.steps(plan, split, batchSize, training),
    batch: (request) => {
      const reason = BatchPlan.refusal(plan, request)
      return reason === undefined
        ? prefetch(request)
        : Effect.fail(new DatasetError({ dataset: name, file: "(request)", reason }))
    },
    refusal: (request) => BatchPlan.refusal(plan, request),
    digest: planned.digest,
    ...(planned.listingDigest === undefined ? {} : { listingDigest: planned.listingDigest }),
    notices: planned.notices ?? [],
    inventory: inventory(planned),
    ...(planned.verification === undefined ? {} : { verification: planned.verification })
  }
  return flow
})

/** The Layer of a dataflow that is made from options and the key of the run. */
export const layerOf =
  <Options>(
    make: (options: Options, runKey: Key) => Effect.Effect<DataflowShape, DatasetError, Scope.Scope>
  ): ((options: Options) => Layer.Layer<Dataflow, DatasetError, RunKey>) =>
  (options) =>
    Layer.effect(
      Dataflow,
      Effect.flatMap(RunKey, (runKey) => make(options, runKey))
    )
