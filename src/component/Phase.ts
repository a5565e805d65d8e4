/**
 * The phases of a run, in order. Options and events name them; the machines in `machines/` go through them.
 *
 * **Example** (The first and the last)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Phase from "./Phase.ts"
 *
 * Phase.phases[0] // => "supernetTraining"
 * Schema.is(Phase.Phase)("evaluating") // => true
 * Schema.is(Phase.TrainingPhase)("searching") // => false
 * Phase.phaseTitles.evaluating // => "Evaluation"
 * Phase.phaseNouns.searching // => "the search"
 * ```
 */
import * as Schema from "effect/Schema"

/** The phases of a run, in order. */
export const Phase = Schema.Literals(["supernetTraining", "searching", "retraining", "evaluating"])
/** A phase's name. */
export type Phase = typeof Phase.Type
/** The phases in order. */
export const phases: ReadonlyArray<Phase> = Phase.literals

/** The phases that train. */
export const TrainingPhase = Schema.Literals(["supernetTraining", "retraining"])
/** A training phase's name. */
export type TrainingPhase = typeof TrainingPhase.Type

/** The phases as titles. */
export const phaseTitles: Readonly<Record<Phase, string>> = {
  supernetTraining: "Supernet training",
  searching: "Search",
  retraining: "Retraining",
  evaluating: "Evaluation"
}

/** The phases within a sentence. */
export const phaseNouns: Readonly<Record<Phase, string>> = {
  supernetTraining: "supernet training",
  searching: "the search",
  retraining: "retraining",
  evaluating: "evaluation"
}
