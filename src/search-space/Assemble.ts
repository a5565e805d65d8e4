/** Makes search spaces from their parts: fixed blocks, searched layers with their options, choices. */
import * as Result from "effect/Result"
import { kindOf, label, misplaced } from "./blocks/Block.ts"
import { format, parseDigits, validateDigits } from "./Digits.ts"
import { type ImageShape, type NamedBlock, type Network, outputShape } from "./Network.ts"
import {
  type Genotype,
  GenotypeError,
  headSize,
  type NetworkInterface,
  SearchSpaceError,
  type SearchSpaceShape,
  type SuperLayer
} from "./SearchSpace.ts"

/** The parts of a space, for {@link assemble}. */
export interface SpaceParts {
  readonly name: string
  readonly interface: NetworkInterface
  readonly first: ReadonlyArray<NamedBlock>
  readonly layers: ReadonlyArray<SuperLayer>
  readonly last: ReadonlyArray<NamedBlock>
  readonly choices: ReadonlyArray<ReadonlyArray<string>>
  /** Rules beyond length and range: why a genotype is refused; undefined if it is valid. */
  readonly refuse?: (genotype: Genotype) => string | undefined
  readonly canonical?: (genotype: Genotype) => Genotype
  /** The block of a layer for its digits. Default: the option with that selection. */
  readonly blockOf?: (layer: number, digits: ReadonlyArray<number>) => NamedBlock
  /** The blocks with the parameters of a supernet's layer. Default: those of its options. */
  readonly superBlocks?: (layer: number) => ReadonlyArray<NamedBlock>
}

/** The value that reaches a block: an image, or a vector (its shape is 1 x 1 x features). */
interface Reached {
  readonly shape: ImageShape
  readonly vector: boolean
}

/** The output of a sequence of blocks, or why it is impossible. */
const reach = (
  space: string,
  blocks: ReadonlyArray<NamedBlock>,
  input: Reached
): Result.Result<Reached, SearchSpaceError> => {
  let { shape, vector } = input
  for (const { block, name } of blocks) {
    const fail = (reason: string) =>
      Result.fail(new SearchSpaceError({ space, reason: `block ${name} (${label(block)}) of ${space} ${reason}` }))
    if (block.inChannels !== shape[2]) return fail(`takes ${block.inChannels} channels, and there are ${shape[2]}`)
    const { givesVector = false, takesVector = false } = kindOf(block)
    if (vector !== takesVector) {
      return fail(vector ? "takes an image, and there is a vector" : "takes a vector: put a GlobalAverage before it")
    }
    const reason = misplaced(block)
    if (reason !== undefined) return fail(`cannot be: ${reason}`)
    const after = outputShape(block, shape)
    if (after.some((side) => !(side >= 1) || !Number.isInteger(side))) {
      return fail(`has no output for an input of ${shape.join("x")}`)
    }
    shape = after
    vector = givesVector
  }
  return Result.succeed({ shape, vector })
}

/** Why the parts are not a valid space; undefined if they are. */
const misassembled = ({ first, interface: task, last, layers, name }: SpaceParts): SearchSpaceError | undefined => {
  const fail = (reason: string) => new SearchSpaceError({ space: name, reason })

  const [height, width, channels] = task.input
  if (![height, width, channels].every((side) => Number.isInteger(side) && side > 0)) {
    return fail(
      `an input of ${height}x${width}x${channels} is not an image: height, width and channels must be positive integers`
    )
  }
  const outputs = headSize(task.head)
  if (!Number.isInteger(outputs) || outputs < 1) {
    return fail(`the head needs at least 1 output, got ${outputs}`)
  }

  // Shapes: all options of a layer must have the same output.
  const before = reach(name, first, { shape: task.input, vector: false })
  if (Result.isFailure(before)) return before.failure
  let reached = before.success
  for (const layer of layers) {
    let common: ImageShape | undefined
    for (const option of layer.options) {
      const one = reach(name, [option.block], reached)
      if (Result.isFailure(one)) return one.failure
      const { shape, vector } = one.success
      if (vector) return fail(`in layer ${layer.name}, option ${option.label} makes the image a vector`)
      common ??= shape
      if (shape.some((side, i) => side !== common?.[i])) {
        return fail(
          `in layer ${layer.name}, option ${option.label} makes ${reached.shape.join("x")} into ${shape.join("x")} and the others into ${common.join("x")}`
        )
      }
    }
    reached = { shape: common ?? reached.shape, vector: false }
  }
  const end = reach(name, last, reached)
  if (Result.isFailure(end)) return end.failure
  if (!end.success.vector || end.success.shape[2] !== outputs) {
    const found = end.success.vector
      ? `a vector of ${end.success.shape[2]}`
      : `an image of ${end.success.shape.join("x")}`
    return fail(
      `it ends in ${found}, and the task asks for a vector of ${outputs}: a GlobalAverage, and the width head`
    )
  }
  return undefined
}

