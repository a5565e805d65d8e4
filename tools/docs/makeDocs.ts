/** Writes the reference pages in docs: `node tools/docs/makeDocs.ts`. */
import { writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as ConfigSchema from "../../src/run/ConfigSchema.ts"
import * as ReferenceDocs from "./ReferenceDocs.ts"

const docs = resolve(import.meta.dirname, "../../docs")

await Effect.runPromise(
  Effect.gen(function* () {
    writeFileSync(join(docs, "configuration.md"), yield* ReferenceDocs.configuration)
    writeFileSync(join(docs, "commands.md"), yield* ReferenceDocs.commands)
    writeFileSync(join(docs, "osnas.schema.json"), `${JSON.stringify(yield* ConfigSchema.document, null, 2)}\n`)
  })
)
