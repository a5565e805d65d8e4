/** `osnas report`: a run's report as text and as a page. */
import { join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as FromFolder from "../report/FromFolder.ts"
import { html } from "../report/Html.ts"
import { text } from "../report/Text.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { Disk, writeTextAtomic } from "../support/Disk.ts"
import type { Input } from "./commands/Report.ts"
import { NotWritten } from "./Exit.ts"
import * as OutputFile from "./OutputFile.ts"

/** Writes a file beside what is printed: what cannot be written is named, with another place for it. */
export const writeBeside = (file: string, text: string, advice: string): Effect.Effect<void, NotWritten, Disk> =>
  Effect.flatMap(Disk, (disk) => writeTextAtomic(disk, resolve(file), text)).pipe(
    Effect.mapError(({ reason }) => new NotWritten({ file, reason: `${reason}; ${advice}` }))
  )

/** What a run's report shows, where its page belongs, and what writes the page. */
export const make = Effect.fn("Report.make")(function* (folder: string, output?: string | undefined) {
  const data = yield* FromFolder.read(resolve(folder))
  const file = output ?? join(folder, RunFolder.files.report)
  const page = Effect.flatMap(
    Effect.promise(() => html(data)),
    (content) => writeBeside(file, content, "write the page to another place: osnas report DIR -o FILE")
  )
  return { data, file, page }
})

/** Writes the page of a run, and tells where. */
export const write = Effect.fn("Report.write")(function* (folder: string, output?: string | undefined) {
  const { data, file, page } = yield* make(folder, output)
  yield* page
  return { data, file }
})

/** Runs the command; `disk` is the machine's own. */
export const run = Effect.fn("Report.run")(function* (input: Input, disk: Layer.Layer<Disk> = Disk.layer) {
  if (input.json) {
    const data = yield* FromFolder.read(resolve(input.dir)).pipe(Effect.provide(disk))
    return yield* Console.log(JSON.stringify(data))
  }
  if (Option.isSome(input.output)) yield* OutputFile.refuse("--output", input.output.value)
  const made = make(input.dir, Option.getOrUndefined(input.output))
  const { data, file, page } = yield* Effect.provide(made, disk)
  // Read from a folder that cannot be written, it is still a report.
  yield* Console.log(text(data, process.stdout.columns ?? 100).trimEnd())
  yield* Effect.provide(page, disk)
  yield* Console.log(`\nPage: ${file}`)
})
