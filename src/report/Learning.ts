/**
 * What a gradient-based searcher has learned, for the report: the probability of every option at the end, and how loss, entropy, temperature and expected cost went.
 */
import { escapeText } from "./Drawing.ts"
import { cost, percent } from "./Format.ts"
import type { LearningData } from "./ReportData.ts"

/** Layers with more options than this show only their most probable ones. */
const shown = 16

const [column, row, left, top] = [38, 22, 110, 10] as const

/** One column per layer, one cell per option, darker if more probable; a tooltip names it. */
export const probabilitiesSvg = ({ layers }: LearningData): string => {
  const many = layers.some((layer) => layer.options.length > shown)
  // With many options rows are ranks; otherwise rows are options by name.
  const labels = many
    ? Array.from({ length: shown }, (_, rank) => `${rank + 1}.`)
    : [...new Set(layers.flatMap((layer) => layer.options.map(({ label }) => label)))]
  const width = left + column * layers.length + 10
  const height = top + row * labels.length + 26
  const y = (index: number): number => top + row * index
  const names = labels.map(
    (label, index) =>
      `<text x="${left - 10}" y="${y(index) + 15}" text-anchor="end" class="axis">${escapeText(label.slice(0, 16))}</text>`
  )
  const cells = layers.flatMap((layer, index) => {
    const options = many
      ? [...layer.options].sort((a, b) => b.probability - a.probability).slice(0, shown)
      : layer.options
    return options.map((option, rank) => {
      const x = left + column * index
      const at = y(many ? rank : labels.indexOf(option.label))
      const strength = Math.max(0.04, option.probability)
      return `<rect x="${x}" y="${at}" width="${column - 3}" height="${row - 3}" rx="4" fill="var(--c1)" fill-opacity="${strength.toFixed(3)}"><title>${escapeText(`${layer.name}: ${option.label}, ${percent(option.probability)}`)}</title></rect>`
    })
  })
  const numbers = layers.map(
    (_, index) =>
      `<text x="${left + column * (index + 0.5)}" y="${height - 8}" text-anchor="middle" class="axis">${index + 1}</text>`
  )
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="probabilities of the options" class="drawing">${names.join("")}${cells.join("")}${numbers.join("")}</svg>`
}

/** The metrics to draw, in this order, if they were reported. */
export const quantities: ReadonlyArray<{ readonly name: string; readonly title: string }> = [
  { name: "cost", title: "expected cost" },
  { name: "entropy", title: "entropy" },
  { name: "temperature", title: "temperature" },
  { name: "taskLoss", title: "task loss" }
]

/** The end of learning in one sentence. */
export const words = ({ points }: LearningData, metric: string): string => {
  const last = points.at(-1)?.metrics ?? {}
  const { cost: expected, entropy, target, temperature } = last
  return [
    ...(expected === undefined
      ? []
      : [`expected cost ${cost(metric, expected)}${target === undefined ? "" : ` of ${cost(metric, target)}`}`]),
    ...(entropy === undefined ? [] : [`entropy ${entropy.toFixed(3)} of 1`]),
    ...(temperature === undefined ? [] : [`temperature ${temperature.toPrecision(3)}`])
  ].join(", ")
}
