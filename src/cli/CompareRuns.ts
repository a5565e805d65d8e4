/** `osnas compare-runs`: compares runs side by side. */
import { existsSync, readdirSync, statSync } from "node:fs"
import { extname, join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Comparison from "../report/Comparison.ts"
import * as FromFolder from "../report/FromFolder.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { Disk } from "../support/Disk.ts"
import type { Input } from "./commands/CompareRuns.ts"
import { UsageError } from "./Exit.ts"
import * as OutputFile from "./OutputFile.ts"
import { writeBeside } from "./Report.ts"
import { shownPath } from "./ShownPath.ts"

const isRun = (folder: string): boolean => existsSync(join(folder, RunFolder.files.manifest))

/** The run at a path, or all runs at most four folders below it, ordered by name. */
const runsAt = (path: string, depth = 4): ReadonlyArray<string> => {
  if (isRun(path)) return [path]
  if (depth === 0 || !existsSync(path) || !statSync(path).isDirectory()) return []
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .flatMap((name) => runsAt(join(path, name), depth - 1))
}

/** Reads a run folder for a comparison. */
export const read = Effect.fn("CompareRuns.read")(function* (folder: string) {
  const { data, loaded, manifest } = yield* FromFolder.readRun(resolve(folder))
  return Comparison.comparedRun(shownPath(folder), data, loaded, manifest.identity)
})

/** Runs the command. */
export const run = Effect.fn("CompareRuns.run")(function* (input: Input) {
  const ending = Option.match(input.output, { onNone: () => ".md", onSome: extname })
  if (ending !== ".md" && ending !== ".html") {
    return yield* new UsageError({
      reason: `--output ${Option.getOrElse(input.output, () => "")}: it must end in .html (a page) or .md (Markdown)`
    })
  }
  if (Option.isSome(input.output)) yield* OutputFile.refuse("--output", input.output.value)
  const folders: Array<string> = []
  for (const path of input.runs) {
    const found = runsAt(path)
    if (found.length === 0) {
      return yield* new UsageError({
        reason: `${path} is not a run folder and contains none: there is no ${RunFolder.files.manifest} in it or below it`
      })
    }
    folders.push(...found.filter((folder) => !folders.includes(folder)))
  }
  const program = Effect.gen(function* () {
    const comparison = Comparison.compare(yield* Effect.forEach(folders, read))
    yield* Console.log(input.json ? JSON.stringify(Comparison.json(comparison)) : Comparison.text(comparison))
    if (Option.isSome(input.output)) {
      const page = ending === ".md" ? Comparison.markdown(comparison) : Comparison.html(comparison)
      yield* writeBeside(input.output.value, page, "name another place with --output")
    }
  })
  yield* program.pipe(Effect.provide(Disk.layer))
})
