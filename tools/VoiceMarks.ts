/**
 * Phrases that osnas does not use in comments, strings and Markdown, each with what to write instead. They are old-fashioned,
 * vague or ambiguous: a reader who knows the field must understand every sentence at the first reading.
 *
 * Only prose is read: comments and strings of TypeScript, Markdown without code. Inline code, fenced code, strings of one word
 * and parts of pages that are made from source are not prose.
 *
 * **Example** (A comment, and what it should say)
 *
 * ```ts
 * import * as VoiceMarks from "./VoiceMarks.ts"
 *
 * const source = ["const told = 1", "// Whoever drives it", "//   is told nothing."].join("\n")
 * VoiceMarks.findings("a.ts", source).map(({ line, mark }) => [line, mark]) // => [[2, "Whoever"], [3, "told"]]
 * VoiceMarks.findings("a.md", "`told` is code, a row a step is not.").map(({ mark }) => mark) // => ["a row a step"]
 * VoiceMarks.prose("a.ts", "f('one') // two").trim() // => "two"
 * VoiceMarks.marks.length > 10 // => true
 * ```
 */

/** A phrase that is refused, and what to write instead. */
export interface Mark {
  readonly pattern: RegExp
  readonly instead: string
}

/** What comes one per something: "a row a strategy". */
const counted =
  "row|column|line|folder|file|option|digit|label|number|cell|constant|weight|factor|image|path|target|update|item|name|checksum|minute|direction|logit|position|class|key|page|entry|job|thread|piece|pass|kernel|vector|value|loss|score|seed|run|bit|byte|slot|draw|slope|machine"

/** The phrases. */
export const marks: ReadonlyArray<Mark> = [
  { pattern: /\b(told|tells)\b/i, instead: "reports, shows, prints, logs; is scored" },
  { pattern: /\bstands\b(?!\s+for\b)/i, instead: "is, is in" },
  { pattern: /\bstand\b(?!-|\s+(?:for|in)\b)/i, instead: "are, are in" },
  { pattern: /\b(lies|lie|lay)\b(?!\s+(?:over|out)\b)/i, instead: "is in, is between" },
  { pattern: /\bholds\s+(?:no|the|a|an|all|only|what|every|it)\b/i, instead: "contains, has" },
  { pattern: /\bat\s+hand\b/i, instead: "available" },
  { pattern: /\b(?:be|is|are)\s+had\b/i, instead: "available" },
  { pattern: /\banew\b/i, instead: "again; rebuilt, made from scratch" },
  { pattern: /\b(?:comes?|came|coming)\s+again\b/i, instead: "is reproduced" },
  { pattern: /\b(?:goes|go|went|gone|going)\s+on\b/i, instead: "continues, resumes" },
  { pattern: /\b(?:by|on)\s+wish\b|\bwish(?:es|ed)?\b/i, instead: "on request; is requested" },
  { pattern: /\bso\s+(?:many|manieth)\b/i, instead: "N, every N-th; that many" },
  { pattern: /\bwhoever\b/i, instead: "the caller, you, code that" },
  { pattern: /\bsake\b/i, instead: "for" },
  { pattern: /\bof\s+(?:no|any)\s+account\b/i, instead: "is ignored" },
  { pattern: /\baffairs?\b/i, instead: "is done elsewhere" },
  { pattern: /\bdearest\b/i, instead: "most expensive" },
  { pattern: /\bbeliev(?:es?|ed|ing)\b/i, instead: "its current distribution; trusts, uses" },
  { pattern: /\blearns\s+by\s+gradient\b/i, instead: "gradient-based" },
  {
    pattern:
      /(?<!\bthere\s+)\b(?:is|are|was|were)\s+no\s+(?!(?:longer|more|less|different|larger|smaller|further|better|worse|later|earlier)\b)[a-z]\w*/i,
    instead: "is not a"
  },
  { pattern: /(?<!\bthere\s+)\b(?:is|are)\s+none\b/i, instead: "is not one; there is none" },
  {
    pattern: new RegExp(`\\b(?:an?|one)\\s+(?:${counted})\\s+an?\\s+(?!half\\b|quarter\\b)[a-z]+`, "i"),
    instead: "one per"
  }
]

/** A phrase found: where, and what to write instead. */
export interface Finding {
  readonly file: string
  readonly line: number
  readonly mark: string
  readonly instead: string
}

/** Stands in place of code: no phrase goes across it. */
const gap = "\0"

const blank = (text: string, by: string): string => text.replaceAll(/[^\n]/g, by)

