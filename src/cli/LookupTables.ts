/** `osnas lookup-table`: writes the costs of a search space, counted, measured, or for you to fill in. */
import { lstatSync } from "node:fs"
import { dirname, relative, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Latency from "../cost/Latency.ts"
import * as LookupTable from "../cost/LookupTable.ts"
import { Engine } from "../engine/Engine.ts"
import * as EngineLayer from "../run/EngineLayer.ts"
import * as Load from "../run/Load.ts"
import { taskLayers } from "../run/RunLayers.ts"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import { Disk, writeTextAtomic } from "../support/Disk.ts"
import type { Input } from "./commands/LookupTable.ts"
import { UsageError } from "./Exit.ts"

/** The machine in a table whose latencies you fill in. */
const device: LookupTable.Machine = {
  processor: "my device",
  cores: 1,
  engine: "my runtime",
  mode: "float32",
  threads: 1
}

/** A table with a latency of 0 for every option, for you to replace. */
const withBlanks = (table: LookupTable.LookupTable): LookupTable.LookupTable => {
  const zeros = { base: 0, layers: table.flops.layers.map((costs) => costs.map(() => 0)) }
  return { ...table, latency: { machine: device, warmUp: 0, runs: 0, entries: zeros, spread: zeros } }
}

/** Runs the command. */
export const run = Effect.fn("LookupTables.run")(function* (input: Input) {
  const { editable, force, latency, out } = input
  const there = lstatSync(out, { throwIfNoEntry: false })
  if (there !== undefined && !there.isFile()) {
    return yield* new UsageError({ reason: `--out ${out}: this is not a file` })
  }
  if (there !== undefined && !force) {
    return yield* new UsageError({ reason: `${out} exists already; --force overwrites it` })
  }
  const loaded = yield* Load.file(input.config, { set: input.set })
  const program = Effect.gen(function* () {
    const space = yield* SearchSpace
    const counted = LookupTable.fromSpace(space)
    const table = latency
      ? yield* Latency.measure(space, counted, yield* Engine)
      : editable
        ? withBlanks(counted)
        : counted
    const disk = yield* Disk
    yield* disk.makeFolder(dirname(out))
    yield* writeTextAtomic(disk, out, editable ? LookupTable.encodeEditable(table) : LookupTable.encode(table))
    return table
  })
  const layers = Layer.merge(
    taskLayers(loaded.config, loaded.components),
    EngineLayer.layer(loaded.config, loaded.folder)
  )
  const table = yield* Effect.scoped(program).pipe(Effect.provide(layers), Effect.provide(Disk.layer))
  const whose = table.latency === null ? null : LookupTable.machineText(table.latency.machine)
  if (input.json) {
    return yield* Console.log(JSON.stringify({ file: out, space: table.space, input: table.input, latency: whose }))
  }
  const lines = [`${out}: costs of ${table.space} for images of ${table.input.join("x")}`]
  if (latency) lines.push(`Latency of ${whose}`)
  else if (editable) lines.push("Fill in latency.machine and the milliseconds of latency.entries; all are 0 now")
  const named = relative(loaded.folder, resolve(out)).replaceAll("\\", "/")
  const metric =
    table.latency !== null && loaded.config.budget.metric !== "latency"
      ? " --set budget.metric=latency --set budget.max=MS"
      : ""
  lines.push(`Search with it: osnas run ${input.config}${metric} --set budget.lookupTable=${named}`)
  yield* Console.log(lines.join("\n"))
})
