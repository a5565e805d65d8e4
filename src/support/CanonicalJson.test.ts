import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import * as CanonicalJson from "./CanonicalJson.ts"

const shuffled = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(shuffled)
    : typeof value === "object" && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([key, inner]) => [key, shuffled(inner)])
        )
      : value

describe("CanonicalJson", () => {
  const json = fc
    .jsonValue({ noUnicodeString: false } as never)
    .filter((value) => !JSON.stringify(value).includes("__proto__"))

  it("reads back equal in both forms, and does not depend on the order of keys", () => {
    fc.assert(
      fc.property(json, (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as unknown
        assert.deepStrictEqual(JSON.parse(CanonicalJson.stringify(value)), plain)
        assert.deepStrictEqual(JSON.parse(CanonicalJson.pretty(value)), plain)
        assert.strictEqual(CanonicalJson.stringify(shuffled(value)), CanonicalJson.stringify(value))
        assert.strictEqual(CanonicalJson.digest(shuffled(value)), CanonicalJson.digest(value))
      }),
      { seed: 7, numRuns: 500 }
    )
  })

  it("refuses values that JSON cannot represent", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 0, Symbol("x"), [Number.NaN]]) {
      assert.throws(() => CanonicalJson.stringify(value), /has no JSON form/)
    }
    assert.strictEqual(CanonicalJson.stringify({ b: undefined, a: [undefined] }), '{"a":[null]}')
  })

  it("is indented for people, with plain lists on one line", () => {
    assert.strictEqual(
      CanonicalJson.pretty({ b: [1, 2], a: { c: [{ d: 1 }] }, e: {} }),
      [
        "{",
        '  "a": {',
        '    "c": [',
        "      {",
        '        "d": 1',
        "      }",
        "    ]",
        "  },",
        '  "b": [1, 2],',
        '  "e": {}',
        "}",
        ""
      ].join("\n")
    )
  })
})
