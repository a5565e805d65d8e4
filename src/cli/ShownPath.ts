/** How messages show a path. */
import { relative, resolve } from "node:path"

/**
 * A path as you would type it: relative to the working directory when it is inside, else as given.
 *
 * **Example** (Inside and outside)
 *
 * ```ts
 * import { shownPath } from "./ShownPath.ts"
 *
 * shownPath(`${process.cwd()}/runs/first`) // => "runs/first"
 * shownPath("/data/runs") // => "/data/runs"
 * shownPath(process.cwd()) // => "."
 * ```
 */
export const shownPath = (path: string): string => {
  const fromHere = relative(process.cwd(), resolve(path))
  return fromHere === "" ? "." : fromHere.startsWith("..") ? path : fromHere
}
