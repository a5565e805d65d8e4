/** `osnas import-weights` and `osnas export-weights`: reads and writes weights of PyTorch networks. */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs"
import { join } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { sizeOf } from "../engine/Shape.ts"
import { grouped } from "../report/Format.ts"
import * as Checkpoint from "../run/Checkpoint.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "../run/Load.ts"
import * as RunFolder from "../run/RunFolder.ts"
import * as TorchState from "../run/TorchState.ts"
import * as Presets from "../search-space/Presets.ts"
import type { SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as TorchNames from "../search-space/TorchNames.ts"
import { Disk } from "../support/Disk.ts"
import type { Input as ExportInput } from "./commands/ExportWeights.ts"
import type { Input as ImportInput } from "./commands/ImportWeights.ts"
import { atStart, UsageError } from "./Exit.ts"
import { buildSpace } from "./Inspect.ts"
import * as OutputFile from "./OutputFile.ts"

/** What the weights belong to: the supernet of a space, or one of its architectures. */
interface Target {
  readonly space: SearchSpaceShape
  /** Undefined: the supernet. */
  readonly architecture: string | undefined
  readonly entries: ReadonlyArray<TorchNames.TorchEntry>
  /** For messages. */
  readonly text: string
}

const formOf = ({ architecture }: Target): TorchNames.TorchForm => (architecture === undefined ? "supernet" : "network")

/** The name of a space, and its options. */
interface SpaceRef {
  readonly name: string
  readonly [option: string]: unknown
}

/** The target with a given number of channels and outputs. */
const targetFor = Effect.fnUntraced(function* (
  { name, ...own }: SpaceRef,
  input: Pick<ExportInput, "arch" | "set" | "size">,
  channels: number,
  outputs: number
) {
  const preset = Presets.find(name)
  const { name: spaceName, ...options } = preset?.searchSpace ?? { name, ...own }
  const { side = 32 } = yield* Load.component("searchSpace", spaceName, process.cwd())
  const size = Option.getOrElse(input.size, () => preset?.interface.input[0] ?? side)
  const head = { _tag: "Classifier", classes: outputs } as const
  const space = yield* buildSpace(spaceName, options, input.set, [size, size, channels], head)
  if (Option.isNone(input.arch)) {
    const entries = TorchNames.entries(space.supernet.blocks, "supernet")
    return { space, architecture: undefined, entries, text: `the supernet of ${space.name}` } satisfies Target as Target
  }
  const genotype = yield* Effect.fromResult(Presets.parse(space, input.arch.value))
  const architecture = space.format(genotype)
  const entries = TorchNames.entries(space.network(genotype).blocks, "network")
  return {
    space,
    architecture,
    entries,
    text: `the network ${architecture} of ${space.name}`
  } satisfies Target as Target
})

/** Index of the tensor whose shape depends on the number of outputs. */
const headOf = (small: Target, large: Target): number => {
  const shape = (target: Target, index: number) => TorchNames.theirWholeShape([target.entries[index]!])
  return small.entries.findIndex((_, index) => shape(small, index)[0] !== shape(large, index)[0])
}

/** Input and output channels of an entry's tensor in a file; undefined: the file does not have it. */
type WidthsOf = (entry: TorchNames.TorchEntry) => { readonly input: number; readonly output: number } | undefined

/** The target with the channels and outputs of the flags, or else of the first and last weights in the file. */
const resolveTarget = Effect.fnUntraced(function* (
  name: SpaceRef,
  input: Omit<ExportInput, "space">,
  widthsOf: WidthsOf
) {
  if (input.supernet === Option.isSome(input.arch)) {
    return yield* new UsageError({
      reason: "expected either --arch with digits (one network) or --supernet (all weights of the space)"
    })
  }
  // If the file lacks the first convolution or the head, any number serves to check the other shapes.
  const [someChannels, someOutputs] = [3, 100]
  const usual = yield* targetFor(name, input, someChannels, someOutputs)
  const sized = (channels: number, outputs: number) =>
    channels === someChannels && outputs === someOutputs
      ? Effect.succeed(usual)
      : targetFor(name, input, channels, outputs)
  const first = usual.entries[0]
  const channels = Option.getOrElse(
    input.channels,
    () => (first === undefined ? undefined : widthsOf(first)?.input) ?? someChannels
  )
  if (Option.isSome(input.classes)) return yield* sized(channels, input.classes.value)
  const entry = usual.entries[headOf(usual, yield* sized(someChannels, someOutputs + 1))]
  const outputs = (entry === undefined ? undefined : widthsOf(entry)?.output) ?? someOutputs
  return yield* sized(Math.max(1, channels), Math.max(1, outputs))
})

const refuseOverwrite = Effect.fnUntraced(function* (out: string, force: boolean) {
  yield* OutputFile.refuse("--out", out)
  if (existsSync(out) && !force)
    return yield* new UsageError({ reason: `${out} exists already; --force overwrites it` })
})

const headBytes = (file: string): Uint8Array => {
  const bytes = new Uint8Array(16)
  const descriptor = openSync(file, "r")
  try {
    return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, 0))
  } finally {
    closeSync(descriptor)
  }
}

