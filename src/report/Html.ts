/**
 * The report as one self-contained HTML page without scripts, fonts or network access. Light or dark, as the reader's system
 * prefers.
 */
import { phaseTitles } from "../component/Phase.ts"
import * as Charts from "./Charts.ts"
import * as DataSummary from "./DataSummary.ts"
import { choiceLabels, colourOf, escapeText, networkSvg, pathSvg, shapeText } from "./Drawing.ts"
import { cost, duration, figures, grouped, metric, percent, reviewWords, si } from "./Format.ts"
import * as Learning from "./Learning.ts"
import * as RankingPage from "./RankingPage.ts"
import { type CurvePoint, type FoundArchitecture, paretoFront, type ReportData } from "./ReportData.ts"

const style = `
:root{color-scheme:light dark;--ground:#f4f5f8;--card:#fff;--ink:#1b2030;--muted:#667085;--rule:#c9cfdb;--grid:#e9ecf2;--edge:#e3e6ee;
--c1:#4269d0;--c2:#ff725c;--c3:#efb118;--c4:#3ca951;--warn:#d94f3d;--skip:#9aa3b2;--fixed:#d6dbe6;--good:#16794b;--goodbg:#dff5e8;--badbg:#fde5e1;--infobg:#e2eafc}
@media(prefers-color-scheme:dark){:root{--ground:#0f131b;--card:#171c27;--ink:#e8ebf2;--muted:#94a0b4;--rule:#3b4456;--grid:#242b39;--edge:#252d3c;
--c1:#6d92f0;--c2:#ff8a76;--c3:#f4c04a;--c4:#57c46c;--warn:#ff8a76;--skip:#6b7587;--fixed:#39435a;--good:#6fdca3;--goodbg:#123524;--badbg:#431f1a;--infobg:#1b2a4a}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1180px;margin:0 auto;padding:36px 28px 64px}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:6px 14px;margin-bottom:20px}
h1{font-size:27px;line-height:1.2;margin:0;letter-spacing:-.015em;font-weight:680}
h2{font-size:16px;margin:0 0 2px;font-weight:640;letter-spacing:-.005em}
p{margin:0}.sub{color:var(--muted);font-size:13.5px}header .sub{flex-basis:100%}
.badge{font-size:12px;font-weight:620;border-radius:99px;padding:2px 10px;background:var(--infobg);color:var(--c1)}
.badge.done{background:var(--goodbg);color:var(--good)}.badge.failed{background:var(--badbg);color:var(--warn)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:14px;margin-bottom:18px}
.tile,.card{background:var(--card);border:1px solid var(--edge);border-radius:14px}
.tile{padding:15px 17px 14px}.tile b{display:block;font-size:22px;line-height:1.2;font-weight:660;letter-spacing:-.02em;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{display:block;color:var(--muted);font-size:12.5px}.tile.lead{background:linear-gradient(150deg,#4269d0,#6a4fd0);border-color:transparent}.tile.lead b,.tile.lead span{color:#fff}.tile.lead span{opacity:.85}
.card{padding:20px 22px;margin-bottom:18px;overflow:hidden}.card .sub{margin-bottom:12px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:18px}.two .card{margin-bottom:0}.two{margin-bottom:18px}
.scroll{overflow-x:auto}
svg{display:block;font-family:inherit}svg.drawing{max-width:100%;height:auto;margin-top:6px}
svg text{font-family:inherit}svg .axis{font-size:11px;fill:var(--muted)}svg .strong{font-weight:640;fill:var(--ink)}svg .block{font-size:11px;font-weight:620}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:10px 0 0;padding:0;list-style:none;font-size:12.5px;color:var(--muted)}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th{font-weight:560;color:var(--muted);text-align:left;font-size:12.5px}th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--grid);white-space:nowrap}
tr:last-child td{border-bottom:0}td.n,th.n{text-align:right}td.wrap{white-space:normal;overflow-wrap:anywhere}
.bar{display:inline-block;height:9px;border-radius:3px;vertical-align:middle;min-width:1px}
.arch{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px}
pre{margin:0;font:12.5px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-x:auto}
details summary{cursor:pointer;font-weight:640;font-size:16px}details[open] summary{margin-bottom:12px}
.phases{display:flex;gap:10px;margin-bottom:18px;flex-wrap:wrap}.phase{flex:1 1 150px;background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:10px 14px;font-size:13.5px;font-weight:600;border-top:3px solid var(--rule)}
.phase.done{border-top-color:var(--c4)}.phase.running{border-top-color:var(--c1)}.phase span{display:block;font-weight:400;color:var(--muted);font-size:12.5px}
footer{color:var(--muted);font-size:12.5px;margin-top:26px}
@media(max-width:560px){main{padding:22px 14px}.two{grid-template-columns:1fr}}
@media print{body{background:#fff}.card,.tile{break-inside:avoid}}
`

