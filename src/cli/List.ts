/** `osnas list`: what a configuration can name. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
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
    const width = Math.max(0, ...entries.map((entry) => entry.name.length))
    yield* Console.log(`${titles[kind]} (${kind})`)
    for (const { description, name, options } of entries) {
      yield* Console.log(`  ${name.padEnd(width)}  ${description}`)
      if (options.length > 0) yield* Console.log(`  ${" ".repeat(width)}    ${options.map(show).join(", ")}`)
    }
    yield* Console.log("")
  }
  yield* Console.log("Published networks (osnas inspect NAME)")
  const width = Math.max(...published.map(({ name }) => name.length))
  for (const { name, source } of published) yield* Console.log(`  ${name.padEnd(width)}  ${source}`)
})
