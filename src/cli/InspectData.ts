/** `osnas inspect-data`: examines the images that a configuration's dataflow reads. */
import { existsSync, statSync } from "node:fs"
import * as fs from "node:fs/promises"
import { dirname, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import { Dataflow, type DataflowShape } from "../dataflow/Dataflow.ts"
import * as Inspection from "../dataflow/Inspection.ts"
import * as DataSummary from "../report/DataSummary.ts"
import { grouped } from "../report/Format.ts"
import * as Load from "../run/Load.ts"
import * as RunLayers from "../run/RunLayers.ts"
import type { Input } from "./commands/InspectData.ts"
import { UsageError } from "./Exit.ts"
import * as WorkProgress from "./WorkProgress.ts"

/** Images read by default if each is a file to decode. */
const defaultSample = 2000
/** Images read at most if they are in memory. */
const mostInMemory = 200_000

/** What the command found. */
export interface Found {
  readonly summary: DataSummary.DataSummary
  readonly sampled: Inspection.Sampled | undefined
  readonly duplicates: Inspection.Duplicates | undefined
  /** Figures of normalised pixels, for a dataflow without an inventory. */
  readonly normalised: Inspection.PixelFigures | undefined
  readonly speed: Inspection.Speed | undefined
  /** Signs that the splits are wrong. */
  readonly warnings: ReadonlyArray<string>
}

/** Examines a dataflow; `batchSize` is that of supernet training. */
export const inspect = Effect.fn("InspectData.inspect")(function* (
  flow: DataflowShape,
  batchSize: number,
  sample: number | undefined,
  report: Inspection.Report
) {
  const { inventory } = flow
  let summary = DataSummary.of(flow)
  let normalised: Inspection.PixelFigures | undefined
  if (inventory === undefined) {
    const limit = sample ?? defaultSample
    for (const split of ["train", "test"] as const) {
      const seen = yield* Inspection.throughBatches(flow, split, limit, report)
      if (split === "train") normalised = seen.normalised
      // Counts of only some of the images would be wrong for the split.
      if (seen.images < flow.count(split)) continue
      summary = {
        ...summary,
        splits: { ...summary.splits, [split]: { images: seen.images, perClass: seen.perClass } }
      }
    }
  }
  const limit = sample ?? (inventory?.file === undefined ? mostInMemory : defaultSample)
  const sampled = inventory === undefined ? undefined : yield* Inspection.sampled(flow, inventory, limit, report)
  const duplicates = inventory === undefined ? undefined : yield* Inspection.duplicates(flow, inventory, report)
  const found: Found = {
    summary,
    sampled,
    duplicates,
    normalised,
    speed: yield* Inspection.speed(flow, batchSize),
    warnings: Inspection.warnings(flow, duplicates)
  }
  return found
})

const count = (value: number): string => grouped(String(value))
const list = (counted: ReadonlyArray<Inspection.Counted>, most: number): string =>
  counted
    .slice(0, most)
    .map((entry) => `${entry.value} (${count(entry.count)})`)
    .join(", ") + (counted.length > most ? `, and ${count(counted.length - most)} more` : "")
const numbers = (values: ReadonlyArray<number>): string => values.map((value) => value.toFixed(4)).join(" ")

/** Names an image by its file, or by its position and class. */
const nameOf = (flow: DataflowShape, { at, split }: Inspection.Place): string => {
  const { inventory } = flow
  const file = inventory?.file?.(split, at)
  if (file !== undefined) return file
  const label = inventory?.labels(split)[at]
  const names = split === "test" ? (flow.verification?.identities ?? flow.classes) : flow.classes
  return `${split} image ${at}${label === undefined ? "" : ` (${names[label]})`}`
}

const pixelWords = ({ normalised, sampled, summary }: Found): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const pixels = sampled?.pixels
  if (pixels !== undefined) {
    lines.push(
      `Pixels, from 0 to 1, of ${count(pixels.images)} training images (every image has the same weight)`,
      `  measured    mean ${numbers(pixels.mean)}  deviation ${numbers(pixels.std)}`
    )
    if (summary.mean !== null && summary.std !== null) {
      lines.push(`  configured  mean ${numbers(summary.mean)}  deviation ${numbers(summary.std)}`)
      const { mean, std } = summary
      // Mean and deviation of one half map pixels to -1 to 1: a deliberate choice.
      const isChoice = [...mean, ...std].every((value) => value === 0.5)
      const isFar = pixels.mean.some((value, c) => {
        const ratio = pixels.std[c]! / std[c]!
        return Math.abs(value - mean[c]!) > 0.5 * std[c]! || ratio > 2 || ratio < 0.5
      })
      if (isFar && !isChoice) {
        lines.push("  They are far apart: consider using the measured ones as dataflow.mean and dataflow.std.")
      }
    }
  }
  if (normalised !== undefined) {
    lines.push(
      `Normalised pixels of ${count(normalised.images)} training images`,
      `  mean ${numbers(normalised.mean)}  deviation ${numbers(normalised.std)} (0 and 1 are usual)`
    )
  }
  return lines
}

