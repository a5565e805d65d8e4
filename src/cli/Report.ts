/** `osnas report`: a run's report as text and as a page. */
import { join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as FromFolder from "../report/FromFolder.ts"
import { html } from "../report/Html.ts"
import { text } from "../report/Text.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { Disk, writeTextAtomic } from "../support/Disk.ts"

/** Flags of the command. */
export interface Input {
  readonly dir: string
  readonly output: Option.Option<string>
  readonly json: boolean
}

/** Writes the page of a run, and tells where. */
export const write = Effect.fn("Report.write")(function* (folder: string, output?: string | undefined) {
  const disk = yield* Disk
  const data = yield* FromFolder.read(resolve(folder))
  const page = yield* Effect.promise(() => html(data))
  const file = output ?? join(folder, RunFolder.files.report)
  yield* writeTextAtomic(disk, resolve(file), page)
  return { data, file }
})

/** Runs the command. */
export const run = Effect.fn("Report.run")(function* (input: Input) {
  if (input.json) {
    const data = yield* FromFolder.read(resolve(input.dir)).pipe(Effect.provide(Disk.layer))
    return yield* Console.log(JSON.stringify(data))
  }
  const { data, file } = yield* write(input.dir, Option.getOrUndefined(input.output)).pipe(Effect.provide(Disk.layer))
  yield* Console.log(text(data, process.stdout.columns ?? 100).trimEnd())
  yield* Console.log(`\nPage: ${file}`)
})