const tile = (value: string, label: string, lead = false): string =>
  `<div class="tile${lead ? " lead" : ""}"><b>${escapeText(value)}</b><span>${escapeText(label)}</span></div>`

const card = (title: string, sub: string, body: string): string =>
  `<section class="card"><h2>${escapeText(title)}</h2><p class="sub">${sub}</p>${body}</section>`

const legend = (entries: ReadonlyArray<readonly [colour: string, label: string]>): string =>
  `<ul class="legend">${entries.map(([colour, label]) => `<li><i style="background:${colour}"></i>${escapeText(label)}</li>`).join("")}</ul>`

const tiles = (data: ReportData): string => {
  const out: Array<string> = []
  const lead = data.test?.[data.headline]
  if (lead !== undefined) out.push(tile(metric(data.headline, lead), `test ${data.headline}`, true))
  if (data.found !== undefined) {
    out.push(tile(si(data.found.macs), "multiply-accumulates"), tile(si(data.found.params), "parameters"))
    if (data.budget.metric === "latency") out.push(tile(cost("latency", data.found.cost), "latency of one image"))
  }
  const size =
    data.space.size.length > 12
      ? `${(Number(data.space.size) / 10 ** (data.space.size.length - 1)).toFixed(2)}e${data.space.size.length - 1}`
      : grouped(data.space.size)
  out.push(tile(size, "architectures in the space"), tile(String(data.search.length), "candidates scored"))
  const seconds = data.phases.reduce((sum, phase) => sum + phase.seconds, 0)
  out.push(tile(duration(seconds), "in all"))
  return `<div class="tiles">${out.join("")}</div>`
}

const phases = (data: ReportData): string =>
  `<div class="phases">${data.phases
    .map((phase) => {
      const { seconds, state } = phase
      const began = state !== "waiting" && state !== "skipped"
      const words = state === "done" ? duration(seconds) : began ? `${state}, ${duration(seconds)}` : state
      return `<div class="phase ${state}">${escapeText(phaseTitles[phase.phase])}<span>${words}</span></div>`
    })
    .join("")}</div>`

const training = (id: string, title: string, points: ReadonlyArray<CurvePoint>, colour: string): Promise<string> => {
  if (points.length === 0) return Promise.resolve("")
  const last = points.at(-1)!
  const named = Object.keys(last.metrics).filter((name) => name !== "loss")
  const shown = named.find((name) => name === "top1") ?? named[0]
  const size = { width: 452, height: 210 }
  return Promise.all([
    Charts.curve(points, { id: `${id}-loss`, title: "loss", of: (p) => p.loss }, colour, size),
    ...(shown === undefined
      ? []
      : [
          Charts.curve(
            points,
            { id: `${id}-${shown}`, title: shown, of: (p) => p.metrics[shown], percent: last.metrics[shown]! <= 1 },
            "var(--c4)",
            size
          )
        ])
  ]).then((charts) => {
    const loss = card(`${title}: loss`, `${last.loss.toPrecision(4)} at the end`, charts[0]!)
    const other =
      shown === undefined
        ? ""
        : card(
            `${title}: ${shown}`,
            `${metric(shown, last.metrics[shown]!)} at the end, on training batches`,
            charts[1]!
          )
    return `<div class="two">${loss}${other}</div>`
  })
}

