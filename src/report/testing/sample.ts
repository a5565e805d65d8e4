/** A made-up run in the form of {@link ReportData}, for the tests of the report. */
import type { Candidate, CurvePoint, DrawnBlock, ReportData } from "../ReportData.ts"

const wave = (i: number): number => {
  const x = Math.sin(i * 127.1) * 43758.5453
  return x - Math.floor(x)
}

const choices = ["k3 e3", "k3 e6", "k5 e3", "k5 e6", "k7 e3", "k7 e6", "skip"]
const taken = [2, 0, 6, 6, 4, 0, 2, 2, 5, 2, 2, 2, 3, 2, 2, 2, 5, 5, 4, 4, 5]
const sides = [16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2]
const widths = [32, 32, 32, 32, 40, 40, 40, 40, 80, 80, 80, 80, 96, 96, 96, 96, 192, 192, 192, 192, 320]

const searched: ReadonlyArray<DrawnBlock> = taken.map((choice, i) => ({
  name: `search.${i}`,
  label: choices[choice]!,
  choice,
  output: [sides[i]!, sides[i]!, widths[i]!],
  macs: choice === 6 ? 0 : Math.round(6e5 + 2e6 * wave(i) * (1 + choice / 3)),
  params: choice === 6 ? 0 : Math.round(1e4 + 1e5 * wave(i + 50))
}))

const curvePoints = (epochs: number, from: number, to: number): ReadonlyArray<CurvePoint> =>
  Array.from({ length: epochs }, (_, i) => {
    const t = (i + 1) / epochs
    const loss = to + (from - to) * Math.exp(-4 * t) + 0.05 * wave(i)
    return { epoch: i + 1, loss, metrics: { top1: Math.max(0, 0.93 - loss / 3), top5: Math.max(0, 0.99 - loss / 8) } }
  })

const searchLog: ReadonlyArray<Candidate> = Array.from({ length: 240 }, (_, index) => {
  const generation = Math.floor(index / 24)
  const cost = 2.7e7 - 9e6 * wave(index) * (1 - generation / 20)
  const objective = 1.35 - 1.2e-8 * cost + 0.25 * wave(index + 900) * (1 - generation / 14) - generation * 0.012
  return {
    index,
    generation,
    architecture:
      index === 0 ? taken.join(",") : taken.map((c, k) => (wave(index * 31 + k) < 0.4 ? 6 - c : c)).join(","),
    cost,
    objective,
    metrics: { top1: 0.9 - objective / 4, loss: objective }
  }
})
const best = searchLog.reduce((a, b) => (b.objective < a.objective ? b : a))

/** A finished run. */
export const sample: ReportData = {
  name: "cifar100-proxylessnas",
  status: "done",
  seed: 7,
  engine: "simd 0.1.0, strict, 2 threads",
  dataset: "cifar-100",
  space: { name: "proxylessnas", size: "558545864083284007" },
  strategies: { training: "uniform", search: "evolution", criterion: "cross-entropy" },
  budget: { metric: "flops", min: 0, max: 2.7e7 },
  headline: "top1",
  phases: [
    { phase: "supernetTraining", state: "done", seconds: 8123 },
    { phase: "searching", state: "done", seconds: 412 },
    { phase: "retraining", state: "done", seconds: 5230 },
    { phase: "evaluating", state: "done", seconds: 6.2 }
  ],
  supernet: curvePoints(30, 4.2, 1.6),
  learning: {
    points: Array.from({ length: 30 }, (_, i) => ({
      epoch: i + 1,
      loss: 3 - i / 30,
      metrics: {
        loss: 3 - i / 30,
        taskLoss: 2.9 - i / 30,
        cost: 3.4e7 - 2.4e5 * i,
        target: 2.7e7,
        entropy: 1 - i / 60,
        temperature: 5 * 0.956 ** i
      }
    })),
    layers: taken.map((choice, i) => ({
      name: `search.${i}`,
      options: choices.map((label, option) => ({ label, probability: option === choice ? 0.7 : 0.05 }))
    }))
  },
  search: searchLog,
  retraining: curvePoints(30, 3.4, 0.7),
  found: {
    text: best.architecture,
    cost: best.cost,
    macs: 26_812_416,
    params: 2_203_028,
    layers: taken.map((choice, i) => ({
      name: `search.${i}`,
      choices: i % 4 === 0 && i < 20 ? choices : choices,
      taken: choice
    })),
    blocks: [
      { name: "first.0", label: "conv 3x3", choice: null, output: [16, 16, 40], macs: 276480, params: 1160 },
      { name: "first.1", label: "k3 e1", choice: null, output: [16, 16, 24], macs: 337920, params: 1448 },
      ...searched,
      { name: "last.0", label: "conv 1x1", choice: null, output: [1, 1, 1728], macs: 552960, params: 556416 },
      { name: "last.1", label: "linear", choice: null, output: [100], macs: 172800, params: 172900 }
    ]
  },
  test: { top1: 0.6834, top5: 0.8921, loss: 1.2345 },
  config: "name: cifar100-proxylessnas\nseed: 7\nbudget:\n  max: 27000000\n",
  manifest: [["node", "24.21.0"]]
}
