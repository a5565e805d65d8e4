/** The optional packages, as folders of modules that behave like the real ones with and without their library. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, describe, expect, it, vi } from "@effect/vitest"
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Cli from "../cli/Engines.ts"
import { acquire, type EngineReport, probe } from "./Engines.ts"
import { packagesAt } from "./Tensorflow.ts"

const options = { mode: "strict", threads: 1 } as const
const folders: Array<string> = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** A folder whose modules find these packages. */
const folderOf = (packages: Readonly<Record<string, string>>) => {
  const folder = mkdtempSync(join(tmpdir(), "osnas-packages-"))
  folders.push(folder)
  for (const [name, source] of Object.entries(packages)) {
    const place = join(folder, "node_modules", name)
    mkdirSync(place, { recursive: true })
    writeFileSync(join(place, "package.json"), JSON.stringify({ name, version: "4.22.0", main: "index.js" }))
    writeFileSync(join(place, "index.js"), source)
  }
  return packagesAt(join(folder, "index.js"))
}

/** Behaves like @tensorflow/tfjs-node 4.22.0 if its install script has not run: prints, and throws three lines. */
const withoutBinding = (name: string): string => `
for (let i = 0; i < 150; i++) console.warn("The kernel 'Op" + i + "' for backend 'tensorflow' is already registered")
console.log("loading ${name}")
throw new Error("The Node.js native addon module (tfjs_binding.node) can not be found at path: /x/lib/napi-v8/tfjs_binding.node. " +
  "\\nPlease run command 'npm rebuild ${name} --build-addon-from-source' to rebuild the native addon module. " +
  "\\nIf you have problem with building the addon module, please check https://example.org or file an issue.")
`

/** A working one: the cpu backend under TensorFlow's name, made current as by the real package. */
const working = `
const core = ${JSON.stringify(createRequire(import.meta.url).resolve("@tensorflow/tfjs-core"))}
const tf = require(core)
const { MathBackendCPU } = require(require.resolve("@tensorflow/tfjs-backend-cpu", { paths: [core] }))
for (const kernel of tf.getKernelsForBackend("cpu")) tf.registerKernel({ ...kernel, backendName: "tensorflow" })
tf.registerGradient({ kernelName: "Relu", gradFunc: () => { throw new Error("tfjs's own derivative") } })
console.warn("a notice of the package")
tf.registerBackend("tensorflow", () => Object.assign(new MathBackendCPU(), { firstUse: false }), 3)
if (!tf.setBackend("tensorflow")) throw new Error("Could not initialize TensorFlow backend.")
exports.version = { ...tf.version, "tfjs-node": "4.22.0" }
`

/** The output while an effect runs. */
const printed = async (effect: Effect.Effect<unknown, unknown>) => {
  const lines: Array<readonly [string, string]> = []
  for (const key of ["log", "info", "debug", "warn", "error"] as const) {
    vi.spyOn(console, key).mockImplementation((...values: Array<unknown>) => void lines.push([key, values.join(" ")]))
  }
  try {
    await Effect.runPromise(effect)
  } finally {
    vi.restoreAllMocks()
  }
  return lines
}

describe("packages without their native library", () => {
  const packages = folderOf({
    "@tensorflow/tfjs-node": withoutBinding("@tensorflow/tfjs-node"),
    "@tensorflow/tfjs-node-gpu": withoutBinding("@tensorflow/tfjs-node-gpu")
  })
  const advice = (name: string): string =>
    `the package ${name} is installed without its native library (tfjs_binding.node); ` +
    `\`npm rebuild ${name}\` downloads it, or choose the engine simd`

  it("are reported in one line each", async () => {
    const reports = await Effect.runPromise(probe(options, packages))
    const reasons = Object.fromEntries(reports.map((report) => [report.name, report.reason]))
    expect(reasons).toEqual({
      simd: undefined,
      cpu: undefined,
      tensorflow: advice("@tensorflow/tfjs-node"),
      "tensorflow-gpu": advice("@tensorflow/tfjs-node-gpu")
    })
    expect(reports.filter((report) => report.chosenByAuto).map((report) => report.name)).toEqual(["simd"])
  })

  it("`osnas engines` prints a line for each engine and nothing else", async () => {
    const lines = await printed(Cli.run({ json: false }, packages))
    expect(lines.map(([key]) => key)).toEqual(["log", "log", "log", "log", "log"])
    expect(lines[2]![1]).toBe(`  tensorflow      not present: ${advice("@tensorflow/tfjs-node")}`)
    expect(lines[4]![1].trim()).toBe("* marks the engine that `auto` chooses.")
  })

  it("`osnas engines --json` prints JSON and nothing else", async () => {
    const lines = await printed(Cli.run({ json: true }, packages))
    expect(lines.map(([key]) => key)).toEqual(["log"])
    const reports = JSON.parse(lines[0]![1]) as ReadonlyArray<EngineReport>
    expect(reports.map((report) => [report.name, report.present])).toEqual([
      ["simd", true],
      ["cpu", true],
      ["tensorflow", false],
      ["tensorflow-gpu", false]
    ])
  })

  it("any other reason is reported without its stack", async () => {
    const broken = folderOf({ "@tensorflow/tfjs-node": `require("not-a-module")` })
    const error = await Effect.runPromise(Effect.flip(Effect.scoped(acquire("tensorflow", options, broken))))
    expect(error.message).toBe(
      "engine tensorflow: @tensorflow/tfjs-node is installed but does not load: Cannot find module 'not-a-module'; " +
        "`npm rebuild @tensorflow/tfjs-node` may repair it, or choose the engine simd"
    )
  })
})

describe("a package that works", () => {
  const packages = folderOf({ "@tensorflow/tfjs-node": working })

  it("loads after the scope of another engine has closed, and prints nothing", async () => {
    // As in a process that has used nothing but the embedded engine: its backend was current, and is gone.
    tf.registerBackend("gone", () => new MathBackendCPU())
    tf.setBackend("gone")
    tf.removeBackend("gone")
    await Effect.runPromise(Effect.scoped(acquire("simd", options)))
    expect([tf.getBackend(), tf.findBackendFactory("osnas-simd")]).toEqual([null, null])
    const seen: Array<unknown> = []
    const lines = await printed(
      Effect.scoped(
        Effect.gen(function* () {
          const engine = yield* acquire("tensorflow", options, packages)
          seen.push(engine.name, engine.version, tf.getBackend())
          // The derivatives are ours, not those that the package brought.
          seen.push([
            ...tf.tidy(() =>
              tf
                .grad(tf.relu)(tf.tensor1d([-1, 2]))
                .dataSync()
            )
          ])
        })
      )
    )
    expect(seen).toEqual(["tensorflow", "4.22.0", "tensorflow", [0, 1]])
    expect(lines).toEqual([])
  })

  it.effect("leaves the engine that was current before", () =>
    Effect.gen(function* () {
      yield* acquire("cpu", options)
      const inner = yield* Effect.scoped(Effect.map(acquire("tensorflow", options, packages), () => tf.getBackend()))
      expect([inner, tf.getBackend()]).toEqual(["tensorflow", "cpu"])
    })
  )

  it.effect("`osnas engines` tests it like the others", () =>
    Effect.gen(function* () {
      const reports = yield* probe(options, packages)
      expect(reports[2]).toMatchObject({ name: "tensorflow", present: true, version: "4.22.0", reason: undefined })
      expect(reports[2]!.selfTest?.passed).toBe(true)
    })
  )
})
