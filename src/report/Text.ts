/** The report as text, for terminals and logs. */
import * as DataSummary from "./DataSummary.ts"
import { networkText } from "./Drawing.ts"
import { cost, duration, figures, grouped, metric, reviewWords, si } from "./Format.ts"
import * as Learning from "./Learning.ts"
import { paretoFront, type ReportData } from "./ReportData.ts"
import * as TextTable from "./TextTable.ts"

const table = (rows: ReadonlyArray<readonly [string, string]>): string =>
  TextTable.format(rows, { align: ["left", "left"], indent: 2 })

/** Values as a line of block characters. */
export const sparkline = (values: ReadonlyArray<number>, width = 40): string => {
  const finite = values.filter(Number.isFinite)
  if (finite.length === 0) return ""
  const step = Math.max(1, finite.length / width)
  const picked = Array.from({ length: Math.min(width, finite.length) }, (_, i) => finite[Math.floor(i * step)]!)
  const [low, high] = [Math.min(...picked), Math.max(...picked)]
  return picked.map((value) => "▁▂▃▄▅▆▇█"[high === low ? 3 : Math.round((7 * (value - low)) / (high - low))]).join("")
}

/** The whole report as text of at most `width` columns. */
export const text = (data: ReportData, width = 100): string => {
  const out: Array<string> = []
  const section = (title: string, body: string): void => {
    out.push(`${title}\n${body}`)
  }
  const test = data.test === undefined ? undefined : figures(data.test)
  section(
    `${data.name}: ${data.status}${data.failure === undefined ? "" : ` (${data.failure})`}`,
    table([
      ["space", `${data.space.name}, ${grouped(data.space.size)} architectures`],
      ["data", data.dataset],
      ["budget", `${data.budget.metric} ${si(data.budget.min)} to ${cost(data.budget.metric, data.budget.max)}`],
      ...data.manifest.flatMap(([key, value]) => (key === "latency" ? [["latency of", value] as const] : [])),
      [
        "strategies",
        `${data.strategies.training} sampling, ${data.strategies.search} search, ${data.strategies.criterion}`
      ],
      ["engine", data.engine],
      ["seed", String(data.seed)],
      ...data.phases
        .filter((phase) => phase.state !== "waiting")
        .map((phase) => [phase.phase, `${phase.state}, ${duration(phase.seconds)}`] as const),
      ...(data.saving === undefined
        ? []
        : [
            [
              "saving",
              `${data.saving.seconds.toFixed(2)} s, ${(100 * data.saving.fraction).toFixed(1)} % of the time`
            ] as const
          ])
    ])
  )
  if (data.data !== undefined) section("Data", DataSummary.text(data.data))
  for (const [title, points] of [
    ["Supernet training", data.supernet],
    ["Retraining", data.retraining]
  ] as const) {
    const [first, last] = [points[0], points.at(-1)]
    if (first === undefined || last === undefined) continue
    const metrics = Object.entries(last.metrics).map(([name, value]) => `, ${name} ${metric(name, value)}`)
    section(
      title,
      `  loss ${first.loss.toPrecision(4)} → ${last.loss.toPrecision(4)} ${sparkline(points.map((p) => p.loss))}${metrics.join("")}`
    )
  }
  if (data.learning !== undefined && data.learning.points.length > 0) {
    const entropies = data.learning.points.flatMap(({ metrics }) => metrics["entropy"] ?? [])
    const probable = data.learning.layers.map(({ options }) =>
      options.reduce((most, option) => (option.probability > most.probability ? option : most))
    )
    section(
      "Learned by the search",
      `  ${Learning.words(data.learning, data.budget.metric)} ${sparkline(entropies)}\n  most probable: ${probable
        .map(({ label, probability }) => `${label} ${Math.round(100 * probability)} %`)
        .join(", ")}`
    )
  }
  if (data.search.length > 0) {
    const front = paretoFront(data.search).slice(-8)
    section(
      `Search: ${data.search.length} candidates; the best for their cost`,
      front
        .map((c) => {
          const metrics = Object.entries(c.metrics).map(([name, value]) => `${name} ${metric(name, value)}`)
          return `  ${cost(data.budget.metric, c.cost).padStart(14)}  ${metrics.join("  ")}  ${c.architecture}`
        })
        .join("\n")
    )
  }
  if (data.review !== undefined) section("The generator", `  ${reviewWords(data.review.metrics)}`)
  if (data.found !== undefined) {
    section(
      "Found architecture",
      `${table([
        ["architecture", data.found.text],
        [data.budget.metric, cost(data.budget.metric, data.found.cost)],
        ["size", `${si(data.found.macs)} MACs, ${si(data.found.params)} parameters`]
      ])}\n\n${networkText(data.found, width)}`
    )
  }
  if (test !== undefined) {
    section("Test", table(test))
  }
  return `${out.join("\n\n")}\n`
}
