import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { afterEach } from "vitest"
import { DatasetError } from "../dataflow/Dataflow.ts"
import { most, refusal } from "../engine/Threads.ts"
import * as MemoryDisk from "../run/testing/MemoryDisk.ts"
import { Disk, DiskError } from "../support/Disk.ts"
import * as ExitCode from "./Exit.ts"
import { writeBeside } from "./Report.ts"
import { isHangupIgnored } from "./Signals.ts"

const caused = (error: unknown) => ExitCode.of(Cause.fail(error))

describe("exit codes", () => {
  afterEach(() => {
    delete process.env[ExitCode.debugVariable]
  })

  it("an unexpected error is shown in one line, its stack on request", () => {
    const error = new TypeError("x is not a function\nand more")
    for (const cause of [Cause.fail(error), Cause.die(error)]) {
      const { code, message } = ExitCode.of(cause)
      assert.strictEqual(code, 1)
      assert.strictEqual(message, "unexpected error: x is not a function ... (OSNAS_DEBUG=1 shows where)")
    }
    process.env[ExitCode.debugVariable] = "1"
    assert.strictEqual(caused(error).message, error.stack)
    assert.strictEqual(caused("a word").message, "a word")
  })

  it("an error that a user's module throws names the module's file and line", () => {
    const error = new TypeError("x is not a function")
    const own = `    at step (${import.meta.url}:4:2)`
    const library = "    at tidy (file:///home/me/node_modules/tfjs/index.js:1:1)"
    error.stack = `${error}\n    at node:internal/a:1:1\n${library}\n${own}\n    at loss (file:///home/me/my%20loss.ts?v=2:12:5)`
    assert.strictEqual(
      caused(error).message,
      "unexpected error: x is not a function (thrown in /home/me/my loss.ts:12; OSNAS_DEBUG=1 shows the stack)"
    )
  })

  it("the input is blamed before a run begins (2), and not afterwards (1)", () => {
    const error = new DatasetError({ dataset: "mine", file: "/data", reason: "does not exist" })
    assert.strictEqual(caused(error).code, 1)
    assert.deepStrictEqual(caused(ExitCode.atStart(error, "new")), { code: 2, message: error.message })
    const isFile = new DiskError({ operation: "list", file: "/x", code: "ENOTDIR", reason: "not a directory" })
    assert.deepStrictEqual(caused(ExitCode.atStart(isFile, "new")), { code: 2, message: isFile.message })
    const full = new DiskError({ operation: "open", file: "/x", code: "ENOSPC", reason: "no space" })
    assert.strictEqual(ExitCode.atStart(full, "new"), full)
    assert.strictEqual(caused(full).code, 1)
  })

  it.effect("names a page that cannot be written, with the reason and what to do", () =>
    Effect.gen(function* () {
      const { disk } = MemoryDisk.make()
      const readOnly = {
        ...disk,
        open: (file: string) =>
          Effect.fail(new DiskError({ operation: "open", file, code: "EROFS", reason: "read-only" }))
      }
      const cause = yield* writeBeside("/runs/a/report.html", "x", "try -o FILE").pipe(
        Effect.provideService(Disk, readOnly),
        Effect.sandbox,
        Effect.flip
      )
      assert.deepStrictEqual(ExitCode.of(cause), {
        code: 1,
        message: "/runs/a/report.html could not be written: read-only; try -o FILE"
      })
    })
  )
})

describe("threads", () => {
  it("may exceed the cores by a few, but not by a thousand", () => {
    assert.deepStrictEqual([1, 2, 4, 5, 64].map(most), [16, 16, 16, 20, 256])
    assert.isUndefined(refusal(7, 2))
    assert.isUndefined(refusal(16, 1))
    assert.match(refusal(17, 1) ?? "", /got 17; expected at most 16 threads: this machine has 1 core, /)
    assert.match(refusal(1024, 2) ?? "", /at most 16 threads: this machine has 2 cores/)
  })
})

describe("nohup", () => {
  const before = process.env["_"]
  afterEach(() => {
    if (before === undefined) delete process.env["_"]
    else process.env["_"] = before
  })

  it("is recognised by its name in the environment", () => {
    process.env["_"] = "/usr/bin/nohup"
    assert.isTrue(isHangupIgnored())
  })
})
