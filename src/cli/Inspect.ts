/** `osnas inspect`: shows a search space or the cost of its architectures, without training or tensors. */
import { readFileSync } from "node:fs"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import { describe } from "../report/Describe.ts"
import { networkText, shapeText } from "../report/Drawing.ts"
import { grouped, si } from "../report/Format.ts"
import * as TextTable from "../report/TextTable.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "../run/Load.ts"
import { label } from "../search-space/blocks/Block.ts"
import * as Network from "../search-space/Network.ts"
import * as Presets from "../search-space/Presets.ts"
import {
  type Genotype,
  type Head,
  SearchSpace,
  type SearchSpaceShape,
  TaskInterface
} from "../search-space/SearchSpace.ts"
import { decodeText, readText } from "../support/TextFile.ts"
import type { Input } from "./commands/Inspect.ts"
import { UsageError } from "./Exit.ts"

/** Builds the space of a name for an input shape (height, width, channels) and a head. */
export const buildSpace = Effect.fn("Inspect.buildSpace")(function* (
  name: string,
  options: Readonly<Record<string, unknown>>,
  set: ReadonlyArray<string>,
  input: readonly [number, number, number],
  head: Head
) {
  const component = yield* Load.component("searchSpace", name, process.cwd())
  const start = ConfigFile.fromValue(`searchSpace ${name}`, options)
  const source = yield* Effect.fromResult(ConfigFile.override(start, set))
  const chosen = component.choose(source.value)
  if (Result.isFailure(chosen)) {
    const issues = ConfigFile.issuesOf(chosen.failure.issue, source, [])
    return yield* new ConfigFile.ConfigError({ file: source.file, issues })
  }
  const needs = Layer.merge(Layer.succeed(TaskInterface, { input, head }), Layer.succeed(RunKey, Key.make(0)))
  return yield* SearchSpace.pipe(Effect.provide(Layer.provide(chosen.success.layer, needs)))
})

/** Longest list of architectures that is read, in bytes. */
const longestList = 1 << 28

const readList = (file: string): Result.Result<string, UsageError> =>
  Result.mapError(
    file === "-"
      ? Result.flatMap(
          Result.try({
            try: () => readFileSync(0),
            catch: (error) => (error instanceof Error ? error.message : String(error))
          }),
          decodeText
        )
      : readText(file, "a list of architectures", longestList),
    (reason) => new UsageError({ reason: `--archs ${file}: ${reason}` })
  )

/**
 * Reads architectures from a text, one per line: digits, or names of networks published in the space. Empty lines and lines
 * that begin with # are skipped.
 */
export const parseArchitectures = (
  text: string,
  file: string,
  space: SearchSpaceShape
): Result.Result<ReadonlyArray<Genotype>, UsageError> => {
  const genotypes: Array<Genotype> = []
  // Parsing a name builds a space, and a list may repeat it a thousand times.
  const named = new Map<string, ReturnType<typeof Presets.parse>>()
  const parse = (line: string) => {
    const known = named.get(line)
    if (known !== undefined) return known
    const parsed = Presets.parse(space, line)
    if (Presets.find(line) !== undefined) named.set(line, parsed)
    return parsed
  }
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim()
    if (line === "" || line.startsWith("#")) continue
    const parsed = parse(line)
    if (Result.isFailure(parsed)) {
      return Result.fail(new UsageError({ reason: `--archs ${file}, line ${index + 1}: ${parsed.failure.message}` }))
    }
    genotypes.push(parsed.success)
  }
  return Result.succeed(genotypes)
}

const extremes = (space: SearchSpaceShape): { readonly smallest: number; readonly largest: number } => {
  let shape = space.interface.input
  const sum = { smallest: 0, largest: 0 }
  const fixed = (blocks: SearchSpaceShape["first"]): void => {
    for (const { block } of blocks) {
      const { macs } = Network.blockCost(block, shape)
      sum.smallest += macs
      sum.largest += macs
      shape = Network.outputShape(block, shape)
    }
  }
  fixed(space.first)
  for (const layer of space.layers) {
    const costs = layer.options.map((option) => Network.blockCost(option.block.block, shape).macs)
    sum.smallest += costs.reduce((a, b) => Math.min(a, b))
    sum.largest += costs.reduce((a, b) => Math.max(a, b))
    shape = Network.outputShape(layer.options[0]!.block.block, shape)
  }
  fixed(space.last)
  return sum
}

/** Most options shown per layer; a layer that combines several digits can have thousands. */
const shownOptions = 12

