/** Options of the dataflow `image-folder`. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as OptionKind from "../../component/OptionKind.ts"
import { Positive, PositiveInt } from "../../support/Numbers.ts"
import { DatasetError } from "../Dataflow.ts"
import { brokenOption, checkOption, workerOptions } from "../FolderOptions.ts"

/** The name of the dataflow. */
export const name = "image-folder"

const Limit = Schema.NullOr(PositiveInt)
const Range = (most: number) => {
  const bound = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: most, exclusiveMinimum: true }))
  return Schema.Tuple([bound, bound]).check(
    Schema.makeFilter(([least, largest]: readonly [number, number]) => least <= largest || "the smaller number first")
  )
}
const Side = Schema.Int.check(Schema.isBetween({ minimum: 8, maximum: 2048 }))
const Colour = Schema.Tuple([Schema.Finite, Schema.Finite, Schema.Finite])

/**
 * Options of the dataflow `image-folder`.
 *
 * **Example** (Defaults of ImageNet)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Options } from "./ImageFolderOptions.ts"
 *
 * Schema.decodeUnknownSync(Options)({ folder: "imagenet" }).size // => 224
 * ```
 */
export const Options = Schema.Struct({
  folder: Schema.String.annotate({
    description: "Folder that contains trainFolder and testFolder",
    ...OptionKind.path
  }),
  trainFolder: Schema.String.annotate({ description: "Training images, one folder per class" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("train"))
  ),
  testFolder: Schema.String.annotate({
    description: "Test images, in folders with the same names as those of training"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed("val"))),
  size: Side.annotate({ description: "Side of the images in pixels" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(224))
  ),
  evaluationSide: Schema.NullOr(Side)
    .annotate({
      description: "Outside training: length of the shorter side before the middle is cropped; null: size * 8 / 7"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  area: Range(1)
    .annotate({ description: "Fraction of an image's area that a random crop takes, least and most" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed([0.08, 1] as const))),
  ratio: Range(16)
    .annotate({ description: "Aspect ratio of a random crop (width over height), least and most" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed([0.75, 4 / 3] as const))),
  jitter: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    .annotate({
      description: "Colour jitter: brightness, contrast and saturation times 1 - jitter to 1 + jitter"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  flip: Schema.Boolean.annotate({ description: "Mirror half of the training images" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(true))
  ),
  cutout: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2048 }))
    .annotate({ description: "Side of a blanked square in training images; 0: off" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  mean: Colour.annotate({ description: "Mean of every channel, for pixels from 0 to 1" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed([0.485, 0.456, 0.406] as const))
  ),
  std: Schema.Tuple([Positive, Positive, Positive])
    .annotate({ description: "Standard deviation of every channel" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed([0.229, 0.224, 0.225] as const))),
  supernetFraction: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1))
    .annotate({
      description:
        "Fraction of the training images of every class that trains the supernet; the rest is the validation split"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.8))),
  trainLimit: Limit.annotate({
    description: "At most this many training images, taken from the classes in turn; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testLimit: Limit.annotate({
    description: "At most this many test images, taken from the classes in turn; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testLabels: Schema.NullOr(Schema.String)
    .annotate({
      description:
        "File with the classes of the test images, one line `name class` per image, if they are not in class folders; null: class folders",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testClasses: Schema.NullOr(Schema.String)
    .annotate({
      description:
        "File with the classes that the numbers in testLabels mean, one per line; null: testLabels has names",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  broken: brokenOption(
    "What happens if an image cannot be read. fail: the run ends; skip: it is reported, and replaced in training"
  ),
  check: checkOption(
    "Search for broken images at the start. headers: both ends of every file; decode: also decode validation and test images"
  ),
  ...workerOptions
})
/** Options of the dataflow `image-folder`. */
export type Options = typeof Options.Type

/** Fails with what is wrong with a file or folder. */
export const fail = (file: string, reason: string) => Effect.fail(new DatasetError({ dataset: name, file, reason }))