/**
 * Makes a space from its parts, or fails with the reason: the image is too small, a block does not fit its position, options of
 * a layer have different output shapes, or the end is not the head of the task.
 *
 * **Example** (A space of one block)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Block from "./blocks/Block.ts"
 * import { assemble } from "./Assemble.ts"
 *
 * const task = { input: [8, 8, 3], head: { _tag: "Embedding", dimension: 4 } } as const
 * const average = { name: "last.0", block: Block.place(Block.globalAverage, 4, 4, 1) }
 * const block = (name: string, kernel: number) => ({ name, block: Block.place(Block.conv({ kernel }), 3, 4, 1) })
 * const options = [1, 3].map((kernel, at) => ({ selection: [at], label: `k${kernel}`, block: block(`search.0.${at}`, kernel) }))
 * const space = assemble({
 *   name: "one",
 *   interface: task,
 *   first: [],
 *   layers: [{ name: "search.0", width: 1, options }],
 *   last: [average],
 *   choices: [["k1", "k3"]]
 * })
 * Result.map(space, ({ size }) => size) // => Result.succeed(2n)
 * ```
 */
export const assemble = (parts: SpaceParts): Result.Result<SearchSpaceShape, SearchSpaceError> => {
  const { choices, first, last, layers, name } = parts
  const wrong = misassembled(parts)
  if (wrong !== undefined) return Result.fail(wrong)

  const optionFor = (layer: SuperLayer, digits: ReadonlyArray<number>): NamedBlock | undefined => {
    if (layer.width === 1) return layer.options[digits[0] as number]?.block
    return layer.options.find((option) => option.selection.every((digit, i) => digit === digits[i]))?.block
  }

  const validate = (genotype: Genotype): Result.Result<Genotype, GenotypeError> => {
    const checked = validateDigits(name, choices, genotype)
    if (Result.isFailure(checked)) return checked
    const reason = parts.refuse?.(genotype)
    return reason === undefined
      ? checked
      : Result.fail(new GenotypeError({ space: name, genotype: format(genotype), reason }))
  }

  const network = (genotype: Genotype): Network => {
    const valid = Result.getOrThrow(validate(genotype))
    let position = 0
    const searched = layers.map((layer, i) => {
      const digits = valid.slice(position, position + layer.width)
      position += layer.width
      const block = parts.blockOf?.(i, digits) ?? optionFor(layer, digits)
      if (block === undefined) throw new RangeError(`layer ${layer.name} of ${name} has no option ${format(digits)}`)
      return block
    })
    return { input: parts.interface.input, blocks: [...first, ...searched, ...last] }
  }

  return Result.succeed({
    name,
    interface: parts.interface,
    first,
    layers,
    last,
    choices,
    size: layers.reduce((product, layer) => product * BigInt(layer.options.length), 1n),
    validate,
    format,
    parse: (text) => Result.flatMap(parseDigits(name, text), validate),
    canonical: parts.canonical ?? ((genotype) => genotype),
    network,
    supernet: {
      input: parts.interface.input,
      blocks: [
        ...first,
        ...layers.flatMap((layer, i) => parts.superBlocks?.(i) ?? layer.options.map((option) => option.block)),
        ...last
      ]
    }
  })
}
