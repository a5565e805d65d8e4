/** Verification pairs from a list in the format of LFW's `pairs.txt`. */
import { basename, extname, join, sep } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Pair } from "../Dataflow.ts"
import * as Files from "../Files.ts"
import * as FolderContents from "../FolderContents.ts"
import * as VerificationPairs from "../VerificationPairs.ts"
import { fail, name } from "./FaceFolderOptions.ts"

/** The pairs of a list in LFW's format, as positions among the test images at `paths`; `broken` are skipped images. */
export const listedPairs = Effect.fnUntraced(function* (
  list: string,
  root: string,
  paths: ReadonlyArray<string>,
  broken: ReadonlyArray<string>
) {
  const parsed = VerificationPairs.parseLfw(yield* Files.readText(name, list, 1 << 26))
  if (Result.isFailure(parsed)) return yield* fail(list, parsed.failure)
  // By person and file name without its ending: a file may be in the person's folder or in one below it.
  const key = (path: string): string => {
    const [person = ""] = path.split(sep)
    return join(person, basename(path).slice(0, basename(path).length - extname(path).length)).normalize("NFC")
  }
  const positions = new Map(paths.map((path, at) => [key(path), at]))
  const skipped = new Set(broken.map(key))
  const people = new Set(paths.map((path) => path.split(sep)[0]!.normalize("NFC")))
  const pairs: Array<Pair> = []
  for (const { first, fold, line, same, second } of parsed.success) {
    const [a, b] = [first, second].map((image) =>
      positions.get(join(image.person, VerificationPairs.lfwName(image)).normalize("NFC"))
    )
    if (a === undefined || b === undefined) {
      const missing = a === undefined ? first : second
      const file = VerificationPairs.lfwName(missing)
      const folder = join(root, missing.person)
      if (skipped.has(join(missing.person, file).normalize("NFC"))) {
        return yield* fail(
          list,
          `line ${line}: the image ${file} of ${missing.person} is broken and was skipped; repair it, or remove its pairs`
        )
      }
      return yield* fail(
        list,
        people.has(missing.person.normalize("NFC"))
          ? `line ${line}: there is no image ${file} of ${missing.person} in ${folder} (with any of ${FolderContents.endings.join(" ")})`
          : `line ${line}: ${missing.person} is not among the people to verify: looked for ${file} in ${folder}`
      )
    }
    pairs.push({ first: a, second: b, same, fold })
  }
  return pairs
})
