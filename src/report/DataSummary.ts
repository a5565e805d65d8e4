/**
 * What a run's data are, as plain data: classes, images of each per split, normalisation, what was left out, and the files
 * with their sizes. Made from a dataflow in milliseconds, written into a run's folder as `data.json`, shown by
 * `osnas inspect-data` and by the report.
 */
import { createHash } from "node:crypto"
import { posix, sep } from "node:path"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { DataflowShape, Split } from "../dataflow/Dataflow.ts"
import * as Median from "../support/Median.ts"
import { escapeText } from "./Drawing.ts"
import { grouped } from "./Format.ts"
import * as TextTable from "./TextTable.ts"

const SplitSummary = Schema.Struct({
  images: Schema.Int,
  /** Images per class; null: the dataflow does not report them. */
  perClass: Schema.NullOr(Schema.Array(Schema.Int))
})

const FolderFiles = Schema.Struct({
  files: Schema.Int,
  /** SHA-256 over the names and sizes of its files. */
  digest: Schema.String,
  /** Sizes in bytes by name; null for a dataset of more than 20,000 files. */
  sizes: Schema.NullOr(Schema.Record(Schema.String, Schema.Int))
})

/** The Schema of `data.json`. */
export const DataSummary = Schema.Struct({
  format: Schema.Literals(["osnas-data-1"]),
  name: Schema.String,
  place: Schema.NullOr(Schema.String),
  digest: Schema.String,
  /** Height, width and channels of an image in a batch. */
  image: Schema.Array(Schema.Int),
  classes: Schema.Array(Schema.String),
  /** Names of the labels of the test split if they differ from the classes, and the number of pairs to verify. */
  verification: Schema.NullOr(Schema.Struct({ identities: Schema.Array(Schema.String), pairs: Schema.Int })),
  splits: Schema.Struct({
    supernet: SplitSummary,
    validation: SplitSummary,
    train: SplitSummary,
    test: SplitSummary
  }),
  mean: Schema.NullOr(Schema.Array(Schema.Finite)),
  std: Schema.NullOr(Schema.Array(Schema.Finite)),
  notices: Schema.Array(Schema.String),
  skipped: Schema.Array(Schema.Struct({ kind: Schema.String, count: Schema.Int, names: Schema.Array(Schema.String) })),
  /** Files by folder; null if the images are not separate files. */
  files: Schema.NullOr(Schema.Record(Schema.String, FolderFiles))
})
/** The data of a run. */
export type DataSummary = typeof DataSummary.Type

/** The splits, in the order shown. */
export const splits: ReadonlyArray<Split> = ["supernet", "validation", "train", "test"]

/** If there are more files, only digests of their folders are kept. */
const mostFiles = 20_000

const filesOf = (listing: ReadonlyArray<readonly [path: string, size: number]>): NonNullable<DataSummary["files"]> => {
  const folders = new Map<string, Array<readonly [name: string, size: number]>>()
  for (const [path, size] of listing) {
    const written = sep === "/" ? path : path.replaceAll(sep, "/")
    const folder = posix.dirname(written)
    const entry = [posix.basename(written), size] as const
    const entries = folders.get(folder)
    if (entries === undefined) folders.set(folder, [entry])
    else entries.push(entry)
  }
  return Object.fromEntries(
    [...folders].map(([folder, entries]) => [
      folder,
      {
        files: entries.length,
        digest: createHash("sha256")
          .update(entries.map(([name, size]) => `${name}\t${size}\n`).join(""))
          .digest("hex"),
        sizes: listing.length > mostFiles ? null : Object.fromEntries(entries)
      }
    ])
  )
}

/**
 * The summary of a dataflow. Reads no image.
 *
 * **Example** (A flow that says nothing but the contract)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as DataSummary from "./DataSummary.ts"
 *
 * const summary = DataSummary.of({
 *   name: "noise",
 *   image: [8, 8, 1],
 *   classes: ["a", "b"],
 *   count: () => 100,
 *   steps: () => 3,
 *   batch: () => Effect.succeed({ images: new Float32Array(0), labels: new Int32Array(0), size: 0 }),
 *   digest: "none"
 * })
 * summary.splits.test // => { images: 100, perClass: null }
 * DataSummary.decode(DataSummary.encode(summary)) // => summary
 * ```
 */
