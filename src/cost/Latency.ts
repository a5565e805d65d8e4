/**
 * Measures latency: the forward pass of one image through every block of a space, in evaluation mode, on this machine and
 * the current engine. After a warm-up, the result is the median of many runs. Identical blocks on identical shapes are
 * measured once. The runs of all blocks alternate, so that a busy moment of the machine does not hit a single block.
 */
import * as os from "node:os"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type { EngineShape } from "../engine/Engine.ts"
import { disposeUnsafe } from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import { apply, type ImageShape, initialise, type NamedBlock, type Network } from "../search-space/Network.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"
import type { CostEntries } from "./CostModel.ts"
import {
  blockKey,
  type LatencyMeasurement,
  type LookupTable,
  type Machine,
  onGrid,
  placedBlocks
} from "./LookupTable.ts"

/** How to measure. */
export interface LatencyOptions {
  /** Runs before the measured ones. Default: 5. */
  readonly warmUp?: number | undefined
  /** Measured runs. Default: 31. */
  readonly runs?: number | undefined
  /** Milliseconds of a monotonic clock. Default: that of the process. */
  readonly now?: (() => number) | undefined
}

/** This machine with an engine on it. */
export const machine = (engine: EngineShape): Machine => ({
  processor: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  engine: engine.name,
  mode: engine.mode,
  threads: engine.threads
})

/** Median and distance between the quartiles. */
const summary = (times: Float64Array): { readonly median: number; readonly spread: number } => {
  const sorted = times.slice().sort()
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!
  return { median: onGrid(at(0.5)), spread: onGrid(at(0.75) - at(0.25)) }
}

/** Blocks to be timed, and the times. */
interface Subject {
  readonly run: () => void
  readonly dispose: () => void
  readonly times: Float64Array
}

const subject = (blocks: ReadonlyArray<NamedBlock>, input: ImageShape, runs: number): Subject => {
  const network: Network = { input, blocks }
  const variables = initialise(network, Key.make(0))
  const image = tf.tensor4d(Key.normals(Key.make(1), input[0] * input[1] * input[2]), [1, ...input])
  return {
    run: () => {
      const { output } = apply(network, variables, image, "eval")
      // Reading the result waits for engines that compute in the background.
      output.dataSync()
      output.dispose()
    },
    dispose: () => {
      image.dispose()
      disposeUnsafe(variables.params)
      disposeUnsafe(variables.stats)
    },
    times: new Float64Array(runs)
  }
}

/** Adds measured latency to a table. The engine must be the current one. */
export const measure = Effect.fn("Latency.measure")(function* (
  space: SearchSpaceShape,
  table: LookupTable,
  engine: EngineShape,
  options: LatencyOptions = {}
) {
  const { now = () => performance.now(), runs = 31, warmUp = 5 } = options
  const placed = placedBlocks(space)
  const subjects = new Map<string, Subject>()
  const add = (key: string, blocks: ReadonlyArray<NamedBlock>, input: ImageShape) => {
    if (blocks.length > 0 && !subjects.has(key)) subjects.set(key, subject(blocks, input, runs))
  }
  return yield* Effect.gen(function* () {
    add("first", space.first, space.interface.input)
    add("last", space.last, placed.last[0]?.input ?? space.interface.input)
    for (const layer of placed.layers) for (const at of layer) add(blockKey(at), [at.block], at.input)
    for (let turn = -warmUp; turn < runs; turn += 1) {
      for (const { run, times } of subjects.values()) {
        const before = now()
        run()
        if (turn >= 0) times[turn] = now() - before
      }
      yield* Effect.yieldNow
    }
    const summaries = new Map([...subjects].map(([key, { times }]) => [key, summary(times)]))
    const none = { median: 0, spread: 0 }
    const of = (key: string) => summaries.get(key) ?? none
    const entries = (what: "median" | "spread"): CostEntries => ({
      base: of("first")[what] + of("last")[what],
      layers: placed.layers.map((layer) => layer.map((at) => of(blockKey(at))[what]))
    })
    const measured: LookupTable = {
      ...table,
      latency: { machine: machine(engine), warmUp, runs, entries: entries("median"), spread: entries("spread") }
    }
    return measured
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        for (const { dispose } of subjects.values()) dispose()
      })
    )
  )
})

/** Latency for `LookupTable.obtain`. */
export const measurement = (
  space: SearchSpaceShape,
  engine: EngineShape,
  options?: LatencyOptions
): LatencyMeasurement<never, never> => ({
  machine: machine(engine),
  measure: (table) => measure(space, table, engine, options)
})
