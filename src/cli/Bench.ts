/**
 * `osnas bench`: images/s of supernet training and of the evaluation of architectures, measured on the code that a run uses;
 * or single kernels; or both phases in alternation with a PyTorch peer.
 */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as tf from "@tensorflow/tfjs-core"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as CrossEntropy from "../criterion/CrossEntropy.ts"
import type { Batch, DataflowShape } from "../dataflow/Dataflow.ts"
import { Engine, type EngineMode } from "../engine/Engine.ts"
import * as Engines from "../engine/Engines.ts"
import * as Threads from "../engine/Threads.ts"
import * as Optimizer from "../nn/Optimizer.ts"
import * as ParameterTree from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import { si } from "../report/Format.ts"
import { OptimizerConfig } from "../run/RunConfig.ts"
import * as Trainer from "../run/Trainer.ts"
import * as TrainingState from "../run/TrainingState.ts"
import * as Network from "../search-space/Network.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import { upperMedian } from "../support/Median.ts"
import * as Classification from "../training-agent/Classification.ts"
import type { Forward } from "../training-agent/TrainingAgent.ts"
import type { Input } from "./commands/Bench.ts"
import { UsageError } from "./Exit.ts"
import { buildSpace } from "./Inspect.ts"

/** One measured phase, with the keys that the peer prints. */
export interface Throughput {
  readonly phase: "train" | "evaluate"
  readonly space: string
  readonly size: number
  readonly stem_stride: number
  readonly batch: number
  readonly threads: number
  readonly engine: string
  readonly mode: string
  readonly median_s: number
  readonly images_per_s: number
}

/** A uniform path without each layer's last option, which is the skip where there is one. */
export const pathWithoutSkip = (space: SearchSpaceShape, key: Key.Key, step: number): Genotype =>
  space.choices.map((choices, position) =>
    Key.integer(Key.derive(key, "path", step, position), Math.max(1, choices.length - 1))
  )

/** Steps before timing starts: they compile kernels and allocate memory. */
const warmUp = 2

const timed = Effect.fnUntraced(function* <E, R>(steps: number, step: (index: number) => Effect.Effect<void, E, R>) {
  const times: Array<number> = []
  for (let index = 0; index < warmUp + steps; index++) {
    const start = performance.now()
    yield* step(index)
    if (index >= warmUp) times.push((performance.now() - start) / 1000)
  }
  return upperMedian(times)
})

const measure = Effect.fn("Bench.measure")(function* (input: Input, space: SearchSpaceShape) {
  const engine = yield* Engine
  const key = Key.make(0)
  const image = [input.size, input.size, input.channels] as const
  const batch: Batch = {
    images: Key.normals(Key.derive(key, "images"), input.batch * image[0] * image[1] * image[2]),
    labels: Int32Array.from({ length: input.batch }, (_, i) => i % input.classes),
    size: input.batch
  }
  const dataflow: DataflowShape = {
    name: "noise",
    image,
    classes: Array.from({ length: input.classes }, (_, i) => String(i)),
    count: () => input.batch,
    steps: () => 1,
    batch: () => Effect.succeed(batch),
    digest: ""
  }
  const optimizer = Schema.decodeUnknownSync(OptimizerConfig)({ learningRate: 0.01 })
  const setup: Trainer.TrainerSetup = {
    phase: "supernetTraining",
    key,
    split: "supernet",
    epochs: 1,
    stepsPerEpoch: warmUp + input.steps + 1,
    batchSize: input.batch,
    accumulate: 1,
    bnMomentum: 0.1,
    learningRate: optimizer.learningRate,
    schedule: () => 1,
    optimizer: Optimizer.fromConfig(optimizer),
    agent: Classification.agent,
    criterion: CrossEntropy.make({ labelSmoothing: 0 }),
    dataflow,
    sampler: {
      init: () => ({ step: 0 }),
      next: (state) => {
        const step = Number(state["step"])
        return [{ _tag: "Paths", paths: [pathWithoutSkip(space, key, step)] }, { step: step + 1 }]
      }
    },
    forwards: (step) =>
      step._tag === "Paths"
        ? step.paths.map((path): Forward => {
            const network = space.network(path)
            return (variables, images, mode) => Network.apply(network, variables, images, mode)
          })
        : [],
    updateStatistics: Network.updateStatistics,
    classifies: true
  }
  let state = Trainer.init(setup, Network.initialise(space.supernet, key), {})
  const line = (phase: Throughput["phase"], seconds: number): Throughput => ({
    phase,
    space: space.name,
    size: input.size,
    stem_stride: Option.getOrElse(input.stemStride, () => 2),
    batch: input.batch,
    threads: engine.threads,
    engine: engine.name,
    mode: engine.mode,
    median_s: Number(seconds.toPrecision(5)),
    images_per_s: Number((input.batch / seconds).toFixed(1))
  })
  const trained = yield* timed(input.steps, () =>
    Effect.map(Trainer.step(setup, state), ([next]) => {
      TrainingState.disposeReplacedUnsafe(state, next)
      state = next
    })
  )
  yield* report(input, line("train", trained))
  const evaluated = yield* timed(input.steps, (index) =>
    Effect.sync(() => {
      const network = space.network(pathWithoutSkip(space, Key.derive(key, "evaluate"), index))
      tf.tidy(() => {
        const images = tf.tensor4d(batch.images, [batch.size, ...image])
        const { output } = Network.apply(network, state.variables, images, "eval")
        return tf.argMax(output, 1).dataSync().length
      })
    })
  )
  yield* report(input, line("evaluate", evaluated))
  ParameterTree.disposeUnsafe(state.variables.params)
  const { peakBytes } = engine.memory()
  if (!input.json)
    yield* Console.log(`  peak tensor memory ${si(peakBytes)}B, resident ${si(process.memoryUsage.rss())}B`)
})

