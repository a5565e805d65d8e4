/**
 * Laws of a search space. Apply them to your own in one line of vitest:
 * `it("is lawful", () => SearchSpaceLaws.check(space))`. A broken law throws an Error that says which, for which
 * architecture. Networks run on tfjs's current backend, or on its reference in plain JavaScript if there is none.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Result from "effect/Result"
import fc from "fast-check"
import * as LayerOptions from "../src/cost/LayerOptions.ts"
import * as ParameterTree from "../src/nn/ParameterTree.ts"
import * as Key from "../src/random/Key.ts"
import * as Network from "../src/search-space/Network.ts"
import type { Genotype, SearchSpaceShape } from "../src/search-space/SearchSpace.ts"
import { ensureBackend } from "./Reference.ts"

/** Inputs and settings of the check. */
export interface Options {
  /** Random architectures to try for the cheap laws; default 60. */
  readonly runs?: number | undefined
  /** Architectures whose networks are built and run; default 3, 0: none. */
  readonly networks?: number | undefined
  /** Seed of the random architectures; default 1. */
  readonly seed?: number | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`search space law broken: ${name}: ${about}`)
}

const ok = <A, E extends Error>(result: Result.Result<A, E>): A | string =>
  Result.isSuccess(result) ? result.success : result.failure.message

const same = (a: unknown, b: Genotype): boolean => JSON.stringify(a) === JSON.stringify(b)

const headSize = (space: SearchSpaceShape): number =>
  space.interface.head._tag === "Classifier" ? space.interface.head.classes : space.interface.head.dimension

/** Random architectures of a space: an independent option for each layer. */
const genotypes = (space: SearchSpaceShape): fc.Arbitrary<Genotype> => {
  const translate = LayerOptions.make(space)
  return fc
    .tuple(...translate.counts.map((count) => fc.nat(count - 1)))
    .map((indices) => translate.genotype(indices))
    .filter((genotype) => Result.isSuccess(space.validate(genotype)))
}

const checkShape = (space: SearchSpaceShape): void => {
  const width = space.layers.reduce((sum, layer) => sum + layer.width, 0)
  law(
    space.choices.length === width,
    "a genotype has one digit for every choice",
    `${space.choices.length} choices, and the layers read ${width} digits`
  )
  for (const layer of space.layers) {
    law(layer.options.length > 0, "a layer offers something", `layer ${layer.name} has no options`)
    const seen = new Set(layer.options.map((option) => option.selection.join()))
    law(seen.size === layer.options.length, "options differ by their selection", `layer ${layer.name}`)
    law(
      layer.options.every((option) => option.selection.length === layer.width),
      "a selection has as many digits as its layer",
      `layer ${layer.name}`
    )
  }
}

/** In a small space, compares the number of genotypes that `validate` accepts with `size`. */
const checkSize = (space: SearchSpaceShape): void => {
  const all = space.choices.reduce((product, names) => product * BigInt(names.length), 1n)
  law(space.size > 0n && space.size <= all, "the size is a number of genotypes", `${space.size} of ${all}`)
  if (all > 5000n) return
  let valid = 0n
  const digits = space.choices.map(() => 0)
  for (let i = 0n; i < all; i += 1n) {
    if (Result.isSuccess(space.validate(digits))) valid += 1n
    for (let at = digits.length - 1; at >= 0; at -= 1) {
      digits[at] = (digits[at] ?? 0) + 1
      if (digits[at] !== space.choices[at]?.length) break
      digits[at] = 0
    }
  }
  law(valid === space.size, "the size is the number of valid genotypes", `${space.size}, and ${valid} are valid`)
}

const checkText = (space: SearchSpaceShape, genotype: Genotype): void => {
  const text = space.format(genotype)
  law(same(ok(space.validate(genotype)), genotype), "architectures that are drawn are valid", text)
  law(same(ok(space.parse(text)), genotype), "parse is the inverse of format", `${text}: ${ok(space.parse(text))}`)
  const canonical = space.canonical(genotype)
  law(same(ok(space.validate(canonical)), canonical), "the canonical form is valid", `${text}: ${canonical}`)
  law(same(space.canonical(canonical), canonical), "the canonical form is its own", `${text}: ${canonical}`)
  for (const [at, names] of space.choices.entries()) {
    const beyond = genotype.map((digit, i) => (i === at ? names.length : digit))
    law(Result.isFailure(space.validate(beyond)), "digits out of range are refused", space.format(beyond))
  }
  for (const wrong of [`${text},0`, `${text}x`, `x${text}`, "", "-1"]) {
    law(Result.isFailure(space.parse(wrong)), "text that is not an architecture is refused", JSON.stringify(wrong))
  }
}

