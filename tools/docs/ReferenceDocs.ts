/** The reference pages, generated from the Schema of configurations and from the commands. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Phase } from "../../machines/RunState.ts"
import { osnas } from "../../src/cli/Commands.ts"
import * as OptionKind from "../../src/component/OptionKind.ts"
import { type Kind, kinds } from "../../src/run/BoundComponent.ts"
import * as ConfigSchema from "../../src/run/ConfigSchema.ts"
import { defaultNames } from "../../src/run/Load.ts"
import * as Registry from "../../src/run/Registry.ts"
import { RunConfig } from "../../src/run/RunConfig.ts"

type Json = ConfigSchema.JsonSchema

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

/**
 * The values that a key takes, as text.
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

type Row = readonly [key: string, takes: string, fallback: string, onResume: string, about: string]

const phaseWords: Readonly<Record<Phase, string>> = {
  supernetTraining: "until supernet training has begun",
  searching: "until the search has begun",
  retraining: "until retraining has begun",
  evaluating: "until the evaluation"
}

/** When an option may change on resume, as text. */
const onResume = (kind: OptionKind.OptionKind): string => {
  if (kind.kind === "identity") return "fixed"
  return kind.kind === "later" ? phaseWords[kind.phase] : "may change"
}

const rows = (schema: Json, path: ReadonlyArray<string>, optionKinds: OptionKind.OptionKinds): ReadonlyArray<Row> => {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {}
  const required = Array.isArray(schema["required"]) ? schema["required"] : []
  return Object.entries(properties).flatMap(([name, inner]): ReadonlyArray<Row> => {
    if (!isObject(inner)) return []
    const at = [...path, name]
    if (isObject(inner["properties"])) return rows(inner, at, optionKinds)
    const fallback = required.includes(name) ? "required" : `\`${JSON.stringify(inner["default"] ?? null)}\``
    const about = typeof inner["description"] === "string" ? inner["description"] : ""
    const kind = OptionKind.at(optionKinds, at.join("."))
    return [[`\`${at.join(".")}\``, cell(typeText(inner)), cell(fallback), onResume(kind), cell(about)]]
  })
}

/** The keys of an object's schema as a Markdown table; with `optionKinds`, also when they may change on resume. */
export const table = (schema: Json, optionKinds?: OptionKind.OptionKinds): string => {
  const lines = rows(schema, [], optionKinds ?? new Map())
  if (lines.length === 0) return "No options."
  const shown = optionKinds === undefined ? [0, 1, 2, 4] : [0, 1, 2, 3, 4]
  const all = [["key", "takes", "default", "on resume", ""], ...lines].map((row) => shown.map((i) => row[i]!))
  const widths = shown.map((_, i) => Math.max(3, ...all.map((row) => row[i]!.length)))
  const line = (row: ReadonlyArray<string>): string =>
    `| ${row.map((text, i) => text.padEnd(widths[i]!)).join(" | ")} |`
  const [head, ...rest] = all.map(line)
  return [head, line(widths.map((width) => "-".repeat(width))), ...rest].join("\n")
}

const sectionKinds = OptionKind.of(RunConfig.ast)

const titles: Readonly<Record<Kind, string>> = {
  dataflow: "`dataflow`: images in, batches out",
  searchSpace: "`searchSpace`: the set of architectures",
  criterion: "`criterion`: the loss",
  trainingAgent: "`trainingAgent`: the task",
  trainingStrategy: "`trainingStrategy`: which paths of the supernet a training step trains",
  searchStrategy: "`searchStrategy`: which architectures the search evaluates",
  estimator: "`estimator`: how an architecture is scored"
}

