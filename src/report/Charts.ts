/**
 * The charts of a report, as SVG rendered without a browser. Colours are CSS variables of the page, so that one drawing serves
 * the light and the dark theme. The page loads nothing.
 */
import * as Vega from "vega"
import type { TopLevelSpec } from "vega-lite"
import * as VegaLite from "vega-lite"
import type { LearningReview } from "../search-strategy/SearchStrategy.ts"
import { costUnit } from "./Format.ts"
import { type Candidate, type CurvePoint, paretoFront } from "./ReportData.ts"

const font = "inherit"

const config = {
  background: "transparent",
  font,
  padding: 4,
  view: { stroke: "transparent" },
  axis: {
    domainColor: "var(--rule)",
    gridColor: "var(--grid)",
    tickColor: "var(--rule)",
    labelColor: "var(--muted)",
    titleColor: "var(--muted)",
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: 500,
    titlePadding: 8,
    labelPadding: 5,
    tickSize: 4
  },
  legend: { labelColor: "var(--ink)", titleColor: "var(--muted)", labelFontSize: 11, titleFontSize: 11, symbolSize: 60 }
} as const

const render = (spec: TopLevelSpec, id: string): Promise<string> => {
  const compiled = VegaLite.compile({ ...spec, config } as TopLevelSpec, { logger: quiet })
  const view = new Vega.View(Vega.parse(compiled.spec), { renderer: "none", logger: quiet })
  return view.toSVG().then((svg) => {
    view.finalize()
    // Vega numbers ids over the whole process; a page needs its own, the same every time.
    const ids = new Map<string, string>()
    return svg
      .replaceAll(/(id="|url\(#)((?:clip|gradient_)\d+)/g, (_, before: string, number: string) => {
        ids.set(number, ids.get(number) ?? `${id}-${ids.size + 1}`)
        return `${before}${ids.get(number)}`
      })
      .replace(/<svg /, `<svg role="img" aria-label="${id}" `)
      .replace(/width="(\d+)" height="(\d+)"/, 'style="max-width:100%;height:auto" width="$1" height="$2"')
  })
}

const nothing = (): typeof quiet => quiet
const quiet = {
  level: ((value?: number) => (value === undefined ? 0 : quiet)) as never,
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing
} as Vega.LoggerInterface

/** Size of the drawing area, in pixels. */
export interface ChartSize {
  readonly width: number
  readonly height: number
}

/** A curve of one quantity over epochs. */
export const curve = (
  points: ReadonlyArray<CurvePoint>,
  quantity: {
    readonly id: string
    readonly title: string
    readonly of: (point: CurvePoint) => number | undefined
    readonly percent?: boolean
    /** The target of the quantity: a dashed line. */
    readonly target?: number | undefined
  },
  colour: string,
  size: ChartSize
): Promise<string> => {
  const values = points.flatMap((point) => {
    const value = quantity.of(point)
    return value === undefined || !Number.isFinite(value) ? [] : [{ epoch: point.epoch, value }]
  })
  const few = values.length <= 40
  const epochs = values.map((value) => value.epoch)
  return render(
    {
      ...size,
      data: { values },
      encoding: {
        x: {
          field: "epoch",
          type: "quantitative",
          title: "epoch",
          scale: { nice: false, zero: false },
          axis: { grid: false, format: "~g", ...(epochs.length <= 10 ? { values: epochs } : { tickMinStep: 1 }) }
        },
        y: {
          field: "value",
          type: "quantitative",
          title: quantity.title,
          scale: { zero: false, nice: true },
          axis: { tickCount: 5, domain: false, ticks: false, ...(quantity.percent ? { format: ".0%" } : {}) }
        }
      },
      layer: [
        { mark: { type: "area", color: colour, opacity: 0.1, interpolate: "monotone", line: false, clip: true } },
        { mark: { type: "line", color: colour, strokeWidth: 2.2, interpolate: "monotone", strokeCap: "round" } },
        { mark: { type: "point", filled: true, color: colour, size: few ? 34 : 0, opacity: 1 } },
        ...(quantity.target === undefined
          ? []
          : [
              {
                data: { values: [{ value: quantity.target }] },
                mark: { type: "rule" as const, color: "var(--warn)", strokeDash: [4, 4], strokeWidth: 1.4 },
                encoding: { x: { value: 0 }, x2: { value: "width" as const } }
              }
            ])
      ]
    },
    quantity.id
  )
}