const checkCost = (space: SearchSpaceShape, genotype: Genotype): void => {
  const network = space.network(genotype)
  const { macs, params } = Network.count(network)
  let shape = network.input
  const sum = { macs: 0, params: 0 }
  for (const { block } of network.blocks) {
    const cost = Network.blockCost(block, shape)
    sum.macs += cost.macs
    sum.params += cost.params
    shape = Network.outputShape(block, shape)
  }
  const text = space.format(genotype)
  law(sum.macs === macs && sum.params === params, "costs add up block by block", text)
  const other = Network.count(space.network(space.canonical(genotype)))
  law(other.macs === macs, "architectures of one canonical form cost the same", `${text}: ${macs} and ${other.macs}`)
}

const checkNetwork = (space: SearchSpaceShape, genotype: Genotype, seed: number): void => {
  const text = space.format(genotype)
  const network = space.network(genotype)
  const own = Network.parameterSpecs(network)
  const all = new Map(Network.parameterSpecs(space.supernet).map((spec) => [spec.name, spec.shape]))
  for (const spec of own) {
    law(
      JSON.stringify(all.get(spec.name)) === JSON.stringify(spec.shape),
      "every parameter of a network is one of the supernet's, of the same shape",
      `${text}: ${spec.name} is [${spec.shape}], in the supernet ${all.has(spec.name) ? `[${all.get(spec.name)}]` : "missing"}`
    )
  }
  tf.tidy(() => {
    const variables = Network.initialise(space.supernet, Key.make(seed))
    const names = own.map((spec) => spec.name)
    const moved = {
      params: ParameterTree.pick(variables.params, names),
      stats: ParameterTree.pick(variables.stats, names)
    }
    const [height, width, channels] = space.interface.input
    const images = tf.tensor4d(Key.normals(Key.make(seed + 1), 2 * height * width * channels), [
      2,
      height,
      width,
      channels
    ])
    for (const mode of ["eval", "train"] as const) {
      const path = Network.apply(network, variables, images, mode).output
      const alone = Network.apply(network, moved, images, mode).output
      law(
        JSON.stringify(path.shape) === JSON.stringify([2, headSize(space)]),
        "a network ends in what the task asks for",
        `${text}: its output is [${path.shape}]`
      )
      const [a, b] = [path.dataSync(), alone.dataSync()]
      law(a.every(Number.isFinite), "outputs are finite", `${text}, ${mode}`)
      law(
        a.every((value, i) => value === b[i]),
        "a path of the supernet equals the network on its own with the same weights",
        `${text}, ${mode}`
      )
    }
  })
}

/**
 * Checks all laws; rejects with the first broken one. Laws: `parse` is the inverse of `format`; digits out of range
 * are refused; the size is the number of valid genotypes; canonical forms are valid and canonical; costs add up block by
 * block; a path of the supernet equals the stand-alone network with the same weights, and has the head of the task.
 *
 * **Example** (A shipped space)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Tiny from "../src/search-space/Tiny.ts"
 * import * as SearchSpaceLaws from "./SearchSpaceLaws.ts"
 *
 * const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
 * await SearchSpaceLaws.check(Result.getOrThrow(Tiny.make({ stemStride: 2 }, task)), { runs: 5, networks: 0 })
 * ```
 */
export const check = async (space: SearchSpaceShape, options: Options = {}): Promise<void> => {
  await ensureBackend()
  const seed = options.seed ?? 1
  checkShape(space)
  checkSize(space)
  const drawn = genotypes(space)
  fc.assert(
    fc.property(drawn, (genotype) => {
      checkText(space, genotype)
      checkCost(space, genotype)
    }),
    { numRuns: options.runs ?? 60, seed, includeErrorInReport: true }
  )
  const networks = options.networks ?? 3
  if (networks === 0) return
  fc.assert(
    fc.property(drawn, fc.nat(1000), (genotype, draw) => checkNetwork(space, genotype, draw)),
    { numRuns: networks, seed, endOnFailure: true, includeErrorInReport: true }
  )
}
