/** `osnas init`: writes a project that you can test and run at once. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { basename, join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Project from "../../generators/Project.ts"
import { neededVersion } from "../run/Versions.ts"
import type { Input } from "./commands/Init.ts"
import * as Dependencies from "./Dependencies.ts"
import { UsageError } from "./Exit.ts"
import { writeFiles } from "./Generate.ts"
import * as OutputFile from "./OutputFile.ts"
import { shownPath } from "./ShownPath.ts"

/** Versions that osnas was built and tested with. */
const versions = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Project.packages.flatMap((name) => {
      const needed = neededVersion(name)
      return needed === undefined ? [] : [[name, needed]]
    })
  )

const npmInstall = (folder: string): Effect.Effect<number> =>
  Effect.callback((resume) => {
    const child = spawn("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: folder,
      stdio: ["ignore", "inherit", "inherit"],
      shell: process.platform === "win32"
    })
    child.on("error", () => resume(Effect.succeed(1)))
    child.on("close", (code) => resume(Effect.succeed(code ?? 1)))
    return Effect.sync(() => child.kill())
  })

/** Runs the command. */
export const run = Effect.fn("Init.run")(function* (input: Input) {
  const folder = resolve(input.dir)
  const fault = OutputFile.folderFault(folder)
  if (fault !== undefined) return yield* new UsageError({ reason: `${input.dir}: ${fault}` })
  const found = fs.statSync(folder, { throwIfNoEntry: false })
  if (found !== undefined && fs.readdirSync(folder).length > 0 && !input.force) {
    return yield* new UsageError({ reason: `${input.dir} is not empty; --force writes into it anyway` })
  }
  const files = yield* Effect.fromResult(
    Project.files({
      name: Project.packageName(basename(folder)),
      kind: input.kind,
      osnas: Dependencies.osnasSpec(folder),
      versions: versions()
    })
  )
  yield* writeFiles(folder, files, input.force)
  for (const { path } of files) yield* Console.log(`wrote ${shownPath(join(folder, path))}`)
  if (input.install) {
    yield* Console.log("\nInstalling its packages (npm install) ...")
    const code = yield* npmInstall(folder)
    if (code !== 0) {
      return yield* new UsageError({
        reason: `npm install failed in ${input.dir}; the files are written, so try again: cd ${input.dir} && npm install`
      })
    }
  }
  const steps = [`cd ${shownPath(folder)}`, ...(input.install ? [] : ["npm install"]), "npm test"]
  yield* Console.log(`\nNext:\n  ${[...steps, "npx osnas run search.yaml --quick"].join("\n  ")}`)
})