/** Cost against score of every evaluated architecture, with the budget, the Pareto front, and the found architecture. */
export const searchScatter = (
  candidates: ReadonlyArray<Candidate>,
  options: {
    readonly metric: string
    readonly budget: { readonly min: number; readonly max: number }
    readonly objective: string
    readonly winner: string | undefined
  },
  size: ChartSize
): Promise<string> => {
  const scale = options.metric === "latency" ? 1 : 1e6
  const unit = options.metric === "latency" ? "ms" : `million ${costUnit(options.metric)}`
  const finite = candidates.filter((c) => Number.isFinite(c.objective) && Number.isFinite(c.cost))
  const row = (c: Candidate) => ({ cost: c.cost / scale, score: c.objective, order: c.generation })
  const front = paretoFront(finite)
  const last = Math.max(0, ...finite.map((c) => c.generation))
  const costs = finite.map((c) => c.cost / scale)
  const span = Math.max(...costs) - Math.min(...costs) || Math.max(...costs) * 0.1 || 1
  const domain = [Math.min(...costs) - span * 0.05, Math.max(...costs) + span * 0.05] as const
  const limits = [options.budget.min, options.budget.max]
    .map((limit) => limit / scale)
    .filter((limit) => limit > domain[0] && limit < domain[1] + span * 0.5)
  const reach = [domain[0], Math.max(domain[1], ...limits.map((limit) => limit + span * 0.03))]
  const x = {
    field: "cost",
    type: "quantitative",
    title: unit,
    scale: { domain: reach, nice: false },
    axis: { grid: false, tickCount: 8 }
  } as const
  const y = {
    field: "score",
    type: "quantitative",
    title: options.objective,
    scale: { zero: false, nice: true },
    axis: { tickCount: 6, domain: false, ticks: false }
  } as const
  const winner = finite.filter((c) => c.architecture === options.winner).slice(0, 1)
  return render(
    {
      ...size,
      layer: [
        {
          data: { values: limits.map((limit) => ({ cost: limit })) },
          mark: { type: "rule", color: "var(--warn)", strokeDash: [4, 4], strokeWidth: 1.4 },
          encoding: { x }
        },
        {
          data: { values: front.map(row) },
          mark: { type: "line", interpolate: "step-after", color: "var(--c2)", strokeWidth: 1.8, opacity: 0.9 },
          encoding: { x, y, order: { field: "cost", type: "quantitative" } }
        },
        {
          data: { values: finite.map(row) },
          mark: { type: "point", filled: true, size: 46, color: "var(--c1)" },
          encoding: {
            x,
            y,
            opacity: {
              field: "order",
              type: "quantitative",
              scale: { domain: [0, Math.max(1, last)], range: last === 0 ? [0.75, 0.75] : [0.22, 0.95] },
              legend: null
            }
          }
        },
        {
          data: { values: front.map(row) },
          mark: { type: "point", filled: true, size: 50, color: "var(--c2)", opacity: 1 },
          encoding: { x, y }
        },
        {
          data: { values: winner.map(row) },
          mark: {
            type: "point",
            shape: STAR,
            filled: true,
            size: 420,
            color: "var(--c3)",
            stroke: "var(--card)",
            strokeWidth: 1.5,
            opacity: 1
          },
          encoding: { x, y }
        }
      ]
    } as TopLevelSpec,
    "search"
  )
}

/** A five-pointed star of unit size, in the form of Vega's symbol paths. */
const STAR = (() => {
  const points = Array.from({ length: 10 }, (_, i) => {
    const radius = i % 2 === 0 ? 1 : 0.42
    const angle = (Math.PI / 5) * i - Math.PI / 2
    return `${(radius * Math.cos(angle)).toFixed(4)},${(radius * Math.sin(angle)).toFixed(4)}`
  })
  return `M${points.join("L")}Z`
})()

