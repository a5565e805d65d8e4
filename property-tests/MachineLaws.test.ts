import { describe, expect, it } from "vitest"
import { assign, createMachine } from "xstate"
import { agentMachine } from "../machines/AgentMachine.ts"
import { evaluatingMachine } from "../machines/Evaluating.ts"
import * as MachineLaws from "./MachineLaws.ts"

const { done, failed } = MachineLaws
const network = { file: "network.safetensors", digest: "0" }
const position = { step: 4, steps: 4, checkpoint: network, weights: "0", history: [] }
const failure = { tag: "DiskError", message: "the disk is full" }

describe("the machines obey the laws", () => {
  it("evaluation", () => {
    const events = [{ type: "pause" }, done("evaluate", { top1: 1 }), failed("evaluate", new Error("no"))]
    const input = { architecture: [0], network }
    expect(MachineLaws.check(evaluatingMachine, { input, events })).toEqual([
      "evaluated",
      "evaluating",
      "failed",
      "paused"
    ])
  })

  it("main agent", () => {
    const training = (id: string) => [
      done(id, { _tag: "Trained", position }),
      done(id, { _tag: "Paused" }),
      done(id, { _tag: "Failed", failure }),
      failed(id, new Error("no"))
    ]
    const events = [
      { type: "pause" },
      ...training("supernetTraining"),
      ...training("retraining"),
      done("searching", { _tag: "Found", result: { architecture: [0], evaluations: 1, best: null } }),
      done("searching", { _tag: "Paused" }),
      done("searching", { _tag: "Failed", failure }),
      done("evaluating", { _tag: "Evaluated", metrics: { top1: 1 } }),
      done("evaluating", { _tag: "Paused" }),
      done("evaluating", { _tag: "Failed", failure }),
      done("record"),
      failed("record", new Error("no"))
    ]
    const start = { supernet: null, architecture: null, network: null }
    for (const needsSupernet of [true, false]) {
      const input = { start, needsSupernet, stopAfter: "evaluating" as const }
      const seen = MachineLaws.check(agentMachine, { input, events })
      expect(seen).toContain("searching")
      expect(seen).toContain("done")
      expect(seen.includes("supernetTraining")).toBe(needsSupernet)
    }
  })
})

describe("wrong twins are caught", () => {
  it("one with a state that nothing leaves", () => {
    const machine = createMachine({
      initial: "a",
      states: { a: { on: { go: "b", stop: "c" } }, b: {}, c: { type: "final" } }
    })
    expect(() => MachineLaws.check(machine, { input: undefined, events: [{ type: "go" }, { type: "stop" }] })).toThrow(
      "every state has a way out"
    )
  })
  it("one that remembers what JSON cannot hold, from the shortest path that leads there", () => {
    const machine = createMachine({
      context: { seen: null as Map<string, number> | null },
      initial: "a",
      states: {
        a: { on: { go: "b", stop: "c" } },
        b: { entry: assign({ seen: () => new Map([["a", 1]]) }), on: { go: "a", stop: "c" } },
        c: { type: "final" }
      }
    })
    const check = () => MachineLaws.check(machine, { input: undefined, events: [{ type: "stop" }, { type: "go" }] })
    expect(check).toThrow('a snapshot survives JSON: "b" after the beginning, go')
    const counting = createMachine({
      context: { limit: Number.POSITIVE_INFINITY },
      initial: "a",
      states: { a: { on: { stop: "b" } }, b: { type: "final" } }
    })
    expect(() => MachineLaws.check(counting, { input: undefined, events: [{ type: "stop" }] })).toThrow("survives JSON")
  })
})
