/**
 * Where in a user's module an error was thrown, according to its stack, for the message of an unexpected failure. A frame
 * belongs to the user if it is not in osnas, a package or Node.
 */
import { join, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { root } from "../Package.ts"

/** Examples are copied and changed: they belong to the user. */
const examples = join(root, "examples") + sep

const isOwn = (file: string): boolean =>
  (file.startsWith(root + sep) && !file.startsWith(examples)) || /[\\/]node_modules[\\/]/.test(file)

/**
 * File and line of the innermost frame in a user's module; undefined if no frame is in one.
 *
 * **Example** (A criterion that throws)
 *
 * ```ts
 * import * as ThrownIn from "./ThrownIn.ts"
 *
 * const error = new Error("no labels")
 * error.stack = "Error: no labels\n    at loss (file:///home/me/criterion.ts:12:5)\n    at node:internal/x:1:1"
 * ThrownIn.module(error) // => "/home/me/criterion.ts:12"
 * ThrownIn.module("no error") // => undefined
 * ```
 */
export const module = (error: unknown): string | undefined => {
  const stack = error instanceof Error ? (error.stack ?? "") : ""
  for (const line of stack.split("\n")) {
    const [, url, row] = /(file:\/\/\S+?)(?:\?[^:]*)?:(\d+):\d+\)?$/.exec(line) ?? []
    if (url === undefined) continue
    const file = fileURLToPath(url)
    if (!isOwn(file)) return `${file}:${row}`
  }
  return undefined
}
