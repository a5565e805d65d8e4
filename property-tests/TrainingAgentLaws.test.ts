import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import * as CrossEntropy from "../src/criterion/CrossEntropy.ts"
import * as Key from "../src/random/Key.ts"
import * as SmallRun from "../src/run/testing/SmallRun.ts"
import * as Classification from "../src/training-agent/Classification.ts"
import * as FaceRecognition from "../src/training-agent/FaceRecognition.ts"
import type { TrainingAgentShape } from "../src/training-agent/TrainingAgent.ts"
import * as TrainingAgentLaws from "./TrainingAgentLaws.ts"

const options = {
  dataflow: SmallRun.makeDataflow(Key.make(1)),
  criterion: CrossEntropy.make({ labelSmoothing: 0 })
}

it("classification obeys the laws", () => TrainingAgentLaws.check(Classification.agent, options))

it("face recognition obeys the laws", () =>
  TrainingAgentLaws.check(
    FaceRecognition.make({ dimension: 6, normalise: true, mirror: false, objective: "loss" }),
    options
  ))

describe("wrong twins are caught", () => {
  const twin = (change: Partial<TrainingAgentShape>, law: string) =>
    expect(TrainingAgentLaws.check({ ...Classification.agent, ...change }, options)).rejects.toThrow(law)

  it("one whose gradients are twice too long", () =>
    twin(
      {
        step: (input) => {
          const result = Classification.agent.step(input)
          const entries = Object.entries(result.gradients)
          const gradients = Object.fromEntries(entries.map(([name, gradient]) => [name, tf.mul(gradient, 2)]))
          tf.dispose(entries.map(([, gradient]) => gradient))
          return { ...result, gradients }
        }
      },
      "gradients are those of the loss"
    ))
  it("one that leaks", () =>
    twin(
      {
        step: (input) => {
          tf.keep(tf.zeros([3]))
          return Classification.agent.step(input)
        }
      },
      "only its result"
    ))
  it("one without its headline", () => twin({ headline: "accuracy" }, "accuracy is undefined"))
  it("one that averages over batches of unequal size", () =>
    twin(
      {
        evaluate: (input) =>
          Effect.map(Classification.agent.evaluate(input), (metrics) => ({
            ...metrics,
            loss: (metrics["loss"] ?? 0) * input.batchSize
          }))
      },
      "metrics do not depend on the batch size"
    ))
})
