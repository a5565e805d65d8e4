/** The data of a report, of a run in any state. Plain data, read from the run folder. */

import type { Phase } from "../component/Phase.ts"
import type { Ranking } from "../ranking/Ranking.ts"
import type { LearningReview } from "../search-strategy/SearchStrategy.ts"
import type { DataSummary } from "./DataSummary.ts"

/** One point of a training curve. */
export interface CurvePoint {
  /** Epochs done; fractions are steps within an epoch. */
  readonly epoch: number
  readonly loss: number
  /** Metrics beside the loss, fractions: `top1`. */
  readonly metrics: Readonly<Record<string, number>>
  readonly learningRate?: number | undefined
}

/** The learning of a search. */
export interface LearningData {
  /** Epoch by epoch (or pass by pass over the validation split): the metrics it logged. */
  readonly points: ReadonlyArray<CurvePoint>
  /** At the end, layer by layer: the options' names and their probabilities. */
  readonly layers: ReadonlyArray<{
    readonly name: string
    readonly options: ReadonlyArray<{ readonly label: string; readonly probability: number }>
  }>
}

/** A scored candidate of the search, in the order of scoring. */
export interface Candidate {
  readonly index: number
  /** Its generation (or chunk), from 0. */
  readonly generation: number
  readonly architecture: string
  readonly cost: number
  /** The objective that the search minimises. */
  readonly objective: number
  readonly metrics: Readonly<Record<string, number>>
}

/** A block of the found network, in order. */
export interface DrawnBlock {
  readonly name: string
  /** `k5 e3`, `skip`, `conv 3x3`. */
  readonly label: string
  /** Index among the layer's choices; null for fixed blocks. */
  readonly choice: number | null
  /** Output shape: height, width, channels, or the length of a vector. */
  readonly output: ReadonlyArray<number>
  readonly macs: number
  readonly params: number
}

/** The found architecture. */
export interface FoundArchitecture {
  readonly text: string
  readonly cost: number
  readonly macs: number
  readonly params: number
  readonly blocks: ReadonlyArray<DrawnBlock>
  /** Names of the choices of every searched layer, for the picture of the path through the supernet. */
  readonly layers: ReadonlyArray<{
    readonly name: string
    readonly choices: ReadonlyArray<string>
    readonly taken: number
  }>
}

/** A phase of the run and how long it took. */
export interface PhaseTime {
  readonly phase: Phase
  /** `paused` and `failed`: it began, and the run stopped in it. */
  readonly state: "done" | "running" | "paused" | "failed" | "waiting" | "skipped"
  readonly seconds: number
}

/** Everything that a report shows; parts that the run has not reached are undefined or empty. */
export interface ReportData {
  readonly name: string
  readonly status: "running" | "paused" | "done" | "failed"
  /** Why a failed run failed. */
  readonly failure?: string | undefined
  readonly seed: number
  readonly engine: string
  readonly dataset: string
  /** The data, for runs that recorded them. */
  readonly data?: DataSummary | undefined
  readonly space: { readonly name: string; readonly size: string }
  readonly strategies: { readonly training: string; readonly search: string; readonly criterion: string }
  readonly budget: { readonly metric: string; readonly min: number; readonly max: number }
  readonly headline: string
  readonly phases: ReadonlyArray<PhaseTime>
  /** Time spent on journals, checkpoints and snapshots in completed phases: seconds, and the fraction of the total. */
  readonly saving?: { readonly seconds: number; readonly fraction: number } | undefined
  readonly supernet: ReadonlyArray<CurvePoint>
  /** What a gradient-based searcher has learned, if it has begun to learn. */
  readonly learning?: LearningData | undefined
  readonly search: ReadonlyArray<Candidate>
  /** Costs of the architectures that a trained generator draws, one for each target. */
  readonly review?: LearningReview | undefined
  readonly retraining: ReadonlyArray<CurvePoint>
  readonly found?: FoundArchitecture | undefined
  readonly test?: Readonly<Record<string, number>> | undefined
  /** How well the supernet ranks, where `osnas rank` has measured it. */
  readonly ranking?: Ranking | undefined
  /** The configuration as YAML, defaults filled in. */
  readonly config: string
  /** Machine and versions: rows of a table. */
  readonly manifest: ReadonlyArray<readonly [key: string, value: string]>
}

/**
 * The candidates no other beats in both cost and objective, by rising cost.
 *
 * **Example** (Three candidates, one of them beaten)
 *
 * ```ts
 * import { paretoFront } from "./ReportData.ts"
 *
 * const front = paretoFront([{ cost: 2, objective: 1 }, { cost: 1, objective: 3 }, { cost: 3, objective: 2 }])
 * front.map((c) => c.cost) // => [1, 2]
 * ```
 */
export const paretoFront = <A extends { readonly cost: number; readonly objective: number }>(
  candidates: ReadonlyArray<A>
): ReadonlyArray<A> => {
  const sorted = [...candidates].sort((a, b) => a.cost - b.cost || a.objective - b.objective)
  const front: Array<A> = []
  for (const candidate of sorted) {
    const last = front.at(-1)
    if (last === undefined || candidate.objective < last.objective) front.push(candidate)
  }
  return front
}
