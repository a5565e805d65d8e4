/**
 * Compares runs: groups those that differ only in their seed, averages their results, and warns of everything that makes the
 * comparison unfair. Plain data and pure functions.
 */
import { basename } from "node:path"
import type * as Schema from "effect/Schema"
import type { OptionKinds } from "../component/OptionKind.ts"
import * as Identity from "../run/Identity.ts"
import type { RunConfig } from "../run/RunConfig.ts"
import { escapeText } from "./Drawing.ts"
import { duration, grouped, metric, si } from "./Format.ts"
import { page } from "./Html.ts"
import type { ReportData } from "./ReportData.ts"
import * as TextTable from "./TextTable.ts"

/** What a comparison needs of a run. */
export interface ComparedRun {
  readonly folder: string
  readonly name: string
  readonly status: ReportData["status"]
  readonly seed: number
  readonly space: { readonly name: string; readonly size: string }
  readonly architecture: string | undefined
  /** Multiply-accumulates and parameters of the found network. */
  readonly flops: number | undefined
  readonly params: number | undefined
  /** The task's first metric, and its value on the test split; undefined if the run has not been evaluated. */
  readonly headline: string
  readonly score: number | undefined
  /** Duration of supernet training and search; 0 if both were skipped. */
  readonly searchSeconds: number
  /** Everything except the seed that decides the result, as canonical JSON by path. */
  readonly settings: ReadonlyMap<string, string>
  /** The machine that the times were measured on. */
  readonly machine: string
}

const secondsOf = (data: ReportData, wanted: ReadonlyArray<string>): number =>
  data.phases.reduce((sum, { phase, seconds }) => sum + (wanted.includes(phase) ? seconds : 0), 0)

/** A run for a comparison. `identity` is that of its manifest, which has the digest of its data. */
export const comparedRun = (
  folder: string,
  data: ReportData,
  { config, kinds }: { readonly config: RunConfig; readonly kinds: OptionKinds },
  identity: Readonly<Record<string, Schema.Json>>
): ComparedRun => {
  const { seed: _, ...rest } = Identity.ofConfig(config, kinds) as Readonly<Record<string, Schema.Json>>
  const { dataset = null, engine = null } = identity
  const notes = new Map(data.manifest)
  return {
    folder,
    name: data.name,
    status: data.status,
    seed: data.seed,
    space: data.space,
    architecture: data.found?.text,
    flops: data.found?.macs,
    params: data.found?.params,
    headline: data.headline,
    score: data.test?.[data.headline],
    searchSeconds: secondsOf(data, ["supernetTraining", "searching"]),
    settings: Identity.flatten({ ...rest, start: { ...config.start }, dataset, engine }),
    machine: [notes.get("processor"), notes.get("threads")].map((part) => part ?? "?").join(", threads ")
  }
}

/** Mean and sample deviation (n - 1); the deviation is null for a single value. */
export interface Statistic {
  readonly mean: number
  readonly deviation: number | null
  readonly count: number
}

/**
 * The statistic of values; null if there are none.
 *
 * **Example** (Three seeds)
 *
 * ```ts
 * import { statistic } from "./Comparison.ts"
 *
 * statistic([1, 2, 3]) // => { mean: 2, deviation: 1, count: 3 }
 * ```
 */
export const statistic = (values: ReadonlyArray<number | undefined>): Statistic | null => {
  const known = values.filter((value): value is number => value !== undefined && Number.isFinite(value))
  if (known.length === 0) return null
  const mean = known.reduce((a, b) => a + b, 0) / known.length
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const deviation = known.length < 2 ? null : Math.sqrt(squares / (known.length - 1))
  return { mean, deviation, count: known.length }
}

/** Runs that differ only in their seed. */
export interface Group {
  readonly label: string
  readonly runs: ReadonlyArray<ComparedRun>
  readonly space: ComparedRun["space"]
  readonly flops: Statistic | null
  readonly params: Statistic | null
  readonly score: Statistic | null
  readonly searchSeconds: Statistic | null
}

