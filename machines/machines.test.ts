import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { type AnyActor, type AnyStateMachine, createActor, initialTransition, type Snapshot, transition } from "xstate"
import { getAdjacencyMap, getShortestPaths, TestModel } from "xstate/graph"
import { AgentContext, type AgentInput, agentMachine, nextPhase } from "./AgentMachine.ts"
import * as Diagram from "./Diagram.ts"
import { EvaluatingContext, evaluatingMachine } from "./Evaluating.ts"
import { fromEffect, type Tools } from "./fromEffect.ts"
import { noResults, type Phase, phases, type TrainingPosition } from "./RunState.ts"
import { SearchingContext, searchingMachine } from "./Searching.ts"
import { TrainingContext, trainingMachine } from "./Training.ts"

// Events of ended actors are not part of a machine's own event type.
type Event = { readonly type: string }
const done = (id: string, output: unknown): Event => ({ type: `xstate.done.actor.${id}`, output, actorId: id }) as Event
const failed = (id: string): Event =>
  ({ type: `xstate.error.actor.${id}`, error: new Error("no"), actorId: id }) as Event

const ref = { file: "checkpoints/a.safetensors", digest: "d" }
const position = (step: number, steps: number): TrainingPosition => ({
  step,
  steps,
  checkpoint: ref,
  weights: "w",
  history: []
})
const score = { objective: 1, metrics: { loss: 1 } }
const scored = { genotype: [0, 1], cost: 3, score }

interface Case {
  readonly machine: AnyStateMachine
  readonly input: unknown
  readonly context: Schema.Codec<unknown, unknown>
  readonly events: ReadonlyArray<Event>
  /** The part of a context that distinguishes states; whole contexts grow without bound. */
  readonly key: (context: never) => unknown
  readonly states: ReadonlyArray<string>
  readonly ends: ReadonlyArray<string>
}

const agentInput = (overrides: Partial<AgentInput> = {}): AgentInput => ({
  start: { supernet: null, architecture: null, network: null },
  needsSupernet: true,
  stopAfter: "evaluating",
  ...overrides
})

const phaseEvents: ReadonlyArray<Event> = [
  done("supernetTraining", { _tag: "Trained", position: position(4, 4) }),
  done("searching", { _tag: "Found", result: { architecture: [0, 1], evaluations: 4, best: scored } }),
  done("retraining", { _tag: "Trained", position: position(4, 4) }),
  done("evaluating", { _tag: "Evaluated", metrics: { top1: 0.5 } }),
  ...phases.flatMap((phase) => [
    done(phase, { _tag: "Paused" }),
    done(phase, { _tag: "Failed", failure: { tag: "T", message: "m" } }),
    failed(phase)
  ])
]

const cases: Readonly<Record<string, Case>> = {
  training: {
    machine: trainingMachine,
    input: { phase: "supernetTraining", architecture: null },
    context: TrainingContext as Schema.Codec<unknown, unknown>,
    events: [
      { type: "pause" },
      { type: "resume" },
      done("train", position(1, 2)),
      done("train", position(2, 2)),
      failed("train"),
      done("save", undefined),
      failed("save")
    ],
    key: ({ pausing, position }: TrainingContext) => [pausing, position?.step],
    states: ["training", "saving"],
    ends: ["trained", "paused", "failed"]
  },
  searching: {
    machine: searchingMachine,
    input: { supernet: ref },
    context: SearchingContext as Schema.Codec<unknown, unknown>,
    events: [
      { type: "pause" },
      { type: "resume" },
      done("learn", { step: 1, steps: 2, checkpoint: ref, history: [{ loss: 1 }] }),
      done("learn", null),
      failed("learn"),
      done("ask", {
        candidates: [
          [0, 1],
          [1, 1]
        ],
        state: { n: 1 }
      }),
      done("ask", { candidates: [], state: { n: 1 } }),
      failed("ask"),
      done("score", [{ cost: 3, score }]),
      done("score", [
        { cost: 3, score },
        { cost: 3, score }
      ]),
      failed("score"),
      done("tell", { state: { n: 2 }, best: scored }),
      failed("tell"),
      done("save", undefined),
      failed("save")
    ],
    key: ({ best, learning, pausing, scored }: SearchingContext) => [
      pausing,
      learning?.step,
      scored.length,
      best !== null
    ],
    states: ["learning", "savingLearned", "asking", "scoring", "telling", "saving"],
    ends: ["found", "paused", "failed"]
  },
  evaluating: {
    machine: evaluatingMachine,
    input: { architecture: [0, 1], network: ref },
    context: EvaluatingContext as Schema.Codec<unknown, unknown>,
    events: [{ type: "pause" }, { type: "resume" }, done("evaluate", { top1: 0.5 }), failed("evaluate")],
    key: () => 0,
    states: ["evaluating"],
    ends: ["evaluated", "paused", "failed"]
  },
  agent: {
    machine: agentMachine,
    input: agentInput(),
    context: AgentContext as Schema.Codec<unknown, unknown>,
    events: [
      { type: "pause" },
      { type: "resume", stopAfter: "evaluating" } as Event,
      ...phaseEvents,
      done("record", undefined),
      failed("record")
    ],
    key: ({ completed, pausing }: AgentContext) => [completed, pausing],
    states: ["supernetTraining", "searching", "retraining", "evaluating", "recording"],
    ends: ["done", "paused", "failed"]
  }
}

