import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Result from "effect/Result"
import { afterAll, describe, expect, it } from "vitest"
import * as ComponentGenerator from "../../generators/ComponentGenerator.ts"
import * as Project from "../../generators/Project.ts"
import { neededVersion } from "../run/Versions.ts"
import * as Dependencies from "./Dependencies.ts"

const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "osnas-dependencies-")))
afterAll(() => fs.rmSync(root, { recursive: true }))

const folder = (name: string, manifest?: string): string => {
  const at = path.join(root, name)
  fs.mkdirSync(at, { recursive: true })
  if (manifest !== undefined) fs.writeFileSync(path.join(at, "package.json"), manifest)
  return at
}
const manifestOf = (at: string) => JSON.parse(fs.readFileSync(path.join(at, "package.json"), "utf8"))
const filesOf = (kind: ComponentGenerator.KindName) =>
  Result.getOrThrow(ComponentGenerator.generate({ kind, name: "mine" })).files
const effect = neededVersion("effect")!
const vitest = neededVersion("vitest")!
const core = neededVersion("@tensorflow/tfjs-core")!

describe("what generated files import", () => {
  it.each(ComponentGenerator.kindNames)(
    "%s: is known to osnas by version, tests' packages apart from the module's",
    (kind) => {
      const needed = Dependencies.neededBy(filesOf(kind), root)
      const of = (section: string) => needed.filter((one) => one.section === section).map(({ name }) => name)
      expect(of("dependencies")).toEqual(expect.arrayContaining(["effect", "osnas"]))
      expect(of("devDependencies")).toContain("vitest")
      expect(of("dependencies")).not.toContain("vitest")
      expect(needed.map(({ spec }) => spec)).not.toContain("*")
      // A new project lists them all.
      const files = Result.getOrThrow(Project.files({ name: "demo", kind, osnas: "0.1.0", versions: {} }))
      const manifest = JSON.parse(files.find(({ path }) => path === "package.json")!.content)
      expect(Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })).toEqual(
        expect.arrayContaining(needed.map(({ name }) => name))
      )
    }
  )
})

describe("ensure", () => {
  it("adds missing packages to the nearest package.json, sorted, keeps its indentation, and says so", () => {
    const at = folder("plain", '{\n    "name": "plain",\n    "dependencies": {\n        "zod": "^4.0.0"\n    }\n}\n')
    const lines = Dependencies.ensure(path.join(at, "src"), filesOf("criterion"))
    const { dependencies, devDependencies, name } = manifestOf(at)
    expect(name).toBe("plain")
    expect(Object.keys(dependencies)).toEqual(["@tensorflow/tfjs-core", "effect", "osnas", "zod"])
    expect([dependencies.effect, dependencies["@tensorflow/tfjs-core"]]).toEqual([effect, core])
    expect(devDependencies.vitest).toBe(vitest)
    expect(fs.readFileSync(path.join(at, "package.json"), "utf8")).toMatch(/^\{\n {4}"name"[\s\S]*\n\}\n$/)
    expect(lines.join("\n")).toMatch(new RegExp(`added effect ${effect} to the dependencies of .*package.json`))
    expect(lines.join("\n")).toMatch(new RegExp(`added vitest ${vitest} to the devDependencies of `))
    expect(lines.at(-1)).toMatch(/^Install it: run npm install in \S+plain$/)
    // A second call does nothing and returns no lines.
    const before = fs.readFileSync(path.join(at, "package.json"))
    expect(Dependencies.ensure(at, filesOf("criterion"))).toEqual([])
    expect(fs.readFileSync(path.join(at, "package.json"))).toEqual(before)
  })

  it("in a monorepo: the package's own manifest, not the root's", () => {
    folder("mono", JSON.stringify({ name: "mono", workspaces: ["packages/*"], dependencies: { effect: "^3.10.0" } }))
    const at = folder("mono/packages/search", "{}")
    Dependencies.ensure(path.join(at, "src"), filesOf("search-strategy"))
    expect(manifestOf(at).dependencies.effect).toBe(effect)
    expect(manifestOf(path.join(root, "mono")).dependencies.effect).toBe("^3.10.0")
  })

  it("reports a wrong range, whichever section it is in, and does not change it", () => {
    const at = folder(
      "wrong",
      JSON.stringify({ dependencies: { osnas: "*" }, peerDependencies: { effect: "^3.10.0" } })
    )
    const lines = Dependencies.ensure(at, filesOf("search-space"))
    expect(manifestOf(at).peerDependencies.effect).toBe("^3.10.0")
    expect(manifestOf(at).dependencies?.effect).toBeUndefined()
    expect(lines.at(-1)).toMatch(
      new RegExp(
        `has effect \\^3.10.0, but the files need ${effect}; it was not changed: run npm install effect@${effect}$`
      )
    )
    const fine = folder("fine", JSON.stringify({ dependencies: { effect: "^4.0.0", osnas: "workspace:*" } }))
    expect(Dependencies.ensure(fine, filesOf("search-space")).join("\n")).not.toContain("it was not changed")
  })

  it("changes nothing with --dry-run, or if it cannot read the manifest", () => {
    const at = folder("dry", "{}")
    expect(Dependencies.ensure(at, filesOf("criterion"), true).join("\n")).toContain(`would add effect ${effect}`)
    expect(manifestOf(at)).toEqual({})
    const broken = folder("broken", "{ broken")
    const lines = Dependencies.ensure(broken, filesOf("criterion")).join("\n")
    expect(lines).toContain("cannot be read (it is not JSON); install the packages that the files import:")
    expect(lines).toContain(`npm install --save-dev @tensorflow/tfjs-backend-cpu@${core} vitest@${vitest}`)
    expect(fs.readFileSync(path.join(broken, "package.json"), "utf8")).toBe("{ broken")
  })

  it("without a package.json says what to install", () => {
    const lines = Dependencies.ensure(folder("bare"), filesOf("criterion"))
    expect(lines[0]).toContain("There is no package.json here or above")
    expect(lines[1]).toContain(`npm install @tensorflow/tfjs-core@${core} effect@${effect}`)
    expect(lines[2]).toBe(`  npm install --save-dev @tensorflow/tfjs-backend-cpu@${core} vitest@${vitest}`)
  })
})
