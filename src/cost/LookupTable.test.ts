import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
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
import * as FeasibleSet from "./FeasibleSet.ts"
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

it.each(spaces)("costs equal those of the built network, and a band can be sampled: %s", (_, make) => {
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
    const feasible = Result.getOrThrow(FeasibleSet.make(space, entries, { metric, min, max }))
    expect(feasible.count).toBeLessThan(space.size)
    for (let run = 0; run < 5; run += 1) {
      const { macs, params } = count(space.network(feasible.sample(Key.make(run))))
      const cost = metric === "flops" ? macs : params
      expect(cost).toBeGreaterThanOrEqual(min)
      expect(cost).toBeLessThanOrEqual(max)
    }
  }
})

it("without a budget the feasible set is the whole space", () => {
  const space = spaces[1]![1]()
  const { flops } = LookupTable.fromSpace(space)
  const all = Result.getOrThrow(FeasibleSet.make(space, flops, { metric: "flops", min: 0, max: 1e12 }))
  expect(all.count).toBe(558545864083284007n)
})

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "osnas-lookup-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))

const obtain = (...args: Parameters<typeof LookupTable.obtain<never, never>>) =>
  LookupTable.obtain<never, never>(...args).pipe(Effect.provide(Disk.layer))

/** The message of the refusal. The file must be unchanged. */
const refused = Effect.fnUntraced(function* (
  file: string,
  space: Parameters<typeof obtain>[1],
  latency?: Parameters<typeof obtain>[2]
) {
  const before = fs.readFileSync(file)
  const error = yield* Effect.flip(obtain(file, space, latency))
  expect(fs.readFileSync(file)).toEqual(before)
  expect(error._tag).toBe("LookupTableError")
  return error.message
})

it.live("the file is made, used if it fits, and refused with what differs otherwise", () =>
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
    const otherSpace = spaces[1]![1]()
    const expected = [
      [larger, "it is for an input of 28x28x3; this run's is 32x32x3"],
      [otherStem, "its blocks differ: flops of the fixed part (base) is "],
      [otherHead, "its blocks differ: flops of the fixed part (base) is "],
      [otherSpace, "it is of the space tiny; this run's is proxylessnas"]
    ] as const
    for (const [space, reason] of expected) {
      expect(LookupTable.fits(first.table, space)).toBe(false)
      const message = yield* refused(file, space)
      expect(message).toContain(`it does not fit this run: ${reason}`)
      expect(message).toContain("to make a new table, name a file that does not exist yet")
    }
  })
)

it("a table without an entry for every option, or with a negative cost, does not fit", () => {
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
  const why = (flops: LookupTable.LookupTable["flops"]) => LookupTable.misfit({ ...table, flops }, tiny)
  const [first] = layers
  const named = "layer 0 (search.0), option 2 (k5 e2)"
  expect(why({ base, layers: layers.slice(1) })).toBe("flops has 5 layers; expected 6")
  expect(why({ base, layers: [first!.slice(1), ...layers.slice(1)] })).toMatch(
    /^flops has 6 entries for layer 0 \(\S+\); expected 7: /
  )
  expect(why({ base: -1, layers })).toBe("flops has the base -1; expected 0 or more")
  expect(why({ base, layers: [first!.map((cost, at) => (at === 2 ? -5 : cost)), ...layers.slice(1)] })).toBe(
    `flops of ${named} is -5; expected 0 or more`
  )
})

it.live("a damaged file is recognised, wherever the damage is", () =>
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
    expect(error.message).toMatch(
      /its digest is .* it was edited, cut or damaged. If you edited it, remove its line "digest"/
    )
    expect(fs.readFileSync(file, "utf8")).toContain('"base": 1')
  })
)

