/** A ranking as a picture and as a part of the report's page. */
import type { Ranking } from "../ranking/Ranking.ts"
import * as Charts from "./Charts.ts"
import { escapeText } from "./Drawing.ts"
import * as RankingText from "./RankingText.ts"

/** True accuracy over a prediction, one point per architecture. */
const scatter = (ranking: Ranking, predictor: string, colour: string, size: Charts.ChartSize): Promise<string> => {
  const one = ranking.predictors.find(({ name }) => name === predictor)
  const values = ranking.rows.map(({ baselines, scores, truth }) => ({
    truth,
    predicted: (one?.kind === "free" ? baselines : scores)[predictor] ?? 0
  }))
  const tau = one === undefined ? "-" : RankingText.figureText(one.quality.tau)
  const whose = one?.kind === "supernet" ? `supernet, ${predictor}` : predictor
  const title = `${whose}, better to the right (tau ${tau})`
  return Charts.rankingScatter(values, { id: `ranking-${predictor}`, title, colour }, size)
}

/** The prediction that a search minimises and the best baseline. */
const compared = ({ predictors, verdict }: Ranking): readonly [predictor: string, baseline: string] => [
  verdict?.predictor ?? predictors[0]?.name ?? "layers",
  verdict?.baseline ?? "layers"
]

/** The picture of a ranking as an SVG file: true accuracy over what the supernet says. */
export const picture = (ranking: Ranking): Promise<string> =>
  scatter(ranking, compared(ranking)[0], "var(--c1)", { width: 640, height: 400 }).then(Charts.standalone)

/** The ranking as HTML: a sentence, two pictures side by side, a table. */
export const html = async (ranking: Ranking): Promise<{ readonly sub: string; readonly body: string }> => {
  const [predictor, baseline] = compared(ranking)
  const size = { width: 480, height: 300 }
  const pictures = [
    await scatter(ranking, predictor, "var(--c1)", size),
    await scatter(ranking, baseline, "var(--c2)", size)
  ]
  const head = ["prediction", ...RankingText.columns.map(({ title }) => title)]
  const rows = ranking.predictors.map((one) => [
    one.name,
    ...RankingText.columns.map((column) => RankingText.figureText(one.quality[column.name]))
  ])
  const cells = (tag: "td" | "th", row: ReadonlyArray<string>) =>
    `<tr>${row.map((cell, at) => `<${tag}${at === 0 ? "" : ' class="n"'}>${escapeText(cell)}</${tag}>`).join("")}</tr>`
  const table = `<div class="scroll"><table>${cells("th", head)}${rows.map((row) => cells("td", row)).join("")}</table></div>`
  const verdict = RankingText.verdictText(ranking)
  return {
    sub: escapeText(
      `${ranking.rows.length} architectures against ${ranking.truth.name}${verdict === undefined ? "" : `. ${verdict}`}`
    ),
    body: `<div class="two">${pictures.map((svg) => `<div>${svg}</div>`).join("")}</div>${table}`
  }
}