/** The findings as text. */
export const text = (flow: DataflowShape, found: Found, width: number): string => {
  const { duplicates, sampled, speed, summary, warnings } = found
  const out: Array<string> = [DataSummary.text(summary)]
  if (warnings.length > 0) out.push(warnings.map((warning) => `warning: ${warning}`).join("\n"))
  const training = DataSummary.bars(summary, "train", width)
  if (training !== "")
    out.push(`Training images per ${summary.verification === null ? "class" : "person"}\n${training}`)
  const test = DataSummary.bars(summary, "test", width)
  if (test !== "") out.push(`Test images per ${summary.verification === null ? "class" : "person"}\n${test}`)
  if (sampled !== undefined) {
    const [widths, heights] = [sampled.widths, sampled.heights]
    const lines = [
      `Images, ${count(sampled.images)} of ${count(sampled.of)}`,
      `  formats  ${list(sampled.formats, 12)}`,
      `  sizes    ${list(sampled.sizes, 5)}`
    ]
    if (sampled.sizes.length > 1) {
      lines.push(`           width ${widths.join(", ")} and height ${heights.join(", ")} (least, median, most)`)
    }
    lines.push(
      sampled.broken.length === 0
        ? "  broken   none"
        : `  broken   ${count(sampled.broken.length)}; a run with \`broken: fail\` stops at them`
    )
    for (const { file, reason } of sampled.broken.slice(0, 10)) lines.push(`           ${file}: ${reason}`)
    out.push(lines.join("\n"))
  }
  const pixels = pixelWords(found)
  if (pixels.length > 0) out.push(pixels.join("\n"))
  if (duplicates !== undefined) {
    const { across, compared, examples, of, withinTest, withinTrain } = duplicates
    const lines = [
      `Duplicates, by the ${duplicates.by === "files" ? "bytes of the files" : "pixels"}${compared < of ? `, of ${count(compared)} of ${count(of)} images` : ""}`,
      `  ${count(across)} test images are also in training; ${count(withinTrain)} repeat another training image, ${count(withinTest)} another test image`
    ]
    for (const { first, second } of examples) lines.push(`  ${nameOf(flow, first)} = ${nameOf(flow, second)}`)
    out.push(lines.join("\n"))
  }
  out.push(
    speed === undefined
      ? `Speed\n  the supernet split has no full batch`
      : `Speed\n  ${
          speed.seconds > 0
            ? `${(speed.batches / speed.seconds).toFixed(1)} training batches of ${speed.batchSize} per second, ${count(Math.round((speed.batches * speed.batchSize) / speed.seconds))} images`
            : `${speed.batches} training batches of ${speed.batchSize} in less time than can be measured`
        }`
  )
  return out.join("\n\n")
}

/** A sheet as a PPM file, which needs no library. */
const ppm = ({ height, pixels, width }: Inspection.Sheet): Uint8Array =>
  Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels])

