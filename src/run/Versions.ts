/**
 * The packages that a user's module imports: which copy of `effect` or `osnas` it finds, and whether osnas works with that
 * copy. Node looks for a package in the `node_modules` of every folder from the module upwards. Under pnpm or in a monorepo it
 * may find none, or another version than osnas's own.
 */
import { existsSync, readFileSync, realpathSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Predicate from "effect/Predicate"
import { root } from "../Package.ts"

const readJson = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(file, "utf8"))
  } catch {
    return undefined
  }
}

const field = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((at, key) => (Predicate.hasProperty(at, key) ? at[key] : undefined), value)

/** The folders from one upwards. */
const upwards = (folder: string): ReadonlyArray<string> => {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [folder, ...upwards(parent)]
}

/** The nearest folder upwards that has a `package.json`. */
export const packageFolder = (folder: string): string | undefined =>
  upwards(folder).find((at) => existsSync(join(at, "package.json")))

/** A package as it is found from a folder. */
export interface Found {
  readonly folder: string
  readonly version: string
}

/** The package that a module in a folder imports by this name; undefined if it finds none. */
export const find = (name: string, folder: string): Found | undefined => {
  for (const at of upwards(folder)) {
    const place = join(at, "node_modules", name)
    const version = field(readJson(join(place, "package.json")), "version")
    if (typeof version === "string") return { folder: realpathSync(place), version }
  }
  return undefined
}

type Version = readonly [major: number, minor: number, patch: number]

const parseVersion = (text: string): Version | undefined => {
  const match = /^v?(\d+)(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:[-+].*)?$/.exec(text.trim())
  if (match === null) return undefined
  const part = (at: number): number => {
    const number = Number(match[at] ?? 0)
    return Number.isNaN(number) ? 0 : number
  }
  return [part(1), part(2), part(3)]
}

const compare = (a: Version, b: Version): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]

/** Whether two versions promise the same interface: the same major version, or, below 1.0, the same minor version. */
const sameLine = (a: Version, b: Version): boolean => a[0] === b[0] && (a[0] > 0 || a[1] === b[1])

/** One comparator of a range: the lowest version in it, and the first version above it. */
const bounds = (comparator: string): readonly [least: Version, beyond: Version | undefined] | undefined => {
  if (comparator === "" || comparator === "*" || comparator === "x" || comparator === "latest") {
    return [[0, 0, 0], undefined]
  }
  const match = /^(\^|~|>=|>|<=|<|=)?\s*(v?\d.*)$/.exec(comparator)
  const version = match === null ? undefined : parseVersion(match[2]!)
  if (match === null || version === undefined) return undefined
  const [major, minor, patch] = version
  const parts = match[2]!
    .split(/[-+]/)[0]!
    .split(".")
    .filter((part) => /^v?\d/.test(part)).length
  const beyondGiven: Version =
    parts === 1 ? [major + 1, 0, 0] : parts === 2 ? [major, minor + 1, 0] : [major, minor, patch + 1]
  switch (match[1]) {
    case "^":
      return [version, major > 0 || parts === 1 ? [major + 1, 0, 0] : minor > 0 ? [0, minor + 1, 0] : beyondGiven]
    case "~":
      return [version, parts === 1 ? [major + 1, 0, 0] : [major, minor + 1, 0]]
    case ">=":
      return [version, undefined]
    case ">":
      return [beyondGiven, undefined]
    case "<":
      return [[0, 0, 0], version]
    case "<=":
      return [[0, 0, 0], beyondGiven]
    default:
      return [version, beyondGiven]
  }
}

/**
 * Whether an npm range includes the needed version or a later, compatible one. Undefined if the range cannot be parsed
 * (`workspace:*`, a tag, an address).
 *
 * **Example** (Ranges for 4.1.0)
 *
 * ```ts
 * import { serves } from "./Versions.ts"
 *
 * serves("^4.0.0", "4.1.0") // => true
 * serves("~4.2.1", "4.1.0") // => true
 * serves("^3.10.0 || ^4.1.0", "4.1.0") // => true
 * serves("^3.10.0", "4.1.0") // => false
 * serves("4.0.9", "4.1.0") // => false
 * serves("workspace:*", "4.1.0") // => undefined
 * ```
 */
export const serves = (range: string, needed: string): boolean | undefined => {
  const wanted = parseVersion(needed)
  if (wanted === undefined) return undefined
  const alternatives = range.split("||").map((text) => text.trim().replace(/(\S+)\s+-\s+(\S+)/, ">=$1 <=$2"))
  let known = false
  for (const alternative of alternatives) {
    const all = alternative
      .replaceAll(/([<>=^~])\s+/g, "$1")
      .split(/\s+/)
      .map(bounds)
    if (all.some((one) => one === undefined)) continue
    known = true
    let least: Version = [0, 0, 0]
    let beyond: Version | undefined
    for (const one of all) {
      const [from, to] = one!
      if (compare(from, least) > 0) least = from
      if (to !== undefined && (beyond === undefined || compare(to, beyond) < 0)) beyond = to
    }
    const first = compare(least, wanted) > 0 ? least : wanted
    if (sameLine(first, wanted) && (beyond === undefined || compare(first, beyond) < 0)) return true
  }
  return known ? false : undefined
}

const own = readJson(join(root, "package.json"))

/** The version of a package that osnas is built and tested with; undefined if osnas does not depend on it. */
export const neededVersion = (name: string): string | undefined => {
  const found =
    field(own, "dependencies", name) ?? field(own, "devDependencies", name) ?? field(own, "peerDependencies", name)
  return typeof found === "string" ? found : undefined
}

/** `^4.1` of `4.1.0`, for messages. */
const line = (version: string): string => {
  const parsed = parseVersion(version)
  return parsed === undefined ? version : `^${parsed[0]}.${parsed[1]}`
}

/** A copy of `effect` or `osnas` that osnas does not work with, and what to do; undefined if there is none. */
const otherCopies = (folder: string): string | undefined => {
  const needed = neededVersion("effect")
  const effect = find("effect", folder)
  if (needed !== undefined && effect !== undefined && serves(effect.version, needed) === false) {
    return `it resolves effect ${effect.version} from ${effect.folder}; osnas needs ${line(needed)}: npm install effect@${needed}`
  }
  const osnas = find("osnas", folder)
  const version = field(own, "version")
  if (osnas !== undefined && typeof version === "string" && osnas.version !== version) {
    return `it resolves osnas ${osnas.version} from ${osnas.folder}, and osnas ${version} is running: run the module's own (npx osnas), or npm install osnas@${version}`
  }
  return undefined
}

/**
 * Why a module's packages may be the reason that it cannot be loaded or is not recognised, and what to install; undefined if
 * they are not. `message` is that of the failure.
 */
export const advice = (module: string, message: string): string | undefined => {
  const folder = dirname(existsSync(module) ? realpathSync(module) : module)
  const missing = /Cannot find (?:package|module) '((?:@[^/']+\/)?[^/'.][^/']*)[^']*'/.exec(message)?.[1]
  if (missing !== undefined && !missing.startsWith("node:")) {
    const version = missing === "osnas" ? field(own, "version") : neededVersion(missing)
    const what = typeof version === "string" ? `${missing}@${version}` : missing
    const place = packageFolder(folder) ?? folder
    if (find(missing, folder) === undefined) {
      return `${missing} is not installed where the module can find it (under pnpm, packages of osnas itself are hidden): in ${place}, npm install ${what}`
    }
  }
  return otherCopies(folder)
}