export const of = (flow: DataflowShape): DataSummary => {
  const { inventory, verification } = flow
  const split = (name: Split) => {
    if (inventory === undefined) return { images: flow.count(name), perClass: null }
    const names = name === "test" ? (verification?.identities ?? flow.classes) : flow.classes
    const perClass = names.map(() => 0)
    for (const label of inventory.labels(name)) perClass[label]! += 1
    return { images: flow.count(name), perClass }
  }
  return {
    format: "osnas-data-1",
    name: flow.name,
    place: inventory?.place ?? null,
    digest: flow.digest,
    image: [...flow.image],
    classes: [...flow.classes],
    verification:
      verification === undefined
        ? null
        : { identities: [...verification.identities], pairs: verification.pairs.length },
    splits: {
      supernet: split("supernet"),
      validation: split("validation"),
      train: split("train"),
      test: split("test")
    },
    mean: inventory === undefined ? null : [...inventory.mean],
    std: inventory === undefined ? null : [...inventory.std],
    notices: [...(flow.notices ?? [])],
    skipped: inventory === undefined ? [] : inventory.skipped.map((entry) => ({ ...entry, names: [...entry.names] })),
    files: inventory?.listing === undefined ? null : filesOf(inventory.listing)
  }
}

/** The text of `data.json`, one line per key. */
export const encode = (summary: DataSummary): string =>
  `{\n${Object.entries(summary)
    .map(([key, value]) => ` ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(",\n")}\n}\n`

const decodeText = Schema.decodeUnknownOption(Schema.fromJsonString(DataSummary))

/** Reads the text of `data.json`; undefined if it is damaged or of another version. */
export const decode = (text: string): DataSummary | undefined => Option.getOrUndefined(decodeText(text))

/** Most differences that are listed. */
const mostNamed = 5

/**
 * How the files of two summaries differ, one sentence each: for a run that does not resume because its data changed.
 * Empty if they are the same, or if one has no separate files.
 *
 * **Example** (A changed file)
 *
 * ```ts
 * import * as DataSummary from "./DataSummary.ts"
 *
 * const files = (size: number) => ({ "val/cat": { files: 1, digest: String(size), sizes: { "3.png": size } } })
 * DataSummary.differences(files(20), files(1800)) // => ["val/cat/3.png has 1,800 bytes, had 20"]
 * ```
 */
export const differences = (before: DataSummary["files"], now: DataSummary["files"]): ReadonlyArray<string> => {
  if (before === null || now === null) return []
  const all: Array<string> = []
  const count = (files: number) => `${grouped(String(files))} ${files === 1 ? "file" : "files"}`
  for (const folder of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [old, young] = [before[folder], now[folder]]
    if (old === undefined) all.push(`${folder} is new, with ${count(young!.files)}`)
    else if (young === undefined) all.push(`${folder} is gone, it had ${count(old.files)}`)
    else if (old.digest !== young.digest) {
      if (old.sizes === null || young.sizes === null) {
        all.push(`${folder} has ${count(young.files)} of other names or sizes, had ${grouped(String(old.files))}`)
        continue
      }
      for (const name of new Set([...Object.keys(old.sizes), ...Object.keys(young.sizes)])) {
        const [had, has] = [old.sizes[name], young.sizes[name]]
        if (had === has) continue
        all.push(
          has === undefined
            ? `${folder}/${name} is gone`
            : had === undefined
              ? `${folder}/${name} is new`
              : `${folder}/${name} has ${grouped(String(has))} bytes, had ${grouped(String(had))}`
        )
      }
    }
  }
  return all.length <= mostNamed ? all : [...all.slice(0, mostNamed), `and ${all.length - mostNamed} more`]
}

const perClassWords = (perClass: ReadonlyArray<number> | null): string => {
  if (perClass === null || perClass.length === 0) return ""
  const [least, median, most] = Median.range(perClass)
  return least === most ? `${least} of each` : `${least} to ${most} of each, median ${median}`
}

const shortName = (name: string, most = 24): string => (name.length > most ? `${name.slice(0, most - 1)}…` : name)

/** The names of the labels of a split. */
const namesOf = (summary: DataSummary, split: Split): ReadonlyArray<string> =>
  split === "test" ? (summary.verification?.identities ?? summary.classes) : summary.classes

const rows = (entries: ReadonlyArray<readonly [key: string, value: string]>): string =>
  TextTable.format(entries, { align: ["left", "left"], indent: 2 })

const numbers = (values: ReadonlyArray<number>): string => values.map((value) => value.toFixed(4)).join(" ")

/** The summary as a text table. */
export const text = (summary: DataSummary): string => {
  const [height = 0, width = 0, channels = 0] = summary.image
  const kinds = summary.verification === null ? "classes" : "people to train on"
  return rows([
    ["data", summary.place === null ? summary.name : `${summary.name}, ${summary.place}`],
    ["image", `${height} x ${width}, ${channels} ${channels === 1 ? "channel" : "channels"}`],
    [
      "classes",
      `${summary.classes.length} ${kinds}${
        summary.verification === null
          ? ""
          : `, ${summary.verification.identities.length} to verify in ${grouped(String(summary.verification.pairs))} pairs`
      }`
    ],
    ...splits.map((split): readonly [string, string] => {
      const { images, perClass } = summary.splits[split]
      const words = perClassWords(perClass)
      return [split, `${grouped(String(images))} images${words === "" ? "" : `: ${words}`}`]
    }),
    ...(summary.mean === null || summary.std === null
      ? []
      : [["normalised", `mean ${numbers(summary.mean)}, deviation ${numbers(summary.std)}`] as const]),
    ["digest", summary.digest.slice(0, 16)],
    ...summary.notices.map((notice): readonly [string, string] => ["notice", notice])
  ])
}

/** Most classes in a text drawing. */
const mostLines = 30

/** Bars of the images per class, one line each; of many classes only those with the least and the most images. */
export const bars = (summary: DataSummary, split: Split, width = 80): string => {
  const { perClass } = summary.splits[split]
  // Equal counts need no drawing.
  if (perClass === null || new Set(perClass).size < 2) return ""
  const names = namesOf(summary, split)
  const order = [...perClass.keys()]
  const byCount = [...order].sort((a, b) => perClass[b]! - perClass[a]! || a - b)
  const half = mostLines >> 1
  const shown = order.length <= mostLines ? order : [...byCount.slice(0, half), -1, ...byCount.slice(-half)]
  const most = Math.max(...perClass, 1)
  const longest = Math.max(...shown.map((at) => (at < 0 ? 0 : shortName(names[at]!).length)))
  const room = Math.max(10, width - longest - 14)
  return shown
    .map((at) => {
      if (at < 0) return `  … ${order.length - 2 * half} classes between`
      const count = perClass[at]!
      const filled = "█".repeat(Math.max(count > 0 ? 1 : 0, Math.round((room * count) / most)))
      return `  ${shortName(names[at]!).padEnd(longest)}  ${grouped(String(count)).padStart(7)}  ${filled}`
    })
    .join("\n")
}

const chart = { width: 1040, height: 170, labels: 78, left: 62 } as const

/** Columns of the images per class as SVG: supernet and validation stacked, test next to them. */
export const columnsSvg = (summary: DataSummary): string => {
  const { supernet, test, validation } = summary.splits
  if (supernet.perClass === null || validation.perClass === null || test.perClass === null) return ""
  const own = summary.verification === null
  const totals = supernet.perClass.map((count, at) => count + validation.perClass![at]!)
  // Many classes leave no room for names: sort them by size instead.
  const hasNames = totals.length <= 60
  const order = [...totals.keys()]
  if (!hasNames) order.sort((a, b) => totals[b]! - totals[a]! || a - b)
  const most = Math.max(...totals, ...(own ? test.perClass : []), 1)
  const step = (chart.width - chart.left) / Math.max(order.length, 1)
  const gap = step > 6 ? step * 0.2 : 0
  const share = own ? (step - gap) * 0.62 : step - gap
  const scaled = (count: number): number => (count / most) * (chart.height - 12)
  const fixed = (value: number): string => value.toFixed(1)
  const column = (x: number, from: number, count: number, width: number, colour: string, title: string): string =>
    count === 0
      ? ""
      : `<rect x="${fixed(x)}" y="${fixed(chart.height - scaled(from + count))}" width="${fixed(Math.max(width, 0.5))}" height="${fixed(scaled(count))}" fill="${colour}"><title>${escapeText(title)}</title></rect>`
  /** One outline over all classes, if their columns would be too narrow. */
  const outline = (of: (at: number) => number, colour: string): string => {
    const along = order.map((at) => `V${fixed(chart.height - scaled(of(at)))}h${step.toFixed(3)}`)
    return `<path d="M${chart.left} ${chart.height}${along.join("")}V${chart.height}Z" fill="${colour}"/>`
  }
  const columns = order.map((at, place) => {
    const x = chart.left + place * step + gap / 2
    const name = summary.classes[at]!
    const [first, second, third] = [supernet.perClass![at]!, validation.perClass![at]!, test.perClass![at] ?? 0]
    return (
      column(x, 0, first, share, "var(--c1)", `${name}: supernet ${first}`) +
      column(x, first, second, share, "var(--c3)", `${name}: validation ${second}`) +
      (own ? column(x + share, 0, third, step - gap - share, "var(--c4)", `${name}: test ${third}`) : "") +
      (hasNames
        ? `<text class="axis" text-anchor="end" transform="translate(${fixed(x + (step - gap) / 2 + 4)},${chart.height + 12}) rotate(-45)">${escapeText(shortName(name, 15))}</text>`
        : "")
    )
  })
  const drawn = hasNames
    ? columns
    : [
        outline((at) => totals[at]!, "var(--c3)"),
        outline((at) => supernet.perClass![at]!, "var(--c1)"),
        ...(own ? [outline((at) => test.perClass![at] ?? 0, "var(--c4)")] : [])
      ]
  const ticks = [0, 0.5, 1].map((part) => {
    const value = Math.round(most * part)
    const y = chart.height - scaled(value)
    return `<line x1="${chart.left}" x2="${chart.width}" y1="${fixed(y)}" y2="${fixed(y)}" stroke="var(--grid)"/><text class="axis" x="${chart.left - 6}" y="${fixed(y + 4)}" text-anchor="end">${grouped(String(value))}</text>`
  })
  const height = chart.height + (hasNames ? chart.labels : 6)
  return `<svg role="img" aria-label="images per class" class="drawing" viewBox="0 0 ${chart.width} ${height}" width="${chart.width}" height="${height}">${ticks.join("")}${drawn.join("")}</svg>`
}

/** The summary as the content of a card of the report page. */
export const html = (summary: DataSummary): string => {
  const cells = splits.map((split) => {
    const { images, perClass } = summary.splits[split]
    return `<tr><td>${split}</td><td class="n">${grouped(String(images))}</td><td>${escapeText(perClassWords(perClass))}</td></tr>`
  })
  const svg = columnsSvg(summary)
  const key = [
    ["var(--c1)", "supernet"],
    ["var(--c3)", "validation"],
    ...(summary.verification === null ? [["var(--c4)", "test"] as const] : [])
  ]
  const legend =
    svg === ""
      ? ""
      : `<ul class="legend">${key.map(([colour, label]) => `<li><i style="background:${colour}"></i>${label}</li>`).join("")}</ul>`
  const normalised =
    summary.mean === null || summary.std === null
      ? ""
      : `<p class="sub" style="margin:10px 0 0">Normalised by mean ${numbers(summary.mean)} and deviation ${numbers(summary.std)}; digest ${escapeText(summary.digest.slice(0, 16))}</p>`
  const notices =
    summary.notices.length === 0
      ? ""
      : `<ul class="sub" style="margin:10px 0 0;padding-left:18px">${summary.notices.map((notice) => `<li>${escapeText(notice)}</li>`).join("")}</ul>`
  return `<div class="scroll"><table><tr><th>split</th><th class="n">images</th><th>per class</th></tr>${cells.join("")}</table></div>${
    svg === "" ? "" : `<div class="scroll">${svg}</div>${legend}`
  }${normalised}${notices}`
}

/** One line for the head of a card. */
export const line = (summary: DataSummary): string => {
  const [height = 0, width = 0, channels = 0] = summary.image
  const who =
    summary.verification === null
      ? `${summary.classes.length} classes`
      : `${summary.classes.length} people to train on, ${summary.verification.identities.length} to verify in ${grouped(String(summary.verification.pairs))} pairs`
  return `${summary.name}, ${who}, ${height} x ${width} x ${channels}`
}
