/** Flags of `osnas import-weights` and `osnas export-weights`. */
import * as Flag from "effect/cli/Flag"
import * as Flags from "../Flags.ts"

/** All flags except the file and its space. */
export const weightFlags = {
  arch: Flag.String("arch").pipe(
    Flag.withMetavar("A,B,..."),
    Flag.withDescription(
      "The network of one architecture: one digit per layer, or the name of one published in the space"
    ),
    Flag.optional
  ),
  supernet: Flags.given("supernet", "The whole supernet, all options of every layer"),
  size: Flags.size(
    "Side of the images; only the weights of MobileFaceNet depend on it. Default 32, for MobileFaceNet 112"
  ).pipe(Flag.optional),
  channels: Flags.channels("Channels of the images; default: those of the first convolution in the file").pipe(
    Flag.optional
  ),
  classes: Flags.classes("Classes, or length of the embedding; default: as in the file").pipe(Flag.optional),
  set: Flags.set("An option of the space (repeatable)"),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("The .safetensors file to write")
  ),
  force: Flags.force("Overwrite an existing file"),
  json: Flags.json("Print JSON")
}
