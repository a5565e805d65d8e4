/**
 * A folder outside the repository with the repository's sources installed as `osnas`, for tests of generated files: type
 * checks, lint and tests run there as in a user's project.
 */
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { tsconfig } from "../Project.ts"

/** The repository. */
export const root = path.resolve(import.meta.dirname, "../..")

/** How a command ended. */
export interface Ended {
  readonly code: number
  readonly output: string
}

/** A folder with osnas installed. */
export interface Sandbox {
  readonly folder: string
  readonly write: (file: string, content: string) => void
  /** Runs a script of a package with the Node that runs the test. */
  readonly run: (script: string, args: ReadonlyArray<string>, folder?: string) => Promise<Ended>
  /** Runs a line as a shell would in a project with osnas installed: `npx osnas list`. */
  readonly shell: (line: string, folder?: string) => Promise<Ended>
  /** Runs a program in the folder. */
  readonly start: (file: string) => Promise<Ended>
  readonly remove: () => void
}

const biome = {
  root: true,
  linter: {
    enabled: true,
    rules: {
      preset: "recommended",
      style: { noDefaultExport: "error", useImportType: "error" },
      suspicious: { noExplicitAny: "error" },
      correctness: { noUnusedImports: "error", noUnusedVariables: "error" },
      complexity: { useLiteralKeys: "off" }
    }
  },
  formatter: { indentStyle: "space", indentWidth: 2, lineWidth: 120 },
  javascript: { formatter: { semicolons: "asNeeded", quoteStyle: "double", trailingCommas: "none" } }
}

const install = (folder: string): void => {
  const modules = path.join(folder, "node_modules")
  fs.mkdirSync(modules)
  const theirs = path.join(root, "node_modules")
  for (const entry of fs.readdirSync(theirs)) {
    if (entry !== "osnas" && entry !== ".cache" && entry !== ".vite") {
      fs.symlinkSync(path.join(theirs, entry), path.join(modules, entry))
    }
  }
  const own = path.join(modules, "osnas")
  fs.mkdirSync(own)
  for (const entry of ["src", "machines", "generators", "property-tests", "node_modules"]) {
    fs.symlinkSync(path.join(root, entry), path.join(own, entry))
  }
  const exports = {
    ".": "./src/index.ts",
    "./laws": "./property-tests/index.ts",
    "./machines": "./machines/index.ts"
  }
  fs.writeFileSync(path.join(own, "package.json"), JSON.stringify({ name: "osnas", type: "module", exports }))
}

const start = (program: string, args: ReadonlyArray<string>, cwd: string, path = process.env["PATH"]): Promise<Ended> =>
  new Promise((resolve) => {
    const env = { ...process.env, PATH: path, NO_COLOR: "1", VITEST: undefined, NODE_OPTIONS: undefined }
    execFile(program, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` })
    )
  })

const execute = (file: string, args: ReadonlyArray<string>, cwd: string): Promise<Ended> =>
  start(process.execPath, [file, ...args], cwd)

/** A folder with programs in place of those that npm installs: `osnas`, and `npx`, which runs what is installed. */
const programs = (folder: string): string => {
  const bin = path.join(folder, "node_modules", ".osnas-bin")
  fs.mkdirSync(bin, { recursive: true })
  const script = (name: string, body: string) =>
    fs.writeFileSync(path.join(bin, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  script("osnas", `exec "${process.execPath}" "${path.join(root, scripts.osnas)}" "$@"`)
  script("npx", 'exec "$@"')
  return bin
}

/** Makes a sandbox. Remove it when done. */
export const make = (): Sandbox => {
  const folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), "osnas-sandbox-"))
  const write = (file: string, content: string): void => {
    const target = path.join(folder, file)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.writeFileSync(target, content)
  }
  install(folder)
  write("package.json", JSON.stringify({ name: "sandbox", private: true, type: "module" }))
  write("tsconfig.json", JSON.stringify(tsconfig))
  write("biome.json", JSON.stringify(biome))
  return {
    folder,
    write,
    run: (script, args, where = folder) => execute(path.join(root, script), args, where),
    shell: (line, where = folder) =>
      start("/bin/sh", ["-c", line], where, `${programs(folder)}${path.delimiter}${process.env["PATH"] ?? ""}`),
    start: (file) => execute(path.join(folder, file), [], folder),
    remove: () => fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** Scripts of packages. */
export const scripts = {
  tsc: "node_modules/typescript/bin/tsc",
  biome: "node_modules/@biomejs/biome/bin/biome",
  vitest: "node_modules/vitest/vitest.mjs",
  osnas: "src/cli/osnas.mjs"
} as const
