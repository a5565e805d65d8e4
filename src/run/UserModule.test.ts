import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { afterAll } from "vitest"
import { Criterion } from "../criterion/Criterion.ts"
import * as Key from "../random/Key.ts"
import { RunKey } from "../random/RunKey.ts"
import * as UserModule from "./UserModule.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-module-"))
afterAll(() => rmSync(folder, { recursive: true }))

const effect = (name: string): string => JSON.stringify(import.meta.resolve(`effect/${name}`))

/** Writes a module whose component has this function `layer`, which is in line 5. */
const write = (name: string, layer: string): string => {
  const text = `import * as Effect from ${effect("Effect")}
import * as Layer from ${effect("Layer")}
import * as Schema from ${effect("Schema")}
import { Criterion } from ${JSON.stringify(new URL("../criterion/Criterion.ts", import.meta.url).href)}
const layer = ${layer}
export const component = { kind: "criterion", name: "mine", description: "Mine", options: Schema.Struct({}), layer }
`
  writeFileSync(join(folder, name), text)
  return `./${name}`
}

/** The Layer of a module, built. */
const build = Effect.fnUntraced(function* (name: string) {
  const component = yield* UserModule.load("criterion", name, folder)
  const { layer } = yield* Effect.fromResult(component.choose({}))
  return yield* Effect.provide(Criterion, Layer.provide(layer, Layer.succeed(RunKey, Key.make(1))))
})

const built = (path: string, message: string) =>
  `the module failed while its component was built: ${message} (in ${join(folder, path)})`

describe("the Layer of a user's module", () => {
  it.effect("is built once it is needed", () =>
    Effect.gen(function* () {
      const name = write(
        "right.mjs",
        '() => Layer.succeed(Criterion, { name: "mine", init: () => ({}), loss: () => {} })'
      )
      assert.strictEqual((yield* build(name)).name, "mine")
    })
  )

  // Stacks of the test runner have no URLs; this is one of Node.
  const stack = 'Object.assign(new Error("no table"), { stack: "Error\\n    at layer (" + import.meta.url + ":5:9)" })'
  const cases: Readonly<Record<string, readonly [layer: string, line: string, message: string]>> = {
    "function.mjs": [`() => { throw ${stack} }`, ":5", "no table"],
    "effect.mjs": [`() => Layer.effect(Criterion, Effect.sync(() => { throw ${stack} }))`, ":5", "no table"],
    "failure.mjs": [`() => Layer.effect(Criterion, Effect.fail(${stack}))`, ":5", "no table"],
    "text.mjs": ['() => Layer.effect(Criterion, Effect.fail("no table"))', "", "no table"],
    "not-a-layer.mjs": ["() => undefined", "", "Cannot read properties of undefined (reading 'build')"]
  }
  for (const [file, [layer, line, message]] of Object.entries(cases)) {
    it.effect(`that throws, or fails without a tag, is an error that names the module: ${file}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(build(write(file, layer)))
        assert.strictEqual(error._tag, "ComponentLoadError")
        assert.strictEqual(error.message, built(`${file}${line}`, message))
      })
    )
  }

  it.effect("fails with its own tagged error", () =>
    Effect.gen(function* () {
      const layer = '() => Layer.effect(Criterion, Effect.fail({ _tag: "Mine", message: "no table" }))'
      const error = yield* Effect.flip(build(write("tagged.mjs", layer)))
      assert.deepStrictEqual({ ...error }, { _tag: "Mine", message: "no table" })
    })
  )

  it.live("can be interrupted while it is built", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(build(write("never.mjs", "() => Layer.effect(Criterion, Effect.never)")))
      yield* Effect.sleep(50)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    })
  )
})
