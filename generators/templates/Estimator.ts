/** A performance estimator: the number of parameters. */
import { section, type Template } from "../Template.ts"

/** The template of a performance estimator. */
export const template: Template = {
  kind: "estimator",
  module: ({ name }) => `/**
 * The performance estimator \`${name}\`: how good an architecture is, without training it. This one prefers larger networks: an
 * architecture with twice the parameters has an objective lower by \`slope\`. It needs no training, and is a baseline for
 * other estimators to beat.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define, Network, PerformanceEstimator, SearchSpace } from "osnas"

/** Options beside \`name\` in a configuration. */
export const Options = Schema.Struct({
  slope: Schema.Finite.check(Schema.isGreaterThan(0))
    .annotate({ description: "Decrease of the objective for twice the parameters" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))
})
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/** The estimator over a space. Lower objectives are better; metrics are recorded with it. */
export const make = (
  space: Pick<SearchSpace.SearchSpaceShape, "format" | "network" | "validate">,
  options: Options
): PerformanceEstimator.PerformanceEstimatorShape => ({
  name: "${name}",
  // No supernet is trained: a run begins with the search.
  needsSupernet: false,
  score: PerformanceEstimator.oneByOne((genotype) =>
    Effect.fromResult(space.validate(genotype)).pipe(
      Effect.mapError(
        (error) =>
          new PerformanceEstimator.EstimationError({
            estimator: "${name}",
            genotype: space.format(genotype),
            reason: error.message
          })
      ),
      Effect.map((valid) => {
        const { params } = Network.count(space.network(valid))
        return { objective: -options.slope * Math.log2(params), metrics: { params } }
      })
    )
  )
})

/** The component that configurations name. */
export const component = define({
  kind: "estimator",
  name: "${name}",
  description: "Prefers larger networks",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      PerformanceEstimator.PerformanceEstimator,
      Effect.map(SearchSpace.SearchSpace, (space) => make(space, options))
    )
})
`,
  test: ({ identifier, name }) => `import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Tiny } from "osnas"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
const score = (genotype: ReadonlyArray<number>) =>
  Effect.runSync(${identifier}.make(space, { slope: 1 }).score([genotype]))[0]

it("prefers the larger network", () => {
  const small = score([0, 0, 0, 0, 0, 0])
  const large = score([5, 5, 5, 5, 5, 5])
  expect(large?.objective).toBeLessThan(small?.objective ?? Number.NaN)
  expect(large?.metrics["params"]).toBeGreaterThan(small?.metrics["params"] ?? Number.NaN)
})
`,
  laws: ({ identifier, name }) => `import * as Result from "effect/Result"
import { Tiny } from "osnas"
import { EstimatorLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))
const genotypes = Array.from({ length: 7 }, (_, digit) => space.choices.map((_, at) => (digit + at) % 7))

it("obeys the laws of estimators", () =>
  EstimatorLaws.check(${identifier}.make(space, { slope: 1 }), genotypes, { refused: [[9, 9]] }))
`,
  yaml: section("estimator")
}
