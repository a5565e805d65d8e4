/**
 * What may change when a run is resumed. An option may change as long as no recorded result depends on it, and so may a
 * user's module; all other options, the data and the engine must be those that the run began with.
 */
import type * as Schema from "effect/Schema"
import { type Phase, phases } from "../../machines/RunState.ts"
import * as OptionKind from "../component/OptionKind.ts"
import { phaseNouns } from "../component/Phase.ts"
import { valueAt } from "../support/Records.ts"
import * as Identity from "./Identity.ts"

/** What a run has recorded so far. */
export interface Recorded {
  /** The phases with a recorded result. */
  readonly phases: ReadonlySet<Phase>
  /** Whether an architecture was scored: the results then depend on the estimator's options. */
  readonly scored: boolean
}

const present = (value: unknown): boolean => value !== undefined && value !== null

/**
 * What the persisted snapshot of the main agent and the search log record.
 *
 * **Example** (A run that was stopped before its first checkpoint)
 *
 * ```ts
 * import * as Resumption from "./Resumption.ts"
 *
 * Resumption.recordedIn(null, 0) // => { phases: new Set(), scored: false }
 * const searched = { context: { results: { supernet: { file: "", digest: "" }, search: null } }, children: {} }
 * Resumption.recordedIn(searched, 3) // => { phases: new Set(["searching"]), scored: true }
 * ```
 */
export const recordedIn = (snapshot: Schema.Json, scoredLines: number): Recorded => {
  const context = (phase: Phase) => valueAt(snapshot, "children", phase, "snapshot", "context")
  const results = valueAt(snapshot, "context", "results")
  const scored = scoredLines > 0
  const uses: Readonly<Record<Phase, boolean>> = {
    supernetTraining:
      present(valueAt(results, "supernetTraining")) || present(valueAt(context("supernetTraining"), "position")),
    searching:
      scored ||
      present(valueAt(results, "search", "evaluations")) ||
      present(valueAt(context("searching"), "state")) ||
      present(valueAt(context("searching"), "learning")),
    retraining: present(valueAt(results, "retraining")) || present(valueAt(context("retraining"), "position")),
    evaluating: present(valueAt(results, "evaluation"))
  }
  return { phases: new Set(phases.filter((phase) => uses[phase])), scored }
}

/** A difference between what a run began with and what it is given now, with the reason why it is refused. */
export interface Refusal extends Identity.Difference {
  readonly why: string
}

/** The differences between two identities of a run: refused and accepted. */
export interface Judgement {
  readonly refused: ReadonlyArray<Refusal>
  readonly accepted: ReadonlyArray<Identity.Difference>
}

/** What {@link judge} needs to know. */
export interface JudgeOptions {
  readonly kinds: OptionKind.OptionKinds
  readonly recorded: Recorded
  /** Whether the search learns while the supernet is trained: results then depend on its options and the budget from that phase on. */
  readonly learnsWithSupernet: boolean
}

const section = "config."

const whyRefused = (path: string, { kinds, learnsWithSupernet, recorded }: JudgeOptions): string | undefined => {
  const kind = OptionKind.at(kinds, path)
  if (kind.kind !== "later") return "another value makes another run"
  const [top] = path.split(".")
  if (top === "estimator") return recorded.scored ? "architectures were scored with it" : undefined
  const withSupernet = learnsWithSupernet && (top === "searchStrategy" || top === "budget")
  const phase = withSupernet ? "supernetTraining" : kind.phase
  return recorded.phases.has(phase) ? `${phaseNouns[phase]} has recorded results with it` : undefined
}

/** The digests of an identity's data: of what the dataflow has read, and of paths and sizes. */
const dataOf = (
  identity: Schema.Json
): { readonly digest: string | undefined; readonly listing: string | undefined } => {
  const values = Identity.flatten(identity)
  return { digest: values.get("dataset.digest"), listing: values.get("dataset.listing") }
}

/**
 * Whether two identities have the same data although their digests differ: the files have the same paths and sizes, and one
 * of the two digests is of these alone.
 */
const haveSameListing = (began: Schema.Json, now: Schema.Json): boolean => {
  const [was, is] = [dataOf(began), dataOf(now)]
  return (
    was.listing !== undefined &&
    was.listing === is.listing &&
    (was.digest === was.listing) !== (is.digest === is.listing)
  )
}

/**
 * Decides which differences between the identity that a run began with and the present one are accepted.
 *
 * **Example** (More epochs before retraining has begun)
 *
 * ```ts
 * import * as OptionKind from "../component/OptionKind.ts"
import { phaseNouns } from "../component/Phase.ts"
 * import * as Resumption from "./Resumption.ts"
 * import { RunConfig } from "./RunConfig.ts"
 *
 * const [before, after] = [4, 8].map((epochs) => ({ config: { retraining: { epochs } } }))
 * const judge = (recorded: Resumption.Recorded) =>
 *   Resumption.judge(before ?? null, after ?? null, {
 *     kinds: OptionKind.of(RunConfig.ast),
 *     recorded,
 *     learnsWithSupernet: false
 *   })
 * judge({ phases: new Set(["searching"]), scored: true }).accepted.map(({ key }) => key) // => ["config.retraining.epochs"]
 * judge({ phases: new Set(["retraining"]), scored: true }).refused[0]?.why // => "retraining has recorded results with it"
 * ```
 */
export const judge = (began: Schema.Json, now: Schema.Json, options: JudgeOptions): Judgement => {
  const refused: Array<Refusal> = []
  const accepted: Array<Identity.Difference> = []
  const sameListing = haveSameListing(began, now)
  for (const difference of Identity.differences(began, now)) {
    // The listing only helps to compare digests; runs of older versions do not have it.
    if (difference.key === "dataset.listing" || (difference.key === "dataset.digest" && sameListing)) continue
    // A corrected module must not end a run; the change is recorded.
    if (difference.key.startsWith("modules.")) {
      accepted.push(difference)
      continue
    }
    if (!difference.key.startsWith(section)) {
      // The seed is reported as an option already.
      if (refused.some(({ key }) => key === `${section}${difference.key}`)) continue
      refused.push({ ...difference, why: "" })
      continue
    }
    const path = difference.key.slice(section.length)
    const { kind } = OptionKind.at(options.kinds, path)
    // A manifest of an older version has options that are no longer part of the identity.
    if (kind === "place" || kind === "performance") continue
    const why = whyRefused(path, options)
    if (why === undefined) accepted.push(difference)
    else refused.push({ ...difference, why })
  }
  return { refused, accepted }
}