const tensorCount = (count: number): string => (count === 1 ? "1 tensor" : `${grouped(String(count))} tensors`)

const numberCount = (tensors: ReadonlyMap<string, Checkpoint.TensorEntry>): string =>
  grouped(String([...tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0)))

const typeNames: Readonly<Record<string, string>> = { F16: "float16", BF16: "bfloat16", F64: "float64" }

const remarks = (imported: TorchState.Imported): ReadonlyArray<string> => [
  ...Object.entries(imported.converted).map(
    ([type, count]) =>
      `${tensorCount(count)} of ${typeNames[type] ?? type} ${type === "F64" ? "rounded" : "converted"} to float32`
  ),
  ...(imported.prefixed ? ["the prefix module. removed"] : []),
  ...(imported.withoutStatistics
    ? [
        "no running statistics in the file (bn_track_running_stats: False): batch statistics are recalibrated for each architecture (estimator.recalibration)"
      ]
    : []),
  ...(imported.kept.size > 0 ? [`${tensorCount(imported.kept.size)} without a counterpart here kept for export`] : [])
]

/** Runs `osnas import-weights`. */
export const importWeights = Effect.fn("Weights.import")(function* (input: ImportInput) {
  const { file, force, out } = input
  yield* refuseOverwrite(out, force)
  if (!existsSync(file)) return yield* new UsageError({ reason: `${file}: the file does not exist` })
  if (statSync(file).isDirectory()) {
    return yield* new UsageError({ reason: `${file}: this is a folder; expected a .safetensors file` })
  }
  if (TorchState.isPickle(file, headBytes(file))) {
    return yield* new UsageError({
      reason: `${file} is in PyTorch's pickle format, which can run arbitrary code when read; osnas does not read it. Save it as safetensors (pip install safetensors):\n${TorchState.howToConvert(file)}`
    })
  }
  const disk = yield* Disk
  const state = yield* Effect.mapError(Checkpoint.read(disk, file), (error) => atStart(error, "new"))
  const target = yield* resolveTarget({ name: input.space }, input, (entry) => {
    for (const [name, { shape }] of state.tensors) {
      if (TorchState.bareName(name) === entry.theirs) return { input: shape[1] ?? 0, output: shape[0] ?? 0 }
    }
    return undefined
  })
  const { architecture, entries, space, text } = target
  const imported = yield* Effect.fromResult(TorchState.fromTorch(file, text, entries, formOf(target), state.tensors))
  const metadata = {
    format: "osnas",
    phase: architecture === undefined ? "supernetTraining" : "retraining",
    space: space.name,
    ...(architecture === undefined ? {} : { architecture })
  }
  yield* Checkpoint.write(disk, out, TorchState.toCheckpoint(imported, metadata))
  const notes = remarks(imported)
  const start = architecture === undefined ? { supernet: out } : { architecture, network: out }
  if (input.json) {
    return yield* Console.log(
      JSON.stringify({
        file: out,
        space: space.name,
        ...(architecture === undefined ? {} : { architecture }),
        tensors: imported.tensors.size,
        converted: imported.converted,
        kept: imported.kept.size,
        start
      })
    )
  }
  const lines = Object.entries(start).map(([key, value]) => `    ${key}: ${value}`)
  yield* Console.log(
    [
      `${out}: ${text}, ${tensorCount(imported.tensors.size)}, ${numberCount(imported.tensors)} numbers`,
      ...notes.map((note) => `  ${note}`),
      `${architecture === undefined ? "To search it" : "To evaluate it"}, in a configuration (paths are relative to its file):`,
      "  start:",
      ...lines
    ].join("\n")
  )
}, Effect.provide(Disk.layer))

