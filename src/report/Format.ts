/** Formats numbers for people, the same in reports and on the terminal. */

const trim = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text)

/**
 * A count with a unit prefix and three or four significant digits.
 *
 * **Example** (A cost)
 *
 * ```ts
 * import { si } from "./Format.ts"
 *
 * si(19169792) // => "19.17M"
 * si(2039028) // => "2.039M"
 * si(950) // => "950"
 * ```
 */
export const si = (value: number): string => {
  const units = ["", "k", "M", "G", "T"]
  let scaled = value
  let unit = 0
  while (Math.abs(scaled) >= 1000 && unit < units.length - 1) {
    scaled /= 1000
    unit += 1
  }
  if (unit === 0) return Number.isInteger(scaled) ? String(scaled) : trim(scaled.toPrecision(4))
  return `${trim(scaled.toPrecision(4))}${units[unit]}`
}

/**
 * A fraction as a percentage with two decimals.
 *
 * **Example** (An accuracy)
 *
 * ```ts
 * import { percent } from "./Format.ts"
 *
 * percent(0.8734) // => "87.34 %"
 * ```
 */
export const percent = (fraction: number): string => `${(fraction * 100).toFixed(2)} %`

/**
 * A duration in seconds as text.
 *
 * **Example** (Short and long)
 *
 * ```ts
 * import { duration } from "./Format.ts"
 *
 * duration(8.24) // => "8.2 s"
 * duration(75) // => "1 min 15 s"
 * duration(7325) // => "2 h 2 min"
 * ```
 */
export const duration = (seconds: number): string => {
  if (!Number.isFinite(seconds) || seconds < 0) return "?"
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`
}

/** Bytes with a binary prefix: `1.5 GiB`. */
export const bytes = (count: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  let scaled = count
  let unit = 0
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024
    unit += 1
  }
  return `${unit === 0 ? scaled : trim(scaled.toFixed(2))} ${units[unit]}`
}

/**
 * Digits in groups of three.
 *
 * **Example** (The size of a search space)
 *
 * ```ts
 * import { grouped } from "./Format.ts"
 *
 * grouped("558545864083284007") // => "558,545,864,083,284,007"
 * ```
 */
export const grouped = (digits: string): string => digits.replaceAll(/\B(?=(\d{3})+(?!\d))/g, ",")

/** A metric by its name: accuracies (`top1`, `accuracy`, …) are fractions and shown as percentages. */
export const metric = (name: string, value: number): string =>
  /^(top\d+|acc|tar|auc)|accuracy/i.test(name) && value >= 0 && value <= 1 ? percent(value) : trim(value.toPrecision(5))

/** Baselines that a metric is also measured on, by the prefix of its name. */
const yardsticks = [
  ["pixel", "raw pixels"],
  ["untrained", "untrained network"]
] as const

/**
 * Metrics as pairs of name and text; the value on raw pixels or the untrained network follows the metric it is a baseline
 * of.
 *
 * **Example** (Verification of faces)
 *
 * ```ts
 * import { figures } from "./Format.ts"
 *
 * figures({ accuracy: 0.9, pixelAccuracy: 0.8 })[0] // => ["accuracy", "90.00 % (raw pixels 80.00 %)"]
 * ```
 */
export const figures = (metrics: Readonly<Record<string, number>>): ReadonlyArray<readonly [string, string]> => {
  const named = (prefix: string, name: string) => `${prefix}${name[0]!.toUpperCase()}${name.slice(1)}`
  const beside = new Set(Object.keys(metrics).flatMap((name) => yardsticks.map(([prefix]) => named(prefix, name))))
  return Object.entries(metrics)
    .filter(([name]) => !beside.has(name))
    .map(([name, value]) => {
      const others = yardsticks.flatMap(([prefix, title]) => {
        const other = metrics[named(prefix, name)]
        return other === undefined ? [] : [`${title} ${metric(name, other)}`]
      })
      return [name, metric(name, value) + (others.length === 0 ? "" : ` (${others.join(", ")})`)]
    })
}

/** The unit of a cost metric. */
export const costUnit = (name: string): string =>
  name === "flops" ? "MACs" : name === "params" ? "parameters" : name === "latency" ? "ms" : name

/** A cost of a metric with its unit. */
export const cost = (name: string, value: number): string =>
  name === "latency" ? `${trim(value.toFixed(3))} ms` : `${si(value)} ${costUnit(name)}`

/**
 * How well the costs of generated architectures follow their targets.
 *
 * **Example** (A generator that follows them well)
 *
 * ```ts
 * import { reviewWords } from "./Format.ts"
 *
 * const words = reviewWords({ kendall: 0.961, spearman: 0.996, pass: 9 })
 * words // => "costs follow their targets: Kendall 0.961, Spearman 0.996; pass 9 was the best"
 * ```
 */
export const reviewWords = ({ deviation, kendall, pass, spearman }: Readonly<Record<string, number>>): string =>
  [
    `costs follow their targets: Kendall ${kendall === undefined ? "undefined" : kendall.toFixed(3)}`,
    `Spearman ${spearman === undefined ? "undefined" : spearman.toFixed(3)}`,
    ...(deviation === undefined ? [] : [`${percent(deviation)} of the range apart`])
  ]
    .join(", ")
    .concat(pass === undefined ? "" : `; pass ${pass} was the best`)
