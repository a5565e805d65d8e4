/**
 * The parts of the documentation that are generated from the program: state diagrams from the machines, contracts and programs
 * from their source, modules from the generator. A page marks such a part by `<!-- made: WHAT -->` and `<!-- /made -->`; the
 * text in between is replaced.
 */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Yaml from "yaml"
import * as ComponentGenerator from "../../generators/ComponentGenerator.ts"
import * as Machines from "../../machines/index.ts"
import { si } from "../../src/report/Format.ts"
import * as ConfigSchema from "../../src/run/ConfigSchema.ts"
import { defaultNames } from "../../src/run/Load.ts"
import * as Block from "../../src/search-space/blocks/Block.ts"
import * as OsnaslibTables from "./OsnaslibTables.ts"
import * as ReferenceDocs from "./ReferenceDocs.ts"

const fenced = (language: string, text: string): string => `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``

const machines = {
  agentMachine: Machines.agentMachine,
  trainingMachine: Machines.trainingMachine,
  searchingMachine: Machines.searchingMachine
} as const

/** The source of an exported interface, with its documentation. */
const contract = (source: string, name: string): string => {
  const start = source.indexOf(`export interface ${name} `)
  if (start < 0) throw new RangeError(`there is no interface ${name}`)
  const documented = source.lastIndexOf("/**", start)
  return source.slice(documented, source.indexOf("\n}\n", start) + 2)
}

const generated = (kind: string): ComponentGenerator.Generated =>
  Result.getOrThrow(ComponentGenerator.generate({ kind: kind as ComponentGenerator.KindName, name: `my-${kind}` }))

/** The components and the budget that a configuration of examples/ chooses. */
const exampleRow = (folder: string, file: string): ReadonlyArray<string> => {
  const config: Readonly<Record<string, Readonly<Record<string, unknown>>>> = Yaml.parse(
    readFileSync(join(folder, file), "utf8")
  )
  const name = (kind: keyof typeof defaultNames): string => String(config[kind]?.["name"] ?? defaultNames[kind])
  const { max } = config["budget"] ?? {}
  return [
    `[${file}](../examples/${file})`,
    name("searchSpace"),
    config["start"]?.["architecture"] === undefined
      ? `${name("trainingStrategy")}, ${name("searchStrategy")}`
      : "none: a given architecture",
    name("criterion"),
    name("dataflow"),
    config["start"]?.["architecture"] === undefined ? si(Number(max)) : ""
  ]
}

/** The configurations of examples/ as a table. */
const examples = (root: string): string => {
  const folder = join(root, "examples")
  const files = globSync("**/*.yaml", { cwd: folder }).map((file) => file.replaceAll("\\", "/"))
  const byDepth = (file: string): number => file.split("/").length
  const sorted = files.sort((a, b) => byDepth(a) - byDepth(b) || (a < b ? -1 : 1))
  const rows = [
    ["configuration", "search space", "training, search", "criterion", "dataflow", "MACs"],
    ["---", "---", "---", "---", "---", "---:"],
    ...sorted.map((file) => exampleRow(folder, file))
  ]
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n")
}

/** Every kind of block with its settings. */
const blocks = (): string =>
  Block.kinds
    .map(({ examples: [example], schema }) => {
      const { schema: node } = ConfigSchema.of(schema)
      const required = node["required"] as ReadonlyArray<string>
      const needed = Object.entries(example?.block ?? {}).filter(([key]) => required.includes(key))
      const filled: Readonly<Record<string, unknown>> = {
        ...Schema.decodeUnknownSync(Block.BlockSpec)(Object.fromEntries(needed))
      }
      const properties = Object.entries(node["properties"] as ConfigSchema.JsonSchema).flatMap(([key, property]) => {
        const fallback = required.includes(key) ? {} : { default: filled[key] as Schema.Json }
        return key === "_tag" ? [] : [[key, { ...(property as ConfigSchema.JsonSchema), ...fallback }]]
      })
      const table = ReferenceDocs.table({ ...node, properties: Object.fromEntries(properties) })
      return `### \`${schema.fields._tag.schema.literal}\`\n\n${node["description"]}.\n\n${table}`
    })
    .join("\n\n")

