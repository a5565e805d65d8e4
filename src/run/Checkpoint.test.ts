import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { sizeOf } from "../engine/Shape.ts"
import { Disk, DiskError } from "../support/Disk.ts"
import * as Checkpoint from "./Checkpoint.ts"

const sample: Checkpoint.Checkpoint = {
  tensors: new Map<string, Checkpoint.TensorEntry>([
    ["b.weight", Checkpoint.float32([2, 3], new Float32Array([0.1, -0, 1e-45, 3.4e38, 5, 6]))],
    ["a", Checkpoint.float32([], new Float32Array([7]))],
    ["flags", { dtype: "U8", shape: [3], data: new Uint8Array([1, 2, 3]) }],
    ["empty", Checkpoint.float32([0, 4], new Float32Array(0))]
  ]),
  metadata: { note: 'quotes " and \u00e4' }
}
const { bytes } = Checkpoint.encode(sample)

const refusal = Effect.fnUntraced(function* (data: Uint8Array) {
  const error = yield* Effect.flip(Checkpoint.decode(data, "x.safetensors"))
  assert.instanceOf(error, Checkpoint.CheckpointError)
  return error
})

/** A file with the given header and that many bytes of data. */
const withHeader = (header: unknown, dataLength: number): Uint8Array => {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header))
  const out = new Uint8Array(8 + text.length + dataLength)
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true)
  out.set(text, 8)
  return out
}

const entry = (dtype: unknown, shape: unknown, offsets: unknown) => ({ dtype, shape, data_offsets: offsets })

