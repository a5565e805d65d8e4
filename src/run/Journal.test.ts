import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Journal from "./Journal.ts"
import * as MemoryDisk from "./testing/MemoryDisk.ts"

const line = fc.dictionary(
  fc.string({ minLength: 1 }).filter((key) => key !== "crc32" && key !== "__proto__"),
  fc.oneof(
    fc.integer(),
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    fc.double({ noNaN: true, noDefaultInfinity: true })
  ),
  { noNullPrototype: true }
)

const written = (memory: MemoryDisk.MemoryDisk, lines: ReadonlyArray<Journal.Line>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const journal = yield* Journal.open(memory.disk, "/log")
      for (const each of lines) yield* journal.append(each)
      return journal.lines
    })
  )

const json = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown

describe("Journal", () => {
  it("a line reads back unchanged, and not if any character is changed", () => {
    fc.assert(
      fc.property(line, fc.nat(), fc.nat(93), (content, at, other) => {
        const text = Journal.encodeLine(content)
        assert.deepStrictEqual(json(Journal.decodeLine(text)), json(content))
        const place = at % text.length
        const changed = text.slice(0, place) + String.fromCharCode(33 + other) + text.slice(place + 1)
        if (changed !== text) assert.isUndefined(Journal.decodeLine(changed))
      }),
      { seed: 7, numRuns: 500 }
    )
  })

  it.effect("truncated at any byte, it loses no complete line", () =>
    Effect.gen(function* () {
      const lines = [{ a: 1 }, {}, { b: "x\ny", c: [1, { d: null }] }, { e: 0.1 }]
      const memory = MemoryDisk.make()
      yield* written(memory, lines)
      const whole = memory.files().get("/log") ?? new Uint8Array(0)
      for (let length = 0; length <= whole.length; length++) {
        const torn = MemoryDisk.make()
        yield* written(torn, [])
        const handle = yield* torn.disk.open("/log", "create")
        yield* torn.disk.write(handle, whole.subarray(0, length))
        const complete = new TextDecoder().decode(whole.subarray(0, length)).split("\n").length - 1
        assert.deepStrictEqual(yield* Journal.read(torn.disk, "/log"), lines.slice(0, complete))
        assert.deepStrictEqual(yield* written(torn, [{ after: true }]), lines.slice(0, complete))
        assert.deepStrictEqual(yield* Journal.read(torn.disk, "/log"), [...lines.slice(0, complete), { after: true }])
      }
    })
  )

  it.effect("names the damaged line", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* written(memory, [{ a: 1 }, { a: 2 }, { a: 3 }])
      memory.flip("/log", 35)
      const error = yield* Effect.flip(Journal.read(memory.disk, "/log"))
      assert.strictEqual(
        error.message,
        "/log, line 2: the line is damaged: its checksum differs, and good lines follow it"
      )
      assert.strictEqual((yield* Effect.flip(written(memory, []))).message, error.message)
    })
  )

  it.effect("a last line of zeros, as some file systems leave it, is cut off", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      yield* written(memory, [{ a: 1 }])
      const handle = yield* memory.disk.open("/log", "append")
      yield* memory.disk.write(handle, new Uint8Array(512))
      yield* memory.disk.write(handle, new Uint8Array([10]))
      assert.deepStrictEqual(yield* written(memory, [{ a: 2 }]), [{ a: 1 }])
      assert.deepStrictEqual(yield* Journal.read(memory.disk, "/log"), [{ a: 1 }, { a: 2 }])
    })
  )

  it.effect("a line that is written only in part leaves no trace", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      // Operations: open, first line, second line.
      const faulty = MemoryDisk.faulty(memory.disk, 2, "short")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const journal = yield* Journal.open(faulty.disk, "/log")
          yield* journal.append({ a: 1 })
          assert.match((yield* Effect.flip(journal.append({ a: 2 }))).message, /cannot write \/log.*free some space/)
          yield* journal.append({ a: 3 })
        })
      )
      assert.deepStrictEqual(yield* Journal.read(memory.disk, "/log"), [{ a: 1 }, { a: 3 }])
    })
  )

  it("reads any bytes without failing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const memory = MemoryDisk.make()
        Effect.runSync(
          Effect.gen(function* () {
            const handle = yield* memory.disk.open("/log", "create")
            yield* memory.disk.write(handle, bytes)
          })
        )
        assert.deepStrictEqual(Effect.runSync(Journal.read(memory.disk, "/log")), [])
      }),
      { seed: 7, numRuns: 1000 }
    )
  })

  it.effect("reads files larger than its blocks", () =>
    Effect.gen(function* () {
      const memory = MemoryDisk.make()
      const lines = Array.from({ length: 40 }, (_, index) => ({ index, text: "x".repeat(250_000) }))
      yield* written(memory, lines)
      const again = yield* Journal.read(memory.disk, "/log")
      assert.deepStrictEqual(
        again.map((each) => each["index"]),
        lines.map(({ index }) => index)
      )
    })
  )
})