/** The file of weights at a path or in a run folder, and the space and image size that the run's configuration gives. */
const weightsOf = Effect.fnUntraced(function* (path: string, supernet: boolean) {
  const none = { file: path, space: undefined, size: undefined }
  if (!existsSync(path) || !statSync(path).isDirectory()) return none
  const config = join(path, RunFolder.files.config)
  if (!existsSync(config)) {
    return yield* new UsageError({ reason: `${path} is not a run folder: it has no ${RunFolder.files.config}` })
  }
  const { value } = yield* Effect.fromResult(ConfigFile.read(config))
  const space = value["searchSpace"] as SpaceRef | undefined
  const size = (value["dataflow"] as Readonly<Record<string, unknown>> | undefined)?.["size"]
  return {
    file: join(path, supernet ? RunFolder.files.supernet : RunFolder.files.network),
    space: space !== undefined && typeof space.name === "string" ? space : undefined,
    size: typeof size === "number" ? size : undefined
  }
})

/** Runs `osnas export-weights`. */
export const exportWeights = Effect.fn("Weights.export")(function* (input: ExportInput) {
  yield* refuseOverwrite(input.out, input.force)
  const { file, ...run } = yield* weightsOf(input.file, input.supernet)
  if (!existsSync(file)) return yield* new UsageError({ reason: `${file}: the file does not exist` })
  const disk = yield* Disk
  const checkpoint = yield* Effect.mapError(Checkpoint.read(disk, file), (error) => atStart(error, "new"))
  const { metadata } = checkpoint
  if (metadata["format"] !== "osnas") {
    return yield* new UsageError({ reason: `${file} is not a file of osnas: its metadata lack format: osnas` })
  }
  // The metadata of the file replace flags that are not given.
  const named = Option.getOrElse(input.space, () => metadata["space"])
  const ref =
    Option.isNone(input.space) && run.space !== undefined
      ? run.space
      : named === undefined
        ? undefined
        : { name: named }
  if (ref === undefined) return yield* new UsageError({ reason: `${file} does not name its space; expected --space` })
  const arch =
    input.supernet || Option.isSome(input.arch) ? input.arch : Option.fromUndefinedOr(metadata["architecture"])
  const supernet = input.supernet || (Option.isNone(arch) && metadata["phase"] === "supernetTraining")
  const size = Option.orElse(input.size, () => Option.fromUndefinedOr(run.size))
  const target = yield* resolveTarget(ref, { ...input, arch, supernet, size }, (entry) => {
    const shape = checkpoint.tensors.get(entry.ours.name)?.shape
    return shape === undefined ? undefined : { input: shape.at(-2) ?? 0, output: shape.at(-1) ?? 0 }
  })
  const { architecture, entries, space, text } = target
  const tensors = yield* Effect.fromResult(TorchState.toTorch(file, text, entries, checkpoint))
  const own = { format: "pt", space: space.name, ...(architecture === undefined ? {} : { architecture }) }
  yield* Checkpoint.write(disk, input.out, { tensors, metadata: own })
  if (input.json) {
    return yield* Console.log(JSON.stringify({ file: input.out, ...own, tensors: tensors.size }))
  }
  yield* Console.log(
    [
      `${input.out}: ${text} under PyTorch's names, ${tensorCount(tensors.size)}`,
      "In Python:",
      "  from safetensors.torch import load_file",
      `  network.load_state_dict(load_file(${JSON.stringify(input.out)}))`
    ].join("\n")
  )
}, Effect.provide(Disk.layer))
