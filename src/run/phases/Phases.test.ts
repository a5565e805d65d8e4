/** Each phase alone, without the machine and a run's folder: a disk in memory, and an array as journal. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CheckpointRef, TrainingPosition } from "../../../machines/RunState.ts"
import type { ScoreArchitectures } from "../../estimator/PerformanceEstimator.ts"
import { Disk } from "../../support/Disk.ts"
import type { Journal, Line } from "../Journal.ts"
import * as Progress from "../Progress.ts"
import * as ResidentWeights from "../ResidentWeights.ts"
import { services } from "../RunServices.ts"
import * as SearchLog from "../SearchLog.ts"
import * as MemoryDisk from "../testing/MemoryDisk.ts"
import * as SmallRun from "../testing/SmallRun.ts"
import * as Trials from "../testing/Trials.ts"
import * as Evaluating from "./Evaluating.ts"
import * as Searching from "./Searching.ts"
import * as Training from "./Training.ts"

const config = SmallRun.config()
const never = () => false

const makeJournal = (lines: ReadonlyArray<Line> = []) => {
  const added: Array<Line> = []
  const journal: Journal = {
    file: "search.jsonl",
    lines,
    append: (line) => Effect.sync(() => void added.push(line)),
    sync: Effect.void
  }
  return { journal, added }
}

/** A context for the phases over a disk, as after a start or resume, with the events that they report. */
const makeLife = Effect.fnUntraced(function* (memory: MemoryDisk.MemoryDisk, logged: ReadonlyArray<Line> = []) {
  const all = yield* services
  const events = makeJournal()
  const search = makeJournal(logged)
  let scored = 0
  const score: typeof all.estimator.score = (architectures, options) =>
    Effect.suspend(() => {
      scored += architectures.length
      return all.estimator.score(architectures, options)
    })
  const context: Searching.SearchContext = {
    services: { ...all, estimator: { ...all.estimator, score } },
    config,
    folder: { disk: memory.disk, path: (name) => `/phases/${name}` },
    shownFolder: "runs/phases",
    resident: yield* ResidentWeights.make,
    progress: Progress.make(all.events, events.journal),
    log: SearchLog.make(search.journal),
    scoredBefore: logged.length
  }
  return { context, events: events.added, added: search.added, scoredCount: () => scored }
})

const makeMemory = Effect.gen(function* () {
  const memory = MemoryDisk.make()
  for (const folder of ["/phases", "/phases/checkpoints"]) yield* memory.disk.makeFolder(folder)
  return memory
})

const on = <A, E>(memory: MemoryDisk.MemoryDisk, program: Effect.Effect<A, E, RunServicesWithScope>) =>
  Effect.scoped(program).pipe(
    Effect.provide(Layer.merge(SmallRun.layer(config.seed), Layer.succeed(Disk, memory.disk)))
  )
type RunServicesWithScope = Effect.Services<ReturnType<typeof makeLife>>

/** Trains a whole phase, piece by piece; with `everyLife`, each piece starts from its checkpoint, as after a restart. */
const trainPhase = Effect.fnUntraced(function* (
  memory: MemoryDisk.MemoryDisk,
  input: Pick<Parameters<ReturnType<typeof Training.make>["train"]>[0], "architecture" | "phase">,
  everyLife: boolean
) {
  const first = yield* makeLife(memory)
  let position: TrainingPosition | null = null
  while (position === null || position.step < position.steps) {
    const { context } = everyLife ? yield* makeLife(memory) : first
    position = yield* Training.make(context).train({ ...input, position }, everyLife ? () => true : never)
  }
  return position
})

const supernetPhase = { phase: "supernetTraining", architecture: null } as const

/** The same context with another way to score a generation. */
const withScore = (context: Searching.SearchContext, score: ScoreArchitectures): Searching.SearchContext => {
  const { services } = context
  return { ...context, services: { ...services, estimator: { ...services.estimator, score } } }
}

/** Scores a list in reverse, and reports each score as it arrives. */
const backwards =
  (one: ScoreArchitectures): ScoreArchitectures =>
  (architectures, options) =>
    Effect.map(
      Effect.forEach([...architectures.entries()].reverse(), ([index, architecture]) =>
        one([architecture], {
          supernet: options?.supernet,
          onScore: (_, score) => options?.onScore?.(index, score) ?? Effect.void
        })
      ),
      (scores) => scores.flat().reverse()
    )

/** Scores a generation as the machine does. */
const scoreAll = Effect.fnUntraced(function* (context: Searching.SearchContext, supernet: CheckpointRef) {
  const { candidates, state } = yield* Searching.ask(context, { supernet, learning: null, state: null })
  const scores = yield* Searching.score(context, { supernet, evaluation: 0, generation: 0, candidates }, never)
  const scored = scores.map((one, index) => ({ genotype: candidates[index] ?? [], ...one }))
  return yield* Searching.tell(context, { state, generation: 0, scored })
})

