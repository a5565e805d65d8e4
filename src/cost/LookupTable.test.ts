import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { afterAll, expect, test } from "vitest"
import { Engine } from "../engine/Engine.ts"
import * as Engines from "../engine/Engines.ts"
import * as Key from "../random/Key.ts"
import * as FbNet from "../search-space/FbNet.ts"
import * as MobileFaceNet from "../search-space/MobileFaceNet.ts"
import { count } from "../search-space/Network.ts"
import * as ProxylessNas from "../search-space/ProxylessNas.ts"
import type { NetworkInterface, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as Sgnas from "../search-space/Sgnas.ts"
import * as Spos from "../search-space/Spos.ts"
import * as Tiny from "../search-space/Tiny.ts"
import { Disk } from "../support/Disk.ts"
import * as BudgetSampler from "./BudgetSampler.ts"
import * as Latency from "./Latency.ts"
import * as LayerOptions from "./LayerOptions.ts"
import * as LookupTable from "./LookupTable.ts"

const task = (side: number): NetworkInterface => ({
  input: [side, side, 3],
  head: { _tag: "Classifier", classes: 100 }
})
const defaults = <A>(schema: Schema.Codec<A, unknown>): A => Schema.decodeUnknownSync(schema)({})
const tiny = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task(28)))

const spaces: ReadonlyArray<readonly [string, () => SearchSpaceShape]> = [
  ["tiny", () => tiny],
  ["proxylessnas at 32", () => Result.getOrThrow(ProxylessNas.make(defaults(ProxylessNas.Options), task(32)))],
  ["proxylessnas at 224", () => Result.getOrThrow(ProxylessNas.make(defaults(ProxylessNas.Options), task(224)))],
  ["fbnet-s", () => Result.getOrThrow(FbNet.makeS(defaults(FbNet.Options), task(32)))],
  ["fbnet-l", () => Result.getOrThrow(FbNet.makeL(defaults(FbNet.Options), task(224)))],
  ["spos", () => Result.getOrThrow(Spos.make(defaults(Spos.Options), task(32)))],
  ["mobilefacenet", () => Result.getOrThrow(MobileFaceNet.make(defaults(MobileFaceNet.Options), task(112)))],
  ["sgnas", () => Result.getOrThrow(Sgnas.make(defaults(Sgnas.Options), task(32)))]
]

test.each(spaces)("costs equal counting the built network, and a band is sampled at once: %s", (_, make) => {
  const space = make()
  const table = LookupTable.fromSpace(space)
  const model = LookupTable.costModel(space, table)
  const { counts, genotype } = LayerOptions.make(space)
  for (let run = 0; run < 15; run += 1) {
    const key = Key.make(run)
    const drawn = genotype(counts.map((options, layer) => Key.integer(key, options, layer)))
    const { macs, params } = count(space.network(drawn))
    expect([model.cost("flops", drawn), model.cost("params", drawn)]).toEqual([macs, params])
  }
  for (const metric of ["flops", "params"] as const) {
    const entries = model.entries(metric)
    const smallest = entries.layers.reduce((sum, layer) => sum + Math.min(...layer), entries.base)
    const largest = entries.layers.reduce((sum, layer) => sum + Math.max(...layer), entries.base)
    const [min, max] = [smallest + 0.3 * (largest - smallest), smallest + 0.4 * (largest - smallest)]
    const sampler = Result.getOrThrow(BudgetSampler.make(space, entries, { metric, min, max }))
    expect(sampler.count).toBeLessThan(space.size)
    for (let run = 0; run < 5; run += 1) {
      const { macs, params } = count(space.network(sampler.sample(Key.make(run))))
      const cost = metric === "flops" ? macs : params
      expect(cost).toBeGreaterThanOrEqual(min)
      expect(cost).toBeLessThanOrEqual(max)
    }
  }
})

test("without a budget the sampler counts the whole space", () => {
  const space = spaces[1]![1]()
  const { flops } = LookupTable.fromSpace(space)
  const all = Result.getOrThrow(BudgetSampler.make(space, flops, { metric: "flops", min: 0, max: 1e12 }))
  expect(all.count).toBe(558545864083284007n)
})

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "osnas-lookup-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))

const obtain = (...args: Parameters<typeof LookupTable.obtain<never, never>>) =>
  LookupTable.obtain<never, never>(...args).pipe(Effect.provide(Disk.layer))

test("the file is made, used again where it fits, made anew where it does not", () =>
  Effect.gen(function* () {
    const file = path.join(folder, "tables", "reuse.json")
    const first = yield* obtain(file, tiny)
    const second = yield* obtain(file, tiny)
    expect([first.origin, second.origin]).toEqual(["made", "reused"])
    expect(second.table).toEqual(first.table)
    expect(first.table).toEqual(LookupTable.fromSpace(tiny))

    const larger = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task(32)))
    const otherStem = Result.getOrThrow(Tiny.make({ stemStride: 1 }, task(28)))
    const otherHead = Result.getOrThrow(
      Tiny.make({ stemStride: 2 }, { input: [28, 28, 3], head: { _tag: "Classifier", classes: 7 } })
    )
    for (const space of [larger, otherStem, otherHead]) {
      expect(LookupTable.fits(first.table, space)).toBe(false)
      const { origin, table } = yield* obtain(file, space)
      expect(origin).toBe("remade")
      expect(table).toEqual(LookupTable.fromSpace(space))
    }
  }).pipe(Effect.runPromise))