/** Best objective so far over the number of evaluations: the progress of the search. */
export const searchProgress = (
  candidates: ReadonlyArray<Candidate>,
  objective: string,
  size: ChartSize
): Promise<string> => {
  let best = Number.POSITIVE_INFINITY
  const values = candidates
    .filter((c) => Number.isFinite(c.objective))
    .map((c, index) => {
      best = Math.min(best, c.objective)
      return { index: index + 1, score: c.objective, best }
    })
  const x = {
    field: "index",
    type: "quantitative",
    title: "candidates scored",
    axis: { grid: false, tickMinStep: 1 }
  } as const
  const y = (field: string) =>
    ({
      field,
      type: "quantitative",
      title: objective,
      scale: { zero: false, nice: true },
      axis: { tickCount: 5, domain: false, ticks: false }
    }) as const
  return render(
    {
      ...size,
      data: { values },
      layer: [
        {
          mark: { type: "point", filled: true, size: 22, color: "var(--c1)", opacity: 0.4 },
          encoding: { x, y: y("score") }
        },
        {
          mark: { type: "line", interpolate: "step-after", color: "var(--c2)", strokeWidth: 2.2 },
          encoding: { x, y: y("best") }
        }
      ]
    } as TopLevelSpec,
    "search-progress"
  )
}

/** The cost of generated architectures over their target; on the dashed line the two are equal. */
export const targetScatter = (
  { costs, targets }: Pick<LearningReview, "costs" | "targets">,
  metric: string,
  size: ChartSize
): Promise<string> => {
  const scale = metric === "latency" ? 1 : 1e6
  const unit = metric === "latency" ? "ms" : `million ${costUnit(metric)}`
  const values = targets.map((target, i) => ({ target: target / scale, cost: costs[i]! / scale }))
  const ends = values.flatMap(({ cost, target }) => [cost, target])
  const domain = [Math.min(...ends), Math.max(...ends)]
  const axis = (field: string, title: string, more: object) =>
    ({
      field,
      type: "quantitative",
      title,
      scale: { domain, nice: true, zero: false },
      axis: { tickCount: 6, ...more }
    }) as const
  const x = axis("target", `target, ${unit}`, { grid: false })
  const y = axis("cost", `drawn, ${unit}`, { domain: false, ticks: false })
  return render(
    {
      ...size,
      layer: [
        {
          data: { values: domain.map((end) => ({ target: end, cost: end })) },
          mark: { type: "line", color: "var(--rule)", strokeDash: [4, 4], strokeWidth: 1.4 },
          encoding: { x, y }
        },
        {
          data: { values },
          mark: { type: "point", filled: true, size: 46, color: "var(--c1)", opacity: 0.85 },
          encoding: { x, y }
        }
      ]
    } as TopLevelSpec,
    "targets"
  )
}

/** True accuracy over what a prediction says, one point per architecture: `of` picks the prediction of a row. */
export const rankingScatter = (
  rows: ReadonlyArray<{ readonly truth: number; readonly predicted: number }>,
  prediction: { readonly id: string; readonly title: string; readonly colour: string },
  size: ChartSize
): Promise<string> => {
  const axis = (field: string, title: string, more: object) =>
    ({
      field,
      type: "quantitative",
      title,
      scale: { nice: true, zero: false },
      axis: { tickCount: 6, ...more }
    }) as const
  return render(
    {
      ...size,
      data: { values: rows.map(({ predicted, truth }) => ({ predicted, truth })) },
      mark: { type: "point", filled: true, size: 34, color: prediction.colour, opacity: 0.65 },
      encoding: {
        x: axis("predicted", prediction.title, { grid: false }),
        y: axis("truth", "true accuracy, percent", { domain: false, ticks: false })
      }
    } as TopLevelSpec,
    prediction.id
  )
}

/** The colours of the page's light theme, for a drawing outside a page. */
const lightTheme: Readonly<Record<string, string>> = {
  card: "#fff",
  ink: "#1b2030",
  muted: "#667085",
  rule: "#c9cfdb",
  grid: "#e9ecf2",
  c1: "#4269d0",
  c2: "#ff725c",
  c3: "#efb118",
  c4: "#3ca951",
  warn: "#d94f3d"
}

/**
 * A chart as a file of its own: on white, with the colours of the light theme and a font of the system.
 *
 * **Example** (A colour in place of its variable)
 *
 * ```ts
 * import * as Charts from "./Charts.ts"
 *
 * Charts.standalone('<svg width="9"><path fill="var(--c1)"/></svg>').includes("#4269d0") // => true
 * ```
 */
export const standalone = (svg: string): string =>
  svg
    .replaceAll(/var\(--(\w+)\)/g, (_, name: string) => lightTheme[name] ?? "#000")
    .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff;font-family:sans-serif" ')
    .replace(/ style="max-width:100%;height:auto"/, "")
    .replace(/( xmlns="[^"]*")(.*?)\1/, "$1$2")
