import { describe, expect, it } from "vitest"
import * as VoiceCheck from "./VoiceCheck.ts"
import * as VoiceMarks from "./VoiceMarks.ts"

const marksOf = (file: string, text: string) => VoiceMarks.findings(file, text).map(({ mark }) => mark)

/** A sentence of the old kind for every mark, and the plain one. */
const pairs: ReadonlyArray<readonly [old: string, plain: string]> = [
  ["What a restored agent is told.", "What a restored agent receives."],
  ["The report tells what was scored.", "The report shows what was scored."],
  ["X stands in the table twice.", "X is in the table twice."],
  ["Where the files stand.", "Where the files are; MACs stand for operations."],
  ["The value lies between the two.", "The value is between the two."],
  ["It holds no manifest.", "It has no manifest; the invariant holds."],
  ["The figures at hand.", "The available figures."],
  ["No thread can be had.", "No thread is available."],
  ["It is made anew.", "It is rebuilt."],
  ["Does a run come again?", "Does a run give the same bits again?"],
  ["The run goes on.", "The run continues."],
  ["Copied by wish.", "Copied on request."],
  ["A pause is wished.", "A pause is requested."],
  ["Every so many epochs.", "Every N epochs."],
  ["Whoever drives it.", "The caller."],
  ["For the folder's sake.", "For persistence."],
  ["Cost is of no account.", "Cost is ignored."],
  ["That is not its affair.", "That is done elsewhere."],
  ["The dearest of all.", "The most expensive of all."],
  ["What it believes.", "Its current distribution."],
  ["What learns by gradient.", "A gradient-based searcher."],
  ["A weight is no number.", "A weight is NaN; there is no number; it is no longer a number."],
  ["A head of 0 outputs is none.", "The head needs at least 1 output; there is none."],
  ["A row a strategy.", "One row per strategy."]
]

describe("marks", () => {
  it.each(pairs)("%s -> %s", (old, plain) => {
    expect(marksOf("a.md", old)).toHaveLength(1)
    expect(marksOf("a.md", plain)).toEqual([])
  })

  it("each has a sentence that it refuses, and no sentence is refused twice", () => {
    const refused = new Set(pairs.flatMap(([old]) => VoiceMarks.findings("a.md", old).map(({ instead }) => instead)))
    expect(refused.size).toBe(new Set(VoiceMarks.marks.map(({ instead }) => instead)).size)
  })
})

describe("what is read of TypeScript", () => {
  it("comments and sentences in strings, not code, names or inline code", () => {
    const source = [
      "const told = tells('told') // is told",
      'fail("the run goes on")',
      "/** `told` is code; `it tells` too. */",
      "const text = `a §{told + `it §{tells} b`} whoever it is`".replaceAll("§", "$"),
      'const pattern = /it tells "/.test(told) // dearest'
    ].join("\n")
    expect(VoiceMarks.findings("a.ts", source).map(({ line, mark }) => [line, mark])).toEqual([
      [1, "told"],
      [2, "goes on"],
      [4, "whoever"],
      [5, "dearest"]
    ])
  })

  it("phrases across the lines of a comment, with the line on which they begin", () => {
    const source = ["/**", " * It is made so", " * many times.", " */", "// A row a", "// step."].join("\n")
    expect(VoiceMarks.findings("a.ts", source).map(({ line, mark }) => [line, mark])).toEqual([
      [2, "so many"],
      [5, "A row a step"]
    ])
  })

  it("no phrase across paragraphs, comments and code", () => {
    expect(marksOf("a.ts", "// so\nconst a = 1\n// many")).toEqual([])
    expect(marksOf("a.md", "# A job\n\nA job is a kernel.")).toEqual([])
  })

  it("no examples in doc comments", () => {
    expect(marksOf("a.ts", "/**\n * ```ts\n * f('the run goes on')\n * ```\n */")).toEqual([])
  })
})

describe("what is read of Markdown", () => {
  it("text, not code nor parts that are made from source", () => {
    const page =
      "It tells.\n\n```ts\n// it tells\n```\n\n<!-- made: x -->\nIt tells.\n<!-- /made -->\n`it tells`, whoever.\n"
    expect(VoiceMarks.findings("a.md", page).map(({ line, mark }) => [line, mark])).toEqual([
      [1, "tells"],
      [10, "whoever"]
    ])
  })
})

describe("check", () => {
  it("reports an exception that nothing needs", () => {
    const allowed = [{ file: "a.md", mark: "told", why: "A quotation." }]
    const { faults } = VoiceCheck.check(["a.md"], () => "Plain.", allowed)
    expect(faults).toEqual(['a.md: "told" is not found any more: remove the exception from tools/VoiceCheck.ts'])
  })

  it("gives every exception a reason", () => {
    for (const { why } of VoiceCheck.exceptions) expect(why).toMatch(/^[A-Z].*\.$/)
  })
})