test("a table without an entry for every option, or with a negative cost, does not fit", () => {
  const table = LookupTable.fromSpace(tiny)
  expect(LookupTable.fits(table, tiny)).toBe(true)
  const { base, layers } = table.flops
  for (const flops of [
    { base, layers: layers.slice(1) },
    { base, layers: [layers[0]!.slice(1), ...layers.slice(1)] },
    { base: -1, layers },
    { base, layers: [layers[0]!.map(() => -1), ...layers.slice(1)] }
  ]) {
    expect(LookupTable.fits({ ...table, flops }, tiny)).toBe(false)
  }
})

test("a broken file is recognised, wherever it is broken", () =>
  Effect.gen(function* () {
    const file = path.join(folder, "broken.json")
    const text = LookupTable.encode(LookupTable.fromSpace(tiny))
    expect(Result.getOrThrow(LookupTable.decode(text, file))).toEqual(LookupTable.fromSpace(tiny))
    const digits = [...text.matchAll(/\d/g)].map(({ index }) => index)
    for (let i = 0; i < digits.length; i += 37) {
      const at = digits[i]!
      const changed = `${text.slice(0, at)}${(Number(text[at]) + 1) % 10}${text.slice(at + 1)}`
      const refused = LookupTable.decode(changed, file)
      expect(Result.isFailure(refused) && refused.failure.message).toMatch(/lookup table .*broken.json: /)
    }
    for (const wrong of ["", "{}", "[]", text.slice(0, -100), `${text}x`]) {
      expect(Result.isFailure(LookupTable.decode(wrong, file))).toBe(true)
    }
    fs.writeFileSync(file, text.replace('"base": ', '"base": 1'))
    const error = yield* Effect.flip(obtain(file, tiny))
    expect(error.message).toMatch(/its digest is .* it was changed or cut; delete it, and it is made anew/)
  }).pipe(Effect.runPromise))

test("latency: every block measured, identical ones once, medians of the runs, sums exact", () =>
  Effect.gen(function* () {
    const engine = yield* Engine
    const space = Result.getOrThrow(Tiny.make({ stemStride: 2 }, task(12)))
    // A clock by which every forward pass takes between one and two milliseconds.
    let time = 0
    let calls = 0
    const now = () => {
      calls += 1
      time += 1 + (calls % 8) / 8
      return time
    }
    const counted = LookupTable.fromSpace(space)
    // Layers of equal width and size are measured once for all.
    const proxyless = LookupTable.placedBlocks(spaces[1]![1]()).layers.flat()
    expect([proxyless.length, new Set(proxyless.map(LookupTable.blockKey)).size]).toEqual([21 * 7, 11 * 7])
    const { latency } = yield* Latency.measure(space, counted, engine, { warmUp: 1, runs: 3, now })
    expect(latency?.machine).toEqual(Latency.machine(engine))
    expect([latency?.warmUp, latency?.runs]).toEqual([1, 3])
    const kinds = new Set(LookupTable.placedBlocks(space).layers.flat().map(LookupTable.blockKey)).size
    expect(calls).toBe((1 + 2 * 3) * (kinds + 2))

    const table = { ...counted, latency: latency! }
    const model = LookupTable.costModel(space, table)
    expect(model.metrics).toEqual(["flops", "params", "latency"])
    const entries = model.entries("latency")
    expect(entries.layers.flat().every((ms) => ms >= 1 && ms <= 2 && Number.isInteger(ms * 4096))).toBe(true)
    const genotype = [0, 1, 2, 3, 4, 5]
    const sum = entries.base + genotype.reduce((total, option, layer) => total + entries.layers[layer]![option]!, 0)
    expect(model.cost("latency", genotype)).toBe(sum)
    const budget = { metric: "latency" as const, min: 0, max: sum }
    expect(Result.getOrThrow(BudgetSampler.make(space, entries, budget)).contains(genotype)).toBe(true)

    // On this clock; a table of this machine is used again, one of another is not.
    const file = path.join(folder, "latency.json")
    const measurement = Latency.measurement(space, engine, { warmUp: 0, runs: 1 })
    const origins = [
      (yield* obtain(file, space)).origin,
      (yield* obtain(file, space, measurement)).origin,
      (yield* obtain(file, space, measurement)).origin,
      (yield* obtain(file, space)).origin,
      (yield* obtain(file, space, { ...measurement, machine: { ...measurement.machine, threads: 99 } })).origin
    ]
    expect(origins).toEqual(["made", "remade", "reused", "reused", "remade"])
  }).pipe(Effect.provide(Engines.layer("cpu", { mode: "strict", threads: 1 })), Effect.runPromise))

test("what a table lacks, or a genotype outside, is refused", () => {
  const model = LookupTable.costModel(tiny, LookupTable.fromSpace(tiny))
  expect(() => model.cost("latency", [0, 0, 0, 0, 0, 0])).toThrow("has no latency: measure it first")
  expect(() => model.cost("flops", [0, 0, 0, 0, 0, 7])).toThrow("layer 5 has no option 7".slice(0, 5))
})
