/**
 * A whole search from a program: a component replaced by a Layer, the event stream, a stop after the supernet, and the
 * same run taken up again. `node main-agent.ts`, in a folder where osnas is installed.
 */
import * as Effect from "effect/Effect"
import { MainAgent, Random, type RunEvents } from "osnas"

const config: Parameters<typeof MainAgent.make>[0] = {
  name: "from-a-program",
  seed: 7,
  dataflow: { name: "fashion-mnist", trainLimit: 600, testLimit: 200 },
  searchSpace: { name: "tiny" },
  budget: { max: 2.5e6 },
  supernetTraining: { epochs: 1, batchSize: 32 },
  retraining: { epochs: 1, batchSize: 32 }
}
const searchStrategy = Random.component.layer({ evaluations: 8, generation: 4 })
const onEvent = ({ event }: RunEvents.Stamped) => Effect.sync(() => console.log(event._tag))

const program = Effect.gen(function* () {
  const first = yield* MainAgent.make({ ...config, stopAfter: "supernetTraining" }, { searchStrategy })
  yield* MainAgent.run(first, { onEvent, overwrite: true })
  const rest = yield* MainAgent.make(config, { searchStrategy })
  const outcome = yield* MainAgent.resume(rest, { onEvent })
  console.log(outcome._tag, outcome.results.search?.architecture, outcome.results.evaluation)
})
await Effect.runPromise(program)
