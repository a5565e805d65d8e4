/**
 * Data of one's own: bytes and labels in memory, from wherever they come; splits, order, augmentation and normalisation are
 * those of every dataflow. `node data.ts`, in a folder where osnas is installed.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { type BatchPlan, Dataflow, InMemory, Key, MainAgent, RunKey } from "osnas"

const side = 16

/** Grey images of a bright square: its place is the label. */
const draw = (purpose: string, images: number): BatchPlan.ImageBytes => {
  const key = Key.derive(Key.make(0), purpose)
  const pixels = InMemory.sharedBytes(images * side * side)
  const labels = InMemory.sharedLabels(images)
  for (let image = 0; image < images; image += 1) {
    const label = image % 4
    const noise = Key.uniforms(Key.derive(key, image), side * side)
    labels[image] = label
    noise.forEach((level, at) => {
      const quarter = Math.floor(at / (side * 8)) * 2 + Math.floor((at % side) / 8)
      pixels[image * side * side + at] = Math.floor(level * 128) + (quarter === label ? 127 : 0)
    })
  }
  return { pixels, labels }
}

const data: InMemory.ImageData = {
  name: "squares",
  stored: [side, side, 1],
  classes: ["upper left", "upper right", "lower left", "lower right"],
  train: draw("train", 400),
  test: draw("test", 100)
}
const fields = InMemory.optionFields({ mean: [0.4], std: [0.3], crop: 1, flip: false, side })
const options = Schema.decodeUnknownSync(Schema.Struct(fields))({})
const dataflow = Layer.effect(
  Dataflow.Dataflow,
  Effect.flatMap(RunKey.RunKey, (key) => InMemory.make(data, options, key))
)

const program = Effect.gen(function* () {
  const agent = yield* MainAgent.make(
    {
      name: "squares",
      searchSpace: { name: "tiny" },
      budget: { max: 2e6 },
      supernetTraining: { epochs: 1, batchSize: 32 },
      searchStrategy: { name: "random", evaluations: 6 },
      retraining: { epochs: 2, batchSize: 32 }
    },
    { dataflow }
  )
  const outcome = yield* MainAgent.run(agent, { overwrite: true })
  console.log(outcome._tag, outcome.results.evaluation)
})
await Effect.runPromise(program)
