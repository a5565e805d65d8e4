import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as SearchStrategyLaws from "../../property-tests/SearchStrategyLaws.ts"
import { fakeSpace } from "../../property-tests/testing/FakeSpace.ts"
import * as FeasibleSet from "../cost/FeasibleSet.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import * as Engines from "../engine/Engines.ts"
import { gradientMismatch } from "../engine/FiniteDifferences.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import * as Learner from "../run/Learner.ts"
import * as ProxylessNas from "../search-space/ProxylessNas.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as ArchitectureGenerator from "./ArchitectureGenerator.ts"
import * as GeneratorNetwork from "./generator/GeneratorNetwork.ts"
import * as Grid from "./generator/Grid.ts"
import * as PriorPool from "./generator/PriorPool.ts"
import type { GradientSearch, LearnerState, LearningStep } from "./SearchStrategy.ts"

const scope = Effect.runSync(Scope.make())
beforeAll(() =>
  Effect.runPromise(Scope.provide(Engines.acquire("simd", { mode: "strict", threads: 1 }), scope)).then(() => undefined)
)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const options = (given: Partial<typeof ArchitectureGenerator.Options.Encoded>) =>
  Schema.decodeUnknownSync(ArchitectureGenerator.Options)({
    channels: 16,
    depth: 2,
    evaluations: 6,
    priors: 6,
    ...given
  })

const plain = fakeSpace({ name: "plain", layers: [4, 4, 3, 1, 5, 4, 3, 6] })
const composed = fakeSpace({
  name: "composed",
  layers: [
    3,
    {
      width: 2,
      selections: [
        [0, 1],
        [1, 0],
        [1, 1]
      ]
    },
    5,
    4
  ]
})

const entriesOf = (space: SearchSpaceShape) => ({
  base: 10,
  layers: space.layers.map((layer, l) => layer.options.map((_, option) => 40 * option + ((7 * l * option) % 11)))
})

const everything = { metric: "flops", min: 0, max: 1e9 } as const

const madeFor = (space: SearchSpaceShape, given = {}, budget: { min: number; max: number } = everything) => {
  const entries = entriesOf(space)
  const feasible = Result.getOrThrow(FeasibleSet.make(space, entries, { metric: "flops", ...budget }))
  const chosen = options(given)
  const strategy = Result.getOrThrow(ArchitectureGenerator.make(space, entries, feasible, chosen))
  const on = Result.getOrThrow(ArchitectureGenerator.generatorContext(space, entries, "flops", chosen))
  return { entries, feasible, strategy, gradient: strategy.gradient as GradientSearch, on }
}

/** A made-up task: each option has a merit of its own, more of it where it costs more. */
const taskLoss =
  (space: SearchSpaceShape): LearningStep["taskLoss"] =>
  (weights) => {
    const terms = weights.map((row, layer) => {
      const merits = Array.from({ length: row.size }, (_, option) => {
        const chance = Key.uniform(Key.derive(Key.make(5), space.name, layer), option)
        return -chance - option / row.size
      })
      return tf.sum(tf.mul(row, tf.tensor1d(merits)))
    })
    return tf.div(tf.addN(terms), weights.length) as tf.Scalar
  }

/** Steps `from` to `to` of `steps`; the state given is used up. */
const train = (
  space: SearchSpaceShape,
  gradient: GradientSearch,
  begin: LearnerState,
  from: number,
  to: number,
  steps: number
) => {
  let state = begin
  for (let step = from; step < to; step += 1) {
    const [next] = tf.tidy(() => {
      const key = Key.derive(Key.make(8), step)
      const result = gradient.trainStep(state, { taskLoss: taskLoss(space), step, steps, key })
      for (const tensor of Object.values(result[0].tensors)) tf.keep(tensor)
      return result as never
    }) as unknown as ReturnType<GradientSearch["trainStep"]>
    Parameters.disposeReplacedUnsafe(state.tensors, next.tensors)
    state = next
  }
  return state
}

const bitsOf = (tree: Parameters.ParameterTree) =>
  Object.keys(tree)
    .sort()
    .map((name) => [name, Array.from(new Uint32Array(Float32Array.from(tree[name]!.dataSync()).buffer))])

const bits = ({ tensors }: LearnerState) => bitsOf(tensors)

/** The tensors under a prefix, without it. */
const paramsOf = ({ tensors }: LearnerState, prefix: string): Parameters.ParameterTree =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([name, tensor]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : []
    )
  )

const prefixed = (tree: Parameters.ParameterTree): Parameters.ParameterTree =>
  Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [`params.${name}`, tensor]))

