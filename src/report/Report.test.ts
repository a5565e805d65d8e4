import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as fc from "fast-check"
import * as Network from "../search-space/Network.ts"
import * as ProxylessNas from "../search-space/ProxylessNas.ts"
import * as Charts from "./Charts.ts"
import { describe as describeArchitecture } from "./Describe.ts"
import { choiceLabels, colourOf, networkSvg, networkText, pathSvg } from "./Drawing.ts"
import * as Format from "./Format.ts"
import { html } from "./Html.ts"
import { paretoFront, type ReportData } from "./ReportData.ts"
import { sparkline, text } from "./Text.ts"
import { sample } from "./testing/sample.ts"

const bare: ReportData = {
  ...sample,
  status: "running",
  phases: [],
  supernet: [],
  learning: undefined,
  search: [],
  retraining: [],
  found: undefined,
  test: undefined
}

describe("the page", () => {
  it("needs no network and no script", async () => {
    const page = await html(sample)
    assert.notMatch(page.replaceAll(/xmlns(:\w+)?="[^"]*"/g, ""), /https?:|src=|@import|<script|<link|url\((?!#)/)
    assert.include(page, "68.34 %")
    assert.include(page, sample.found!.text)
    assert.include(page, "prefers-color-scheme:dark")
  })

  it("draws what a search by gradient has learned, however many options a layer has", async () => {
    const page = await html(sample)
    assert.include(page, "expected cost 27.04M MACs of 27M MACs, entropy 0.517 of 1, temperature 1.36")
    assert.include(page, "search.0: k5 e3, 70.00 %")
    assert.notInclude(await html(bare), "Learned")
    assert.match(text(sample), /most probable: k5 e3 70 %, k3 e3 70 %/)
    const options = Array.from({ length: 83 }, (_, option) => ({ label: `s${option}`, probability: 1 / 83 }))
    const wide = await html({ ...sample, learning: { ...sample.learning!, layers: [{ name: "search.0", options }] } })
    assert.include(wide, "16.</text>")
    assert.notInclude(wide, "17.</text>")
  })

  it("shows how a generator's costs follow their targets, where there is one", async () => {
    const metrics = { deviation: 0.05, kendall: 0.9, spearman: 0.98 }
    const page = await html({ ...sample, review: { metrics, targets: [1e7, 2e7, 3e7], costs: [1.1e7, 1.9e7, 2.9e7] } })
    assert.include(page, "The generator: target against cost")
    assert.include(page, "Kendall 0.900, Spearman 0.980, 5.00 % of the range apart")
    assert.include(page, 'aria-label="targets"')
    assert.notInclude(await html(sample), "target against cost")
    const constant = await html({ ...sample, review: { metrics: { deviation: 0.3 }, targets: [1e7], costs: [1e7] } })
    assert.include(constant, "Kendall undefined")
    assert.notInclude(constant, "NaN")
  })

  it("is the same for the same data", async () => {
    const [first, second] = [await html(sample), await html(sample)]
    assert.isTrue(first === second)
  })

  it("has every id once, and no reference without one", async () => {
    const page = await html(sample)
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    assert.strictEqual(new Set(ids).size, ids.length)
    for (const [, id] of page.matchAll(/url\(#([^)]+)\)/g)) assert.include(ids, id)
  })

  it("shows a run that has only begun, and one that failed", async () => {
    assert.include(await html(bare), "running")
    const failed = await html({ ...bare, status: "failed", failure: "diverged <here>" })
    assert.include(failed, "diverged &lt;here&gt;")
    assert.notInclude(failed, "diverged <here>")
  })

  it("is safe whatever the texts of a run hold", async () => {
    const bad = '"><script>alert(1)</script>'
    const page = await html({
      ...sample,
      name: bad,
      dataset: bad,
      config: bad,
      manifest: [[bad, bad]],
      found: {
        ...sample.found!,
        text: bad,
        blocks: sample.found!.blocks.map((b) => ({ ...b, name: bad, label: bad }))
      },
      search: sample.search.map((c) => ({ ...c, architecture: bad }))
    })
    assert.notInclude(page, "<script>")
  })

  it("survives scores that are not numbers, a single candidate, all of one cost", async () => {
    const one = sample.search[0]!
    for (const search of [
      [one],
      [one, { ...one, objective: Number.NaN }],
      [one, { ...one, index: 1, architecture: "x" }],
      [{ ...one, objective: Number.POSITIVE_INFINITY }]
    ]) {
      const page = await html({ ...sample, search })
      assert.notMatch(page, /(?:[dxyr]|cx|cy|width|height)="[^"]*(?:NaN|Infinity)/)
    }
  })
})

describe("charts", () => {
  it("are SVG of the asked size, coloured by the page", async () => {
    const svg = await Charts.searchScatter(
      sample.search,
      { metric: "flops", budget: sample.budget, objective: "loss", winner: sample.found!.text },
      { width: 600, height: 300 }
    )
    assert.match(svg, /^<svg /)
    assert.include(svg, "var(--c1)")
    assert.isAbove(svg.length, 10_000)
  })
})

describe("paretoFront", () => {
  it("holds exactly what nothing beats", () => {
    const candidates = fc.array(
      fc.record({ cost: fc.integer({ min: 0, max: 9 }), objective: fc.integer({ min: 0, max: 9 }) })
    )
    fc.assert(
      fc.property(candidates, (all) => {
        const front = paretoFront(all)
        const beats = (a: { cost: number; objective: number }, b: typeof a) =>
          a.cost <= b.cost && a.objective <= b.objective && (a.cost < b.cost || a.objective < b.objective)
        const unbeaten = all.filter((c) => !all.some((other) => beats(other, c)))
        const keys = (list: typeof all) => [...new Set(list.map((c) => `${c.cost},${c.objective}`))].sort()
        assert.deepStrictEqual(keys([...front]), keys(unbeaten))
      }),
      { seed: 1 }
    )
  })
})

describe("drawings", () => {
  const task = { input: [32, 32, 3], head: { _tag: "Classifier", classes: 100 } } as const
  const space = Result.getOrThrow(ProxylessNas.make({ stemStride: 2, widths: null }, task))
  const genotype = space.choices.map((_, i) => i % 7)
  const found = describeArchitecture(space, genotype)

  it("have a block for each of the network's, with its own costs", () => {
    assert.strictEqual(found.blocks.length, space.network(genotype).blocks.length)
    const { macs, params } = Network.count(space.network(genotype))
    assert.strictEqual(
      found.blocks.reduce((sum, block) => sum + block.macs, 0),
      macs
    )
    assert.strictEqual(
      found.blocks.reduce((sum, block) => sum + block.params, 0),
      params
    )
    assert.deepStrictEqual(
      found.layers.map((layer) => layer.taken),
      genotype
    )
    assert.strictEqual(found.blocks[2]?.label, "k3 e3")
  })

  it("fit a terminal, one line per block", () => {
    for (const width of [60, 80, 100, 200]) {
      const lines = networkText(found, width).split("\n")
      assert.strictEqual(lines.length, found.blocks.length)
      for (const line of lines) assert.isAtMost([...line].length, width)
    }
  })

  it("colour every choice differently, and draw every layer", () => {
    const labels = choiceLabels(found)
    assert.strictEqual(new Set(labels.map((label) => colourOf(labels, label))).size, 7)
    assert.strictEqual((pathSvg(found).match(/r="8.5"/g) ?? []).length, 21)
    assert.strictEqual((networkSvg(found).match(/<rect/g) ?? []).length, found.blocks.length)
  })
})

describe("text", () => {
  it("says the same as the page", () => {
    const report = text(sample)
    for (const part of ["cifar100-proxylessnas: done", "558,545,864,083,284,007", "68.34 %", "26.81M MACs"]) {
      assert.include(report, part)
    }
    assert.include(text(bare), "running")
  })

  it("draws values as a line of eighths", () => {
    assert.strictEqual(sparkline([1, 2, 3, 4, 5, 6, 7, 8]), "▁▂▃▄▅▆▇█")
    assert.strictEqual(sparkline([]), "")
    assert.strictEqual(sparkline([5, 5]), "▄▄")
    assert.strictEqual([...sparkline(Array.from({ length: 500 }, (_, i) => i))].length, 40)
  })
})

describe("Format", () => {
  it("gives four digits and a unit", () => {
    assert.strictEqual(Format.si(0), "0")
    assert.strictEqual(Format.si(1000), "1k")
    assert.strictEqual(Format.si(26812416), "26.81M")
    assert.strictEqual(Format.bytes(1536), "1.5 KiB")
    assert.strictEqual(Format.duration(3600), "1 h 0 min")
    assert.strictEqual(Format.duration(Number.NaN), "?")
    assert.strictEqual(Format.metric("top1", 0.5), "50.00 %")
    assert.strictEqual(Format.metric("loss", 0.5), "0.5")
    assert.strictEqual(Format.cost("latency", 1.5), "1.5 ms")
  })

  it("is never longer than eight characters for a count", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e14 }), (count) => Format.si(count).length <= 8),
      { seed: 1 }
    )
  })
})
