/**
 * The JSON Schema (draft 2020-12) of configurations, for editors: keys, types, descriptions and defaults, with the options of
 * every component.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { RunConfig } from "../run/RunConfig.ts"
import { kinds } from "./BoundComponent.ts"
import { defaultNames } from "./Load.ts"
import * as Registry from "./Registry.ts"

/** A JSON Schema, or a part of one. */
export interface JsonSchema {
  readonly [key: string]: Schema.Json
}

type Mutable = { [key: string]: Schema.Json }

const isObject = (value: unknown): value is Mutable =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const libraryText = /^(an? (integer|finite number|value .*)|JSON value)$/

/** Merges the parts of an `allOf` into their schema unless they conflict, and drops bounds and texts without meaning. */
const tidy = (node: Schema.Json): Schema.Json => {
  if (Array.isArray(node)) return node.map(tidy)
  if (!isObject(node)) return node
  const out: Mutable = {}
  for (const [key, value] of Object.entries(node)) {
    if (key === "properties" && isObject(value)) {
      out[key] = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, tidy(inner)]))
    } else if (key !== "allOf" && key !== "default" && key !== "examples") out[key] = tidy(value)
    else if (key !== "allOf") out[key] = value
  }
  if (out["type"] === "integer") {
    if (out["minimum"] === Number.MIN_SAFE_INTEGER) delete out["minimum"]
    if (out["maximum"] === Number.MAX_SAFE_INTEGER) delete out["maximum"]
  }
  if (typeof out["description"] === "string" && libraryText.test(out["description"])) delete out["description"]
  const rest: Array<Schema.Json> = []
  for (const part of Array.isArray(node["allOf"]) ? node["allOf"].map(tidy) : []) {
    const clashes = !isObject(part) || Object.keys(part).some((key) => key in out && key !== "description")
    if (clashes) rest.push(part)
    else Object.assign(out, part)
  }
  if (rest.length > 0) out["allOf"] = rest
  return out
}

/** The JSON Schema of a Schema's encoded form, its shared definitions under `$defs`. */
export const of = (schema: Schema.Constraint): { readonly schema: JsonSchema; readonly definitions: JsonSchema } => {
  const document = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error", generateDescriptions: true })
  return {
    schema: tidy(document.schema as Schema.Json) as JsonSchema,
    definitions: tidy((document.definitions ?? {}) as Schema.Json) as JsonSchema
  }
}

/** Adds to every property the default that it has in an example with all defaults. */
const withDefaults = (node: Schema.Json, example: unknown): Schema.Json => {
  if (!isObject(node) || !isObject(node["properties"]) || !isObject(example)) return node
  const required = Array.isArray(node["required"]) ? node["required"] : []
  const properties = Object.entries(node["properties"]).map(([name, inner]) => {
    const value = example[name]
    const filled = withDefaults(inner, value)
    const plain = isObject(filled) && !required.includes(name) && value !== undefined
    return [name, plain ? { ...filled, default: value as Schema.Json } : filled] as const
  })
  return { ...node, properties: Object.fromEntries(properties) }
}

/** The smallest configuration; decoding it fills in all defaults. */
export const smallest = {
  name: "my-search",
  dataflow: { name: "fashion-mnist" },
  searchSpace: { name: "tiny" },
  budget: { max: 3e6 },
  supernetTraining: { epochs: 10 },
  retraining: { epochs: 10 }
} as const

const required = (schema: JsonSchema): ReadonlyArray<string> =>
  Array.isArray(schema["required"]) ? (schema["required"] as ReadonlyArray<string>) : []

const standIns: Readonly<Record<string, Schema.Json>> = { string: "x", integer: 1, number: 1, boolean: true, array: [] }

/** The defaults of a component's options. To decode them, a required option gets the simplest value of its type. */
const optionDefaults = (schema: Schema.Codec<unknown, unknown>, node: JsonSchema): unknown => {
  const properties = isObject(node["properties"]) ? node["properties"] : {}
  const given = required(node).map((name) => {
    const property = properties[name]
    return [name, isObject(property) ? (standIns[String(property["type"])] ?? null) : null] as const
  })
  const decoded = Schema.decodeUnknownOption(schema)(Object.fromEntries(given))
  if (decoded._tag === "None") return undefined
  const encoded = Schema.encodeOption(schema)(decoded.value)
  return encoded._tag === "Some" ? encoded.value : undefined
}

