/**
 * JSON with exactly one text for each value: keys sorted by code unit, no whitespace, numbers as JavaScript writes them (the
 * shortest text that reads back as the same double). Digests are computed from this text.
 */
import { createHash } from "node:crypto"

const write = (value: unknown, indent: string, step: string): string => {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value)
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no JSON form`)
    return JSON.stringify(value)
  }
  const inner = indent + step
  const [open, separator, close] = step === "" ? ["", ",", ""] : [`\n${inner}`, `,\n${inner}`, `\n${indent}`]
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]"
    // A list of plain values is written on one line, which is easier to read.
    if (value.every((item) => typeof item !== "object" || item === null)) {
      return `[${value.map((item) => write(item ?? null, "", "")).join(step === "" ? "," : ", ")}]`
    }
    return `[${open}${value.map((item) => write(item ?? null, inner, step)).join(separator)}${close}]`
  }
  if (typeof value === "object") {
    const record = value as Readonly<Record<string, unknown>>
    const keys = Object.keys(record)
      .filter((key) => record[key] !== undefined)
      .sort()
    if (keys.length === 0) return "{}"
    const colon = step === "" ? ":" : ": "
    return `{${open}${keys.map((key) => JSON.stringify(key) + colon + write(record[key], inner, step)).join(separator)}${close}}`
  }
  throw new TypeError(`a ${typeof value} has no JSON form`)
}

/**
 * The canonical text of a JSON value. Keys whose value is undefined are left out; NaN and the infinities throw.
 *
 * **Example** (Keys are sorted)
 *
 * ```ts
 * import * as CanonicalJson from "./CanonicalJson.ts"
 *
 * CanonicalJson.stringify({ b: 1, a: [true, 0.1] }) // => '{"a":[true,0.1],"b":1}'
 * ```
 */
export const stringify = (value: unknown): string => write(value, "", "")

/** The canonical text for people: the same order, indented by two spaces, with a line break at the end. */
export const pretty = (value: unknown): string => `${write(value, "", "  ")}\n`

/** SHA-256 of the canonical text, hex. */
export const digest = (value: unknown): string => createHash("sha256").update(stringify(value)).digest("hex")
