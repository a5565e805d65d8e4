/**
 * A search space of one's own is mostly data: blocks before and after, the width and stride of every searched layer, and
 * what each of them offers. `node search-space.ts`, in a folder where osnas is installed.
 */
import * as Effect from "effect/Effect"
import { Block, MacroSpace, MainAgent } from "osnas"

const { classifier, conv, globalAverage, mobile, separable, skip } = Block
const { fixed, layersOf } = MacroSpace

const macro: MacroSpace.MacroSpec = {
  name: "pocket",
  first: [fixed(conv({ kernel: 3 }), 8, 2)],
  search: layersOf([
    [16, 2],
    [24, 2],
    [24, 1]
  ]),
  choices: [separable({ kernel: 3 }), separable({ kernel: 5 }), mobile({ kernel: 3, expansion: 3 }), skip],
  last: [fixed(conv({ kernel: 1 }), 64), fixed(globalAverage), fixed(classifier, "head")]
}
const make: MacroSpace.Make<object> = (_options, task) => MacroSpace.fromMacro(macro, task)

const program = Effect.gen(function* () {
  const agent = yield* MainAgent.make(
    {
      name: "pocket",
      dataflow: { name: "fashion-mnist", trainLimit: 600, testLimit: 200 },
      budget: { max: 4e5 },
      supernetTraining: { epochs: 1, batchSize: 32 },
      searchStrategy: { name: "evolution", evaluations: 12 },
      retraining: { epochs: 1, batchSize: 32 }
    },
    { searchSpace: MacroSpace.layerOf(make)({}) }
  )
  const outcome = yield* MainAgent.run(agent, { overwrite: true })
  const architecture = outcome.results.search?.architecture ?? []
  console.log(architecture.map((digit) => Block.label(macro.choices[digit] ?? skip)).join(" | "))
})
await Effect.runPromise(program)
