/** `osnas config`: prints, checks and describes configurations. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Yaml from "yaml"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as ConfigSchema from "../run/ConfigSchema.ts"
import * as Load from "../run/Load.ts"
import * as Check from "./Check.ts"
import type { Input } from "./commands/Config.ts"
import { UsageError } from "./Exit.ts"

type Described = (path: ReadonlyArray<string>) => string | undefined

/** Descriptions of sections whose Schema has none. */
const sections: Readonly<Record<string, string>> = {
  engine: "Tensor engine: auto takes the best that is installed",
  dataflow: "Images in, batches out",
  searchSpace: "The set of architectures",
  criterion: "The loss",
  trainingAgent: "The task",
  trainingStrategy: "Which paths of the supernet a training step trains",
  searchStrategy: "Which architectures the search evaluates",
  estimator: "How an architecture is scored",
  budget: "Cost of the architecture: flops (multiply-accumulates), params, or latency (milliseconds)",
  supernetTraining: "Training of the supernet",
  retraining: "Training of the found architecture, from scratch",
  evaluation: "Evaluation on the test set",
  checkpoint: "How often a checkpoint is saved within an epoch"
}

/** A configuration as YAML with every key explained by a comment. */
export const commented = (value: unknown, describe: Described): string => {
  const document = new Yaml.Document(value)
  const walk = (node: unknown, path: ReadonlyArray<string>): void => {
    if (!Yaml.isMap(node)) return
    node.items.forEach((pair, index) => {
      if (!Yaml.isScalar(pair.key)) return
      const at = [...path, String(pair.key.value)]
      const text = path.length === 0 ? (sections[at[0]!] ?? describe(at)) : describe(at)
      if (path.length === 0 && index > 0 && Yaml.isMap(pair.value)) pair.key.spaceBefore = true
      if (text !== undefined) {
        if (Yaml.isScalar(pair.value)) pair.value.comment = ` ${text}`
        else pair.key.commentBefore = ` ${text}`
      }
      walk(pair.value, at)
    })
  }
  walk(document.contents, [])
  return document.toString({ lineWidth: 0 })
}

/** Finds the description of a key, or of an option of a chosen component, by its path. */
const describer = Effect.fnUntraced(function* (loaded: Load.LoadedRun) {
  const schemas = new Map<string, ConfigSchema.JsonSchema>()
  for (const [kind, chosen] of Object.entries(loaded.components)) {
    const bound = yield* Effect.result(Load.component(chosen.kind, chosen.name, loaded.folder))
    if (Result.isSuccess(bound)) schemas.set(kind, ConfigSchema.optionsSchema(bound.success.options).schema)
  }
  const inOptions = (schema: ConfigSchema.JsonSchema, path: ReadonlyArray<string>): string | undefined => {
    let node: unknown = schema
    for (const key of path) {
      const properties = node === undefined ? undefined : Reflect.get(Object(node), "properties")
      node = properties === undefined ? undefined : Reflect.get(Object(properties), key)
    }
    const text = node === undefined ? undefined : Reflect.get(Object(node), "description")
    return typeof text === "string" ? text : undefined
  }
  const described: Described = (path) => {
    const options = schemas.get(path[0] ?? "")
    if (options === undefined || path.length < 2) return ConfigSchema.describe(path)
    return path[1] === "name" ? undefined : inOptions(options, path.slice(1))
  }
  return described
})

/** Runs the command. */
export const run = Effect.fn("Config.run")(function* (input: Input) {
  if (input.schema) return yield* Console.log(JSON.stringify(yield* ConfigSchema.document, null, 2))
  const loaded = Option.isSome(input.file)
    ? yield* Load.file(input.file.value, { set: input.set }).pipe(
        // With --json, errors in reading the file are printed like errors of the check.
        Effect.tapError((error) =>
          input.check && input.json && error._tag === "ConfigError"
            ? Console.log(JSON.stringify({ errors: error.issues, warnings: [] }, null, 2))
            : Effect.void
        )
      )
    : yield* Effect.flatMap(
        Effect.fromResult(ConfigFile.override(ConfigFile.fromValue("defaults", ConfigSchema.smallest), input.set)),
        (source) => Load.decode(source, process.cwd())
      )
  if (input.check) {
    if (Option.isNone(input.file)) return yield* new UsageError({ reason: "--check needs a configuration file" })
    return yield* Check.run(loaded, input.json)
  }
  if (input.json) return yield* Console.log(JSON.stringify(loaded.config, null, 2))
  const text = commented(loaded.config, yield* describer(loaded))
  yield* Console.log(`# yaml-language-server: $schema=./osnas.schema.json\n${text}`.trimEnd())
})
