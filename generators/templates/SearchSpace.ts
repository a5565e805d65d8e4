/** A search space, written as data. */

import type { BlockSpec } from "../../src/search-space/blocks/Block.ts"
import * as Block from "../../src/search-space/blocks/Block.ts"
import type { MacroSpec } from "../../src/search-space/MacroSpace.ts"
import { section, type Template } from "../Template.ts"

/** The default space: three searched layers. */
export const minimal: MacroSpec = {
  name: "minimal",
  first: [{ block: Block.conv({ kernel: 3 }), width: 16, stride: 2, largeStride: null }],
  search: [
    { width: 24, stride: 2, largeStride: null },
    { width: 40, stride: 2, largeStride: null },
    { width: 40, stride: 1, largeStride: null }
  ],
  choices: [
    Block.mobile({ kernel: 3, expansion: 2 }),
    Block.mobile({ kernel: 3, expansion: 4 }),
    Block.mobile({ kernel: 5, expansion: 2 }),
    Block.mobile({ kernel: 5, expansion: 4 }),
    Block.skip
  ],
  last: [
    { block: Block.conv({ kernel: 1 }), width: 96, stride: 1, largeStride: null },
    { block: Block.globalAverage, width: null, stride: 1, largeStride: null },
    { block: Block.classifier, width: "head", stride: 1, largeStride: null }
  ]
}

const value = (item: unknown): string =>
  Array.isArray(item) ? `[${item.map(value).join(", ")}]` : JSON.stringify(item)

const settings = (spec: object, defaults: object): string => {
  const known = defaults as Readonly<Record<string, unknown>>
  const own = Object.entries(spec).filter(
    ([key, item]) => key !== "_tag" && JSON.stringify(known[key]) !== JSON.stringify(item)
  )
  return own.length === 0 ? "{}" : `{ ${own.map(([key, item]) => `${key}: ${value(item)}`).join(", ")} }`
}

/** A block's spec as the code that makes it, and the function or constant that the code uses. */
export const call = (spec: BlockSpec): { readonly name: string; readonly code: string } => {
  const { written } = Block.kindOf(spec)
  if ("call" in written) return { name: written.call, code: `${written.call}(${settings(spec, written.defaults)})` }
  return JSON.stringify(written.spec) === JSON.stringify(spec)
    ? { name: written.constant, code: written.constant }
    : { name: "", code: JSON.stringify(spec) }
}

const row = (width: number | string, stride: number, largeStride: number | null): string =>
  [width, stride, ...(largeStride === null || largeStride === stride ? [] : [largeStride])].join(", ")

/** A template that emits the given space. `from` names it, for people. */
export const template = (spec: MacroSpec, from: string | undefined): Template => {
  const used = new Set<string>()
  const print = (block: BlockSpec): string => {
    const { code, name } = call(block)
    if (name !== "") used.add(name)
    return code
  }
  const fixed = ({ block, largeStride, stride, width }: MacroSpec["first"][number]): string => {
    const code = print(block)
    const size = value(width)
    if (largeStride !== null) return `fixed(${code}, ${size}, ${stride}, ${largeStride})`
    if (stride !== 1) return `fixed(${code}, ${size}, ${stride})`
    return width === null ? `fixed(${code})` : `fixed(${code}, ${size})`
  }
  /** A list as the formatter has it: on one line if it fits. */
  const list = (key: string, items: ReadonlyArray<string>): string => {
    const line = `  ${key}: [${items.join(", ")}]`
    return line.length < 120 ? line : `  ${key}: [\n${items.map((item) => `    ${item}`).join(",\n")}\n  ]`
  }
  const first = list("first", spec.first.map(fixed))
  const search = spec.search.map((layer) => `    [${row(layer.width, layer.stride, layer.largeStride)}]`).join(",\n")
  const choices = list("choices", spec.choices.map(print))
  const last = list("last", spec.last.map(fixed))
  const constructors = [...used].sort()
  const large = spec.search.some((layer) => layer.largeStride !== null)
  const size = BigInt(spec.choices.length) ** BigInt(spec.search.length)

  return {
    kind: "searchSpace",
    module: ({ name }) => `/**
 * The search space \`${name}\`${from === undefined ? "" : `, made from ${from}`}: ${spec.search.length} searched layers of ${spec.choices.length} choices each.
 */
import * as Schema from "effect/Schema"
import { Block, define, MacroSpace } from "osnas"

const { ${constructors.join(", ")} } = Block
const { fixed, layersOf } = MacroSpace

/** Options beside \`name\` in a configuration; none yet. */
export const Options = Schema.Struct({})
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/** The space as data: the blocks before and after the searched layers, and the options of every searched layer. */
export const macro: MacroSpace.MacroSpec = {
  name: "${name}",
${first},
  // Output width and stride of each searched layer${large ? ", and its stride for images of 96 pixels and more" : ""}.
  search: layersOf([
${search}
  ]),
${choices},
${last}
}

/** The space for the images of the data and the head of the task. */
export const make: MacroSpace.Make<Options> = (_options, task) => MacroSpace.fromMacro(macro, task)

/** The component that configurations name. */
export const component = define({
  kind: "searchSpace",
  name: "${name}",
  description: "${spec.search.length} layers of ${spec.choices.length} choices",
  options: Options,
  layer: MacroSpace.layerOf(make)
})
`,
    test: ({ identifier, name }) => `import * as Result from "effect/Result"
import { Network } from "osnas"
import { expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

const space = Result.getOrThrow(
  ${identifier}.make({}, { input: [32, 32, 3], head: { _tag: "Classifier", classes: 10 } })
)

it("offers a known number of architectures", () => {
  expect(space.size).toBe(${size}n)
})

it("builds networks whose cost depends on the architecture", () => {
  const costs = space.choices[0]?.map((_, digit) => {
    const genotype = space.choices.map((_, position) => (position === 0 ? digit : 0))
    return Network.count(space.network(genotype)).macs
  })
  expect(costs?.every((macs) => macs > 0)).toBe(true)
  expect(new Set(costs).size).toBeGreaterThan(1)
})
`,
    laws: ({ identifier, name }) => `import * as Result from "effect/Result"
import { SearchSpaceLaws } from "osnas/laws"
import { it } from "vitest"
import * as ${identifier} from "./${name}.ts"

it.each([
  { _tag: "Classifier", classes: 10 } as const,
  { _tag: "Embedding", dimension: 8 } as const
])("obeys the laws of search spaces, with the head %j", (head) => {
  const space = ${identifier}.make({}, { input: [16, 16, 3], head })
  return SearchSpaceLaws.check(Result.getOrThrow(space), { runs: 10, networks: 1 })
})
`,
    yaml: section("searchSpace")
  }
}
