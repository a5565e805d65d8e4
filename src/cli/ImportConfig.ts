/** `osnas import-config`: converts a configuration of OSNASLib. */
import { existsSync, lstatSync, readFileSync } from "node:fs"
import { basename, dirname, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Yaml from "yaml"
import * as Converter from "../osnaslib/Converter.ts"
import { parseNpy } from "../osnaslib/Npy.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "../run/Load.ts"
import * as Presets from "../search-space/Presets.ts"
import { Disk, writeAtomic } from "../support/Disk.ts"
import { readText } from "../support/TextFile.ts"
import type { Input } from "./commands/ImportConfig.ts"
import { UsageError } from "./Exit.ts"

const readOld = Effect.fnUntraced(function* (file: string) {
  const text = yield* Effect.fromResult(readText(file, "a configuration file", ConfigFile.maxBytes)).pipe(
    Effect.mapError((reason) => new UsageError({ reason: `${file}: ${reason}` }))
  )
  const { value } = yield* Effect.fromResult(ConfigFile.parse(file, text))
  if (!Converter.isOsnaslib(value)) {
    return yield* new UsageError({
      reason: `${file} is not a configuration of OSNASLib: it has no agent.main_agent`
    })
  }
  return value
})

/** Digits or the name of a published network as given, or the digits in a .npy file. */
const architectureOf = (given: string): Effect.Effect<string, UsageError> =>
  Effect.suspend(() => {
    if (!existsSync(given)) {
      const name = given.trim()
      if (Presets.find(name) !== undefined) return Effect.succeed(name)
      const near = Presets.meant(name)
      const hint = near === undefined ? "" : `; did you mean ${near}?`
      return /^\d+([\s,]+\d+)*$/.test(name)
        ? Effect.succeed(name.split(/[\s,]+/).join(","))
        : Effect.fail(
            new UsageError({
              reason: `--arch ${given}: expected digits like 2,0,6, a published network's name, or a .npy file${hint}`
            })
          )
    }
    const digits = parseNpy(readFileSync(given))
    return digits === undefined
      ? Effect.fail(new UsageError({ reason: `--arch ${given}: expected a .npy file with one row of integers` }))
      : Effect.succeed(digits.join(","))
  })

const titles: Readonly<Record<Converter.Note["kind"], string>> = {
  "nothing here": "Without an equivalent here",
  unknown: "Unknown keys, left out",
  conflict: "Where the two files differ",
  remark: "Converted, with remarks",
  "different default": "Defaults that differ"
}

/** The notes grouped by kind, one per line. */
const notesText = (notes: ReadonlyArray<Converter.Note>): ReadonlyArray<string> =>
  (Object.keys(titles) as ReadonlyArray<Converter.Note["kind"]>).flatMap((kind) => {
    const some = notes.filter((note) => note.kind === kind)
    return some.length === 0 ? [] : [`${titles[kind]}:`, ...some.map(({ key, text }) => `  ${key}: ${text}`)]
  })

/** Runs the command. */
export const run = Effect.fn("ImportConfig.run")(function* (input: Input) {
  const out = Option.getOrUndefined(input.out)
  if (out !== undefined) {
    const there = lstatSync(out, { throwIfNoEntry: false })
    if (there !== undefined && !there.isFile())
      return yield* new UsageError({ reason: `--out ${out}: this is not a file` })
    if (there !== undefined && !input.force) {
      return yield* new UsageError({ reason: `${out} exists already; --force overwrites it` })
    }
  }
  const old = yield* readOld(input.file)
  const evaluate = Option.isSome(input.evaluate) ? yield* readOld(input.evaluate.value) : undefined
  if (evaluate !== undefined) {
    const [first, second] = [Converter.purposeOf(old), Converter.purposeOf(evaluate)]
    if (first !== "search" || second !== "evaluate") {
      return yield* new UsageError({
        reason: `--evaluate joins a search with an evaluation; ${input.file} is a ${first} and ${input.evaluate.pipe(Option.getOrElse(() => ""))} a ${second} configuration`
      })
    }
  }
  const architecture = Option.isSome(input.arch) ? yield* architectureOf(input.arch.value) : undefined
  const name = Option.getOrElse(input.name, () =>
    basename(input.file)
      .replace(/\.ya?ml$/i, "")
      .replaceAll(/[^\w .-]/g, "-")
  )
  const { config, notes } = Converter.convert(old, { name, evaluate, architecture })
  // The output is valid: `osnas run` does the same check.
  yield* Load.decode(ConfigFile.fromValue(`${input.file}, converted`, config), dirname(resolve(input.file)))

  const sources = [input.file, ...Option.toArray(input.evaluate)].map((file) => basename(file)).join(" and ")
  const lines = notesText(notes)
  const header = [`From OSNASLib's ${sources}, by osnas import-config.`, ...lines].map((line) => `# ${line}`)
  const text = `${header.join("\n")}\n\n${Yaml.stringify(config, { lineWidth: 0 })}`
  if (out !== undefined) {
    const disk = yield* Disk
    yield* writeAtomic(disk, out, [new TextEncoder().encode(text)])
  }
  if (input.json) return yield* Console.log(JSON.stringify({ file: out ?? null, config, notes }))
  if (out === undefined) return yield* Console.log(text.trimEnd())
  yield* Console.log([`${out}: from ${sources}`, ...lines, `Check it: osnas config ${out}`].join("\n"))
}, Effect.provide(Disk.layer))