describe("a step of training", () => {
  it("has the gradient of its loss in the generator's parameters", () => {
    const { on } = madeFor(composed, { channels: 4, depth: 1, targetPlanes: 2 })
    const start = GeneratorNetwork.initialise(on.size, Key.make(1))
    const names = Object.keys(start).sort()
    // Away from zero, so that no rectifier turns within a difference.
    const inputs = names.map((name) =>
      name.endsWith("bias") ? tf.fill(start[name]!.shape, 0.8) : tf.mul(start[name]!, 0.4)
    )
    const [prior] = PriorPool.make(on.entries, on.range, 1, Key.make(1))
    const mismatch = gradientMismatch(
      (...tensors) =>
        ArchitectureGenerator.stepLoss(on, Object.fromEntries(names.map((name, i) => [name, tensors[i]!])), {
          inputs: [0.7, 0.2].map((t) => ({ target: (1 - t) * on.range.min + t * on.range.max, prior: prior! })),
          costWeight: 3,
          key: Key.make(2),
          temperature: 1.5,
          taskLoss: taskLoss(composed)
        }).loss,
      inputs,
      { step: 5e-3, entries: 6 }
    )
    expect(mismatch.error).toBeLessThan(5e-3)
  })

  it("reports what it saw, changes nothing it was given, and leaves no tensor behind", () => {
    const { gradient, on } = madeFor(plain, { targets: 1 })
    const state = gradient.init(Key.make(1))
    const before = bits(state)
    const tensors = tf.memory().numTensors
    const step = { taskLoss: taskLoss(plain), step: 0, steps: 10, key: Key.make(2) }
    const [next, metrics] = gradient.trainStep(state, step)
    expect(Object.keys(metrics).sort()).toEqual(["cost", "entropy", "loss", "target", "taskLoss", "temperature"])
    expect(metrics["temperature"]).toBe(5)
    expect(metrics["target"]).toBeGreaterThanOrEqual(on.range.min)
    expect(metrics["target"]).toBeLessThanOrEqual(on.range.max)
    const span = on.range.max - on.range.min
    const distance = (metrics["cost"]! - metrics["target"]!) / span
    expect(metrics.loss).toBeCloseTo(metrics["taskLoss"]! + 20 * distance * distance, 4)
    expect(bits(state)).toEqual(before)
    const made = Object.entries(next.tensors).filter(([name, tensor]) => state.tensors[name] !== tensor)
    expect(tf.memory().numTensors - tensors).toBe(made.length)
    const [again] = gradient.trainStep(state, step)
    expect(bits(again)).toEqual(bits(next))
    for (const one of [state, next, again]) Parameters.disposeUnsafe(one.tensors)
  })

  it("inputs at targets from every part of the range in turn, and cools down evenly", () => {
    const range = { metric: "flops", min: 100, max: 200 } as const
    const targets = Array.from({ length: 20 }, (_, step) => ArchitectureGenerator.targetOf(range, 5, Key.make(1), step))
    for (const round of [0, 5, 10, 15]) {
      const parts = targets.slice(round, round + 5).map((target) => Math.floor((target - 100) / 20))
      expect(parts.sort()).toEqual([0, 1, 2, 3, 4])
    }
    const cooling = { temperature: 4, finalTemperature: 0.25 }
    const at = (step: number) => ArchitectureGenerator.temperatureOf(cooling, step, 5)
    expect([0, 1, 2, 3, 4].map((step) => Number(at(step).toFixed(9)))).toEqual([4, 2, 1, 0.5, 0.25])
    expect(ArchitectureGenerator.temperatureOf(cooling, 0, 1)).toBe(0.25)
  })
})

