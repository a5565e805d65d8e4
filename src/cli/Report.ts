/** `osnas report`: prints the report of a run and writes it as a page. */
import { join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as FromFolder from "../report/FromFolder.ts"
import { text } from "../report/Text.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { Disk, writeTextAtomic } from "../support/Disk.ts"
import type { Input } from "./commands/Report.ts"
import { NotWritten } from "./Exit.ts"
import * as OutputFile from "./OutputFile.ts"

/** Writes a file in addition to printed output; the error names the file and what to do. */
export const writeBeside = (file: string, text: string, advice: string): Effect.Effect<void, NotWritten, Disk> =>
  Effect.flatMap(Disk, (disk) => writeTextAtomic(disk, resolve(file), text)).pipe(
    Effect.mapError(({ reason }) => new NotWritten({ file, reason: `${reason}; ${advice}` }))
  )

/** The data of a run's report, the path of its page, and the effect that writes the page. */
export const make = Effect.fn("Report.make")(function* (folder: string, output?: string | undefined) {
  const data = yield* FromFolder.read(resolve(folder))
  const file = output ?? join(folder, RunFolder.files.report)
  const page = Effect.flatMap(
    // The charts take their time to load: not before there is something to draw.
    Effect.promise(() => import("../report/Html.ts").then(({ html }) => html(data))),
    (content) => writeBeside(file, content, "write the page to another place: osnas report DIR -o FILE")
  )
  return { data, file, page }
})

/** Writes the page of a run's report; returns its data and path. */
export const write = Effect.fn("Report.write")(function* (folder: string, output?: string | undefined) {
  const { data, file, page } = yield* make(folder, output)
  yield* page
  return { data, file }
})

/** Runs the command; `disk` defaults to the machine's own. */
export const run = Effect.fn("Report.run")(function* (input: Input, disk: Layer.Layer<Disk> = Disk.layer) {
  if (input.json) {
    const data = yield* FromFolder.read(resolve(input.dir)).pipe(Effect.provide(disk))
    return yield* Console.log(JSON.stringify(data))
  }
  if (Option.isSome(input.output)) yield* OutputFile.refuse("--output", input.output.value)
  const made = make(input.dir, Option.getOrUndefined(input.output))
  const { data, file, page } = yield* Effect.provide(made, disk)
  // Print first: the folder may be readable but not writable.
  yield* Console.log(text(data, process.stdout.columns ?? 100).trimEnd())
  yield* Effect.provide(page, disk)
  yield* Console.log(`\nPage: ${file}`)
})
