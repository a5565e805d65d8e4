import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { type Errors, type Measured, main, medians } from "./parity.ts"

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "osnas-parity-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const all = (value: number): Errors => ({
  logits_eval: value,
  logits_train: value,
  input_gradient: value,
  gradient: value,
  update: value
})

const one = (space: string, ours: number, pytorch: number): Measured => ({
  folder: "",
  space,
  supernet: false,
  size: 32,
  ours: all(ours),
  pytorch: all(pytorch),
  within: true
})

/** Runs the command and returns its output. */
const run = async (...args: ReadonlyArray<string>) => {
  const lines: Array<string> = []
  const errors: Array<string> = []
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors.push(String(text))
    return true
  })
  try {
    const code = await main(args, (line) => lines.push(line))
    return { code, out: lines.join("\n"), errors: errors.join("") }
  } finally {
    write.mockRestore()
  }
}

const reference = {
  space: "spos",
  architecture: Array(20).fill(0),
  size: 32,
  stem_stride: 2,
  classes: 10,
  batch: 8,
  supernet: false,
  steps: 1,
  float32_error: all(1e-6)
}

/** Writes a folder with the given contents of its three files. */
const given = (name: string, json: unknown, tensors: string | Uint8Array): string => {
  const at = path.join(folder, name)
  mkdirSync(at)
  writeFileSync(path.join(at, "reference.json"), typeof json === "string" ? json : JSON.stringify(json))
  for (const file of ["weights", "arrays"]) writeFileSync(path.join(at, `${file}.safetensors`), tensors)
  return at
}

describe("parity", () => {
  it("compares medians of a space, not single folders", () => {
    const folders = [one("b", 9, 1), one("b", 2, 1), one("b", 1, 1), one("a", 5, 2)]
    const [a, b] = medians(folders)
    expect(a).toMatchObject({ space: "a", folders: 1, within: false, ratio: all(2.5) })
    expect(b).toMatchObject({ space: "b", folders: 3, within: true, median: { ours: all(2), pytorch: all(1) } })
    expect(medians([one("a", 1, 1), one("a", 3, 1)])[0]).toMatchObject({ median: { ours: all(2) }, within: true })
    expect(medians([one("a", Number.NaN, 1)])[0]?.within).toBe(false)
  })

  it("prints its help, and refuses wrong usage with code 2", async () => {
    const help = await run("--help")
    expect(help.code).toBe(0)
    expect(help.out).toContain("usage: npm run parity")
    for (const [args, reason] of [
      [[], "give at least one FOLDER"],
      [["--engine", "abacus", "x"], "abacus is not an engine"],
      [["--seeds", "5"], "--seeds"]
    ] as const) {
      const { code, errors } = await run(...args)
      expect(code).toBe(2)
      expect(errors).toContain(reason)
    }
  })

  it("names every folder that cannot be read, and what is wrong with it", async () => {
    const cases: ReadonlyArray<readonly [string, string]> = [
      [path.join(folder, "nowhere"), "there is no such folder"],
      [folder, "it has no reference.json"],
      [given("text", "{", ""), "reference.json: "],
      [given("keys", { ...reference, size: "32" }, ""), "size"],
      [given("unknown", { ...reference, space: "darts" }, ""), "there is no space darts; there are proxylessnas"],
      [given("genotype", { ...reference, architecture: [0] }, ""), "it has 1 position"],
      [given("torn", reference, new Uint8Array([255, 0, 0, 0, 0, 0, 0, 0])), "weights.safetensors"]
    ]
    const { code, errors, out } = await run("--engine", "cpu", ...cases.map(([at]) => at))
    expect(code).toBe(1)
    expect(out).toBe("")
    const lines = errors.trim().split("\n")
    for (const [at, reason] of cases) {
      expect(lines.filter((line) => line.startsWith(`${at}: `) && line.includes(reason)).length, at).toBeGreaterThan(0)
    }
  })
})
