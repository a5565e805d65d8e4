import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Engines from "../engine/Engines.ts"
import { Disk } from "../support/Disk.ts"
import * as ConfigFile from "./ConfigFile.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Load from "./Load.ts"
import * as Registry from "./Registry.ts"
import { RunEvents } from "./RunEvents.ts"
import * as RunLayers from "./RunLayers.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"

type Section = Readonly<Record<string, unknown>> & { readonly name: string }

/** A search space given as data. */
const macro: Section = {
  name: "macro",
  first: [{ block: { _tag: "Conv", kernel: 3 }, width: 4, stride: 4 }],
  search: [{ width: 4 }, { width: 6, stride: 2 }, { width: 6 }, { width: 6 }],
  choices: [{ _tag: "Mobile", kernel: 3, expansion: 1 }, { _tag: "Mobile", kernel: 3, expansion: 2 }, { _tag: "Skip" }],
  last: [{ block: { _tag: "GlobalAverage" } }, { block: { _tag: "Classifier" }, width: "head" }]
}

const samplers: ReadonlyArray<Section> = [{ name: "uniform" }, { name: "fair" }, { name: "differentiable" }]
const learning = { warmupEpochs: 0, epochs: 1, batchSize: 2, samples: 1 }
const searchers: ReadonlyArray<Section> = [
  { name: "random", evaluations: 2, generation: 2 },
  { name: "evolution", evaluations: 2 },
  { name: "softmax-differentiable", learn: "training", ...learning },
  { name: "softmax-differentiable", learn: "searching", ...learning },
  { name: "gumbel-softmax-differentiable", learn: "training", ...learning },
  { name: "gumbel-softmax-differentiable", learn: "searching", ...learning },
  { name: "architecture-generator", evaluations: 2, epochs: 1, batchSize: 2, sweep: 3 }
]
const supernet: Section = {
  name: "supernet",
  recalibration: 1,
  recalibrationBatchSize: 4,
  batches: 1,
  batchSize: 2
}

/** One step of training and the search, on twenty images. */
const run = (
  searchSpace: Section,
  trainingStrategy: Section,
  searchStrategy: Section,
  { estimator = supernet, side = 28 }: { readonly estimator?: Section; readonly side?: number } = {}
) =>
  Effect.gen(function* () {
    const memory = MemoryDisk.make()
    const training = { epochs: 1, batchSize: 4 }
    const loaded = yield* Load.decode(
      ConfigFile.fromValue("pairing", {
        name: "pairing",
        dataflow: { name: "fashion-mnist", trainLimit: 20, testLimit: 4, size: side, crop: 1, prefetch: 0 },
        searchSpace,
        trainingStrategy,
        searchStrategy,
        estimator,
        budget: { max: 1e12 },
        supernetTraining: { ...training, batchSize: 8 },
        retraining: training,
        stopAfter: "searching",
        checkpoint: { everyMinutes: 0 }
      }),
      "."
    )
    const { components, config } = loaded
    const exit = yield* Lifecycle.run({ config, folder: "/runs/pairing" }).pipe(
      Effect.provide(RunLayers.layers(config, components, Engines.layer("simd", { mode: "strict", threads: 1 }), {})),
      Effect.provide(Layer.merge(RunEvents.layer, Layer.succeed(Disk, memory.disk))),
      Effect.exit
    )
    return { exit, written: [...memory.files().keys()] }
  })

/** The rule of Compatibility.ts, written independently. */
const fits = (sampler: Section, searcher: Section): boolean =>
  sampler["name"] === "differentiable" ? searcher["learn"] === "training" : searcher["learn"] !== "training"

const title = ({ learn, name }: Section) => `${name}${learn === undefined ? "" : ` (learn: ${learn})`}`

describe("every pairing of sampler and searcher runs, or is refused by name before anything is written", () => {
  for (const sampler of samplers) {
    for (const searcher of searchers) {
      const right = fits(sampler, searcher)
      it.live(
        `${title(sampler)} with ${title(searcher)} ${right ? "runs" : "is refused"}`,
        () =>
          Effect.gen(function* () {
            const { exit, written } = yield* run(macro, sampler, searcher)
            if (right) return assert.isTrue(Exit.isSuccess(exit) && exit.value._tag === "Done", String(exit))
            assert.deepStrictEqual(written, [])
            assert.include(String(exit), `trainingStrategy ${sampler.name} and searchStrategy ${searcher.name}`)
            assert.include(String(exit), "; expected ")
          }),
        120_000
      )
    }
  }

  it.live("a gradient-based search with scores from a table is refused", () =>
    Effect.gen(function* () {
      const table = { name: "tabular" }
      const { exit, written } = yield* run(
        { name: "nas-bench-macro" },
        { name: "differentiable" },
        { name: "softmax-differentiable" },
        { estimator: table, side: 32 }
      )
      assert.deepStrictEqual(written, [])
      assert.include(String(exit), "searchStrategy softmax-differentiable and estimator tabular do not go together")
    })
  )
})

describe("every search space works with a gradient-based search", () => {
  const given = { ...learning, samples: 0 }
  const ways = [
    [{ name: "differentiable" }, { name: "gumbel-softmax-differentiable", ...given }],
    [{ name: "uniform" }, { name: "softmax-differentiable", learn: "searching", ...given }]
  ] as const
  // Both ways in every space would take minutes; they use the same mixture.
  const spaces = Registry.names("searchSpace").filter((name) => name !== macro.name)
  for (const [index, name] of spaces.entries()) {
    const [sampler, searcher] = ways[index % 2]!
    it.live(
      `${name}: ${title(sampler)} with ${title(searcher)}`,
      () =>
        Effect.gen(function* () {
          const { exit } = yield* run({ name }, sampler, searcher, { side: 32 })
          assert.isTrue(Exit.isSuccess(exit) && exit.value._tag === "Done", String(exit))
        }),
      120_000
    )
  }
})