/** Groups of runs, and what differs between them. */
export interface Comparison {
  readonly headline: string
  readonly groups: ReadonlyArray<Group>
  /** Settings that differ on purpose: what is compared. */
  readonly compared: ReadonlyArray<string>
  /** What makes the comparison unfair, one sentence each. */
  readonly warnings: ReadonlyArray<string>
}

/** Settings that must be equal for a fair comparison. */
const protocol =
  /^(dataflow|dataset|budget|supernetTraining|retraining|evaluation|trainingAgent|engine|start)\.|^searchStrategy\.evaluations$/

const short = (text: string): string => (text.length > 40 ? `${text.slice(0, 18)}…` : text)

/** The label of a group: the name of its runs if they share one, else the common beginning of their names. */
const labelOf = (runs: ReadonlyArray<ComparedRun>): string => {
  const names = [...new Set(runs.map(({ name }) => name))]
  if (names.length === 1) return names[0]!
  let shared = names[0]!
  for (const name of names) while (!name.startsWith(shared)) shared = shared.slice(0, -1)
  const trimmed = shared.replace(/[-_. ]+$/, "")
  return trimmed === "" ? names.join(", ") : trimmed
}

const differing = (all: ReadonlyArray<ReadonlyArray<ComparedRun>>): ReadonlyArray<string> => {
  const keys = new Set(all.flatMap(([run]) => [...run!.settings.keys()]))
  return [...keys].sort().filter((key) => new Set(all.map(([run]) => run!.settings.get(key))).size > 1)
}

const [digestKey, listingKey] = ["dataset.digest", "dataset.listing"]

/**
 * Runs with comparable digests of their data: a run that only listed its files has the digest of one that read files of the
 * same paths and sizes.
 */
const withComparableData = (runs: ReadonlyArray<ComparedRun>): ReadonlyArray<ComparedRun> => {
  const read = new Map<string, string>()
  for (const { settings } of runs) {
    const [digest, listing] = [settings.get(digestKey), settings.get(listingKey)]
    if (digest !== undefined && listing !== undefined && digest !== listing && !read.has(listing)) {
      read.set(listing, digest)
    }
  }
  return runs.map((run) => {
    const settings = new Map(run.settings)
    const listing = settings.get(listingKey)
    settings.delete(listingKey)
    const known = listing !== undefined && listing === settings.get(digestKey) ? read.get(listing) : undefined
    if (known !== undefined) settings.set(digestKey, known)
    return { ...run, settings }
  })
}

