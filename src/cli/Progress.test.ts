import { assert, describe, it } from "@effect/vitest"
import type { RunEvent } from "../run/RunEvents.ts"
import * as Progress from "./Progress.ts"

const step = (step: number): RunEvent => ({
  _tag: "StepDone",
  phase: "supernetTraining",
  step,
  steps: 100,
  epoch: step / 10,
  loss: 1.5,
  accuracy: 0.5,
  learningRate: 0.1,
  imagesPerSecond: 321.4,
  remainingSeconds: 75
})
const scored = (evaluation: number, total: number | null = 40): RunEvent => ({
  _tag: "CandidateScored",
  evaluation,
  total,
  generation: 0,
  architecture: "0,1",
  cost: 1,
  objective: 1.25,
  metrics: {}
})

/** Folds events, one per second, and returns everything drawn. */
const play = (events: ReadonlyArray<RunEvent>, columns: number | undefined) => {
  let state = Progress.initial
  return events.map((event, i) => {
    const drawn = Progress.fold(state, { time: i * 1000, event }, columns)
    state = drawn.state
    return drawn
  })
}

const phase: RunEvent = { _tag: "PhaseStarted", phase: "supernetTraining", done: 0, total: 100 }
const searching: RunEvent = { _tag: "PhaseStarted", phase: "searching", done: 0, total: 40 }

describe("the end of a phase", () => {
  const ended = (rest: Partial<Extract<RunEvent, { readonly _tag: "PhaseEnded" }>>) =>
    play([{ _tag: "PhaseEnded", phase: "supernetTraining", seconds: 12, ...rest }], undefined)[0]?.lines[0]

  it("differs from a pause and a failure, which show how far the phase came", () => {
    assert.strictEqual(ended({}), "Supernet   done in 12 s")
    assert.strictEqual(
      ended({ stopped: "paused", reached: { unit: "step", done: 17, total: 62 } }),
      "Supernet   paused at step 17/62, after 12 s"
    )
    assert.strictEqual(
      ended({ phase: "searching", stopped: "paused", reached: { unit: "candidate", done: 5, total: null } }),
      "Search     paused at candidate 5, after 12 s"
    )
    assert.strictEqual(ended({ phase: "evaluating", stopped: "failed" }), "Evaluation failed, after 12 s")
  })
})

describe("on a terminal", () => {
  it("draws a bar with loss, accuracy, speed and the remaining time", () => {
    const bar = play([phase, step(25)], 120)[1]?.bar
    assert.include(bar, "25 %")
    assert.include(bar, "epoch 2.5  loss 1.5000  accuracy 50.00 %  321 images/s  1 min 15 s left")
  })

  it("never exceeds the terminal's width", () => {
    for (let columns = 30; columns < 200; columns += 7) {
      for (const drawn of play([phase, step(99), searching, scored(3), scored(4, null)], columns)) {
        assert.isBelow([...(drawn.bar ?? "")].length, columns)
      }
    }
  })

  it("shows the remaining time of the search", () => {
    const drawn = play([searching, ...Array.from({ length: 10 }, (_, i) => scored(i))], 120)
    assert.include(drawn.at(-1)?.bar, "10/40 candidates")
    assert.include(drawn.at(-1)?.bar, "30 s left")
  })

  it("estimates a resumed search only from its own evaluations", () => {
    const resumed: RunEvent = { _tag: "PhaseStarted", phase: "searching", done: 20, total: 40 }
    assert.include(play([resumed, scored(20), scored(21)], 120).at(-1)?.bar, "18 s left")
  })
})

describe("a gradient-based searcher", () => {
  const learned = (phase: "supernetTraining" | "searching", step: number, over = false): RunEvent => ({
    _tag: "Learned",
    phase,
    step,
    steps: 40,
    metrics: { loss: 2, cost: 2_490_000, target: 2_500_000, entropy: 0.9, temperature: 3.0759 },
    probabilities: over ? [[1]] : null
  })

  it("is shown next to the loss during supernet training", () => {
    const bar = play([phase, learned("supernetTraining", 3), step(25)], 160).at(-1)?.bar
    assert.include(bar, "expected cost 2.49M of 2.5M  entropy 0.900  temperature 3.08  1 min 15 s left")
    assert.notInclude(play([phase, learned("supernetTraining", 3), searching, scored(0)], 160).at(-1)?.bar, "entropy")
  })

  it("has its own bar and one line per pass before the first candidate", () => {
    const drawn = play([searching, learned("searching", 10), learned("searching", 20, true)], 160)
    assert.match(drawn[1]?.bar ?? "", /^Learning .* 25 % {2}step 10\/40 {2}loss 2\.0000 .*3\.0 s left$/)
    assert.match(drawn[2]?.lines[0] ?? "", /^Learning {3}step 20\/40 {2}loss 2\.0000 {2}expected cost 2\.49M of 2\.5M/)
  })
})

describe("without a terminal", () => {
  it("shows the warning of a criterion", () => {
    const warning: RunEvent = {
      _tag: "CriterionWarning",
      phase: "retraining",
      epoch: 2,
      step: 7,
      warning: "no triplet"
    }
    assert.deepStrictEqual(play([warning], undefined)[0]?.lines, ["Retraining epoch 2, step 7: no triplet"])
  })

  it("writes one line per epoch, and some within it", () => {
    const epoch: RunEvent = {
      _tag: "EpochDone",
      phase: "supernetTraining",
      epoch: 1,
      epochs: 8,
      loss: 1.5,
      accuracy: null,
      learningRate: 0.1
    }
    const steps = Array.from({ length: 30 }, (_, i) => step(i + 1))
    const lines = play([phase, ...steps, epoch], undefined).flatMap((drawn) => drawn.lines)
    assert.strictEqual(lines.length, 1 + 3 + 1)
    assert.include(lines[1], "step 10/100")
    assert.strictEqual(lines.at(-1), "Supernet   epoch 1/8  loss 1.5000")
    assert.isTrue(play([phase, ...steps], undefined).every((drawn) => drawn.bar === undefined))
  })

  it("leaves the end of a run to the command, which reports it once", () => {
    const [drawn] = play([{ _tag: "RunPaused", resume: "osnas resume runs/a" }], undefined)
    assert.deepStrictEqual(drawn?.lines, [])
  })
})
