/** CIFAR-10: 50,000 training and 10,000 test images, 32 x 32 in colour, of ten classes. */
import { define } from "../component/Component.ts"
import * as Cifar from "./Cifar.ts"

/** CIFAR-10: the checksum is the published one, mean and standard deviation are those of the training images. */
export const variant: Cifar.Variant = {
  name: "cifar10",
  classes: ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
  labelBytes: 1,
  url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
  checksum: "md5:c32a1d4ab5d03f1284b67883e8d13530",
  archive: "cifar-10-binary.tar.gz",
  inner: "cifar-10-batches-bin",
  trainFiles: ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
  testFiles: ["test_batch.bin"],
  folder: "data/cifar10",
  mean: [0.4914, 0.4822, 0.4465],
  std: [0.247, 0.2435, 0.2616]
}

/** Options of the dataflow `cifar10`. */
export const Options = Cifar.options(variant)

/** The dataflow as a Layer. */
export const layer = Cifar.layer(variant)

/**
 * The component `cifar10`.
 *
 * **Example** (As a configuration names it)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 * import * as Key from "../random/Key.ts"
 * import { RunKey } from "../random/RunKey.ts"
 * import { Dataflow } from "./Dataflow.ts"
 * import * as Cifar10 from "./Cifar10.ts"
 *
 * Cifar10.variant.classes.length // => 10
 * const options = Schema.decodeUnknownSync(Cifar10.Options)({ folder: "nowhere" })
 * const flow = Cifar10.layer(options).pipe(Layer.provide(Layer.succeed(RunKey, Key.make(1))))
 * const failure = Effect.runPromise(Effect.flip(Effect.provide(Effect.map(Dataflow, (data) => data.name), flow)))
 * ;(await failure).dataset // => Cifar10.component.name
 * ```
 */
export const component = define({
  kind: "dataflow",
  name: variant.name,
  description: "CIFAR-10, 32 x 32 colour, 10 classes; official binary files, archive or download",
  options: Options,
  layer
})