for (const [name, { context, ends, events, input, key, machine, states }] of Object.entries(cases)) {
  const serializeState = (snapshot: Snapshot<unknown>) => {
    const { context, value } = snapshot as unknown as { readonly context: never; readonly value: unknown }
    return JSON.stringify([value, key(context)])
  }
  const options = { input, events: [...events], serializeState, filterEvents: isPossible, limit: 5000 } as never
  const paths = getShortestPaths(machine, options)

  describe(`machine ${name}`, () => {
    it("reaches every state it has", () => {
      const reached = new Set(paths.map((path) => String((path.state as { value?: unknown }).value)))
      assert.deepStrictEqual([...reached].sort(), [...states, ...ends].sort())
    })

    it("has a way out of every state that is not final", () => {
      for (const { state } of Object.values(getAdjacencyMap(machine, options))) {
        if (state.status !== "active") continue
        const from = { ...(options as object), fromState: state } as never
        const out = getShortestPaths(machine, from).filter((path) => path.state.status === "done")
        assert.isNotEmpty(out, JSON.stringify(state.value))
      }
    })

    it("gives a snapshot that is JSON, decodes, and restores, in every state", () => {
      for (const path of paths) {
        const plain = JSON.parse(JSON.stringify(machine.getPersistedSnapshot(path.state as never)))
        assert.strictEqual(plain.status, path.state.status)
        const again = Schema.decodeUnknownSync(context, { onExcessProperty: "error" })(plain.context)
        assert.deepStrictEqual(again, plain.context)
        const restored = createActor(machine, { input, snapshot: plain }).getSnapshot()
        assert.deepStrictEqual(restored.value, (path.state as { value?: unknown }).value)
        assert.deepStrictEqual(restored.context, plain.context)
      }
    })

    it("has an output in every final state that says how it ended", () => {
      const tags = new Set(
        paths.flatMap(({ state }) => (state.status === "done" ? [(state.output as { _tag: string })._tag] : []))
      )
      assert.strictEqual(tags.size, ends.length, [...tags].join())
    })

    const model = new TestModel(machine, { serializeState } as never)
    for (const path of model.getShortestPaths({ ...(options as object), toState: isEnd } as never)) {
      it(`walks ${path.description.slice(0, 100)}`, async () => {
        let [sut] = initialTransition(machine, input as never)
        const before = JSON.stringify(sut)
        const steps: Array<string> = []
        await path.test({
          states: { "*": (state: never) => assert.deepStrictEqual((state as typeof sut).value, sut.value) },
          events: Object.fromEntries(
            events.map((event) => [
              event.type,
              (step: { readonly event: Event }) => {
                steps.push(step.event.type)
                sut = transition(machine, sut, step.event as never)[0]
              }
            ])
          )
        } as never)
        assert.strictEqual(sut.status, "done")
        assert.strictEqual(JSON.stringify(initialTransition(machine, input as never)[0]), before)
        assert.isNotEmpty(steps)
      })
    }

    it("stays valid under any sequence of events", () => {
      fc.assert(
        fc.property(fc.array(fc.constantFrom(...events), { maxLength: 40 }), (sequence) => {
          let [snapshot] = initialTransition(machine, input as never)
          for (const event of sequence) {
            if (isPossible(snapshot, event)) snapshot = transition(machine, snapshot, event as never)[0]
          }
          Schema.decodeUnknownSync(context)(snapshot.context)
          if (snapshot.status === "done") assert.isDefined(snapshot.output)
          assert.include([...states, ...ends], snapshot.value)
        }),
        { seed: 7, numRuns: 200 }
      )
    })
  })
}

/** Completes when an actor has ended. */
function completed(actor: AnyActor): Effect.Effect<void> {
  return Effect.callback((resume) => {
    actor.subscribe({ complete: () => resume(Effect.void) })
  })
}

/** A machine that has ended takes no events, and an actor that does not run cannot end. */
function isPossible(state: Snapshot<unknown>, event: Event): boolean {
  const { children } = state as unknown as { readonly children: Readonly<Record<string, unknown>> }
  const { actorId } = event as { readonly actorId?: string }
  return state.status === "active" && (actorId === undefined || actorId in children)
}

function isEnd(state: Snapshot<unknown>): boolean {
  return state.status === "done"
}