/** Writes a contact sheet as PNG, or as PPM if sharp is missing. Returns the file, and a remark on its format. */
export const writeSheet = (
  file: string,
  sheet: Inspection.Sheet
): Effect.Effect<{ readonly file: string; readonly remark: string }, UsageError> =>
  Effect.tryPromise({
    try: async () => {
      const sharp = await import("sharp").then(
        (module) => module.default,
        () => undefined
      )
      if (sharp === undefined) {
        const other = file.replace(/\.png$/i, "").concat(".ppm")
        await fs.writeFile(other, ppm(sheet))
        return { file: other, remark: " (PPM: the optional package sharp, which writes PNG, is missing)" }
      }
      const raw = { width: sheet.width, height: sheet.height, channels: 3 as const }
      await fs.writeFile(file, await sharp(sheet.pixels, { raw }).png().toBuffer())
      return { file, remark: "" }
    },
    catch: (cause) =>
      new UsageError({
        reason: `--sheet ${file}: cannot be written: ${cause instanceof Error ? cause.message : cause}`
      })
  })

/** The file of the sheet; undefined: none. Fails before any image is read. */
const sheetFile = Effect.fnUntraced(function* (input: Input, name: string) {
  if (input.noSheet) {
    if (Option.isSome(input.sheet)) return yield* new UsageError({ reason: "give --sheet or --no-sheet, not both" })
    return undefined
  }
  const safe = name.replaceAll(/[^\w.-]+/g, "-") || "run"
  const file = Option.getOrElse(input.sheet, () => `${safe}-data-sheet.png`)
  const folder = dirname(resolve(file))
  if (!existsSync(folder))
    return yield* new UsageError({ reason: `--sheet ${file}: the folder ${folder} does not exist` })
  if (statSync(resolve(file), { throwIfNoEntry: false })?.isDirectory() === true) {
    return yield* new UsageError({ reason: `--sheet ${file}: this is a folder; name a file` })
  }
  return file
})

/** Runs the command. */
export const run = Effect.fn("InspectData.run")(function* (input: Input) {
  const asWritten = yield* Load.file(input.config, { set: input.set })
  // All broken files are reported, instead of failing at the first.
  const mayBreak = "broken" in asWritten.components.dataflow.options
  const loaded = mayBreak
    ? yield* Load.file(input.config, { set: input.set, flags: [[["dataflow", "broken"], "skip", "inspect-data"]] })
    : asWritten
  const batchSize = (loaded.config.supernetTraining ?? loaded.config.retraining)?.batchSize ?? 64
  const file = yield* sheetFile(input, loaded.config.name)
  const program = Effect.gen(function* () {
    const flow = yield* Dataflow
    const { clear, report } = yield* WorkProgress.make
    const found = yield* Effect.ensuring(
      inspect(flow, batchSize, Option.getOrUndefined(input.sample), report),
      Effect.sync(clear)
    )
    const sheet = file === undefined ? undefined : yield* Inspection.sheet(flow, batchSize)
    const written = file === undefined || sheet === undefined ? undefined : yield* writeSheet(file, sheet)
    if (input.json) {
      const { duplicates, summary, ...rest } = found
      // The sizes of all files would be most of the output.
      const files =
        summary.files === null
          ? null
          : Object.fromEntries(
              Object.entries(summary.files).map(([folder, held]) => [folder, { ...held, sizes: null }])
            )
      const examples = duplicates?.examples.map(({ first, second }) => [nameOf(flow, first), nameOf(flow, second)])
      return yield* Console.log(
        JSON.stringify({
          summary: { ...summary, files },
          ...rest,
          ...(duplicates === undefined ? {} : { duplicates: { ...duplicates, examples } }),
          sheet: written?.file ?? null
        })
      )
    }
    yield* Console.log(text(flow, found, Math.min(process.stdout.columns ?? 100, 120)))
    if (written !== undefined && sheet !== undefined) {
      yield* Console.log(
        `\nContact sheet: ${written.file}${written.remark}\n  augmented training images, one row per class: ${sheet.rows.join(", ")}`
      )
    }
  })
  const layer = Layer.provide(loaded.components.dataflow.layer, RunLayers.runKey(loaded.config))
  return yield* Effect.scoped(Effect.provide(program, layer)).pipe(Effect.provideService(Logger.LogToStderr, true))
})