it.live(
  "an edited table without a digest: it is accepted, its costs are checked, its latency is that of the named machine",
  () =>
    Effect.gen(function* () {
      const file = path.join(folder, "phone.json")
      const counted = LookupTable.fromSpace(tiny)
      const phone = { processor: "Phone", cores: 8, engine: "tflite", mode: "float16", threads: 4 }
      const entries = { base: 1.5, layers: counted.flops.layers.map((costs) => costs.map((_, at) => 0.1 + at)) }
      const text = LookupTable.encodeEditable(counted)
      expect(text).not.toContain("digest")
      const mine = { ...JSON.parse(text), latency: { machine: phone, entries } }
      const measurement = {
        machine: { ...phone, processor: "This" },
        measure: () => Effect.die("must not be measured")
      }
      // As an editor on Windows may save it.
      fs.writeFileSync(file, `\uFEFF${JSON.stringify(mine, null, 2).replaceAll("\n", "\r\n")}`)
      const { origin, table } = yield* obtain(file, tiny, measurement)
      expect(origin).toBe("reused")
      expect(table.latency?.machine).toEqual(phone)
      expect([table.latency?.runs, table.latency?.entries.layers[0]?.[1]]).toEqual([0, Math.round(1.1 * 4096) / 4096])
      expect(LookupTable.otherMachine(table, measurement.machine)).toBe(
        "Phone (8 cores), engine tflite float16, 4 threads"
      )
      // The run folder has the same table, with a digest.
      expect(Result.getOrThrow(LookupTable.decode(LookupTable.encode(table), "kept.json"))).toEqual(table)

      const wrong = (change: object, latency = measurement) => {
        fs.writeFileSync(file, JSON.stringify({ ...mine, ...change }))
        return refused(file, tiny, latency)
      }
      expect(yield* wrong({ latency: null })).toContain("it has no latency, which the budget needs")
      const layers = counted.flops.layers.map((costs, layer) => costs.map((cost) => (layer === 3 ? cost + 1 : cost)))
      const message = yield* wrong({ flops: { base: counted.flops.base, layers } })
      expect(message).toMatch(/flops of layer 3 \(.*\), option 0 \(.*\) is \d+; in this space it is \d+/)
      const short = { machine: phone, entries: { base: 1, layers: entries.layers.slice(2) } }
      expect(yield* wrong({ latency: short })).toContain("latency has 4 layers; expected 6")
      fs.writeFileSync(file, Buffer.from(JSON.stringify({ ...mine, space: "größe" }), "latin1"))
      expect(yield* refused(file, tiny)).toContain("which is not UTF-8")
      expect((yield* Effect.flip(obtain(folder, tiny))).message).toMatch(/^lookup table .*: it cannot be read: /)
    })
)

it.live("latency: every block is measured, identical ones once; medians of the runs; exact sums", () =>
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
    // Layers of equal width and size are measured once.
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
    expect(Result.getOrThrow(FeasibleSet.make(space, entries, budget)).contains(genotype)).toBe(true)

    // A table is used whatever machine it was measured on; a table without latency is not replaced.
    const file = path.join(folder, "latency.json")
    const measurement = Latency.measurement(space, engine, { warmUp: 0, runs: 1 })
    const other = { ...measurement, machine: { ...measurement.machine, threads: 99 } }
    const origins = [
      (yield* obtain(file, space, measurement)).origin,
      (yield* obtain(file, space, measurement)).origin,
      (yield* obtain(file, space)).origin,
      (yield* obtain(file, space, other)).origin
    ]
    expect(origins).toEqual(["made", "reused", "reused", "reused"])
    const made = (yield* obtain(file, space)).table
    expect(LookupTable.otherMachine(made, measurement.machine)).toBeUndefined()
    expect(LookupTable.otherMachine(made, other.machine)).toContain("1 thread")
    const countedFile = path.join(folder, "counted.json")
    expect((yield* obtain(countedFile, space)).origin).toBe("made")
    expect(yield* refused(countedFile, space, measurement)).toContain("no latency, which the budget needs")
  }).pipe(Effect.provide(Engines.layer("cpu", { mode: "strict", threads: 1 })))
)

it("a missing latency, and a genotype outside the space, are refused", () => {
  const model = LookupTable.costModel(tiny, LookupTable.fromSpace(tiny))
  expect(() => model.cost("latency", [0, 0, 0, 0, 0, 0])).toThrow("has no latency; measure it first")
  expect(() => model.cost("flops", [0, 0, 0, 0, 0, 7])).toThrow("layer 5 has no option 7".slice(0, 5))
})
