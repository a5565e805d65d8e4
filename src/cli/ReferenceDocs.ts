/** Reference pages made from what they document: the configuration's Schema, and the commands themselves. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Kind, kinds } from "../component/Bound.ts"
import * as ConfigSchema from "../component/ConfigSchema.ts"
import { defaultNames } from "../component/Load.ts"
import * as Registry from "../component/Registry.ts"
import { osnas } from "./Commands.ts"

type Json = ConfigSchema.JsonSchema

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

/**
 * What a key takes, in words.
 *
 * **Example** (A fraction)
 *
 * ```ts
 * import { typeText } from "./ReferenceDocs.ts"
 *
 * typeText({ type: "number", minimum: 0, maximum: 1 }) // => "number, 0 to 1"
 * ```
 */
export const typeText = (schema: Json): string => {
  if ("const" in schema) return `\`${JSON.stringify(schema["const"])}\``
  if (Array.isArray(schema["enum"])) return schema["enum"].map((value) => `\`${value}\``).join(", ")
  if (Array.isArray(schema["anyOf"])) {
    return [...new Set(schema["anyOf"].map((one) => (isObject(one) ? typeText(one) : "anything")))].join(" or ")
  }
  if ("$ref" in schema) return "see the schema"
  const type = typeof schema["type"] === "string" ? schema["type"] : "anything"
  if (type === "array") return `list of ${isObject(schema["items"]) ? typeText(schema["items"]) : "values"}`
  const { exclusiveMaximum, exclusiveMinimum, maximum, minimum } = schema
  if (minimum !== undefined && maximum !== undefined) return `${type}, ${minimum} to ${maximum}`
  const limits = [
    minimum === undefined ? "" : `from ${minimum}`,
    exclusiveMinimum === undefined ? "" : `above ${exclusiveMinimum}`,
    maximum === undefined ? "" : `up to ${maximum}`,
    exclusiveMaximum === undefined ? "" : `below ${exclusiveMaximum}`
  ].filter((limit) => limit !== "")
  return limits.length === 0 ? type : `${type}, ${limits.join(" ")}`
}

type Row = readonly [key: string, takes: string, fallback: string, about: string]

const rows = (schema: Json, path: ReadonlyArray<string>): ReadonlyArray<Row> => {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {}
  const required = Array.isArray(schema["required"]) ? schema["required"] : []
  return Object.entries(properties).flatMap(([name, inner]): ReadonlyArray<Row> => {
    if (!isObject(inner)) return []
    const at = [...path, name]
    if (isObject(inner["properties"])) return rows(inner, at)
    const fallback = required.includes(name) ? "required" : `\`${JSON.stringify(inner["default"] ?? null)}\``
    const about = typeof inner["description"] === "string" ? inner["description"] : ""
    return [[`\`${at.join(".")}\``, cell(typeText(inner)), cell(fallback), cell(about)]]
  })
}

/** The keys of an object's schema as a table in Markdown. */
export const table = (schema: Json, path: ReadonlyArray<string> = []): string => {
  const lines = rows(schema, path)
  if (lines.length === 0) return "No options."
  const all: ReadonlyArray<Row> = [["key", "takes", "default", ""], ...lines]
  const widths = [0, 1, 2, 3].map((i) => Math.max(3, ...all.map((row) => row[i]!.length)))
  const line = (row: ReadonlyArray<string>): string =>
    `| ${row.map((text, i) => text.padEnd(widths[i]!)).join(" | ")} |`
  const [head, ...rest] = all.map(line)
  return [head, line(widths.map((width) => "-".repeat(width))), ...rest].join("\n")
}

const titles: Readonly<Record<Kind, string>> = {
  dataflow: "`dataflow`: images in, batches out",
  searchSpace: "`searchSpace`: the candidate networks",
  criterion: "`criterion`: the loss",
  trainingAgent: "`trainingAgent`: what the task is",
  trainingStrategy: "`trainingStrategy`: which paths of the supernet a training step trains",
  searchStrategy: "`searchStrategy`: which architectures the search looks at",
  estimator: "`estimator`: how a candidate is scored"
}

const introduction = `# Configuration

A run is one YAML file. \`osnas config\` prints one with every key, its default and what it means; \`osnas config FILE\`
checks a file; \`osnas config --schema\` prints the JSON Schema (also \`osnas.schema.json\` beside this page), with which
editors complete and check: begin the file with

\`\`\`yaml
# yaml-language-server: $schema=node_modules/osnas/docs/osnas.schema.json
\`\`\`

Unknown keys are refused, all mistakes are told at once with their lines, and nothing is made before the file is right. Any
value can be overridden on the command line: \`osnas run FILE --set budget.max=20e6\`.

Components are chosen by \`name\`, their options are the keys beside it. A name that is a path, \`./my-searcher.ts\`, loads a
module of your own (relative to the file) which exports \`component\`. Paths of data sets are relative to the folder that
\`osnas\` is started in.
`

/** The page about configurations. */
export const configuration = Effect.gen(function* () {
  const document = yield* ConfigSchema.document
  const properties = document["properties"] as Json
  const own = Object.entries(properties).filter(([name]) => !kinds.some((kind) => kind === name))
  const sections: Array<string> = [
    introduction.trimEnd(),
    "## Keys of the run",
    table({ properties: Object.fromEntries(own), required: document["required"] ?? [] })
  ]
  for (const kind of kinds) {
    const fallback = defaultNames[kind]
    sections.push(`## ${titles[kind]}`)
    if (fallback !== undefined) sections.push(`Default: \`${fallback}\`.`)
    for (const name of Registry.names(kind)) {
      const component = yield* Registry.find(kind, name)
      if (component === undefined) continue
      const { schema } = ConfigSchema.optionsSchema(component.options)
      sections.push(`### \`${name}\``, `${component.description}.`, table(schema))
    }
  }
  return `${sections.join("\n\n")}\n`
})

/** The page about commands: the help of each, as the command prints it. */
export const commands = Effect.gen(function* () {
  const printed: Array<string> = []
  const collecting: Console.Console = {
    ...(yield* Console.Console),
    log: (...lines: ReadonlyArray<unknown>) => {
      printed.push(lines.join(" "))
    }
  }
  const help = (args: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      printed.length = 0
      yield* Effect.ignore(Command.runWith(osnas, { version: "" })([...args, "--help"]))
      return `\`\`\`text\n${printed.join("\n").trim()}\n\`\`\``
    }).pipe(
      Effect.provideService(Console.Console, collecting),
      Effect.provide(Layer.merge(NodeServices.layer, CliOutput.layer(CliOutput.defaultFormatter({ colors: false }))))
    )
  const names = osnas.subcommands.flatMap((group) => group.commands.map((command) => command.name))
  const sections: Array<string> = ["# Commands", yield* help([])]
  for (const name of names) sections.push(`## \`osnas ${name}\``, yield* help([name]))
  return `${sections.join("\n\n")}\n`
})
