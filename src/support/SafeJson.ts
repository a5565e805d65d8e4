/** JSON of untrusted files: the depth is checked before parsing, and a failure is a value, not an exception. */
import * as Result from "effect/Result"

/** Deepest nesting of objects and lists that is read. */
export const maxDepth = 200

/** The deepest nesting of a JSON text, outside its strings. */
const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inString) {
      if (code === 0x5c) at += 1
      else if (code === 0x22) inString = false
    } else if (code === 0x22) inString = true
    else if (code === 0x5b || code === 0x7b) {
      depth += 1
      if (depth > deepest) deepest = depth
    } else if (code === 0x5d || code === 0x7d) depth -= 1
  }
  return deepest
}

const hasPrototypeKey = (text: string): boolean => text.includes("__proto__")

/**
 * A JSON value, or why the text is not JSON.
 *
 * **Example** (A text that would overflow the stack of a recursive reader)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as SafeJson from "./SafeJson.ts"
 *
 * Result.getOrThrow(SafeJson.parse('{"a":[1]}')) // => { a: [1] }
 * Result.isFailure(SafeJson.parse("[".repeat(1e5) + "]".repeat(1e5))) // => true
 * ```
 */
export const parse = (text: string): Result.Result<unknown, string> => {
  if (depthOf(text) > maxDepth) return Result.fail(`it is nested deeper than ${maxDepth} levels`)
  if (hasPrototypeKey(text)) return Result.fail("it has the key __proto__")
  return Result.try({ try: (): unknown => JSON.parse(text), catch: () => "it is not JSON" })
}