const report = (input: Input, line: Throughput): Effect.Effect<void> =>
  Console.log(
    input.json
      ? JSON.stringify(line)
      : `  ${line.phase.padEnd(8)} ${String(line.images_per_s).padStart(8)} images/s  (${line.median_s} s per batch of ${line.batch})`
  )

/** The environment variable with the folder of the peer's scripts. */
const peerVariable = "OSNAS_PEER"

/** Runs a process and collects the JSON lines that it prints. */
const jsonLines = (command: string, args: ReadonlyArray<string>) =>
  Effect.callback<ReadonlyArray<Readonly<Record<string, unknown>>>, UsageError>((resume) => {
    // A process group of its own, so that what the child starts (an interpreter behind a wrapper) ends with it.
    const grouped = process.platform !== "win32"
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: grouped })
    const end = (): void => {
      if (child.pid === undefined) return
      try {
        if (grouped) process.kill(-child.pid, "SIGKILL")
        else child.kill("SIGKILL")
      } catch {
        // The process has ended already.
      }
    }
    // A second signal ends this process without running finalizers.
    process.once("exit", end)
    const forget = (): void => {
      process.removeListener("exit", end)
    }
    let [out, err] = ["", ""]
    child.stdout.on("data", (chunk) => {
      out += chunk
    })
    child.stderr.on("data", (chunk) => {
      err += chunk
    })
    const fail = (reason: string): void =>
      resume(Effect.fail(new UsageError({ reason: `${command} ${args.join(" ")}: ${reason}` })))
    child.on("error", (error) => {
      forget()
      fail(error.message)
    })
    child.on("close", (code) => {
      forget()
      if (code !== 0) return fail(`ended with ${code}\n${err.slice(-2000)}`)
      resume(
        Effect.succeed(
          out
            .split("\n")
            .filter((line) => line.startsWith("{"))
            .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
        )
      )
    })
    return Effect.sync(() => {
      end()
      forget()
    })
  })

/** Measurements per side; the best median is reported, because noise only ever slows a measurement down. */
const rounds = 2