/** Compares runs, in the order given. */
export const compare = (given: ReadonlyArray<ComparedRun>): Comparison => {
  const runs = withComparableData(given)
  const byKind = new Map<string, Array<ComparedRun>>()
  for (const run of runs) {
    const kind = JSON.stringify([...run.settings].sort(([a], [b]) => (a < b ? -1 : 1)))
    const known = byKind.get(kind)
    if (known === undefined) byKind.set(kind, [run])
    else known.push(run)
  }
  const kinds = [...byKind.values()]
  const differences = differing(kinds)
  const labels = kinds.map(labelOf)
  const groups = kinds.map((own, at): Group => {
    // Groups of the same name are distinguished by their folders.
    const isAlone = labels.filter((label) => label === labels[at]).length === 1
    const apart = labelOf(own.map((run) => ({ ...run, name: basename(run.folder) })))
    return {
      label: isAlone ? labels[at]! : `${labels[at]} (${apart})`,
      runs: own,
      space: own[0]!.space,
      flops: statistic(own.map(({ flops }) => flops)),
      params: statistic(own.map(({ params }) => params)),
      score: statistic(own.map(({ score }) => score)),
      searchSeconds: statistic(own.map(({ searchSeconds }) => (searchSeconds > 0 ? searchSeconds : undefined)))
    }
  })

  const warnings: Array<string> = []
  const headlines = [...new Set(runs.map(({ headline }) => headline))]
  if (headlines.length > 1) warnings.push(`different tasks: ${headlines.join(" and ")} cannot be compared`)
  for (const key of differences.filter((one) => protocol.test(one))) {
    const byValue = new Map<string, Array<string>>()
    for (const {
      label,
      runs: [first]
    } of groups) {
      const value = short(first!.settings.get(key) ?? "nothing")
      byValue.set(value, [...(byValue.get(value) ?? []), label])
    }
    const values = [...byValue].map(([value, own]) => `${value} for ${own.join(", ")}`)
    const what = key === digestKey ? "the data differ" : `the protocol differs in ${key}`
    warnings.push(`${what}: ${values.join("; ")}`)
  }
  const seedsOf = (group: Group) => [...new Set(group.runs.map(({ seed }) => seed))].sort((a, b) => a - b).join(", ")
  if (new Set(groups.map(seedsOf)).size > 1) {
    warnings.push(`different seeds: ${groups.map((group) => `${seedsOf(group)} (${group.label})`).join("; ")}`)
  }
  for (const { label, runs: own } of groups) {
    const twice = own.filter((run, at) => own.findIndex(({ seed }) => seed === run.seed) < at)
    for (const { folder, seed } of twice)
      warnings.push(`${label}: seed ${seed} twice, again in ${folder}; it counts twice`)
  }
  for (const { folder, score, status } of runs) {
    if (score === undefined) warnings.push(`${folder} has no test result (${status}); it is not in the mean`)
  }
  const machines = [...new Set(runs.map(({ machine }) => machine))]
  if (machines.length > 1) warnings.push(`times come from different machines: ${machines.join("; ")}`)
  return {
    headline: headlines[0] ?? "top1",
    groups,
    compared: differences.filter((key) => !protocol.test(key)),
    warnings
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Tables

/** A statistic as text: mean ± deviation, the mean alone for one value, empty for none. */
export const statisticText = (value: Statistic | null, show: (value: number) => string): string =>
  value === null ? "" : value.deviation === null ? show(value.mean) : `${show(value.mean)} ± ${show(value.deviation)}`

/** A size as digits, or in scientific notation if it is long. */
export const sizeText = (size: string): string =>
  size.length > 9 ? `${size[0]}.${size.slice(1, 3)}e${size.length - 1}` : grouped(size)

/** Rows of cells as a Markdown table; the first row is the header. */
export const markdownTable = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const line = (row: ReadonlyArray<string>) => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  const [head, ...body] = rows
  const rule = head!.map((_, column) => (column === 0 ? "---" : "---:"))
  return [line(head!), line(rule), ...body.map(line)].join("\n")
}

const as = (name: string) => (value: number) => metric(name, value)

/** The rows of the table, header first. */
export const rowsOf = ({ groups, headline }: Comparison): ReadonlyArray<ReadonlyArray<string>> => [
  ["run", "seeds", "FLOPs", "parameters", `test ${headline}`, "search time", "space", "architectures"],
  ...groups.map((group) => [
    group.label,
    String(group.runs.length),
    statisticText(group.flops, si),
    statisticText(group.params, si),
    statisticText(group.score, as(headline)),
    statisticText(group.searchSeconds, duration),
    group.space.name,
    sizeText(group.space.size)
  ])
]

const words = (comparison: Comparison): ReadonlyArray<string> => [
  comparison.compared.length === 0
    ? "The runs do not differ in any setting that can be compared."
    : `Compared: ${comparison.compared.join(", ")}.`,
  ...comparison.warnings.map((warning) => `Not fair: ${warning}.`)
]

/** The comparison as text. */
export const text = (comparison: Comparison): string =>
  `${TextTable.format(rowsOf(comparison))}\n\n${words(comparison).join("\n")}`

/** The comparison as Markdown. */
export const markdown = (comparison: Comparison): string =>
  `# Runs side by side\n\n${markdownTable(rowsOf(comparison))}\n\nMean ± deviation over seeds; search time includes supernet training and search.\n\n${words(
    comparison
  )
    .map((word) => `- ${word}`)
    .join("\n")}\n`

const colours = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"]

/** The test metric over FLOPs: a dot for every run, a ring for every mean. */
const picture = ({ groups, headline }: Comparison): string => {
  const points = groups.flatMap(({ runs }, at) =>
    runs.flatMap(({ flops, score }) => (flops === undefined || score === undefined ? [] : [{ at, flops, score }]))
  )
  if (points.length === 0) return ""
  const [width, height, left, bottom] = [720, 320, 70, 40]
  const range = (values: ReadonlyArray<number>): readonly [number, number] => {
    const [low, high] = [Math.min(...values), Math.max(...values)]
    const margin = (high - low) * 0.12 || Math.abs(high) * 0.05 || 1
    return [low - margin, high + margin]
  }
  const [xs, ys] = [range(points.map(({ flops }) => flops)), range(points.map(({ score }) => score))]
  const x = (value: number) => left + ((value - xs[0]) / (xs[1] - xs[0])) * (width - left - 20)
  const y = (value: number) => height - bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (height - bottom - 15)
  const ticks = (low: number, high: number) => [0, 1, 2, 3, 4].map((i) => low + ((high - low) * (i + 0.5)) / 5)
  const axis = [
    ...ticks(...xs).map(
      (v) =>
        `<text class="axis" x="${x(v).toFixed(1)}" y="${height - bottom + 16}" text-anchor="middle">${si(v)}</text>`
    ),
    ...ticks(...ys).map(
      (v) =>
        `<line x1="${left}" x2="${width - 20}" y1="${y(v).toFixed(1)}" y2="${y(v).toFixed(1)}" stroke="var(--grid)"/>` +
        `<text class="axis" x="${left - 8}" y="${(y(v) + 4).toFixed(1)}" text-anchor="end">${metric(headline, v)}</text>`
    ),
    `<text class="axis" x="${(left + width) / 2}" y="${height - 6}" text-anchor="middle">FLOPs</text>`
  ]
  const dots = points.map(
    ({ at, flops, score }) =>
      `<circle cx="${x(flops).toFixed(1)}" cy="${y(score).toFixed(1)}" r="4" fill="${colours[at % colours.length]}" opacity=".65"/>`
  )
  const rings = groups.flatMap(({ flops, label, score }, at) =>
    flops === null || score === null
      ? []
      : [
          `<circle cx="${x(flops.mean).toFixed(1)}" cy="${y(score.mean).toFixed(1)}" r="8" fill="none" stroke="${colours[at % colours.length]}" stroke-width="2.5"/>`,
          `<text class="axis strong" x="${(x(flops.mean) + 12).toFixed(1)}" y="${(y(score.mean) + 4).toFixed(1)}">${escapeText(label)}</text>`
        ]
  )
  return `<svg class="drawing" viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="test ${escapeText(headline)} over FLOPs">${[...axis, ...dots, ...rings].join("")}</svg>`
}

/** The comparison as a page that needs nothing else. */
export const html = (comparison: Comparison): string => {
  const [head, ...body] = rowsOf(comparison)
  const cell = (tag: string) => (value: string, column: number) =>
    `<${tag}${column === 0 ? "" : ' class="n"'}>${escapeText(value)}</${tag}>`
  const table = `<div class="scroll"><table><tr>${head!.map(cell("th")).join("")}</tr>${body
    .map((row) => `<tr>${row.map(cell("td")).join("")}</tr>`)
    .join("")}</table></div>`
  const list = `<ul>${words(comparison)
    .map((word) => `<li>${escapeText(word)}</li>`)
    .join("")}</ul>`
  return page(
    "Runs side by side",
    `<header><h1>Runs side by side</h1><p class="sub">mean ± deviation over seeds; search time is that of supernet training and search</p></header>
<section class="card">${table}</section><section class="card"><h2>Test ${escapeText(comparison.headline)} over FLOPs</h2>${picture(comparison)}</section>
<section class="card"><h2>What is compared</h2>${list}</section>`
  )
}

/** The comparison as plain data, settings left out but for those that differ. */
export const json = (comparison: Comparison): unknown => ({
  headline: comparison.headline,
  compared: comparison.compared,
  warnings: comparison.warnings,
  groups: comparison.groups.map(({ runs, ...group }) => ({
    ...group,
    settings: Object.fromEntries(
      comparison.compared.map((key) => [key, JSON.parse(runs[0]!.settings.get(key) ?? "null") as unknown])
    ),
    runs: runs.map(({ settings: _, ...run }) => run)
  }))
})
