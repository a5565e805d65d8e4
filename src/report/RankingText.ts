/** A ranking as text: one row per prediction, and what it means. */

import type { Ranking } from "../ranking/Ranking.ts"
import type * as RankQuality from "../ranking/RankQuality.ts"
import { grouped } from "./Format.ts"
import * as TextTable from "./TextTable.ts"

/** The figures of a ranking as columns. */
export const columns: ReadonlyArray<{ readonly name: RankQuality.FigureName; readonly title: string }> = [
  { name: "tau", title: "tau" },
  { name: "tauTopHalf", title: "top half" },
  { name: "tauRounded", title: "rounded" },
  { name: "spearman", title: "Spearman" },
  { name: "precision5", title: "top 5 %" },
  { name: "precision10", title: "top 10 %" },
  { name: "regret1", title: "regret 1" },
  { name: "regret5", title: "regret 5" },
  { name: "regret10", title: "regret 10" }
]

const number = (value: number | null): string => (value === null ? "-" : value.toFixed(2))

/** A figure with its interval: `0.71 [0.65, 0.76]`. */
export const figureText = ({ high, low, value }: RankQuality.Figure): string =>
  low === null || high === null ? number(value) : `${number(value)} [${number(low)}, ${number(high)}]`

/** The verdict in one sentence; undefined where there is none. */
export const verdictText = ({ predictors, rows, verdict }: Ranking): string | undefined => {
  if (new Set(rows.map(({ truth }) => truth)).size === 1) {
    return "Warning: all true accuracies are equal, so there is no order to compare with; train the truth for more epochs."
  }
  if (verdict === null) return undefined
  const { baseline, difference, predictor } = verdict
  const tau = (name: string) => number(predictors.find((one) => one.name === name)?.quality.tau.value ?? null)
  const than = `${baseline} (tau ${tau(predictor)} against ${tau(baseline)}, difference ${figureText(difference)})`
  if (difference.value === null) return undefined
  if ((difference.low ?? 0) > 0) return `The supernet's ${predictor} ranks better than ${than}.`
  if ((difference.high ?? 0) < 0) {
    return `Warning: the supernet's ${predictor} ranks worse than ${than}. Do not trust its order: train the supernet longer or with another recipe.`
  }
  return `Warning: the supernet's ${predictor} does not rank clearly better than ${than}. Train the supernet longer or with another recipe.`
}

/** The ranking as text. */
export const text = (ranking: Ranking): string => {
  const { name, predictors, random, rows, size, space, supernet, truth } = ranking
  const noise = truth.noise > 0 ? `, noise ${truth.noise.toFixed(2)} points` : ""
  const table = [
    ["prediction", ...columns.map(({ title }) => title)],
    ...predictors.map((one) => [one.name, ...columns.map((column) => figureText(one.quality[column.name]))]),
    ["random", "", "", "", "", "", "", ...[random.regret1, random.regret5, random.regret10].map(number)]
  ]
  const verdict = verdictText(ranking)
  return [
    `${name}: ${rows.length} of ${grouped(size)} architectures of ${space}${supernet === null ? "" : `, supernet ${supernet.slice(0, 12)}`}`,
    `Truth: ${truth.name}${noise}`,
    "",
    TextTable.format(table),
    "",
    "tau: Kendall's tau-b over all architectures and in the better half; rounded: truths closer than their noise are equal;",
    "top: share of the predicted best that are among the true best; regret: points lost by the best of the predicted best 1, 5, 10.",
    "In brackets: 95 % bootstrap intervals over architectures.",
    ...(verdict === undefined ? [] : ["", verdict])
  ].join("\n")
}
