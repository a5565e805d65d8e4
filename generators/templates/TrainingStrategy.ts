/** A training strategy: uniform paths, each trained for a number of steps. */
import { section, type Template } from "../Template.ts"

/** The template of a training strategy. */
export const template: Template = {
  kind: "trainingStrategy",
  module: ({ name }) => `/**
 * The training strategy \`${name}\`: which paths of the supernet a training step trains. This one draws a path uniformly
 * and trains it for a number of steps.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { define, Key, LayerOptions, SearchSpace, TrainingStrategy } from "osnas"

/** Options beside \`name\` in a configuration. */
export const Options = Schema.Struct({
  repeat: Schema.Int.check(Schema.isGreaterThan(0))
    .annotate({ description: "Steps that a path is trained for before the next one is drawn" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))
})
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/** The state between two steps. It is JSON, so that a stopped run can resume from it. */
const State = Schema.Struct({ key: Key.Key, step: Schema.Int })
const decode = Schema.decodeUnknownSync(State)

/** The strategy over a space. Every draw follows from the key and the number of the step, never from an earlier draw. */
export const make = (space: LayerOptions.LayeredSpace, options: Options): TrainingStrategy.TrainingStrategyShape => {
  const { counts, genotype } = LayerOptions.make(space)
  return {
    name: "${name}",
    init: (key) => ({ key: { k0: key.k0, k1: key.k1 }, step: 0 }),
    next: (state) => {
      const { key, step } = decode(state)
      const drawn = Key.derive(key, Math.floor(step / options.repeat))
      const path = genotype(counts.map((count, layer) => Key.integer(drawn, count, layer)))
      return [
        { _tag: "Paths", paths: [path] },
        { key, step: step + 1 }
      ]
    }
  }
}

/** The component that configurations name. */
export const component = define({
  kind: "trainingStrategy",
  name: "${name}",
  description: "Uniform paths, each trained for a number of steps",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      TrainingStrategy.TrainingStrategy,
      Effect.map(SearchSpace.SearchSpace, (space) => make(space, options))
    )
})
`,
  test: ({ identifier, name }) => `import * as Result from "effect/Result"
import { Key, Tiny, type TrainingStrategy } from "osnas"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))

/** The first steps. */
const steps = (strategy: TrainingStrategy.TrainingStrategyShape, count: number) => {
  let state = strategy.init(Key.make(1))
  return Array.from({ length: count }, () => {
    const [step, next] = strategy.next(state)
    state = next
    return step
  })
}

it("trains paths of the space", () => {
  for (const step of steps(${identifier}.make(space, { repeat: 1 }), 20)) {
    expect(step._tag === "Paths" && step.paths.every((path) => Result.isSuccess(space.validate(path)))).toBe(true)
  }
})

it("trains every path for two steps", () => {
  const [a, b, c, d] = steps(${identifier}.make(space, { repeat: 2 }), 4)
  expect(a).toEqual(b)
  expect(c).toEqual(d)
  expect(a).not.toEqual(c)
})
`,
  laws: ({ identifier, name }) => `import * as Result from "effect/Result"
import { Tiny } from "osnas"
import { TrainingStrategyLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

const task = { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } } as const
const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task))

it("obeys the laws of training strategies", () =>
  TrainingStrategyLaws.check(${identifier}.make(space, { repeat: 1 }), { space, steps: 200 }))
`,
  yaml: section("trainingStrategy", ["repeat: 2"])
}
