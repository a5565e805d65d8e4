/** A dataflow: images drawn from a key instead of read from files. */
import { section, type Template } from "../Template.ts"

/** The template of a dataflow. */
export const template: Template = {
  kind: "dataflow",
  module: ({ name }) => `/**
 * The dataflow \`${name}\`: images in, batches out. This one draws its images itself, stripes of two directions in noise,
 * so that it works at once: replace \`read\` with code that reads your files. \`InMemory\` adds splits, order, augmentation,
 * normalisation and worker threads, as in every dataflow whose images fit into memory.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { type BatchPlan, Dataflow, define, InMemory, Key, RunKey } from "osnas"

/** Height, width and channels of a stored image. */
const shape = [16, 16, 1] as const

/** Names of the classes, in the order of their labels. */
const classes = ["vertical", "horizontal"] as const

/** Options beside \`name\` in a configuration: those of all in-memory dataflows, and one of its own. */
export const Options = Schema.Struct({
  images: Schema.Int.check(Schema.isBetween({ minimum: 8, maximum: 100_000 }))
    .annotate({ description: "Number of training images; the test set has a quarter of them" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(400))),
  ...InMemory.optionFields({ mean: [0.5], std: [0.25], crop: 0, flip: false, side: 16 })
})
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/** One part of the data: the bytes of all images, channels last, and a label per image. */
const read = (part: "train" | "test", images: number): BatchPlan.ImageBytes => {
  const [height, width] = shape
  const key = Key.derive(Key.make(0), "${name}", part)
  const pixels = InMemory.sharedBytes(images * height * width)
  const labels = InMemory.sharedLabels(images)
  for (let image = 0; image < images; image += 1) {
    const label = image % classes.length
    const noise = Key.uniforms(Key.derive(key, image), height * width)
    labels[image] = label
    noise.forEach((level, at) => {
      const along = label === 0 ? at % width : Math.floor(at / width)
      pixels[image * height * width + at] = Math.floor(128 * level) + (along % 4 < 2 ? 0 : 127)
    })
  }
  return { pixels, labels }
}

/** All data. If a file is missing or broken, fail with a \`DatasetError\` that names it. */
export const load = (options: Pick<Options, "images">): Effect.Effect<InMemory.ImageData, Dataflow.DatasetError> =>
  Effect.sync(() => ({
    name: "${name}",
    stored: shape,
    classes,
    train: read("train", options.images),
    test: read("test", Math.ceil(options.images / 4))
  }))

/** The component that configurations name. */
export const component = define({
  kind: "dataflow",
  name: "${name}",
  description: "Vertical and horizontal stripes in noise, 16 x 16 pixels",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(
      Dataflow.Dataflow,
      Effect.gen(function* () {
        const data = yield* load(options)
        return yield* InMemory.make(data, options, yield* RunKey.RunKey)
      })
    )
})
`,
  test: ({ identifier, name }) => `import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("reads the given number of images, the same number per class", async () => {
  const data = await Effect.runPromise(${identifier}.load({ images: 40 }))
  expect(data.train.labels).toHaveLength(40)
  expect(data.train.pixels).toHaveLength(40 * 16 * 16)
  expect(data.test.labels).toHaveLength(10)
  for (const label of data.classes.keys()) {
    expect(data.train.labels.filter((other) => other === label)).toHaveLength(20)
  }
})

it("draws different images", async () => {
  const { train } = await Effect.runPromise(${identifier}.load({ images: 8 }))
  const images = Array.from({ length: 8 }, (_, i) => train.pixels.slice(i * 256, (i + 1) * 256).join())
  expect(new Set(images).size).toBe(8)
})
`,
  laws: ({ identifier, name }) => `import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InMemory, Key } from "osnas"
import { DataflowLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it("obeys the laws of dataflows", () =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const options = Schema.decodeUnknownSync(${identifier}.Options)({ images: 64, crop: 2, prefetch: 0 })
        const data = yield* ${identifier}.load(options)
        const flow = yield* InMemory.make(data, options, Key.make(1))
        yield* Effect.promise(() => DataflowLaws.check(flow, { runs: 20 }))
      })
    )
  ))
`,
  yaml: section("dataflow", ["images: 400"])
}