const search = (data: ReportData): Promise<string> => {
  if (data.search.length === 0) return Promise.resolve("")
  // Most tasks rank by a metric that is recorded with the objective: its name says more.
  const named = Object.keys(data.search[0]?.metrics ?? {}).find((name) =>
    data.search.every((c) => c.metrics[name] === c.objective)
  )
  const objective = `validation ${named ?? "objective"} (lower is better)`
  return Promise.all([
    Charts.searchScatter(
      data.search,
      { metric: data.budget.metric, budget: data.budget, objective, winner: data.found?.text },
      { width: 1040, height: 360 }
    ),
    data.search.length > 1 ? Charts.searchProgress(data.search, "objective", { width: 1040, height: 170 }) : ""
  ]).then(([scatter, progress]) => {
    const front = paretoFront(data.search)
    const names = [...new Set(front.flatMap((c) => Object.keys(c.metrics)))]
    const rows = front.map(
      (c) =>
        `<tr><td class="n">${escapeText(cost(data.budget.metric, c.cost))}</td><td class="n">${c.objective.toPrecision(5)}</td>${names
          .map(
            (name) =>
              `<td class="n">${c.metrics[name] === undefined ? "" : escapeText(metric(name, c.metrics[name]))}</td>`
          )
          .join(
            ""
          )}<td class="arch wrap">${escapeText(c.architecture)}${c.architecture === data.found?.text ? " ★" : ""}</td></tr>`
    )
    const head = `<tr><th class="n">cost</th><th class="n">objective</th>${names.map((name) => `<th class="n">${escapeText(name)}</th>`).join("")}<th>architecture</th></tr>`
    return (
      card(
        "Search: cost against score",
        `${data.search.length} candidates by ${escapeText(data.strategies.search)}; later ones are darker, the dashed line is the budget`,
        `<div class="scroll">${scatter}</div>${legend([
          ["var(--c1)", "candidate"],
          ["var(--c2)", "best for its cost"],
          ...(data.found === undefined ? [] : [["var(--c3)", "the winner"] as const])
        ])}`
      ) +
      (progress === ""
        ? ""
        : card(
            "Search: best so far",
            "best objective over the candidates scored",
            `<div class="scroll">${progress}</div>`
          )) +
      card(
        "Best for their cost",
        "no other candidate is better in both cost and score",
        `<div class="scroll"><table>${head}${rows.join("")}</table></div>`
      )
    )
  })
}

const review = (data: ReportData): Promise<string> =>
  data.review === undefined || data.review.targets.length === 0
    ? Promise.resolve("")
    : Charts.targetScatter(data.review, data.budget.metric, { width: 1040, height: 300 }).then((scatter) =>
        card(
          "The generator: target against cost",
          `${data.review?.targets.length} targets; ${escapeText(reviewWords(data.review?.metrics ?? {}))}; on the dashed line the two are equal`,
          `<div class="scroll">${scatter}</div>`
        )
      )

const learning = (data: ReportData): Promise<string> => {
  const learned = data.learning
  if (learned === undefined || learned.points.length === 0) return Promise.resolve("")
  const last = learned.points.at(-1)!
  const scale = data.budget.metric === "latency" ? 1 : 1e6
  const drawn = Learning.quantities.filter(({ name }) => last.metrics[name] !== undefined)
  const target = last.metrics["target"]
  return Promise.all(
    drawn.map(({ name, title }) => {
      const unit = name === "cost" ? scale : 1
      return Charts.curve(
        learned.points,
        {
          id: `learning-${name}`,
          title: name === "cost" ? `${title}, ${data.budget.metric === "latency" ? "ms" : "millions"}` : title,
          of: (point) => (point.metrics[name] === undefined ? undefined : point.metrics[name] / unit),
          target: name === "cost" && target !== undefined ? target / unit : undefined
        },
        name === "cost" ? "var(--c4)" : "var(--c1)",
        { width: 452, height: 170 }
      )
    })
  ).then((charts) => {
    const cards = charts.map((chart, index) =>
      card(
        `Learned: ${drawn[index]!.title}`,
        drawn[index]!.name === "cost" ? "mean over the epoch; the dashed line is the target" : "mean over the epoch",
        chart
      )
    )
    return `${card(
      "Learned: how probable every option is",
      `one column per layer, darker is more probable; ${escapeText(Learning.words(learned, data.budget.metric))}`,
      `<div class="scroll">${Learning.probabilitiesSvg(learned)}</div>`
    )}<div class="two">${cards.join("")}</div>`
  })
}

