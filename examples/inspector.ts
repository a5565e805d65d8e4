/**
 * The machine at work, as XState's inspector sees it: every state the main agent and its phases come to. Give the same
 * function to `createWebSocketInspector().inspect` of `@statelyai/inspect` to watch it in a browser.
 * `node inspector.ts`, in a folder where osnas is installed.
 */
import * as Effect from "effect/Effect"
import { MainAgent } from "osnas"
import type { AnyMachineSnapshot } from "xstate"

const program = Effect.gen(function* () {
  const agent = yield* MainAgent.make({
    name: "inspected",
    dataflow: { name: "fashion-mnist", trainLimit: 400, testLimit: 100 },
    searchSpace: { name: "tiny" },
    budget: { max: 2.5e6 },
    supernetTraining: { epochs: 1, batchSize: 64 },
    searchStrategy: { name: "random", evaluations: 4 },
    retraining: { epochs: 1, batchSize: 64 }
  })
  let last = ""
  yield* MainAgent.run(agent, {
    overwrite: true,
    inspect: (event) => {
      if (event.type !== "@xstate.snapshot") return
      const { machine, value } = event.snapshot as Partial<AnyMachineSnapshot>
      if (machine === undefined) return
      const line = `${machine.id}: ${JSON.stringify(value)}`
      if (line !== last) console.log(line)
      last = line
    }
  })
})
await Effect.runPromise(program)