const compare = Effect.fn("Bench.compare")(function* (input: Input, python: string) {
  const folder = process.env[peerVariable]
  const script = Option.getOrElse(input.peer, () => (folder ? join(folder, "throughput.py") : undefined))
  if (script === undefined) {
    return yield* new UsageError({
      reason: `--compare needs the peer's throughput.py: name it with --peer, or its folder in ${peerVariable}`
    })
  }
  if (!existsSync(script)) {
    return yield* new UsageError({ reason: `the peer's throughput.py is not at ${script}; name it with --peer` })
  }
  const threads = String(Option.getOrElse(input.threads, () => 2))
  const shared = ["--space", input.space, "--size", String(input.size), "--classes", String(input.classes)]
  const common = [...shared, "--batch", String(input.batch), "--steps", String(input.steps), "--threads", threads]
  const stem = Option.isSome(input.stemStride) ? ["--stem-stride", String(input.stemStride.value)] : []
  const launcher = process.argv[1]
  if (launcher === undefined)
    return yield* new UsageError({
      reason: "cannot find the script that started this process (process.argv[1]), which --compare starts again"
    })
  const modes: ReadonlyArray<EngineMode> = Option.isSome(input.mode) ? [input.mode.value] : ["strict", "relaxed"]
  const layouts = ["nchw", "channels_last"] as const
  const best = new Map<string, number>()
  const take = (side: string, lines: ReadonlyArray<Readonly<Record<string, unknown>>>) =>
    Effect.forEach(lines, (line) => {
      const key = `${line["phase"]} ${side}`
      best.set(key, Math.max(best.get(key) ?? 0, Number(line["images_per_s"])))
      return Console.log(
        input.json ? JSON.stringify({ side, ...line }) : `  ${key.padEnd(24)} ${line["images_per_s"]} images/s`
      )
    })
  for (let round = 0; round < rounds; round++) {
    for (const [index, layout] of layouts.entries()) {
      const mode = modes[index]
      if (mode !== undefined) {
        const args = [
          ...process.execArgv,
          launcher,
          "bench",
          ...common,
          ...stem,
          "--mode",
          mode,
          "--engine",
          input.engine
        ]
        yield* take(mode, yield* jsonLines(process.execPath, [...args, "--json"]))
      }
      yield* take(layout, yield* jsonLines(python, [script, ...common, ...stem, "--layout", layout]))
    }
  }
  for (const phase of ["train", "evaluate"] as const) {
    for (const mode of modes) {
      for (const layout of layouts) {
        const [ours, peers] = [best.get(`${phase} ${mode}`), best.get(`${phase} ${layout}`)]
        if (ours === undefined || peers === undefined || peers === 0) continue
        const ratio = Number((ours / peers).toFixed(3))
        yield* Console.log(
          input.json
            ? JSON.stringify({ phase, mode, layout, images_per_s: ours, peer_images_per_s: peers, ratio })
            : `${phase.padEnd(8)} ${mode.padEnd(7)} / ${layout.padEnd(13)} ${ratio.toFixed(2)}x`
        )
      }
    }
  }
})

/** Runs the command. */
export const run = Effect.fn("Bench.run")(function* (input: Input) {
  const refusal = Option.isSome(input.threads) ? Threads.refusal(input.threads.value) : undefined
  if (refusal !== undefined) return yield* new UsageError({ reason: `--threads: ${refusal}` })
  if (Option.isSome(input.compare)) return yield* compare(input, input.compare.value)
  const options = {
    mode: Option.getOrElse(input.mode, () => "strict" as const),
    threads: Option.getOrElse(input.threads, () => 0)
  }
  if (input.kernels) {
    const { benchKernels } = yield* Effect.promise(() => import("../engine/KernelBench.ts"))
    return yield* benchKernels({ ...options, batch: input.batch }, (line) =>
      Console.log(
        input.json
          ? JSON.stringify(line)
          : `${line.kernel.padEnd(22)} ${line.pass.padEnd(15)} ${line.shape.padEnd(34)} ${String(Math.round(line.microseconds)).padStart(8)} us ${(line.gflops ?? 0).toFixed(1).padStart(7)} GFLOPS ${line.gbps.toFixed(1).padStart(6)} GB/s ${String(Math.round(line.share_of_peak * 100)).padStart(4)} % of peak`
      )
    )
  }
  const space = yield* buildSpace(
    input.space,
    Option.isSome(input.stemStride) ? { stemStride: input.stemStride.value } : {},
    [],
    [input.size, input.size, input.channels],
    { _tag: "Classifier", classes: input.classes }
  )
  yield* Effect.scoped(
    Effect.gen(function* () {
      const engine = yield* Engines.acquire(input.engine, options)
      if (!input.json) {
        yield* Console.log(
          `${space.name}, ${input.size}x${input.size}, engine ${engine.name} ${engine.version}, ${engine.mode}, ${engine.threads} threads`
        )
      }
      yield* Effect.provideService(measure(input, space), Engine, engine)
    })
  )
})