describe("a trained generator", () => {
  const steps = 120

  it.each([
    ["plain", plain],
    ["composed", composed]
  ] as const)("draws costs that follow their targets, and beats most random draws at its task (%s)", (_, space) => {
    const { gradient, on, feasible } = madeFor(space)
    const begin = gradient.init(Key.make(1))
    const untrained = gradient.review?.(begin)
    const state = train(space, gradient, begin, 0, steps, steps)
    const review = gradient.review?.(state)
    expect(review?.targets).toHaveLength(50)
    expect(review?.metrics["kendall"]).toBeGreaterThan(0.85)
    expect(review?.metrics["spearman"]).toBeGreaterThan(0.95)
    expect(review?.metrics["deviation"]).toBeLessThan(0.12)
    expect(untrained?.metrics["deviation"]).toBeGreaterThan(0.2)
    const loss = (indices: ReadonlyArray<number>) =>
      tf.tidy(() => {
        const rows = indices.map((option, layer) =>
          tf.tensor1d(space.layers[layer]!.options.map((__, other) => (other === option ? 1 : 0)))
        )
        return taskLoss(space)(rows).dataSync()[0]!
      })
    // For a budget in the middle: what it generates against architectures of the same budget.
    const max = (on.range.min + on.range.max) / 2
    const half = Result.getOrThrow(FeasibleSet.make(space, on.entries, { metric: "flops", min: 0, max }))
    const generated = ArchitectureGenerator.generate(on, ArchitectureGenerator.trainedOf(state), half)
    expect(generated.cost).toBeLessThanOrEqual(max)
    const own = loss(feasible.options.indicesUnsafe(generated.genotype))
    const random = Array.from({ length: 40 }, (__, i) =>
      loss(feasible.options.indicesUnsafe(half.sample(Key.derive(Key.make(3), i))))
    ).sort((a, b) => a - b)
    expect(own).toBeLessThan(random[9]!)
    Parameters.disposeUnsafe(state.tensors)
  })

  it("is that of the pass with the least loss, the first among equals, and is reported as that", () => {
    const { gradient, on } = madeFor(plain, { sweep: 9, validationTargets: 3, costWeight: 2 })
    const { choice } = gradient
    if (choice === undefined) throw new Error("it keeps the last pass")
    let state = gradient.init(Key.make(1))
    const passes: Array<{ readonly params: string; readonly objective: number; readonly review: unknown }> = []
    // What the supernet is made to say: the third and the fifth pass are good, the fourth is NaN.
    const said = [9, 5, 1, Number.NaN, 1, 3]
    for (const [pass, loss] of said.entries()) {
      state = train(plain, gradient, state, 4 * pass, 4 * pass + 4, 4 * said.length)
      const asked = choice.architectures(state)
      expect(asked).toHaveLength(3)
      const current = { params: paramsOf(state, "params."), pool: ArchitectureGenerator.trainedOf(state).pool }
      const swept = ArchitectureGenerator.sweep(on, current, 9)
      const losses = asked.map((_, i) => loss + i)
      const expected = ArchitectureGenerator.objectiveOf(on, 2, swept, losses)
      const [next, figures] = choice.tell(state, pass + 1, losses)
      expect(figures["objective"]).toBe(Number.isNaN(loss) ? undefined : expected)
      expect(figures["kendall"] ?? null).toBe(swept.kendall)
      passes.push({
        params: JSON.stringify(bitsOf(current.params)),
        objective: Number.isNaN(expected) ? Number.POSITIVE_INFINITY : expected,
        review: { costs: swept.costs, kendall: swept.kendall }
      })
      Parameters.disposeReplacedUnsafe(state.tensors, next.tensors)
      state = next
    }
    const best = passes.reduce((least, { objective }, i) => (objective < passes[least]!.objective ? i : least), 0)
    expect([2, 4]).toContain(best)
    const kept = ArchitectureGenerator.trainedOf(state)
    expect(JSON.stringify(bitsOf(kept.params))).toBe(passes[best]!.params)
    expect(JSON.stringify(bitsOf(kept.params))).not.toBe(passes.at(-1)!.params)
    const review = gradient.review?.(state)
    expect(review?.metrics["pass"]).toBe(best + 1)
    expect({ costs: review?.costs, kendall: review?.metrics["kendall"] ?? null }).toEqual(passes[best]!.review)
    // The same again changes nothing: of equals the first is kept.
    const { objective } = passes[best]!
    const [same] = choice.tell({ ...state, tensors: { ...state.tensors, ...prefixed(kept.params) } }, 9, [
      said[best]!,
      said[best]! + 1,
      said[best]! + 2
    ])
    expect(same.json).toMatchObject({ best: { pass: best + 1, objective } })
    Parameters.disposeUnsafe(state.tensors)
  })

  it("judges a pass by cost alone where the task has nothing to say", () => {
    const range = { metric: "flops", min: 100, max: 200 } as const
    const objective = (costs: ReadonlyArray<number>, losses: ReadonlyArray<number>) =>
      ArchitectureGenerator.objectiveOf({ range }, 8, { costs, targets: [100, 150, 200] }, losses)
    expect(objective([100, 150, 200], [2, 4])).toBe(3)
    expect(objective([150, 150, 150], [0])).toBeCloseTo((8 * 2 * 0.25) / 3, 12)
    const single = { metric: "flops", min: 5, max: 5 } as const
    expect(ArchitectureGenerator.objectiveOf({ range: single }, 8, { costs: [5], targets: [5] }, [1])).toBe(1)
  })

  it("is the same bit for bit when it was saved in the middle and read back", async () => {
    const { gradient } = madeFor(plain)
    const whole = train(plain, gradient, gradient.init(Key.make(1)), 0, 12, 12)
    const half = train(plain, gradient, gradient.init(Key.make(1)), 0, 5, 12)
    const { metadata, tensors } = await Effect.runPromise(Learner.toEntries(half))
    const read = await Effect.runPromise(Learner.fromCheckpoint("half", { metadata, tensors }))
    const resumed = train(plain, gradient, read, 5, 12, 12)
    expect(bits(resumed)).toEqual(bits(whole))
    expect(resumed.json).toEqual(whole.json)
    expect(gradient.conclude(resumed, Key.make(4))).toEqual(gradient.conclude(whole, Key.make(4)))
    for (const one of [whole, half, resumed]) Parameters.disposeUnsafe(one.tensors)
  })

  it("is lawful as a search, in wide bands, narrow ones and ones of a few architectures", () => {
    for (const [space, min, max] of [
      [plain, 0, 1e9],
      [plain, 300, 310],
      [plain, 0, 60],
      [composed, 0, 150]
    ] as const) {
      const { gradient, feasible, strategy } = madeFor(space, {}, { min, max })
      const state = train(space, gradient, gradient.init(Key.make(1)), 0, 20, 20)
      const begun = { ...strategy, init: (key: Key.Key) => gradient.conclude(state, key) }
      SearchStrategyLaws.check(() => begun, { space, feasible, runs: 4 })
      SearchStrategyLaws.check(() => strategy, { space, feasible, runs: 4 })
      SearchStrategyLaws.checkGradient(() => strategy, { space, feasible, runs: 1, steps: 3 })
      Parameters.disposeUnsafe(state.tensors)
    }
  })

  it("generates within 100 of 100 random budgets, or they are refused at once", () => {
    const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } } as const
    const proxyless = Result.getOrThrow(ProxylessNas.make({ stemStride: 1, widths: null }, task))
    const { flops } = LookupTable.fromSpace(proxyless)
    const small = options({ channels: 8, depth: 1 })
    for (const [space, entries] of [
      [plain, entriesOf(plain)],
      [composed, entriesOf(composed)],
      [proxyless, flops]
    ] as const) {
      const on = Result.getOrThrow(ArchitectureGenerator.generatorContext(space, entries, "flops", small))
      const trained = {
        params: GeneratorNetwork.initialise(on.size, Key.make(1)),
        pool: PriorPool.make(entries, on.range, 4, Key.make(2))
      }
      const span = on.range.max - on.range.min
      let [answered, refused] = [0, 0]
      for (let i = 0; i < (space === proxyless ? 12 : 100); i += 1) {
        const key = Key.derive(Key.make(6), i)
        const max = on.range.min + span * (1.2 * Key.uniform(key) - 0.1)
        const min = Math.max(0, max - span * Key.uniform(key, 1) ** 3)
        const feasible = FeasibleSet.make(space, entries, { metric: "flops", min, max })
        if (Result.isFailure(feasible)) {
          expect(feasible.failure._tag).toBe("BudgetInfeasible")
          refused += 1
          continue
        }
        const { cost, genotype } = ArchitectureGenerator.generate(on, trained, feasible.success)
        expect(feasible.success.contains(genotype)).toBe(true)
        expect(cost).toBe(feasible.success.cost(genotype))
        answered += 1
      }
      expect(answered).toBeGreaterThan(0)
      if (space !== proxyless) expect(refused).toBeGreaterThan(0)
      Parameters.disposeUnsafe(trained.params)
    }
  })
})