/** Fenced blocks and inline code, masked. */
const withoutCode = (text: string): string =>
  text
    .replaceAll(/^([ \t*]*)```[\s\S]*?^[ \t*]*```/gm, (block) => blank(block, gap))
    .replaceAll(/`[^`\n]*`/g, (code) => blank(code, gap))

/** Whether a slash after this code begins a regular expression. */
const beginsRegExp = (before: string): boolean =>
  /(?:^|[(,=:[!&|?{};>+\-*%~^]|\b(?:return|typeof|case|in|of))\s*$/.test(before)

/** End of a quoted string that begins at `from`; the index after its closing quote. */
const endOfString = (source: string, from: number): number => {
  const quote = source[from]
  let at = from + 1
  while (at < source.length && source[at] !== quote && source[at] !== "\n") at += source[at] === "\\" ? 2 : 1
  return at + 1
}

const endOfRegExp = (source: string, from: number): number => {
  let isClass = false
  let at = from + 1
  while (at < source.length && source[at] !== "\n" && (isClass || source[at] !== "/")) {
    if (source[at] === "[") isClass = true
    else if (source[at] === "]") isClass = false
    at += source[at] === "\\" ? 2 : 1
  }
  return at + 1
}

/** A string of one word is a name, not prose. */
const isSentence = (text: string): boolean => /\S\s\S/.test(text)

/** Comments and strings of TypeScript: everything else is masked, line breaks stay. */
const ofTypeScript = (source: string): string => {
  let out = ""
  let code = ""
  /** Depth of braces at which each template literal that is open continues. */
  const templates: Array<number> = []
  let depth = 0
  let at = 0
  const mask = (to: number): void => {
    const text = source.slice(at, to)
    // Between comments of successive lines there is only space, which a phrase may go across.
    out += /^\s*$/.test(text) ? text : blank(text, gap)
    code = (code + text).slice(-40)
    at = to
  }
  const take = (to: number, text: string): void => {
    out += text
    at = to
  }
  const template = (): void => {
    const from = at
    while (at < source.length && source[at] !== "`" && !source.startsWith("${", at)) at += source[at] === "\\" ? 2 : 1
    const text = source.slice(from, at)
    out += isSentence(text) ? text.replaceAll("`", gap) : blank(text, gap)
    if (source[at] === "`") {
      mask(at + 1)
      code = "x"
    } else {
      templates.push(depth)
      depth += 1
      mask(at + 2)
    }
  }
  while (at < source.length) {
    const char = source[at]
    if (source.startsWith("//", at)) {
      const end = source.indexOf("\n", at) < 0 ? source.length : source.indexOf("\n", at)
      take(end, withoutCode(`  ${source.slice(at + 2, end)}`))
    } else if (source.startsWith("/*", at)) {
      const end = source.indexOf("*/", at + 2) < 0 ? source.length : source.indexOf("*/", at + 2) + 2
      const comment = source.slice(at, end).replaceAll(/^(\s*)\/?\*+\/?/gm, (edge) => blank(edge, " "))
      take(end, `${withoutCode(comment.slice(0, -2))}  `)
    } else if (char === '"' || char === "'") {
      const end = endOfString(source, at)
      const text = source.slice(at + 1, end - 1)
      take(
        end,
        isSentence(text)
          ? `${gap}${text.replaceAll(/`[^`]*`/g, (code) => blank(code, gap))}${gap}`
          : blank(source.slice(at, end), gap)
      )
      code = "x"
    } else if (char === "`") {
      mask(at + 1)
      template()
    } else if (char === "/" && beginsRegExp(code)) {
      mask(endOfRegExp(source, at))
      code = "x"
    } else {
      if (char === "{") depth += 1
      if (char === "}") {
        depth -= 1
        if (templates.at(-1) === depth) {
          templates.pop()
          mask(at + 1)
          template()
          continue
        }
      }
      mask(at + 1)
    }
  }
  return out
}

const ofMarkdown = (text: string): string =>
  withoutCode(text.replaceAll(/<!-- made: .*? -->[\s\S]*?<!-- \/made -->/g, (part) => blank(part, gap)))

/** Prose of a file; a paragraph ends in a gap. */
const masked = (file: string, text: string): string =>
  (/\.m?ts$/.test(file) ? ofTypeScript(text) : ofMarkdown(text)).replaceAll(/\n[ \t]*(?=\n)/g, `\n${gap}`)

/** What people read of a file; spaces take the place of everything else, and line breaks stay. */
export const prose = (file: string, text: string): string => masked(file, text).replaceAll(gap, " ")

/** All phrases of a file that are refused, in order. */
export const findings = (file: string, text: string): ReadonlyArray<Finding> => {
  const read = masked(file, text)
  return marks
    .flatMap(({ instead, pattern }) =>
      [...read.matchAll(new RegExp(pattern.source, `${pattern.flags}g`))].map((match) => ({
        file,
        at: match.index,
        mark: match[0].replaceAll(/\s+/g, " "),
        instead
      }))
    )
    .sort((a, b) => a.at - b.at)
    .map(({ at, ...found }) => ({ ...found, line: read.slice(0, at).split("\n").length }))
}