describe("the main agent", () => {
  const pathOf = (input: AgentInput): ReadonlyArray<string> => {
    let [snapshot] = initialTransition(agentMachine, input)
    const visited: Array<string> = []
    for (let guard = 0; snapshot.status === "active" && guard < 20; guard++) {
      visited.push(String(snapshot.value))
      const event =
        snapshot.value === "recording"
          ? done("record", undefined)
          : (phaseEvents[phases.indexOf(snapshot.value as Phase)] as Event)
      snapshot = transition(agentMachine, snapshot, event as never)[0]
    }
    return visited.filter((state) => state !== "recording")
  }
  const start = (given: Partial<AgentInput["start"]>) => ({ ...agentInput().start, ...given })

  it("runs all phases, or skips those whose result is given", () => {
    assert.deepStrictEqual(pathOf(agentInput()), [...phases])
    assert.deepStrictEqual(pathOf(agentInput({ start: start({ supernet: ref }) })), phases.slice(1))
    assert.deepStrictEqual(pathOf(agentInput({ needsSupernet: false })), phases.slice(1))
    assert.deepStrictEqual(pathOf(agentInput({ start: start({ architecture: [0] }) })), phases.slice(2))
    assert.deepStrictEqual(pathOf(agentInput({ start: start({ architecture: [0], network: ref }) })), ["evaluating"])
  })

  it("ends after the requested phase", () => {
    for (const [index, stopAfter] of phases.entries()) {
      assert.deepStrictEqual(pathOf(agentInput({ stopAfter })), phases.slice(0, index + 1))
    }
    const over = agentInput({ stopAfter: "searching", start: start({ architecture: [0] }) })
    assert.deepStrictEqual(pathOf(over), [])
  })

  it("nextPhase never goes back", () => {
    const completed = { needsSupernet: true, stopAfter: "evaluating" as const, results: noResults }
    assert.strictEqual(nextPhase({ ...completed, completed: null }), "supernetTraining")
    assert.isUndefined(nextPhase({ ...completed, completed: "evaluating" }))
  })

  it("forwards a pause to the phase, and clears it when resumed", () => {
    const actor = createActor(agentMachine, { input: agentInput() }).start()
    actor.send({ type: "pause" })
    const child = actor.getSnapshot().children.supernetTraining
    assert.isTrue(child?.getSnapshot().context.pausing)
    const persisted = JSON.parse(JSON.stringify(actor.getPersistedSnapshot()))
    actor.stop()
    const again = createActor(agentMachine, { input: agentInput(), snapshot: persisted }).start()
    again.send({ type: "resume", stopAfter: "searching" })
    assert.isFalse(again.getSnapshot().context.pausing)
    assert.isFalse(again.getSnapshot().children.supernetTraining?.getSnapshot().context.pausing)
    assert.strictEqual(again.getSnapshot().context.stopAfter, "searching")
    again.stop()
  })

  it.live("an unfilled hole fails the run with its name", () =>
    Effect.gen(function* () {
      const actor = createActor(agentMachine, { input: agentInput() }).start()
      yield* completed(actor)
      const { output } = actor.getSnapshot()
      assert.strictEqual(output?._tag, "Failed")
      assert.match(output?._tag === "Failed" ? output.failure.message : "", /actor train was not provided/)
    })
  )
})

describe("fromEffect", () => {
  const runtime = { runFork: Effect.runFork }

  it.live("interrupts its Effect when the state that invoked it is left", () =>
    Effect.gen(function* () {
      let interrupted = false
      const never = fromEffect(runtime, (_: unknown) =>
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            interrupted = true
          })
        )
      )
      const actor = createActor(evaluatingMachine.provide({ actors: { evaluate: never as never } }), {
        input: { architecture: [], network: ref }
      }).start()
      yield* Effect.sleep("20 millis")
      actor.send({ type: "pause" })
      yield* Effect.sleep("20 millis")
      assert.isTrue(interrupted)
      assert.strictEqual(actor.getSnapshot().value, "paused")
    })
  )

  it.live("notifies a running Effect of a request to pause", () =>
    Effect.gen(function* () {
      const waits = fromEffect(
        runtime,
        Effect.fnUntraced(function* (_: unknown, tools: Tools) {
          while (!tools.pausing()) yield* Effect.sleep("2 millis")
          return position(1, 2)
        })
      )
      const save = fromEffect(runtime, (_: unknown) => Effect.void)
      const actor = createActor(trainingMachine.provide({ actors: { train: waits as never, save: save as never } }), {
        input: { phase: "retraining", architecture: [1] }
      }).start()
      actor.send({ type: "pause" })
      yield* completed(actor)
      assert.strictEqual(actor.getSnapshot().output?._tag, "Paused")
      assert.strictEqual(actor.getSnapshot().context.position?.step, 1)
    })
  )
})

describe("Diagram", () => {
  it("draws every state and the arrows between them", () => {
    const text = Diagram.mermaid(agentMachine)
    for (const state of [...cases["agent"]!.states, ...cases["agent"]!.ends]) assert.include(text, state)
    assert.include(text, "deciding --> searching: always [isNext searching]")
    assert.include(text, "done --> [*]")
    assert.include(Diagram.mermaid(trainingMachine), "saving --> trained: save done [isComplete]")
    assert.include(Diagram.mermaid(searchingMachine), "choosing --> found: always [hasBest]")
  })
})
