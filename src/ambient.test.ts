import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, expect, it } from "vitest"

const root = path.resolve(import.meta.dirname, "..")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "osnas-ambient-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))

/** A project without the library DOM that checks the declarations that osnas depends on; `types` beside Node's. */
const errors = (name: string, types: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
  const project = path.join(folder, name)
  fs.mkdirSync(path.join(project, "node_modules/osnas"), { recursive: true })
  for (const entry of ["@tensorflow", "@types", "@webgpu", "effect", "xstate", "undici-types", "fast-check", "long"]) {
    const target = path.join(root, "node_modules", entry)
    if (fs.existsSync(target)) fs.symlinkSync(target, path.join(project, "node_modules", entry))
  }
  fs.copyFileSync(path.join(root, "src/ambient.d.ts"), path.join(project, "node_modules/osnas/ambient.d.ts"))
  const exports = { "./ambient": { types: "./ambient.d.ts" } }
  fs.writeFileSync(path.join(project, "node_modules/osnas/package.json"), JSON.stringify({ name: "osnas", exports }))
  fs.writeFileSync(path.join(project, "package.json"), '{ "type": "module" }')
  fs.writeFileSync(
    path.join(project, "use.ts"),
    'import * as tf from "@tensorflow/tfjs-core"\nimport * as Effect from "effect"\nimport * as XState from "xstate"\nexport const wrong: number = "x"\nexport const all = [tf.add, Effect.Effect, XState.setup]\n'
  )
  const compilerOptions = {
    target: "ES2024",
    module: "NodeNext",
    moduleResolution: "NodeNext",
    lib: ["ES2024"],
    types: ["node", ...types],
    strict: true,
    skipLibCheck: false,
    noEmit: true
  }
  fs.writeFileSync(path.join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts"] }))
  const tsc = path.join(root, "node_modules/typescript/bin/tsc")
  return new Promise((resolve) => {
    execFile(process.execPath, [tsc, "-p", project], { maxBuffer: 1 << 24 }, (_, stdout) =>
      resolve(stdout.split("\n").filter((line) => line.includes("error TS")))
    )
  })
}

it("osnas/ambient has every name that declarations need beside Node's", { timeout: 120_000 }, async () => {
  const found = await errors("project", ["osnas/ambient"])
  // The one that the program makes: it was checked.
  expect(found).toHaveLength(1)
  expect(found[0]).toMatch(/^\S*use\.ts\(4,\d+\): error TS2322: Type 'string' is not assignable to type 'number'/)
})
