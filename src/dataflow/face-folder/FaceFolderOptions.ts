/** Options of the dataflow `face-folder`. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as OptionKind from "../../component/OptionKind.ts"
import { PositiveInt } from "../../support/Numbers.ts"
import { DatasetError } from "../Dataflow.ts"
import { brokenOption, checkOption, workerOptions } from "../FolderOptions.ts"

/** The name of the dataflow. */
export const name = "face-folder"

const Pixels = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 }))
const Limit = Schema.NullOr(PositiveInt)
const Names = Schema.NullOr(Schema.Array(Schema.String))

/**
 * Options of the dataflow `face-folder`.
 *
 * **Example** (Balanced batches)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Options } from "./FaceFolderOptions.ts"
 *
 * const { perIdentity, size } = Schema.decodeUnknownSync(Options)({ folder: "faces", perIdentity: 4 })
 * perIdentity * size // => 4 * 112
 * ```
 */
export const Options = Schema.Struct({
  folder: Schema.String.annotate({
    description: "Folder with one folder of images per person",
    ...OptionKind.path
  }),
  people: Names.annotate({
    description: "People (folders) to train on; `s1..s30` is a range; null: all except those to verify"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  peopleLimit: Limit.annotate({
    description: "At most this many people to train on, the first by name that have two images or more; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testFolder: Schema.NullOr(Schema.String)
    .annotate({ description: "Folder of the people to verify; null: the same folder", ...OptionKind.path })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  testPeople: Names.annotate({ description: "People to verify; null: all in the test folder" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(null))
  ),
  testPeopleLimit: Limit.annotate({
    description: "At most this many people to verify, the first by name that have two images or more; null: all"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  pairs: Schema.NullOr(Schema.String)
    .annotate({
      description: "A list of pairs in the format of LFW's pairs.txt; null: pairs are made from the people to verify",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
  pairLimit: PositiveInt.annotate({
    description: "At most this many made pairs of the same person, and as many of different people"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(3000))),
  size: Schema.Int.check(Schema.isBetween({ minimum: 8, maximum: 512 }))
    .annotate({ description: "Side of the images in pixels" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(112))),
  channels: Schema.Literals([1, 3])
    .annotate({ description: "3: colour; 1: grey" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(3 as const))),
  fit: Schema.Literals(["stretch", "crop", "pad"])
    .annotate({ description: "How an image becomes a square" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("stretch" as const))),
  perIdentity: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 }))
    .annotate({
      description: "Images of each person in a training batch (triplet loss: 2 or more); 0: shuffled batches"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  supernetFraction: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1))
    .annotate({
      description: "Fraction of the training images that trains the supernet; the rest is the validation split"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.8))),
  splitBy: Schema.Literals(["image", "person"])
    .annotate({
      description:
        "image: the images of every person are split; person: whole people are split, so those in validation are new"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("image" as const))),
  crop: Pixels.annotate({
    description: "Random crop from the image with this many black pixels added on every side; 0: off"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  flip: Schema.Boolean.annotate({ description: "Mirror half of the training images" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(true))
  ),
  cutout: Pixels.annotate({ description: "Side of a blanked square in training images; 0: off" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  zoom: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.5 }))
    .annotate({ description: "Training images scaled and moved by up to this fraction; 0: off" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  jitter: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    .annotate({ description: "Brightness, contrast and saturation times 1 - jitter to 1 + jitter; 0: off" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  mean: Schema.Finite.annotate({ description: "Mean of the pixels, from 0 to 1" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0.5))
  ),
  std: Schema.Finite.check(Schema.isGreaterThan(0))
    .annotate({ description: "Standard deviation of the pixels" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(0.5))),
  memory: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65536 }))
    .annotate({
      description: "Megabytes of images to keep in memory; if there are more, files are read again for every batch",
      ...OptionKind.performance
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1024))),
  broken: brokenOption(
    "What happens if an image cannot be read. fail: the run ends; skip: it is reported and replaced (beyond `memory`, an image to verify ends the run)"
  ),
  check: checkOption(
    "Beyond `memory`: search for broken images at the start. headers: both ends of every file; decode: also decode the images to verify"
  ),
  ...workerOptions
})
/** Options of the dataflow `face-folder`. */
export type Options = typeof Options.Type

/** Fails with what is wrong with a file or folder. */
export const fail = (file: string, reason: string) => Effect.fail(new DatasetError({ dataset: name, file, reason }))