const architecture = (found: FoundArchitecture): string => {
  const labels = choiceLabels(found)
  const colours = labels.map((label) => [colourOf(labels, label), label] as const)
  const fixed = found.blocks.some((block) => block.choice === null) ? [["var(--fixed)", "fixed"] as const] : []
  const total = { macs: Math.max(1, found.macs), params: Math.max(1, found.params) }
  const most = Math.max(...found.blocks.map((b) => b.macs), 1)
  const rows = found.blocks.map(
    (b) =>
      `<tr><td>${escapeText(b.name)}</td><td><span class="bar" style="width:11px;height:11px;margin-right:8px;background:${b.choice === null ? "var(--fixed)" : colourOf(labels, b.label)}"></span>${escapeText(b.label)}</td><td>${shapeText(b.output)}</td>` +
      `<td class="n">${si(b.macs)}</td><td><span class="bar" style="width:${((110 * b.macs) / most).toFixed(1)}px;background:var(--c1)"></span> <span class="sub">${percent(b.macs / total.macs).replace(".00", "")}</span></td><td class="n">${si(b.params)}</td></tr>`
  )
  const path = pathSvg(found)
  return (
    card(
      "Found architecture",
      `<span class="arch">${escapeText(found.text)}</span>`,
      `<div class="scroll">${networkSvg(found)}</div>${legend([...colours, ...fixed])}<p class="sub" style="margin:10px 0 0">Height: channels of the output (the figure below). Figures above: where the side of the feature map changes.</p>`
    ) +
    (path === ""
      ? ""
      : card(
          "Its path through the supernet",
          "one column per searched layer, one row per choice",
          `<div class="scroll">${path}</div>`
        )) +
    `<details class="card"><summary>Block by block</summary><div class="scroll"><table><tr><th>name</th><th>block</th><th>output</th><th class="n">MACs</th><th></th><th class="n">parameters</th></tr>${rows.join("")}</table></div></details>`
  )
}

const results = (data: ReportData): string => {
  if (data.test === undefined) return ""
  const rows = figures(data.test).map(
    ([name, value]) => `<tr><td>${escapeText(name)}</td><td class="n">${escapeText(value)}</td></tr>`
  )
  return card("Test", "the retrained network on images no phase before it has seen", `<table>${rows.join("")}</table>`)
}

/** A page in the style of the report around a body of HTML. */
export const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeText(title)} - osnas</title><style>${style}</style></head><body><main>
${body}
<footer>Made by osnas.</footer>
</main></body></html>
`

/** The report as a page. */
export const html = (data: ReportData): Promise<string> =>
  Promise.all([
    training("supernet", "Supernet", data.supernet, "var(--c1)"),
    search(data),
    review(data),
    training("retraining", "Retraining", data.retraining, "var(--c1)"),
    learning(data),
    data.ranking === undefined
      ? ""
      : RankingPage.html(data.ranking).then(({ body, sub }) => card("How well the supernet ranks", sub, body))
  ]).then(([supernet, searching, reviewed, retraining, learned, ranked]) => {
    const facts: ReadonlyArray<readonly [string, string]> = [
      ["search space", `${data.space.name}, ${grouped(data.space.size)} architectures`],
      ["data", data.dataset],
      ["budget", `${data.budget.metric} from ${si(data.budget.min)} to ${cost(data.budget.metric, data.budget.max)}`],
      ["training strategy", data.strategies.training],
      ["search strategy", data.strategies.search],
      ["criterion", data.strategies.criterion],
      ["engine", data.engine],
      ["seed", String(data.seed)],
      ...data.manifest
    ]
    const table = `<table>${facts.map(([key, value]) => `<tr><td class="sub">${escapeText(key)}</td><td class="wrap">${escapeText(value)}</td></tr>`).join("")}</table>`
    return page(
      data.name,
      `<header><h1>${escapeText(data.name)}</h1><span class="badge ${data.status}">${data.status}</span><p class="sub">${escapeText(data.space.name)} on ${escapeText(data.dataset)}, ${escapeText(data.strategies.search)} search, seed ${data.seed}${data.failure === undefined ? "" : ` - ${escapeText(data.failure)}`}</p></header>
${tiles(data)}${phases(data)}${data.found === undefined ? "" : architecture(data.found)}${searching}${reviewed}${learned}${supernet}${ranked}${retraining}${results(data)}
${data.data === undefined ? "" : card("Data", escapeText(DataSummary.line(data.data)), DataSummary.html(data.data))}${card("The run", "what it was made of", table)}
<details class="card"><summary>Configuration</summary><pre>${escapeText(data.config)}</pre></details>`
    )
  })
