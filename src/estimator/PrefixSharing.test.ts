import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Result from "effect/Result"
import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { scoped } from "../nn/Scope.ts"
import * as Key from "../random/Key.ts"
import * as Network from "../search-space/Network.ts"
import * as Tiny from "../search-space/Tiny.ts"
import * as PrefixSharing from "./PrefixSharing.ts"

const task = { input: [16, 16, 1], head: { _tag: "Classifier", classes: 3 } } as const
const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
const genotypes = fc.array(fc.tuple(...space.choices.map((names) => fc.nat(names.length - 1))), {
  minLength: 1,
  maxLength: 8
})

const values = (tensor: tf.Tensor): ReadonlyArray<number> => [...tensor.dataSync()]

beforeAll(async () => {
  await tf.setBackend("cpu")
})

describe("the order of scoring", () => {
  it("has every network once, the first one first, and like beginnings side by side", () => {
    fc.assert(
      fc.property(genotypes, (given) => {
        const plan = PrefixSharing.plan(given.map((genotype) => space.network(genotype)))
        expect(plan.map(({ index }) => index).sort((a, b) => a - b)).toEqual(given.map((_, index) => index))
        expect(plan[0]?.index).toBe(0)
        const first = plan.map(({ index }) => given[index]![0])
        const changes = first.filter((digit, at) => at > 0 && digit !== first[at - 1]).length
        expect(changes).toBe(new Set(first).size - 1)
      }),
      { seed: 1, numRuns: 60 }
    )
  })
})

describe("shared activations", () => {
  const variables = Network.initialise(space.supernet, Key.make(1))
  const images = tf.tensor4d([...Key.normals(Key.make(2), 4 * 256)], [4, 16, 16, 1])

  it("equal what every network computes alone, bit for bit, with any memory, and leave no tensor behind", () => {
    fc.assert(
      fc.property(genotypes, fc.constantFrom(0, 20_000, 1 << 30), (given, limit) => {
        const networks = given.map((genotype) => space.network(genotype))
        const before = tf.memory().numTensors
        const shared = PrefixSharing.make(limit)
        for (const planned of PrefixSharing.plan(networks)) {
          const network = networks[planned.index]!
          for (const mode of ["train", "eval"] as const) {
            // As within an agent's own scope.
            const [output, statistics] = scoped(() => {
              const applied = shared.apply(mode, planned.shared, network, variables, images, mode)
              return [values(applied.output), applied.statistics] as const
            })
            tf.tidy(() => {
              const alone = Network.apply(network, variables, images, mode)
              expect(output).toEqual(values(alone.output))
              expect(Object.keys(statistics)).toEqual(Object.keys(alone.statistics))
              for (const [name, { mean, variance }] of Object.entries(alone.statistics)) {
                expect(values(statistics[name]!.mean)).toEqual(values(mean))
                expect(values(statistics[name]!.variance)).toEqual(values(variance))
              }
            })
          }
        }
        shared.release()
        expect(tf.memory().numTensors).toBe(before)
      }),
      { seed: 2, numRuns: 3 }
    )
  })

  it("compute a common beginning once", () => {
    const networks = [
      [0, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 1]
    ].map((genotype) => space.network(genotype))
    const shared = PrefixSharing.make(1 << 30)
    for (const { index, shared: depths } of PrefixSharing.plan(networks)) {
      tf.dispose(shared.apply("one", depths, networks[index]!, variables, images, "eval").output)
    }
    const blocks = networks[0]!.blocks.length
    // The third shares all but the last searched block and what follows it, the second only the stem.
    const tail = blocks - (networks[0]!.blocks.findIndex(({ name }) => name.startsWith("search.5")) ?? 0)
    const stem = networks[0]!.blocks.findIndex(({ name }) => name.startsWith("search.0"))
    expect(shared.counts()).toEqual({ computed: blocks + tail + (blocks - stem), spared: blocks - tail + stem })
    shared.release()
  })
})