const introduction = `# Configuration

A run is one YAML file. \`osnas config\` prints one with every key, its default and its meaning; \`osnas config FILE\`
checks a file; \`osnas config --schema\` prints the JSON Schema (also \`osnas.schema.json\` next to this page), for completion
and checks in editors. Begin the file with

\`\`\`yaml
# yaml-language-server: $schema=node_modules/osnas/docs/osnas.schema.json
\`\`\`

Unknown keys are errors. All mistakes are reported at once with their lines, and nothing is written before the file is
valid. You can override any value on the command line: \`osnas run FILE --set budget.max=20e6\`.

**Sections that may be left out.** \`supernetTraining\` and \`retraining\` are required if the run has that phase. A search
alone does not need \`retraining\`:

\`\`\`yaml
supernetTraining: { epochs: 100 }
stopAfter: searching
\`\`\`

\`start.supernet\` and \`start.architecture\` skip supernet training, \`start.network\` skips the retraining, and an
estimator that does not need a supernet (\`tabular\`) does not need the first. A phase that \`stopAfter\`
leaves out can be added later: \`osnas resume DIR --set retraining.epochs=100 --set stopAfter=evaluating\`.

**Values that do not fit together** are refused with both numbers: a warm-up longer than its phase, \`nesterov\` without a
momentum, a crop as large as the image. Options without effect are warnings: \`momentum\` with \`adam\`, \`stepEpochs\` of a phase
that ends earlier.

**Files.** UTF-8, with or without a byte order mark, or UTF-16 with one, as PowerShell's \`>\` writes it; any other encoding is
an error. JSON works too. Use anchors, aliases and merge keys to keep phases alike:

\`\`\`yaml
supernetTraining: &training
  epochs: 100
  optimizer: { learningRate: 0.05, nesterov: true }
retraining:
  <<: *training
  epochs: 150
\`\`\`

Write numbers as \`27e6\` or \`27000000\` (not \`27M\`, not \`27_000_000\`), and \`true\` or \`false\` (not \`yes\` or \`off\`).

**Costs.** \`budget.lookupTable\` names a file of costs, for instance with the latencies of another device:
[Lookup tables](lookup-tables.md).
The column *on resume* says whether \`osnas resume DIR --set key=value\` (or an edited \`config.yaml\` in the run's folder) may
change an option of a run that has begun: never, always, or until a phase that uses it has recorded something. Changes are
listed in \`manifest.json\`.

\`osnas config FILE --check\` checks a configuration against the data and the machine, as \`osnas run\` does before its first
step: batches, classes, the budget, memory, disk space. Nothing is written.

Choose components by \`name\`; their options are the other keys of the section. A name that is a path, like
\`./my-searcher.ts\`, loads a module of your own (relative to the file) that exports \`component\`. Paths of datasets are relative
to the folder in which you start \`osnas\`.
`

/** The page about configurations. */
export const configuration = Effect.gen(function* () {
  const document = yield* ConfigSchema.document
  const properties = document["properties"] as Json
  const own = Object.entries(properties).filter(([name]) => !kinds.some((kind) => kind === name))
  const sections: Array<string> = [
    introduction.trimEnd(),
    "## Keys of the run",
    table({ properties: Object.fromEntries(own), required: document["required"] ?? [] }, sectionKinds)
  ]
  for (const kind of kinds) {
    const fallback = defaultNames[kind]
    sections.push(`## ${titles[kind]}`)
    if (fallback !== undefined) sections.push(`Default: \`${fallback}\`.`)
    for (const name of Registry.names(kind)) {
      const component = yield* Registry.find(kind, name)
      if (component === undefined) continue
      const { schema } = ConfigSchema.optionsSchema(component.options)
      const optionKinds = OptionKind.of(component.options.ast, OptionKind.at(sectionKinds, `${kind}.name`))
      sections.push(`### \`${name}\``, `${component.description}.`, table(schema, optionKinds))
    }
  }
  return `${sections.join("\n\n")}\n`
})

/** The page about commands: the help that each command prints. */
export const commands = Effect.gen(function* () {
  const printed: Array<string> = []
  const collecting: Console.Console = {
    ...(yield* Console.Console),
    log: (...lines: ReadonlyArray<unknown>) => {
      printed.push(lines.join(" "))
    }
  }
  const help = Effect.fnUntraced(
    function* (args: ReadonlyArray<string>) {
      printed.length = 0
      yield* Effect.ignore(Command.runWith(osnas, { version: "" })([...args, "--help"]))
      return `\`\`\`text\n${printed.join("\n").trim()}\n\`\`\``
    },
    Effect.provideService(Console.Console, collecting),
    Effect.provide(Layer.merge(NodeServices.layer, CliOutput.layer(CliOutput.defaultFormatter({ colors: false }))))
  )
  const names = osnas.subcommands.flatMap((group) => group.commands.map((command) => command.name))
  const sections: Array<string> = ["# Commands", yield* help([])]
  for (const name of names) sections.push(`## \`osnas ${name}\``, yield* help([name]))
  return `${sections.join("\n\n")}\n`
})
