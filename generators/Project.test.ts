import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Result from "effect/Result"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kindNames } from "./Kinds.ts"
import * as Project from "./Project.ts"
import * as Sandbox from "./testing/Sandbox.ts"

describe("osnas init", () => {
  let sandbox: Sandbox.Sandbox
  beforeAll(() => {
    sandbox = Sandbox.make()
  })
  afterAll(() => sandbox.remove())
  const init = (...args: ReadonlyArray<string>) => sandbox.run(Sandbox.scripts.osnas, ["init", ...args, "--no-install"])

  it.each(kindNames)("creates a project with %s whose configuration is valid", { timeout: 60_000 }, async (kind) => {
    const versions = { effect: "4.1.0" }
    const files = Project.files({ name: "demo", kind, osnas: "0.1.0", versions })
    for (const { content, path } of Result.getOrThrow(files)) sandbox.write(`made-${kind}/${path}`, content)
    const folder = join(sandbox.folder, `made-${kind}`)
    const { code, output } = await sandbox.run(Sandbox.scripts.osnas, ["config", "search.yaml"], folder)
    expect(output).toContain(`./src/my-${kind}.ts`)
    expect(code).toBe(0)
  })

  it("creates a project that passes its tests, its type check and a quick run", { timeout: 300_000 }, async () => {
    const made = await init("demo", "--with", "search-strategy")
    expect(made.output).toContain("npx osnas run search.yaml --quick")
    expect(made.code).toBe(0)
    const folder = join(sandbox.folder, "demo")
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
      readonly dependencies: Readonly<Record<string, string>>
      readonly devDependencies: Readonly<Record<string, string>>
    }
    expect(manifest.dependencies["osnas"]).toMatch(/^(file:|\d)/)
    expect(Object.values({ ...manifest.dependencies, ...manifest.devDependencies })).not.toContain("*")
    const tests = await sandbox.run(Sandbox.scripts.vitest, ["run"], folder)
    expect(tests.output).toMatch(/Test Files {2}2 passed/)
    const run = await sandbox.run(Sandbox.scripts.osnas, ["run", "search.yaml", "--quick", "--threads", "1"], folder)
    if (run.code !== 0) throw new Error(run.output)
    expect(existsSync(join(folder, "runs/demo-quick/network.safetensors"))).toBe(true)
  })

  it("does not write into a folder that is not empty", async () => {
    sandbox.write("full/file.txt", "mine")
    const { code, output } = await init("full")
    expect(code).toBe(2)
    expect(output).toContain("not empty")
    expect(existsSync(join(sandbox.folder, "full/package.json"))).toBe(false)
    expect((await init("full/file.txt")).output).toContain("file.txt is a file; expected a folder")
  })

  it("names the package after its folder, with a name that npm accepts", () => {
    expect(Project.packageName("My Search (2)")).toBe("my-search-2")
    expect(Project.packageName("...")).toBe("search")
  })
})

describe("osnas generate", () => {
  let sandbox: Sandbox.Sandbox
  beforeAll(() => {
    sandbox = Sandbox.make()
  })
  afterAll(() => sandbox.remove())
  const generate = (...args: ReadonlyArray<string>) => sandbox.run(Sandbox.scripts.osnas, ["generate", ...args])

  it.each([
    ["search-strategy", "x/../../y", "it is a path"],
    ["search-strategy", "class", "reserved word"]
  ])("%s --name %s: %s, and nothing is written", async (kind, name, reason) => {
    const { code, output } = await generate(kind, "--name", name)
    expect(code).toBe(2)
    expect(output).toContain(reason)
    expect(existsSync(join(sandbox.folder, "src"))).toBe(false)
  })

  it("overwrites nothing without --force, and then writes no file", async () => {
    sandbox.write("src/mine.laws.test.ts", "mine")
    const refused = await generate("criterion", "--name", "mine")
    expect(refused.code).toBe(2)
    expect(refused.output).toContain("src/mine.laws.test.ts exists already")
    expect(existsSync(join(sandbox.folder, "src/mine.ts"))).toBe(false)
    const forced = await generate("criterion", "--name", "mine", "--force")
    expect(forced.code).toBe(0)
    expect(forced.output).toContain("criterion:\n  name: ./src/mine.ts")
    expect(readFileSync(join(sandbox.folder, "src/mine.laws.test.ts"), "utf8")).toContain("CriterionLaws")
  })

  it("prints the files without writing", async () => {
    const { code, output } = await generate("search-space", "--name", "mynas", "--class", "MyNAS", "--dry-run")
    expect(code).toBe(0)
    expect(output).toContain('import * as MyNAS from "./mynas.ts"')
    expect(existsSync(join(sandbox.folder, "src/mynas.ts"))).toBe(false)
  })

  it("lists the kinds and starting points", async () => {
    const { output } = await generate("--list")
    for (const kind of kindNames) expect(output).toContain(kind)
    expect(output).toContain("proxylessnas")
  })
})