describe("phases", () => {
  it.live("each gives the same results as in a run", () =>
    Effect.gen(function* () {
      const whole = MemoryDisk.make()
      yield* Trials.begin(whole.disk, config)
      const memory = yield* makeMemory
      yield* on(
        memory,
        Effect.gen(function* () {
          const all = yield* services
          const supernet = yield* trainPhase(memory, supernetPhase, false)
          const { context } = yield* makeLife(memory)
          const { best } = yield* scoreAll(context, supernet.checkpoint)
          assert.isNotNull(best)
          const recorded = JSON.parse(new TextDecoder().decode(whole.files().get(`${Trials.folder}/metrics.json`)))
          const architecture = all.space.parse(recorded.architecture)
          const genotype = yield* Effect.fromResult(architecture)
          const network = yield* trainPhase(memory, { phase: "retraining", architecture: genotype }, false)
          const input = { architecture: genotype, network: network.checkpoint }
          const metrics = yield* Evaluating.evaluate((yield* makeLife(memory)).context, input)
          assert.deepStrictEqual(recorded.test, metrics)
        })
      )
      for (const name of ["checkpoints/supernet.safetensors", "network.safetensors"]) {
        assert.isDefined(memory.files().get(`/phases/${name}`))
        assert.deepStrictEqual(memory.files().get(`/phases/${name}`), whole.files().get(`${Trials.folder}/${name}`))
      }
    })
  )

  it.live("training step by step, with a restart after each, gives the same weights and frees every tensor", () =>
    Effect.gen(function* () {
      const before = SmallRun.liveTensors()
      const [together, apart] = [yield* makeMemory, yield* makeMemory]
      const whole = yield* on(together, trainPhase(together, supernetPhase, false))
      const pieces = yield* on(apart, trainPhase(apart, supernetPhase, true))
      assert.deepStrictEqual(pieces, whole)
      assert.strictEqual(SmallRun.liveTensors(), before)
    })
  )

  it.live("an architecture in the log is not scored again, and a line about another one is refused", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory
      yield* on(
        memory,
        Effect.gen(function* () {
          const { checkpoint } = yield* trainPhase(memory, supernetPhase, false)
          const first = yield* makeLife(memory)
          const result = yield* scoreAll(first.context, checkpoint)
          assert.strictEqual(first.scoredCount(), 3)
          assert.lengthOf(first.added, 3)

          const again = yield* makeLife(memory, first.added.slice(0, 2))
          assert.deepStrictEqual(yield* scoreAll(again.context, checkpoint), result)
          assert.strictEqual(again.scoredCount(), 1)
          assert.deepStrictEqual(again.added, first.added.slice(2))
          assert.strictEqual(again.context.log.digest(3), first.context.log.digest(3))

          const swapped = yield* makeLife(memory, [first.added[1] ?? {}, first.added[0] ?? {}])
          const error = yield* Effect.flip(scoreAll(swapped.context, checkpoint))
          assert.match(error.message, /^search.jsonl, line 1: the search evaluates .* here, but the line is about /)
        })
      )
    })
  )

  it.live("the order in which scores arrive changes neither the log, the events nor the searcher's input", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory
      yield* on(
        memory,
        Effect.gen(function* () {
          const { checkpoint } = yield* trainPhase(memory, supernetPhase, false)
          const inOrder = yield* makeLife(memory)
          const result = yield* scoreAll(inOrder.context, checkpoint)
          const { score } = inOrder.context.services.estimator
          const silent: ScoreArchitectures = (architectures, options) =>
            score(architectures, { supernet: options?.supernet })
          const withoutTime = (lines: ReadonlyArray<Line>) => lines.map(({ time: _, ...line }) => line)
          for (const other of [backwards(score), silent]) {
            const life = yield* makeLife(memory)
            assert.deepStrictEqual(yield* scoreAll(withScore(life.context, other), checkpoint), result)
            assert.deepStrictEqual(life.added, inOrder.added)
            const events = withoutTime(life.events).filter((line) => line["_tag"] !== "PhaseStarted")
            assert.deepStrictEqual(
              events,
              withoutTime(inOrder.events).filter((line) => line["_tag"] !== "PhaseStarted")
            )
          }
        })
      )
    })
  )

  it.live("a pause ends scoring after the next score; scoring the rest later gives the same results", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory
      yield* on(
        memory,
        Effect.gen(function* () {
          const { checkpoint: supernet } = yield* trainPhase(memory, supernetPhase, false)
          const whole = yield* makeLife(memory)
          const { candidates } = yield* Searching.ask(whole.context, { supernet, learning: null, state: null })
          const first = { supernet, evaluation: 0, generation: 0, candidates }
          const scores = yield* Searching.score(whole.context, first, never)
          const parts = yield* makeLife(memory)
          const one = yield* Searching.score(parts.context, first, () => true)
          assert.deepStrictEqual(one, scores.slice(0, 1))
          const rest = { ...first, evaluation: 1, candidates: candidates.slice(1) }
          assert.deepStrictEqual(yield* Searching.score(parts.context, rest, never), scores.slice(1))
          assert.deepStrictEqual(parts.added, whole.added)
          // In reverse: nothing can be logged before the last score arrives.
          const late = yield* makeLife(memory)
          const reversed = withScore(late.context, backwards(late.context.services.estimator.score))
          assert.deepStrictEqual(yield* Searching.score(reversed, first, () => true), scores)
        })
      )
    })
  )

  it.live("an estimator that returns too few scores is refused, with the first architecture that has none", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory
      yield* on(
        memory,
        Effect.gen(function* () {
          const { checkpoint } = yield* trainPhase(memory, supernetPhase, false)
          const { context } = yield* makeLife(memory)
          const { score } = context.services.estimator
          const lacking = withScore(context, (architectures, options) => score(architectures.slice(0, 2), options))
          const error = yield* Effect.flip(scoreAll(lacking, checkpoint))
          assert.match(
            error.message,
            /^estimator supernet, architecture .*: a list of 3 architectures got 2 scores; expected one for each$/
          )
        })
      )
    })
  )
})
