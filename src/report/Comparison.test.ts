import { describe, expect, it } from "vitest"
import * as Comparison from "./Comparison.ts"

const run = (
  name: string,
  seed: number,
  over: object = {},
  settings: Record<string, string> = {}
): Comparison.ComparedRun => ({
  folder: `runs/${name}-${seed}`,
  name,
  status: "done",
  seed,
  space: { name: "tiny", size: "117649" },
  architecture: "0,1",
  flops: 2e6,
  params: 1e5,
  headline: "top1",
  score: 0.5 + seed / 100,
  searchSeconds: 60,
  settings: new Map(
    Object.entries({
      "dataset.digest": '"aa"',
      "retraining.epochs": "4",
      "searchStrategy.name": '"evolution"',
      "searchStrategy.parents": "10",
      ...settings
    })
  ),
  machine: "a processor, threads 2",
  ...over
})
const random = { "searchStrategy.name": '"random"' }
const three = (name: string, settings: Record<string, string> = {}, over: object = {}) =>
  [1, 2, 3].map((seed) => run(name, seed, over, settings))

describe("compare", () => {
  it("averages seeds of one configuration, and says what is compared", () => {
    const compared = Comparison.compare([...three("evolution"), ...three("random", random, { score: 0.4 })])
    expect(compared.groups.map(({ label, runs }) => [label, runs.length])).toEqual([
      ["evolution", 3],
      ["random", 3]
    ])
    expect(compared.groups[0]?.score?.mean).toBeCloseTo(0.52, 12)
    expect(compared.groups[0]?.score?.deviation).toBeCloseTo(0.01, 12)
    expect(compared.compared).toEqual(["searchStrategy.name"])
    expect(compared.warnings).toEqual([])
    expect(Comparison.text(compared)).toMatch(
      /evolution +3 +2M ± 0 +100k ± 0 +52\.00 % ± 1\.00 % +1 min 0 s ± 0\.0 s +tiny +117,649/
    )
    expect(Comparison.markdown(compared)).toContain("| random | 3 |")
  })

  it("names what makes it unfair", () => {
    const { compared, warnings } = Comparison.compare([
      ...three("a"),
      run("b", 1, {}, { "retraining.epochs": "8", "dataset.digest": '"bb"' }),
      run("b", 1, { folder: "runs/again" }, { "retraining.epochs": "8", "dataset.digest": '"bb"' }),
      run("c", 1, { score: undefined, status: "paused", headline: "accuracy", machine: "another" }, random)
    ])
    expect(compared).toEqual(["searchStrategy.name"])
    const text = warnings.join("\n")
    expect(text).toContain('the data differ: "aa" for a, c; "bb" for b')
    expect(text).toContain("the protocol differs in retraining.epochs: 4 for a, c; 8 for b")
    expect(text).toContain("different seeds: 1, 2, 3 (a); 1 (b); 1 (c)")
    expect(text).toContain("b: seed 1 twice, again in runs/again")
    expect(text).toContain("runs/c-1 has no test result (paused)")
    expect(text).toContain("top1 and accuracy cannot be compared")
    expect(text).toContain("different machines: a processor, threads 2; another")
  })

  it("treats a listing of the same files as the same data, and other files as different data", () => {
    const data = (digest: string, listing: string) => ({ "dataset.digest": digest, "dataset.listing": listing })
    const warned = (...settings: ReadonlyArray<Record<string, string>>) =>
      Comparison.compare(settings.map((own, at) => run("a", at + 1, {}, own))).warnings
    expect(warned(data('"pixels"', '"list"'), data('"list"', '"list"'))).toEqual([])
    expect(warned(data('"pixels"', '"list"'), data('"pixels"', '"other list"'))).toEqual([])
    expect(warned(data('"pixels"', '"list"'), data('"other"', '"other"'))[0]).toContain("the data differ")
    expect(warned(data('"pixels"', '"list"'), data('"other pixels"', '"list"'))[0]).toContain("the data differ")
  })

  it("distinguishes groups of one name by their folders, and shows no deviation for one seed", () => {
    const compared = Comparison.compare([run("a", 1), run("a", 2, {}, random)])
    expect(compared.groups.map(({ label }) => label)).toEqual(["a (a-1)", "a (a-2)"])
    expect(compared.groups[0]?.score).toEqual({ mean: 0.51, deviation: null, count: 1 })
    expect(Comparison.text(compared)).not.toContain("±")
  })

  it("writes a page with a plot, and plain data", () => {
    const compared = Comparison.compare([...three("x<y"), ...three("random", random)])
    const page = Comparison.html(compared)
    expect(page).toContain("x&lt;y")
    expect(page.match(/<circle/g)?.length).toBe(8)
    const json = JSON.parse(JSON.stringify(Comparison.json(compared)))
    expect(json.groups[1].settings).toEqual({ "searchStrategy.name": "random" })
    expect(json.groups[1].runs[2]).toMatchObject({ seed: 3, score: 0.53 })
  })
})
