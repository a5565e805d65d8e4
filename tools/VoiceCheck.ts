/**
 * Which files are read for refused phrases ({@link VoiceMarks}), and the few phrases that may stay.
 *
 * **Example** (A phrase that is refused, and the same with a reason)
 *
 * ```ts
 * import * as VoiceCheck from "./VoiceCheck.ts"
 *
 * const read = () => "The user is told why."
 * VoiceCheck.check(["a.md"], read, []).faults // => ["a.md:1: \"told\": write reports, shows, prints, logs; is scored"]
 * VoiceCheck.check(["a.md"], read, [{ file: "a.md", mark: "told", why: "A quotation." }]).faults // => []
 * ```
 */
import { globSync } from "node:fs"
import * as VoiceMarks from "./VoiceMarks.ts"

/** Folders that are not checked yet, because their text is being rewritten. To be emptied. */
export const notYetChecked: ReadonlyArray<string> = []

/** Files that are never checked: made by a program, a record of the past, or about the phrases themselves. */
const skipped: ReadonlyArray<RegExp> = [
  /^docs\/(commands|configuration)\.md$/,
  /(^|\/)generated\//,
  /^CHANGELOG/,
  /^tools\/Voice/,
  /^src\/dataflow\/data\//
]

/** A phrase that may stay in a file. */
export interface Exception {
  readonly file: string
  /** The phrase as it is found. */
  readonly mark: string
  readonly why: string
}

const guide = "The guide to how we write quotes the phrase."

/** Phrases that may stay, each with a reason. One that is not found any more is a fault, too. */
export const exceptions: ReadonlyArray<Exception> = [
  { file: "CONTRIBUTING.md", mark: "is no X", why: guide },
  { file: "CONTRIBUTING.md", mark: "so many", why: guide },
  { file: "CONTRIBUTING.md", mark: "a row a strategy", why: guide }
]

/** The files to read, as paths from the root with slashes. */
export const filesOf = (root: string): ReadonlyArray<string> =>
  ["{src,machines,generators,property-tests,examples,tools,docs}/**/*.{ts,mjs,md}", "*.{md,ts}"]
    .flatMap((pattern) => globSync(pattern, { cwd: root }))
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => !skipped.some((pattern) => pattern.test(file)))
    .filter((file) => !notYetChecked.some((folder) => file.startsWith(folder)))
    .sort()

/** What a check found. */
export interface Checked {
  readonly files: number
  /** One line per refused phrase: file, line, phrase, what to write. */
  readonly faults: ReadonlyArray<string>
}

/** Checks files; `allowed` are the phrases that may stay. */
export const check = (
  files: ReadonlyArray<string>,
  read: (file: string) => string,
  allowed: ReadonlyArray<Exception> = exceptions
): Checked => {
  const used = new Set<Exception>()
  const faults = files.flatMap((file) =>
    VoiceMarks.findings(file, read(file)).flatMap(({ instead, line, mark }) => {
      const exception = allowed.find((one) => one.file === file && one.mark.toLowerCase() === mark.toLowerCase())
      if (exception === undefined) return [`${file}:${line}: "${mark}": write ${instead}`]
      used.add(exception)
      return []
    })
  )
  const unused = allowed
    .filter((one) => !used.has(one) && files.includes(one.file))
    .map(({ file, mark }) => `${file}: "${mark}" is not found any more: remove the exception from tools/VoiceCheck.ts`)
  return { files: files.length, faults: [...faults, ...unused] }
}
