/** CIFAR-100: 50,000 training and 10,000 test images, 32 x 32 in colour, of 100 classes (the fine labels). */
import { define } from "../component/Component.ts"
import * as Cifar from "./Cifar.ts"

/** CIFAR-100: the checksum is the published one, mean and standard deviation are those of the training images. */
export const variant: Cifar.Variant = {
  name: "cifar100",
  // biome-ignore format: a hundred short names
  classes: [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm"
  ],
  labelBytes: 2,
  url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
  checksum: "md5:03b5dce01913d631647c71ecec9e9cb8",
  archive: "cifar-100-binary.tar.gz",
  inner: "cifar-100-binary",
  trainFiles: ["train.bin"],
  testFiles: ["test.bin"],
  folder: "data/cifar100",
  mean: [0.5071, 0.4865, 0.4409],
  std: [0.2673, 0.2564, 0.2762]
}

/** Options of the dataflow `cifar100`. */
export const Options = Cifar.options(variant)

/** The dataflow as a Layer. */
export const layer = Cifar.layer(variant)

/**
 * The component `cifar100`.
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
 * import * as Cifar100 from "./Cifar100.ts"
 *
 * Cifar100.variant.classes.length // => 100
 * const options = Schema.decodeUnknownSync(Cifar100.Options)({ folder: "nowhere" })
 * const flow = Cifar100.layer(options).pipe(Layer.provide(Layer.succeed(RunKey, Key.make(1))))
 * const failure = Effect.runPromise(Effect.flip(Effect.provide(Effect.map(Dataflow, (data) => data.name), flow)))
 * ;(await failure).dataset // => Cifar100.component.name
 * ```
 */
export const component = define({
  kind: "dataflow",
  name: variant.name,
  description: "CIFAR-100, 32 x 32 colour, 100 classes; official binary files, archive or download",
  options: Options,
  layer
})
