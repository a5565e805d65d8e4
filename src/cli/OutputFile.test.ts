import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { afterAll } from "vitest"
import { Disk } from "../support/Disk.ts"
import * as ExitCode from "./Exit.ts"
import * as OutputFile from "./OutputFile.ts"
import * as Report from "./Report.ts"
import * as Weights from "./Weights.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-output-"))
afterAll(() => rmSync(folder, { recursive: true }))
const file = join(folder, "mine.txt")
writeFileSync(file, "mine")
mkdirSync(join(folder, "sub"))

const codeOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(Effect.sandbox(effect)), (cause) => ExitCode.of(cause))

describe("OutputFile", () => {
  it("takes a new or an existing file, but not a folder, a device or a file in a missing folder", () => {
    assert.isUndefined(OutputFile.fileFault(file))
    assert.isUndefined(OutputFile.fileFault(join(folder, "new.html")))
    assert.strictEqual(OutputFile.fileFault(join(folder, "sub")), "it is a folder; name a file")
    assert.include(OutputFile.fileFault(join(file, "x.html")), `${file} is a file; expected a folder`)
    assert.include(OutputFile.fileFault(join(folder, "none", "x.html")), `there is no folder ${join(folder, "none")}`)
    assert.isUndefined(OutputFile.folderFault(join(folder, "none", "too")))
  })

  it.effect.skipIf(process.platform === "win32")("a device is never replaced by a file", () =>
    Effect.gen(function* () {
      assert.strictEqual(OutputFile.fileFault("/dev/null"), "it is a device, not a file; name a file")
      const disk = yield* Disk
      const { message } = yield* Effect.flip(disk.rename(join(folder, "nothing-here.part"), "/dev/null"))
      assert.include(message, "it is a device, not a file")
    }).pipe(Effect.provide(Disk.layer))
  )

  it.effect("report refuses the file of its page before it reads a run", () =>
    Effect.gen(function* () {
      const before = readdirSync(folder)
      for (const output of [join(folder, "sub"), join(folder, "none", "x.html"), join(file, "x.html")]) {
        const refused = yield* codeOf(Report.run({ dir: folder, output: Option.some(output), json: false }))
        assert.strictEqual(refused.code, ExitCode.usage)
        assert.include(refused.message, `--output ${output}: `)
      }
      assert.deepStrictEqual(readdirSync(folder), before)
    })
  )

  it.effect("unreadable weights and a missing output folder are wrong input", () =>
    Effect.gen(function* () {
      const none = Option.none()
      const input = {
        file,
        space: none,
        arch: none,
        supernet: false,
        size: none,
        channels: none,
        classes: none,
        set: []
      }
      const at = (out: string) => codeOf(Weights.exportWeights({ ...input, out, force: true, json: false }))
      const damaged = yield* at(join(folder, "w.safetensors"))
      assert.strictEqual(damaged.code, ExitCode.usage)
      assert.include(damaged.message, `checkpoint ${file}`)
      const nowhere = yield* at(join(folder, "none", "w.safetensors"))
      assert.strictEqual(nowhere.code, ExitCode.usage)
      assert.include(nowhere.message, "there is no folder")
    })
  )
})