describe("Checkpoint", () => {
  it("reads back what it wrote, for any tensors and metadata", () => {
    const name = fc.string({ maxLength: 12 }).filter((text) => text !== "__metadata__" && text !== "__proto__")
    const tensor = fc
      .array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })
      .chain((shape) =>
        fc
          .float32Array({ minLength: sizeOf(shape), maxLength: sizeOf(shape) })
          .map((data) => Checkpoint.float32(shape, new Float32Array(data)))
      )
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, tensor), { maxLength: 6 }),
        fc.dictionary(
          fc.string().filter((key) => !["__proto__", "osnas.sha256", "osnas.header"].includes(key)),
          fc.string(),
          { noNullPrototype: true }
        ),
        (pairs, metadata) => {
          const checkpoint = { tensors: new Map(pairs), metadata }
          const again = Effect.runSync(Checkpoint.decode(Checkpoint.encode(checkpoint).bytes, "x"))
          assert.deepStrictEqual(again.metadata, metadata)
          assert.deepStrictEqual([...again.tensors.keys()], [...checkpoint.tensors.keys()].sort())
          for (const [key, value] of checkpoint.tensors) {
            assert.deepStrictEqual(again.tensors.get(key)?.shape, value.shape)
            assert.deepStrictEqual([...(again.tensors.get(key)?.data ?? [])], [...value.data])
          }
        }
      ),
      { seed: 7, numRuns: 200 }
    )
  })

  it("does not depend on the order in which tensors are added", () => {
    const reversed = { ...sample, tensors: new Map([...sample.tensors].reverse()) }
    assert.deepStrictEqual(Checkpoint.encode(reversed).bytes, bytes)
    assert.strictEqual(Checkpoint.digestOf(reversed.tensors), Checkpoint.digestOf(sample.tensors))
  })

  it.effect("names file and tensor when any byte of the data is flipped", () =>
    Effect.gen(function* () {
      const data = bytes.length - [...sample.tensors.values()].reduce((sum, { data }) => sum + data.length, 0)
      for (let at = data; at < bytes.length; at++) {
        const flipped = bytes.slice()
        flipped[at] = (flipped[at] ?? 0) ^ 1
        const error = yield* refusal(flipped)
        assert.match(error.message, /^checkpoint x\.safetensors, tensor (a|b\.weight|flags): its bytes are damaged/)
      }
    })
  )

  it.effect("is refused when any bit of the header is flipped, even if the result is a valid header", () =>
    Effect.gen(function* () {
      const data = [...sample.tensors.values()].reduce((sum, { data }) => sum + data.length, 0)
      for (let at = 0; at < bytes.length - data; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const flipped = bytes.slice()
          flipped[at] = (flipped[at] ?? 0) ^ (1 << bit)
          assert.match(
            (yield* refusal(flipped)).message,
            /^checkpoint x\.safetensors(, tensor \S+)?: .*\w/,
            `byte ${at}, bit ${bit}`
          )
        }
      }
      const note = Buffer.from(bytes).indexOf("note")
      assert.isAbove(note, 0)
      const renamed = bytes.slice()
      renamed[note] = "N".charCodeAt(0)
      assert.include((yield* refusal(renamed)).message, "its header is damaged")
    })
  )

  it("does not crash on a changed, truncated or random file", () => {
    const mutated = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)).map(([at, value]) => {
      const out = bytes.slice()
      out[at] = value
      return out
    })
    const cut = fc.nat(bytes.length - 1).map((length) => bytes.slice(0, length))
    const random = fc.uint8Array({ maxLength: 200 })
    fc.assert(
      fc.property(fc.oneof(mutated, cut, random), (data) => {
        const exit = Effect.runSyncExit(Checkpoint.decode(new Uint8Array(data), "x"))
        if (Exit.isFailure(exit)) assert.instanceOf(Cause.squash(exit.cause), Checkpoint.CheckpointError)
        else assert.strictEqual(exit.value.tensors.size, sample.tensors.size)
      }),
      { seed: 7, numRuns: 3000 }
    )
  })

  const refusals: ReadonlyArray<readonly [what: string, data: Uint8Array, message: RegExp]> = [
    ["an empty file", new Uint8Array(0), /too few/],
    ["a header longer than the file", new Uint8Array(8).fill(0xff), /its header should have/],
    ["a header that is not JSON", withHeader("{]", 0), /its header is not JSON/],
    ["a header that is a list", withHeader([], 0), /not a JSON object/],
    ["deep nesting", withHeader("[".repeat(100_000), 0), /not JSON/],
    ["metadata that is not text", withHeader({ __metadata__: { a: 1 } }, 0), /not an object of strings/],
    ["an unknown type", withHeader({ a: entry("F31", [1], [0, 4]) }, 4), /tensor a: its dtype is "F31"/],
    ["a negative side", withHeader({ a: entry("F32", [-1], [0, 4]) }, 4), /its shape is not/],
    ["a fractional side", withHeader({ a: entry("F32", [0.5], [0, 2]) }, 2), /its shape is not/],
    [
      "a side larger than any safe integer",
      withHeader('{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,4]}}', 4),
      /shape/
    ],
    ["a product beyond memory", withHeader({ a: entry("F32", [2 ** 40, 2 ** 40], [0, 4]) }, 4), /needs/],
    ["an offset outside the file", withHeader({ a: entry("F32", [2], [0, 8]) }, 4), /are outside the 4 bytes/],
    ["offsets in reverse", withHeader({ a: entry("F32", [1], [4, 0]) }, 4), /are outside the 4 bytes/],
    ["a size that is not the shape's", withHeader({ a: entry("F32", [1], [0, 2]) }, 2), /takes 2 bytes/],
    [
      "an overlap",
      withHeader({ a: entry("F32", [1], [0, 4]), b: entry("F32", [1], [2, 6]) }, 6),
      /tensor b: it overlaps/
    ],
    ["a gap", withHeader({ a: entry("F32", [1], [4, 8]) }, 8), /4 bytes before it/],
    ["bytes left over", withHeader({ a: entry("F32", [1], [0, 4]) }, 6), /2 bytes at the end/],
    [
      "the name __proto__",
      withHeader('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
      /this name/
    ],
    ["digests that are not an object", withHeader({ __metadata__: { "osnas.sha256": "[]" } }, 0), /osnas\.sha256/]
  ]
  for (const [what, data, message] of refusals) {
    it.effect(`refuses ${what}`, () => Effect.map(refusal(data), (error) => assert.match(error.message, message)))
  }

  const folder = mkdtempSync(path.join(tmpdir(), "osnas-checkpoint-"))

  it.effect("writes and reads files, and compares them with the recorded digest", () =>
    Effect.gen(function* () {
      const disk = yield* Disk
      const file = path.join(folder, "a.safetensors")
      const digest = yield* Checkpoint.write(disk, file, sample)
      assert.strictEqual(digest, Checkpoint.encode(sample).digest)
      yield* Checkpoint.read(disk, file, digest)
      const other = yield* Effect.flip(Checkpoint.read(disk, file, "0".repeat(64)))
      assert.match(String(other), /its header is not the one that was written/)
      const missing = yield* Effect.flip(Checkpoint.read(disk, `${file}.none`))
      assert.match(String(missing), /there is no such file/)
      const nowhere = yield* Effect.flip(Checkpoint.write(disk, path.join(folder, "none", "a.safetensors"), sample))
      assert.instanceOf(nowhere, DiskError)
    }).pipe(Effect.provide(Disk.layer))
  )

  const python = process.env["OSNAS_PYTHON"] ?? "python3"
  const hasSafetensors = spawnSync(python, ["-c", "import safetensors.numpy"]).status === 0
  it.effect.skipIf(!hasSafetensors)("is interchangeable with Python's safetensors (skipped without it)", () =>
    Effect.gen(function* () {
      const ours = path.join(folder, "ours.safetensors")
      const theirs = path.join(folder, "theirs.safetensors")
      writeFileSync(ours, bytes)
      const script = `
import sys, json
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
t = load_file(sys.argv[1])
with safe_open(sys.argv[1], "np") as f: note = f.metadata()["note"]
save_file(t, sys.argv[2], metadata={"note": note})
print(json.dumps({k: [str(v.dtype), list(v.shape), [float(x) for x in v.ravel()]] for k, v in t.items()}))
`
      const read = JSON.parse(execFileSync(python, ["-c", script, ours, theirs], { encoding: "utf8" })) as Record<
        string,
        [string, Array<number>, Array<number>]
      >
      assert.deepStrictEqual(Object.keys(read).sort(), ["a", "b.weight", "empty", "flags"])
      assert.deepStrictEqual(read["flags"], ["uint8", [3], [1, 2, 3]])
      assert.deepStrictEqual(read["b.weight"]?.[2].map(Math.fround), [
        ...new Float32Array([0.1, -0, 1e-45, 3.4e38, 5, 6])
      ])
      const back = yield* Checkpoint.read(yield* Disk, theirs)
      assert.strictEqual(Checkpoint.digestOf(back.tensors), Checkpoint.digestOf(sample.tensors))
      assert.deepStrictEqual(back.metadata, sample.metadata)
      rmSync(folder, { recursive: true })
    }).pipe(Effect.provide(Disk.layer))
  )
})