describe("its context", () => {
  it("inputs at what there is, and refuses a range of targets without an architecture", () => {
    const entries = entriesOf(plain)
    const generatorContext = (given: Partial<typeof ArchitectureGenerator.Options.Encoded>) =>
      ArchitectureGenerator.generatorContext(plain, entries, "flops", options(given))
    const most = entries.layers.reduce((sum, costs) => sum + Math.max(...costs), 10)
    expect(Result.getOrThrow(generatorContext({})).range).toEqual({ metric: "flops", min: 10, max: most })
    expect(Result.getOrThrow(generatorContext({ lowest: 50, highest: 1e9 })).range).toEqual({
      metric: "flops",
      min: 50,
      max: most
    })
    const refused = generatorContext({ lowest: 1e6 })
    expect(Result.isFailure(refused) && refused.failure.message).toMatch(/no architecture of plain has flops between/)
  })

  it("of a space with one architecture generates that one", () => {
    const single = fakeSpace({ name: "single", layers: [1, 1] })
    const { gradient, strategy } = madeFor(single)
    const state = train(single, gradient, gradient.init(Key.make(1)), 0, 3, 3)
    const review = gradient.review?.(state)
    expect(review?.metrics).toEqual({ deviation: 0 })
    const [candidates] = strategy.ask(gradient.conclude(state, Key.make(1)))
    expect(candidates).toEqual([[0, 0]])
    expect(Option.isNone(strategy.best(gradient.conclude(state, Key.make(1))))).toBe(true)
    expect(Grid.make(single)).toMatchObject({ rows: 2, columns: 1 })
    Parameters.disposeUnsafe(state.tensors)
  })
})
