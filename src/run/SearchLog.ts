/**
 * The scores of a search in order of evaluation: the lines of `search.jsonl`, including those from before a restart. A
 * candidate that was logged before a crash is read from here, not scored again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { CostAndScore } from "../../machines/Searching.ts"
import { Score } from "../search-strategy/SearchStrategy.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import type { DiskError } from "../support/Disk.ts"
import { type Journal, JournalError, type Line } from "./Journal.ts"

/** A scored architecture, and its place in the search. */
export interface Entry extends CostAndScore {
  /** Index among all candidates of the search, from 0. */
  readonly evaluation: number
  /** From 0. */
  readonly generation: number
  /** As text. */
  readonly architecture: string
}

/** The log of a search. */
export interface SearchLog {
  /**
   * The logged cost and score of an evaluation; undefined if it is not logged yet. Fails if the line is about another
   * architecture, or if a line before it is missing.
   */
  readonly find: (
    place: Pick<Entry, "evaluation" | "architecture">
  ) => Effect.Effect<CostAndScore | undefined, JournalError>
  readonly append: (entry: Entry) => Effect.Effect<void, DiskError>
  /** SHA-256 (hex) of the first `count` lines. */
  readonly digest: (count: number) => string
}

const decodeScore = Schema.decodeUnknownOption(Score)

/** The log over its journal. */
export const make = (journal: Pick<Journal, "append" | "file" | "lines">): SearchLog => {
  const lines: Array<Line> = [...journal.lines]
  let synced = Number.NEGATIVE_INFINITY
  const find: SearchLog["find"] = Effect.fnUntraced(function* ({ architecture, evaluation }) {
    const line = lines[evaluation]
    if (line === undefined && lines.length >= evaluation) return undefined
    const fail = (reason: string) => new JournalError({ file: journal.file, line: evaluation + 1, reason })
    if (line === undefined) return yield* fail(`it is missing: the file has only ${lines.length} lines`)
    if (line["architecture"] !== architecture) {
      return yield* fail(
        `the search evaluates ${architecture} here, but the line is about ${String(line["architecture"])}`
      )
    }
    const score = decodeScore({ objective: line["objective"], metrics: line["metrics"] })
    const cost = line["cost"]
    if (Option.isNone(score) || typeof cost !== "number")
      return yield* fail("it is not a scored architecture: objective, metrics or cost is missing or is not a number")
    return { cost, score: score.value }
  })
  const append: SearchLog["append"] = Effect.fnUntraced(function* ({ score, ...place }) {
    const line = { ...place, ...score }
    // A sync at most once per second: after a power cut, at most the scores of the last second are computed again.
    const now = yield* Clock.currentTimeMillis
    const sync = now - synced >= 1000
    if (sync) synced = now
    yield* journal.append(line, { sync })
    lines.push(line)
  })
  return { find, append, digest: (count) => CanonicalJson.digest(lines.slice(0, count)) }
}
