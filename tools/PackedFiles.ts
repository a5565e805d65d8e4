/**
 * Checks the content of the published package: the modules that its entry points reach, their data, the documentation and the
 * examples. A build fails if it packs anything else, such as development programs, testing helpers or test data.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

/** The sources of the package's entry points: its exports, and the start of its command. */
const entryPoints = (): ReadonlyArray<string> => {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly exports: Readonly<Record<string, string | { readonly types: string }>>
  }
  const sources = Object.values(exports).flatMap((entry) =>
    typeof entry === "string" ? [] : [entry.types.replace(/^\.\/dist\//, "")]
  )
  return [
    ...sources.map((path) => (existsSync(join(root, path)) ? path : path.replace(/\.d\.ts$/, ".ts"))),
    "src/cli/main.ts"
  ]
}

/** Imports (static, lazy, of types) and the modules that workers run. */
const reference = /(?:from|import\(|import|new URL\() ?["`](\.{1,2}\/[^"`$]*?)(?:\.ts"|\.\$\{extension\}`)/g

/** Sources that the entry points reach, relative to the root. */
export const reached = (): ReadonlySet<string> => {
  const found = new Set<string>()
  const open = [...entryPoints()]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue
    found.add(path)
    // The examples of doc comments import, too: code alone counts.
    const code = readFileSync(join(root, path), "utf8").replace(/^\s*\*.*$/gm, "")
    for (const [, to = ""] of code.matchAll(reference)) {
      const target = relative(root, `${resolve(root, dirname(path), to)}.ts`)
      if (existsSync(join(root, target))) open.push(target)
    }
  }
  return found
}

/** The sources that a build compiles, relative to the root. */
export const compiled = (): ReadonlyArray<string> =>
  execFileSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), "--listFilesOnly", "-p", "tsconfig.build.json"],
    { cwd: root, encoding: "utf8" }
  )
    .split("\n")
    .filter((file) => file !== "")
    .map((file) => relative(root, file))
    .filter((file) => !file.startsWith("node_modules/") && !file.startsWith(".."))

/** The files that `npm pack` would include now, without a build. */
export const packed = (): ReadonlyArray<string> => {
  const text = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"]
  })
  // Depending on the version of npm, an array of packages or an object by name.
  const packages = Object.values(
    JSON.parse(text) as Readonly<Record<string, { readonly files: ReadonlyArray<{ readonly path: string }> }>>
  )
  return packages.flatMap(({ files }) => files.map(({ path }) => path))
}

const alwaysThere = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|src\/cli\/osnas\.mjs)$/
const documentation = /^docs\/([\w/-]+\.md|osnas\.schema\.json)$/
const example = /^examples\/[\w/-]+\.(ts|yaml)$/
/** Data that the product reads: the kernels, the quickstart's images, the tables of a benchmark. */
const asset =
  /^dist\/src\/(engine\/simd\/kernels-(strict|relaxed)\.wasm|dataflow\/data\/fashion-mnist-mini\/(LICENSE|(t10k|train)-\w+-idx\d-ubyte\.gz)|estimator\/data\/nas-bench-macro\.(csv|NOTICE\.txt))$/

/** The files of a package that do not belong in it. */
export const unwanted = (paths: Iterable<string>): ReadonlyArray<string> => {
  const modules = reached()
  const isModule = (path: string): boolean => {
    const [, module] = /^dist\/(.*?)\.(?:js|d\.ts)$/.exec(path) ?? []
    if (module === undefined || /(^|\/)testing\/|\.test$|^tools\//.test(module)) return false
    return modules.has(`${module}.ts`) || modules.has(`${module}.d.ts`)
  }
  return [...paths].filter(
    (path) => ![alwaysThere, documentation, example, asset].some((known) => known.test(path)) && !isModule(path)
  )
}

if (import.meta.main) {
  const files = packed()
  const strange = unwanted(files)
  const lacking = [...reached()]
    .filter((source) => !source.endsWith(".d.ts"))
    .map((source) => `dist/${source.replace(/\.ts$/, ".js")}`)
    .filter((file) => !files.includes(file))
  for (const file of strange)
    process.stderr.write(`${file} does not belong in the package: nothing it exports uses it\n`)
  for (const file of lacking) process.stderr.write(`${file} is missing from the package\n`)
  if (strange.length + lacking.length > 0) process.exitCode = 1
  else process.stdout.write(`${files.length} files in the package, all of the product\n`)
}
