import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { afterAll, beforeAll } from "vitest"
import { version } from "../Package.ts"
import * as Versions from "./Versions.ts"

const root = realpathSync(mkdtempSync(join(tmpdir(), "osnas-versions-")))
afterAll(() => rmSync(root, { recursive: true }))

const write = (file: string, content: string): string => {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), content)
  return join(root, file)
}

/** A package that has only what the tests import of it. */
const fake = (place: string, name: string, has: string, modules: Readonly<Record<string, string>>): void => {
  const exports = Object.fromEntries(
    Object.keys(modules).map((key) => [key === "index" ? "." : `./${key}`, `./${key}.js`])
  )
  write(join(place, "package.json"), JSON.stringify({ name, version: has, type: "module", exports }))
  for (const [key, content] of Object.entries(modules)) write(join(place, `${key}.js`), content)
}

// As effect 3 has it: no `isGreaterThan`, and schemas that effect 4 does not recognise.
const effect3 = {
  Schema: "export const Int = { check: () => Int }\nexport const Struct = (fields) => class { static fields = fields }"
}

const component = (imports: string, option: string): string => `${imports}
export const component = {
  kind: "criterion", name: "mine", description: "Mine", options: ${option}, layer: () => undefined
}
`
const importsSchema = 'import * as Schema from "effect/Schema"'
const needed = Versions.neededVersion("effect")!

/** Loads modules in a process of its own, because the test runner resolves packages in another way. */
const reasons = (modules: ReadonlyArray<string>): ReadonlyArray<string> => {
  const load = JSON.stringify(new URL("UserModule.ts", import.meta.url).href)
  const effect = JSON.stringify(import.meta.resolve("effect/Effect"))
  const program = `
import * as Effect from ${effect}
import * as UserModule from ${load}
const reason = (module) => Effect.map(Effect.flip(UserModule.load("criterion", module, "/")), (error) => error.message)
console.log(JSON.stringify(await Effect.runPromise(Effect.all(${JSON.stringify(modules)}.map(reason)))))
`
  const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" })
  return JSON.parse(printed) as ReadonlyArray<string>
}

describe("a module whose packages are not osnas's", () => {
  fake("mono/node_modules/effect", "effect", "3.10.0", effect3)
  write("mono/packages/search/package.json", '{ "name": "search" }')
  // pnpm keeps osnas's dependencies beside its real folder, and links only osnas into the project.
  const store = "pnpm/node_modules/.pnpm/osnas/node_modules"
  fake(`${store}/effect`, "effect", needed, { Schema: "export {}" })
  fake(`${store}/osnas`, "osnas", version, { index: "export {}" })
  symlinkSync(join(root, store, "osnas"), join(root, "pnpm/node_modules/osnas"))
  write("pnpm/package.json", '{ "name": "search" }')
  fake("old/node_modules/osnas", "osnas", "0.0.1", { index: "export const define = (component) => component" })
  fake("right/node_modules/effect", "effect", needed, { Schema: "export {}" })
  const modules = {
    calls: write(
      "mono/packages/search/calls.mjs",
      component(importsSchema, "Schema.Struct({ a: Schema.Int.check(Schema.isGreaterThan(0)) })")
    ),
    plain: write("mono/packages/search/plain.mjs", component(importsSchema, "Schema.Struct({})")),
    pnpm: write("pnpm/src/mine.mjs", component(importsSchema, "Schema.Struct({})")),
    core: write("pnpm/src/core.mjs", component('import "@tensorflow/tfjs-core"', "{}")),
    old: write("old/mine.mjs", component('import { defines } from "osnas"', "{}")),
    right: write("right/mine.mjs", component(importsSchema, "{}")),
    local: write("right/local.mjs", 'import "./absent.mjs"')
  }
  let said: { readonly [K in keyof typeof modules]: string }
  beforeAll(() => {
    const printed = reasons(Object.values(modules))
    said = Object.fromEntries(Object.keys(modules).map((key, at) => [key, printed[at]])) as typeof said
  })

  it("in a monorepo with effect 3 at its root: the error says what it resolves, from where, and what to install", () => {
    const advice = `; it resolves effect 3.10.0 from ${root}/mono/node_modules/effect; osnas needs ^4.1: npm install effect@${needed}`
    assert.strictEqual(
      said.calls,
      `the module ${modules.calls} cannot be loaded: Schema.isGreaterThan is not a function${advice}`
    )
    assert.include(said.plain, "its component has no Schema as `options`")
    assert.isTrue(said.plain.endsWith(advice))
  })

  it("under pnpm, where only osnas itself finds effect: the error says what is not installed, and where", () => {
    assert.match(said.pnpm, /Cannot find package 'effect'/)
    assert.include(
      said.pnpm,
      `; effect is not installed where the module can find it (under pnpm, packages of osnas itself are hidden): in ${root}/pnpm, npm install effect@${needed}`
    )
    const core = `npm install @tensorflow/tfjs-core@${Versions.neededVersion("@tensorflow/tfjs-core")}`
    assert.include(said.core, core)
  })

  it("with another osnas: the error says which one it finds, and which one is running", () => {
    assert.include(
      said.old,
      `it resolves osnas 0.0.1 from ${root}/old/node_modules/osnas, and osnas ${version} is running`
    )
  })

  it("is not advised where its packages are not the reason", () => {
    assert.include(said.right, "has no Schema as `options`")
    assert.notInclude(said.right, "npm install")
    assert.include(said.local, "absent.mjs")
    assert.notInclude(said.local, "npm install")
  })
})

describe("serves", () => {
  it("reads ranges as npm does", () => {
    const yes = [
      "4.1.0",
      "^4.1.0",
      "^4",
      "4",
      "4.x",
      "4.1.x",
      "~4.1.0",
      ">=4",
      ">=4.1.0 <5",
      "*",
      "",
      "latest",
      "4.2.0",
      "^4.9.1",
      "4.0.0 - 4.2.0",
      "3 || 4",
      ">= 4.1.0"
    ]
    const no = ["^3.10.0", "3.x", "4.0.9", "~4.0.0", "<4.1.0", "<=4.0", ">4.9 <4.1", "^5.0.0", "5", "3 || 5"]
    for (const range of yes) assert.isTrue(Versions.serves(range, "4.1.0"), range)
    for (const range of no) assert.isFalse(Versions.serves(range, "4.1.0"), range)
    for (const range of ["workspace:*", "catalog:", "file:../x", "next", "git+https://x"]) {
      assert.isUndefined(Versions.serves(range, "4.1.0"), range)
    }
    // Below 1.0 the minor version is the line.
    assert.isTrue(Versions.serves("^0.3.1", "0.3.0"))
    assert.isFalse(Versions.serves("^0.4.0", "0.3.0"))
    assert.isTrue(Versions.serves("^24.1.0", "^24".slice(1)))
  })
})
