/** `osnas generate`: writes a component of your own with its tests, and shows how a configuration names it. */
import * as fs from "node:fs"
import { join, relative, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ComponentGenerator from "../../generators/ComponentGenerator.ts"
import type { GeneratedFile } from "../../generators/Template.ts"
import * as TextTable from "../report/TextTable.ts"
import { makeFolders } from "../support/MakeFolders.ts"
import type { Input } from "./commands/Generate.ts"
import * as Dependencies from "./Dependencies.ts"
import { UsageError } from "./Exit.ts"
import * as OutputFile from "./OutputFile.ts"
import { shownPath } from "./ShownPath.ts"

/** Why a file cannot be written: it exists, or something else has its name; null if it can. */
const obstacle = (file: string, force: boolean): string | null => {
  const found = fs.lstatSync(file, { throwIfNoEntry: false })
  if (found === undefined) return null
  if (!found.isFile()) return "exists and is not a regular file"
  return force ? null : "exists already; --force overwrites it"
}

/** Writes all files or none: checks every target before it writes the first. */
export const writeFiles = Effect.fn("Generate.writeFiles")(function* (
  folder: string,
  files: ReadonlyArray<GeneratedFile>,
  force: boolean
) {
  const fault = OutputFile.folderFault(folder)
  if (fault !== undefined) return yield* new UsageError({ reason: `${shownPath(folder)}: ${fault}` })
  const targets = files.map(({ content, path }) => ({ content, file: join(folder, path) }))
  const reasons = targets.flatMap(({ file }) => {
    const reason = obstacle(file, force)
    return reason === null ? [] : [`${shownPath(file)} ${reason}`]
  })
  if (reasons.length > 0) return yield* new UsageError({ reason: reasons.join("\n") })
  yield* Effect.try({
    try: () => {
      for (const { content, file } of targets) {
        makeFolders(resolve(file, ".."))
        fs.writeFileSync(file, content)
      }
    },
    catch: (error) => new UsageError({ reason: error instanceof Error ? error.message : String(error) })
  })
})

/** Every kind, what it decides, and the components that --from takes. */
const listing = (): string => {
  const rows = ComponentGenerator.kindNames.flatMap((kind) => {
    const starts = ComponentGenerator.starts(kind)
    return [
      [kind, ComponentGenerator.descriptions[kind]],
      ...(starts.length === 0 ? [] : [["", `  --from ${starts.join(" | ")}`]])
    ]
  })
  return TextTable.format(rows, { align: ["left", "left"] })
}

/** Runs the command. */
export const run = Effect.fn("Generate.run")(function* (input: Input) {
  if (input.list) return yield* Console.log(listing())
  if (Option.isNone(input.kind)) {
    return yield* new UsageError({
      reason: `name a kind: ${ComponentGenerator.kindNames.join(", ")} (osnas generate --list)`
    })
  }
  if (Option.isNone(input.name))
    return yield* new UsageError({ reason: "--name is missing: the name of the component, like my-searcher" })
  const generated = yield* Effect.fromResult(
    ComponentGenerator.generate({
      kind: input.kind.value,
      name: input.name.value,
      identifier: Option.getOrUndefined(input.identifier),
      from: Option.getOrUndefined(input.from)
    })
  ).pipe(Effect.mapError((error) => new UsageError({ reason: error.message })))
  const folder = resolve(input.dir)
  const { files } = generated
  const module = `./${relative(process.cwd(), join(folder, files[0]?.path ?? "")).replaceAll("\\", "/")}`
  if (input.dryRun) {
    for (const { content, path } of files) yield* Console.log(`--- ${shownPath(join(folder, path))}\n${content}`)
  } else {
    yield* writeFiles(folder, files, input.force)
    for (const { path } of files) yield* Console.log(`wrote ${shownPath(join(folder, path))}`)
  }
  yield* Console.log(`\nIn a configuration in this folder:\n\n${generated.yaml(module)}`)
  const lines = Dependencies.ensure(folder, files, input.dryRun)
  if (lines.length > 0) yield* Console.log(`\n${lines.join("\n")}`)
})
