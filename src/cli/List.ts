/** `osnas list`: the components and networks that a configuration can name. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as TextTable from "../report/TextTable.ts"
import { type Kind, kinds } from "../run/BoundComponent.ts"
import * as ConfigSchema from "../run/ConfigSchema.ts"
import * as Registry from "../run/Registry.ts"
import { presets } from "../search-space/Presets.ts"
import type { Input } from "./commands/List.ts"

const titles: Readonly<Record<Kind, string>> = {
  dataflow: "Dataflows",
  searchSpace: "Search spaces",
  criterion: "Criteria",
  trainingAgent: "Training agents",
  trainingStrategy: "Training strategies",
  searchStrategy: "Search strategies",
  estimator: "Performance estimators"
}

const layout: TextTable.TextTableOptions = { align: ["left", "left"], indent: 2 }

interface Option {
  readonly name: string
  readonly description: string | undefined
  readonly required: boolean
  readonly default: unknown
}

const optionsOf = (schema: ConfigSchema.JsonSchema): ReadonlyArray<Option> => {
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>>>>
  const required = (schema["required"] ?? []) as ReadonlyArray<string>
  return Object.entries(properties).map(([name, property]) => ({
    name,
    description: typeof property["description"] === "string" ? property["description"] : undefined,
    required: required.includes(name),
    default: property["default"]
  }))
}

const show = (option: Option): string =>
  option.required
    ? `${option.name} (required)`
    : option.default === undefined
      ? `${option.name} (optional)`
      : `${option.name} = ${JSON.stringify(option.default)}`

/** Runs the command. */
export const run = Effect.fn("List.run")(function* (input: Input) {
  const found: Record<
    string,
    ReadonlyArray<{ readonly name: string; readonly description: string; readonly options: ReadonlyArray<Option> }>
  > = {}
  for (const kind of kinds) {
    found[kind] = yield* Effect.forEach(Registry.names(kind), (name) =>
      Effect.map(Registry.find(kind, name), (component) => ({
        name,
        description: component?.description ?? "",
        options: component === undefined ? [] : optionsOf(ConfigSchema.optionsSchema(component.options).schema)
      }))
    )
  }
  const published = presets.map(({ genotype, name, searchSpace, source }) => ({ name, source, searchSpace, genotype }))
  if (input.json) return yield* Console.log(JSON.stringify({ ...found, published }))
  for (const kind of kinds) {
    const entries = found[kind] ?? []
    const rows = entries.flatMap(({ description, name, options }) => [
      [name, description],
      ...(options.length === 0 ? [] : [["", `  ${options.map(show).join(", ")}`]])
    ])
    yield* Console.log(`${titles[kind]} (${kind})\n${TextTable.format(rows, layout)}\n`)
  }
  yield* Console.log("Published networks (osnas inspect NAME)")
  yield* Console.log(
    TextTable.format(
      published.map(({ name, source }) => [name, source]),
      layout
    )
  )
})
