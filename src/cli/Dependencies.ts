/**
 * What generated files import, and whether the user's `package.json` lists it. An unlisted package may work because another
 * package installed it; it breaks under pnpm, or in a monorepo with another version at its root.
 */
import * as fs from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import * as Result from "effect/Result"
import type { GeneratedFile } from "../../generators/Template.ts"
import { root, version } from "../Package.ts"
import * as Versions from "../run/Versions.ts"
import { isRecord } from "../support/Records.ts"
import { decodeText } from "../support/TextFile.ts"
import { shownPath } from "./ShownPath.ts"

type Section = "dependencies" | "devDependencies"

/** A package that generated files import. */
export interface Needed {
  readonly name: string
  /** The entry for `package.json`: a version, or a `file:` path. */
  readonly spec: string
  readonly section: Section
}

const imported = /^\s*(?:import|export)\s+(?:[\w*{}\s,$]+?\sfrom\s+)?"((?:@[\w.-]+\/)?[\w-][\w.-]*)(?:\/[^"]*)?"/gm

/**
 * The packages that files import; those that only tests import are development dependencies.
 *
 * **Example** (A module and its test)
 *
 * ```ts
 * import { importsOf } from "./Dependencies.ts"
 *
 * const files = [
 *   { path: "a.ts", content: 'import * as Schema from "effect/Schema"\nimport { b } from "./b.ts"' },
 *   { path: "a.test.ts", content: 'import { expect } from "vitest"\nimport { tmpdir } from "node:os"\nimport "effect/Effect"' }
 * ]
 * importsOf(files) // => [{ name: "effect", section: "dependencies" }, { name: "vitest", section: "devDependencies" }]
 * ```
 */
export const importsOf = (files: ReadonlyArray<GeneratedFile>): ReadonlyArray<Pick<Needed, "name" | "section">> => {
  const found = new Map<string, Section>()
  for (const { content, path } of files) {
    if (!/\.[cm]?[jt]s$/.test(path)) continue
    const section: Section = /\.test\.[cm]?[jt]s$/.test(path) ? "devDependencies" : "dependencies"
    for (const [, name = ""] of content.matchAll(imported)) {
      if (found.get(name) !== "dependencies") found.set(name, section)
    }
  }
  return [...found].map(([name, section]) => ({ name, section })).sort((a, b) => (a.name < b.name ? -1 : 1))
}

const fileSpec = (target: string, folder: string): string => {
  const path = relative(folder, target).replaceAll("\\", "/")
  return `file:${path.startsWith(".") || path.startsWith("/") ? path : `./${path}`}`
}

const readJson = (file: string): unknown => {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"))
  } catch {
    return undefined
  }
}

/**
 * The entry for the osnas that is running: the file it was installed from, the folder of a clone, or its version in the
 * registry.
 */
export const osnasSpec = (folder: string): string => {
  const modules = dirname(root)
  if (basename(modules) !== "node_modules") return fileSpec(root, folder)
  const lock = readJson(join(modules, ".package-lock.json"))
  const packages = isRecord(lock) ? lock["packages"] : undefined
  const entry = isRecord(packages) ? packages["node_modules/osnas"] : undefined
  const resolved = isRecord(entry) ? entry["resolved"] : undefined
  return typeof resolved === "string" && resolved.startsWith("file:")
    ? fileSpec(resolve(dirname(modules), resolved.slice("file:".length)), folder)
    : version
}

/** The packages that files import, with the versions that osnas is tested with. */
export const neededBy = (files: ReadonlyArray<GeneratedFile>, folder: string): ReadonlyArray<Needed> =>
  importsOf(files).map(({ name, section }) => ({
    name,
    section,
    spec: name === "osnas" ? osnasSpec(folder) : (Versions.neededVersion(name) ?? "*")
  }))

/** A range in `package.json` that excludes the needed version. */
export interface Wrong {
  readonly name: string
  readonly has: string
  readonly needs: string
}

/** The changes to a `package.json`. */
export interface Plan {
  readonly added: ReadonlyArray<Needed>
  readonly wrong: ReadonlyArray<Wrong>
  /** The new text; undefined if nothing is added. */
  readonly text: string | undefined
}

const sections = ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"] as const