/** Restores descriptions of a struct's fields that the conversion to JSON Schema loses, those of checks. */
const withDescriptions = (node: JsonSchema, ast: SchemaAST.AST): JsonSchema => {
  if (ast._tag !== "Objects" || !isObject(node["properties"])) return node
  const said = new Map(
    ast.propertySignatures.map(({ name, type }) => [String(name), SchemaAST.resolveDescription(type)] as const)
  )
  const properties = Object.entries(node["properties"]).map(([name, inner]) => {
    const description = said.get(name)
    const lacks = isObject(inner) && inner["description"] === undefined && description !== undefined
    return [name, lacks ? { ...inner, description } : inner] as const
  })
  return { ...node, properties: Object.fromEntries(properties) }
}

/** The options of a component as a JSON Schema with defaults. */
export const optionsSchema = (schema: Schema.Codec<unknown, unknown>): ReturnType<typeof of> => {
  const made = of(schema)
  const described = withDescriptions(made.schema, schema.ast)
  return { ...made, schema: withDefaults(described as Schema.Json, optionDefaults(schema, made.schema)) as JsonSchema }
}

const startsFrom = (key: string): JsonSchema => ({
  properties: { start: { type: "object", properties: { [key]: { type: "string" } }, required: [key] } },
  required: ["start"]
})

/** A phase's section is given, or the run does not have the phase. */
const requiredPhases: ReadonlyArray<JsonSchema> = [
  {
    anyOf: [
      { required: ["supernetTraining"] },
      startsFrom("supernet"),
      startsFrom("architecture"),
      {
        properties: { estimator: { properties: { name: { not: { const: "supernet" } } }, required: ["name"] } },
        required: ["estimator"]
      }
    ]
  },
  {
    anyOf: [
      { required: ["retraining"] },
      startsFrom("network"),
      { properties: { stopAfter: { enum: ["supernetTraining", "searching"] } }, required: ["stopAfter"] }
    ]
  }
]

/** The JSON Schema of the whole configuration. */
export const document = Effect.gen(function* () {
  const root = of(RunConfig)
  const example = Schema.encodeSync(RunConfig)(Schema.decodeUnknownSync(RunConfig)(smallest))
  const definitions: Mutable = { ...root.definitions }
  const properties: Mutable = {
    ...((withDefaults(root.schema as Schema.Json, example) as Mutable)["properties"] as Mutable)
  }
  // These have no default: their section is required if the run has the phase.
  for (const phase of ["supernetTraining", "retraining"]) {
    const { default: _, ...section } = properties[phase] as Mutable
    properties[phase] = section
  }
  for (const kind of kinds) {
    const cases: Array<Schema.Json> = []
    const entries: Array<Schema.Json> = []
    for (const name of Registry.names(kind)) {
      const component = yield* Registry.find(kind, name)
      if (component === undefined) continue
      const made = optionsSchema(component.options)
      Object.assign(definitions, made.definitions)
      const key = `${kind}.${name}`
      const inner = isObject(made.schema["properties"]) ? made.schema["properties"] : {}
      definitions[key] = {
        type: "object",
        description: component.description,
        properties: { ...inner, name: { const: name } },
        required: required(made.schema).filter((key) => key !== "name"),
        additionalProperties: false
      }
      entries.push({ const: name, description: component.description })
      cases.push({
        if: { properties: { name: { const: name } }, ...(name === defaultNames[kind] ? {} : { required: ["name"] }) },
        // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
        then: { $ref: `#/$defs/${key}` }
      })
    }
    const was = properties[kind]
    properties[kind] = {
      ...(isObject(was) && "default" in was ? { default: was["default"] } : {}),
      type: "object",
      properties: {
        name: {
          description: "A component that ships, or the path of a module of your own",
          anyOf: [...entries, { type: "string", pattern: "^\\.{0,2}/|\\.[cm]?[jt]s$", description: "A module's path" }]
        }
      },
      ...(defaultNames[kind] === undefined ? { required: ["name"] } : {}),
      allOf: cases
    }
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "osnas configuration",
    ...root.schema,
    properties,
    allOf: requiredPhases,
    $defs: definitions
  } as JsonSchema
})

/** The description of a key of the configuration, by its path. */
export const describe = (path: ReadonlyArray<string | number>): string | undefined => {
  let node: Schema.Json | undefined = rootSchema().schema as Schema.Json
  for (const key of path) {
    if (!isObject(node)) return undefined
    const inner: Schema.Json | undefined = isObject(node["properties"]) ? node["properties"][String(key)] : undefined
    node = inner
  }
  return isObject(node) && typeof node["description"] === "string" ? node["description"] : undefined
}

const rootSchema = (() => {
  let made: ReturnType<typeof of> | undefined
  return (): ReturnType<typeof of> => {
    made ??= of(RunConfig)
    return made
  }
})()
