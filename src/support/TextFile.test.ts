import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as fc from "fast-check"
import { afterAll } from "vitest"
import { decodeText, readText } from "./TextFile.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-text-"))
afterAll(() => rmSync(folder, { recursive: true }))

const text = "name: Größe 日本 🦊\r\nseed: 1\r\n"
const swapped = (bytes: Buffer): Buffer => Buffer.from(bytes).swap16()
const wide = Buffer.from(text, "utf16le")
const reason = (bytes: Uint8Array): string => {
  const read = decodeText(bytes)
  assert.isTrue(Result.isFailure(read))
  return Result.isFailure(read) ? read.failure : ""
}

describe("decodeText", () => {
  it("reads UTF-8, and UTF-16 of either byte order, to the same text without the byte order mark", () => {
    const marked = [
      Buffer.from(text),
      Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]),
      Buffer.concat([Buffer.from([0xff, 0xfe]), wide]),
      Buffer.concat([Buffer.from([0xfe, 0xff]), swapped(wide)])
    ]
    for (const bytes of marked) assert.strictEqual(Result.getOrThrow(decodeText(bytes)), text)
    assert.strictEqual(Result.getOrThrow(decodeText(new Uint8Array(0))), "")
  })

  it("names any other encoding, and the line", () => {
    const ascii = Buffer.from("name: a\nseed: 1\n", "utf16le")
    assert.include(reason(ascii), "UTF-16 without a byte order mark")
    assert.include(reason(swapped(ascii)), "UTF-16 without a byte order mark")
    assert.include(reason(Buffer.from("a: 1\nname: Größe\n", "latin1")), "line 2 has the byte 0xF6")
    assert.include(reason(Buffer.from("a: 1\nb: x\0y\n")), "line 2 has a NUL byte")
    assert.include(reason(Buffer.concat([Buffer.from([0xff, 0xfe]), wide.subarray(0, 7)])), "ends within a character")
    assert.include(
      reason(Buffer.from([0xff, 0xfe, 0x00, 0xd8])),
      "has the byte order mark of UTF-16 (little endian) and is not"
    )
    assert.include(reason(Buffer.from([0xff, 0xfe, 0x61, 0, 0x0a, 0, 0x62, 0, 0, 0])), "line 2 has a NUL character")
    assert.include(reason(Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])), "UTF-32")
    assert.include(reason(Buffer.from([0, 0, 0xfe, 0xff])), "UTF-32")
    assert.include(reason(Buffer.from([0x61, 0xe2, 0x82])), "line 1 has the byte 0xE2")
  })

  it("accepts all UTF-8, and reports the first byte that is not", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        if (bytes.includes(0) || [0xff, 0xfe].includes(bytes[0] ?? 0)) return
        const read = decodeText(bytes)
        const strict = Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes))
        assert.strictEqual(Result.isSuccess(read), Result.isSuccess(strict))
        if (Result.isSuccess(read)) return
        const line = Number(/^line (\d+) has the byte 0x([0-9A-F]{2})/.exec(read.failure)?.[1])
        assert.isAtLeast(line, 1)
        // What comes before the named byte is UTF-8 in itself.
        const named = Number.parseInt(/0x([0-9A-F]{2})/.exec(read.failure)?.[1] ?? "", 16)
        assert.isTrue(
          [...bytes.keys()].some((at) => bytes[at] === named && Result.isSuccess(decodeText(bytes.subarray(0, at))))
        )
      }),
      { seed: 1, numRuns: 500 }
    )
  })
})

describe("readText", () => {
  it("says why a file cannot be read", () => {
    const of = (file: string, limit?: number) => readText(file, "a list", limit)
    assert.deepStrictEqual(of(join(folder, "none")), Result.fail("the file does not exist"))
    assert.deepStrictEqual(of(folder), Result.fail("this is a folder; expected a list"))
    writeFileSync(join(folder, "big"), "x".repeat(20))
    assert.deepStrictEqual(of(join(folder, "big"), 10), Result.fail("the file has 20 bytes; at most 10 are read"))
    assert.deepStrictEqual(of(join(folder, "big")), Result.succeed("x".repeat(20)))
  })
})
