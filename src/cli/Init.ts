/** `osnas init`: a project from nothing, ready to be tested and run. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Generator from "../../generators/Generator.ts"
import * as Project from "../../generators/Project.ts"
import { root, version } from "../Package.ts"
import { UsageError } from "./Exit.ts"
import { shown, writeFiles } from "./Generate.ts"

/** Flags of the command. */
export interface Input {
  readonly dir: string
  readonly kind: Generator.KindName
  readonly install: boolean
  readonly force: boolean
}

const readJson = (file: string): unknown => {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"))
  } catch {
    return undefined
  }
}

const field = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((at, key) => (Predicate.hasProperty(at, key) ? at[key] : undefined), value)

/** Versions that osnas itself was built and tested with. */
const versions = (): Readonly<Record<string, string>> => {
  const own = readJson(join(root, "package.json"))
  const found = (name: string): unknown =>
    field(own, "dependencies", name) ?? field(own, "devDependencies", name) ?? field(own, "peerDependencies", name)
  return Object.fromEntries(
    Project.packages.flatMap((name) => {
      const range = found(name)
      return typeof range === "string" ? [[name, range]] : []
    })
  )
}

const fileSpec = (target: string, folder: string): string => {
  const path = relative(folder, target).replaceAll("\\", "/")
  return `file:${path.startsWith(".") || path.startsWith("/") ? path : `./${path}`}`
}

/**
 * Where npm finds the osnas that runs now: the file it was installed from, the folder of a clone, else its version in the
 * registry.
 */
const source = (folder: string): string => {
  const modules = dirname(root)
  if (basename(modules) !== "node_modules") return fileSpec(root, folder)
  const lock = readJson(join(modules, ".package-lock.json"))
  const resolved = field(lock, "packages", "node_modules/osnas", "resolved")
  return typeof resolved === "string" && resolved.startsWith("file:")
    ? fileSpec(resolve(dirname(modules), resolved.slice("file:".length)), folder)
    : version
}

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
  const found = fs.statSync(folder, { throwIfNoEntry: false })
  if (found !== undefined && !found.isDirectory()) {
    return yield* new UsageError({ reason: `${input.dir} exists, and is no folder` })
  }
  if (found !== undefined && fs.readdirSync(folder).length > 0 && !input.force) {
    return yield* new UsageError({ reason: `${input.dir} is not empty; --force writes into it all the same` })
  }
  const files = yield* Effect.fromResult(
    Project.files({
      name: Project.packageName(basename(folder)),
      kind: input.kind,
      osnas: source(folder),
      versions: versions()
    })
  )
  yield* writeFiles(folder, files, input.force)
  for (const { path } of files) yield* Console.log(`wrote ${shown(join(folder, path))}`)
  if (input.install) {
    yield* Console.log("\nInstalling what it needs (npm install) ...")
    const code = yield* npmInstall(folder)
    if (code !== 0) {
      return yield* new UsageError({
        reason: `npm install failed in ${input.dir}; the files are there: cd ${input.dir} && npm install`
      })
    }
  }
  const steps = [`cd ${shown(folder)}`, ...(input.install ? [] : ["npm install"]), "npm test"]
  yield* Console.log(`\nNext:\n  ${[...steps, "npx osnas run search.yaml --quick"].join("\n  ")}`)
})