/** A block as a line of YAML. */
const flow = (block: object): string => {
  const value = (item: unknown) => (Array.isArray(item) ? `[${item.join(", ")}]` : String(item))
  const entries = Object.entries(block).map(([key, item]) => `${key}: ${value(item)}`)
  return `{ ${entries.join(", ")} }`
}

/** A space in YAML with every kind of block: those that can change the width are choices, the others follow. */
const blockSpace = (): string => {
  const decode = Schema.decodeUnknownSync(Block.BlockSpec)
  const lines = (wanted: (spec: Block.BlockSpec) => boolean, line: (block: string) => string) =>
    Block.kinds.flatMap(({ examples }) =>
      examples.flatMap(({ block, comment }: { readonly block: object; readonly comment?: string }) => {
        if (!wanted(decode(block))) return []
        return [...(comment === undefined ? [] : [`    # ${comment}`]), `    - ${line(flow(block))}`]
      })
    )
  const isImage = (spec: Block.BlockSpec) => Block.kindOf(spec).givesVector !== true
  const keepsWidth = (spec: Block.BlockSpec) => Block.misplaced(Block.place(spec, 16, 24, 1)) !== undefined
  const fixed = (more: string) => (block: string) => `{ block: ${block}${more} }`
  return [
    "searchSpace:",
    "  name: macro",
    "  first:",
    "    - { block: { _tag: Conv, kernel: 3, activation: hswish }, width: 16, stride: 1, largeStride: 2 }",
    "    - { block: { _tag: Conv, kernel: 3, groups: depthwise, dilation: 2 } }",
    "  search:",
    "    - { width: 24, stride: 2 }",
    "    - { width: 24 }",
    "  choices:",
    ...lines(
      (spec) => isImage(spec) && !keepsWidth(spec),
      (block) => block
    ),
    "  last:",
    ...lines((spec) => isImage(spec) && keepsWidth(spec), fixed(", stride: 2")),
    "    - { block: { _tag: Conv, kernel: 1 }, width: 96 }",
    ...lines((spec) => !isImage(spec) && Block.kindOf(spec).takesVector !== true, fixed("")),
    ...lines((spec) => Block.kindOf(spec).takesVector === true, fixed(", width: head"))
  ].join("\n")
}

/** The text of a part; `root` is the repository. */
export const part = (root: string, what: string): string => {
  const [kind, first = "", second = ""] = what.split(" ")
  switch (kind) {
    case "machine":
      return fenced("mermaid", Machines.Diagram.mermaid(machines[first as keyof typeof machines]))
    case "contract":
      return fenced("ts", contract(readFileSync(join(root, first), "utf8"), second))
    case "program":
      return fenced("ts", readFileSync(join(root, "examples", first), "utf8"))
    case "template":
      return fenced("ts", generated(first).files[0]?.content ?? "")
    case "yaml":
      return fenced("yaml", generated(first).yaml(`./src/my-${first}.ts`))
    case "blocks":
      return blocks()
    case "block-space":
      return fenced("yaml", blockSpace())
    case "osnaslib":
      return first === "keys" ? OsnaslibTables.keysTable() : OsnaslibTables.differencesTable()
    case "examples":
      return examples(root)
    default:
      throw new RangeError(`unknown part "${what}"`)
  }
}

/** A page with all its generated parts up to date. */
export const refresh = (root: string, page: string): string =>
  page.replaceAll(
    /<!-- made: (.*?) -->\n[\s\S]*?<!-- \/made -->/g,
    (_, what: string) => `<!-- made: ${what} -->\n${part(root, what)}\n<!-- /made -->`
  )