const describeSpace = (space: SearchSpaceShape): string => {
  let shape = space.interface.input
  const rows: Array<readonly [string, string, string]> = []
  const walk = (name: string, options: ReadonlyArray<string>, block: SearchSpaceShape["first"][number]): void => {
    shape = Network.outputShape(block.block, shape)
    const more = options.length > shownOptions ? ` … (${options.length} in all)` : ""
    rows.push([name, shapeText(shape), `${options.slice(0, shownOptions).join(" | ")}${more}`])
  }
  for (const block of space.first) walk(block.name, [label(block.block)], block)
  for (const layer of space.layers)
    walk(
      layer.name,
      layer.options.map((option) => option.label),
      layer.options[0]!.block
    )
  for (const block of space.last) walk(block.name, [label(block.block)], block)
  const { largest, smallest } = extremes(space)
  return [
    `${space.name}: ${space.layers.length} searched layers, ${grouped(String(space.size))} architectures of ${si(smallest)} to ${si(largest)} MACs`,
    "",
    TextTable.format(rows, { align: ["left", "right", "left"], indent: 2 })
  ].join("\n")
}

/** The networks published in a space, with their costs at the image size they were published for. */
const publishedIn = (space: string) =>
  Presets.ofSpace(space).map((preset) => {
    const { macs, params } = Network.count(Result.getOrThrow(Presets.network(preset)))
    const { head, input } = preset.interface
    const asked = head._tag === "Classifier" ? { classes: head.classes } : { embedding: head.dimension }
    return { name: preset.name, architecture: preset.genotype.join(","), size: input[0], ...asked, macs, params }
  })

const publishedText = (space: string): ReadonlyArray<string> => {
  const found = publishedIn(space)
  const rows = found.map((one) => {
    const [macs, params] = [grouped(String(one.macs)), grouped(String(one.params))]
    return [one.name, `at ${one.size} pixels ${macs} MACs, ${params} parameters`]
  })
  return rows.length === 0
    ? []
    : ["", "Published networks (osnas inspect NAME):", TextTable.format(rows, { align: ["left", "left"], indent: 2 })]
}

/** Runs the command. */
export const run = Effect.fn("Inspect.run")(function* (input: Input) {
  if (Option.isSome(input.arch) && Option.isSome(input.archs)) {
    return yield* new UsageError({ reason: "--arch and --archs exclude each other: name one architecture, or a file" })
  }
  const published = Presets.find(input.space)
  const size = Option.getOrElse(input.size, () => published?.interface.input[0] ?? 32)
  const head: Head = Option.match(input.embedding, {
    onSome: (dimension) => ({ _tag: "Embedding", dimension }),
    onNone: () =>
      Option.match(input.classes, {
        onSome: (classes) => ({ _tag: "Classifier", classes }),
        onNone: () => published?.interface.head ?? { _tag: "Classifier", classes: 100 }
      })
  })
  const options = Option.isSome(input.stemStride) ? { stemStride: input.stemStride.value } : {}
  const { name, ...given } = published?.searchSpace ?? { name: input.space }
  const space = yield* buildSpace(name, { ...given, ...options }, input.set, [size, size, input.channels], head)
  const arch = published === undefined ? input.arch : Option.orElse(input.arch, () => Option.some(published.name))
  const asked = head._tag === "Classifier" ? { classes: head.classes } : { embedding: head.dimension }
  const summary = (genotype: Genotype) => {
    const { macs, params } = Network.count(space.network(genotype))
    return { space: space.name, architecture: space.format(genotype), size, ...asked, macs, params }
  }

  if (Option.isSome(input.archs)) {
    const file = input.archs.value
    const text = yield* Effect.fromResult(readList(file))
    const genotypes = yield* Effect.fromResult(parseArchitectures(text, file, space))
    for (const genotype of genotypes) yield* Console.log(JSON.stringify(summary(genotype)))
    return
  }
  if (Option.isSome(arch)) {
    const genotype =
      published !== undefined && arch.value === published.name
        ? published.genotype
        : yield* Effect.fromResult(Presets.parse(space, arch.value))
    if (input.json) return yield* Console.log(JSON.stringify(summary(genotype)))
    const found = describe(space, genotype)
    if (published !== undefined) yield* Console.log(`${published.name}: ${published.source}`)
    const text = `${space.name}, ${size}x${size}x${input.channels}: ${si(found.macs)} MACs (${grouped(String(found.macs))}), ${si(found.params)} parameters (${grouped(String(found.params))})`
    return yield* Console.log(`${text}\n\n${networkText(found, process.stdout.columns ?? 100)}`)
  }
  if (input.json) {
    const { largest, smallest } = extremes(space)
    const layers = space.layers.map((layer) => ({
      name: layer.name,
      digits: layer.width,
      choices: layer.width === 1 ? layer.options.map((option) => option.label) : layer.options.length
    }))
    return yield* Console.log(
      JSON.stringify({
        space: space.name,
        size,
        ...asked,
        layers,
        choices: space.choices,
        architectures: String(space.size),
        macs: { smallest, largest },
        published: publishedIn(name)
      })
    )
  }
  return yield* Console.log([describeSpace(space), ...publishedText(name)].join("\n"))
})