/**
 * Adds the packages that a `package.json` does not list; keeps its indentation and all its ranges. Fails with the reason if
 * the text is not a JSON object.
 *
 * **Example** (One is there, one is missing)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import { plan } from "./Dependencies.ts"
 *
 * const needed = [
 *   { name: "effect", spec: "4.1.0", section: "dependencies" },
 *   { name: "vitest", spec: "5.1.1", section: "devDependencies" }
 * ] as const
 * const made = Result.getOrThrow(plan('{ "dependencies": { "effect": "^3.10.0" } }', needed))
 * made.wrong // => [{ name: "effect", has: "^3.10.0", needs: "4.1.0" }]
 * JSON.parse(made.text ?? "").devDependencies // => { vitest: "5.1.1" }
 * ```
 */
export const plan = (text: string, needed: ReadonlyArray<Needed>): Result.Result<Plan, string> => {
  const parsed = Result.try({ try: (): unknown => JSON.parse(text), catch: () => "it is not JSON" })
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const manifest = parsed.success
  if (!isRecord(manifest)) return Result.fail("it is not a JSON object")
  const listed = (name: string): string | undefined => {
    for (const section of sections) {
      const entries = manifest[section]
      const range = isRecord(entries) && Object.hasOwn(entries, name) ? entries[name] : undefined
      if (typeof range === "string") return range
    }
    return undefined
  }
  // A package does not list itself.
  const others = needed.filter(({ name }) => name !== manifest["name"])
  const added = others.filter(({ name }) => listed(name) === undefined)
  const wrong = others.flatMap(({ name, spec }): ReadonlyArray<Wrong> => {
    const has = listed(name)
    return has !== undefined && Versions.serves(has, spec) === false ? [{ name, has, needs: spec }] : []
  })
  if (added.length === 0) return Result.succeed({ added, wrong, text: undefined })
  const changed: Record<string, unknown> = { ...manifest }
  for (const section of ["dependencies", "devDependencies"] as const) {
    const more = added.filter((one) => one.section === section).map(({ name, spec }) => [name, spec] as const)
    if (more.length === 0) continue
    const had = isRecord(manifest[section]) ? Object.entries(manifest[section]) : []
    changed[section] = Object.fromEntries([...had, ...more].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  }
  const indent = /^[{[]\r?\n([ \t]+)/.exec(text)?.[1] ?? "  "
  const lines = JSON.stringify(changed, null, indent)
  const ended = `${lines}${/\n\s*$/.test(text) || !text.includes("\n") ? "\n" : ""}`
  return Result.succeed({ added, wrong, text: text.includes("\r\n") ? ended.replaceAll("\n", "\r\n") : ended })
}

const install = (needed: ReadonlyArray<Needed>, folder: string): ReadonlyArray<string> =>
  (["dependencies", "devDependencies"] as const).flatMap((section) => {
    const some = needed.filter((one) => one.section === section)
    const flag = section === "devDependencies" ? " --save-dev" : ""
    const specs = some.map(({ name, spec }) =>
      spec.startsWith("file:") ? resolve(folder, spec.slice(5)) : `${name}@${spec}`
    )
    return some.length === 0 ? [] : [`npm install${flag} ${specs.join(" ")}`]
  })

/**
 * Adds what generated files import to the nearest `package.json` upwards, and returns lines that say so; if there is none, the
 * lines say what to install. With `dryRun` the file is not changed.
 */
export const ensure = (folder: string, files: ReadonlyArray<GeneratedFile>, dryRun = false): ReadonlyArray<string> => {
  const place = Versions.packageFolder(folder)
  if (place === undefined) {
    return [
      "There is no package.json here or above; install the packages that the files import:",
      ...install(neededBy(files, folder), folder).map((line) => `  ${line}`)
    ]
  }
  const file = join(place, "package.json")
  const shown = shownPath(file)
  const needed = neededBy(files, place)
  const planned = Result.flatMap(decodeText(fs.readFileSync(file)), (text) => plan(text, needed))
  if (Result.isFailure(planned)) {
    return [
      `${shown} cannot be read (${planned.failure}); install the packages that the files import:`,
      ...install(needed, place).map((line) => `  ${line}`)
    ]
  }
  const { added, text, wrong } = planned.success
  if (text !== undefined && !dryRun) fs.writeFileSync(file, text)
  const lines = added.map(
    ({ name, section, spec }) => `${dryRun ? "would add" : "added"} ${name} ${spec} to the ${section} of ${shown}`
  )
  if (added.length > 0 && !dryRun) lines.push(`Install it: run npm install in ${shownPath(place)}`)
  return [
    ...lines,
    ...wrong.map(
      ({ has, name, needs }) =>
        `${shown} has ${name} ${has}, but the files need ${needs}; it was not changed: run npm install ${name}@${needs}`
    )
  ]
}
