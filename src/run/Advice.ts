/** Commands that lead on from a failure, for its message: what a run has found so far is not lost by it. */
import type { Phase } from "../../machines/RunState.ts"

/** Where and how a phase diverged. */
export interface Divergence {
  /** The run's folder as the user would type it. */
  readonly folder: string
  readonly phase: Phase
  /** Whether a step of the phase is recorded, so that its options can no longer change. */
  readonly recorded: boolean
  /** The architecture that is retrained, as text; null before there is one. */
  readonly architecture: string | null
  /** Option to lower, and the value it has. */
  readonly key: string
  readonly learningRate: number
}

/** A folder or value as a shell takes it. */
const quoted = (text: string): string => (/^[\w./,:=@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

/**
 * The command that goes on from what a run has found, at a third of the learning rate.
 *
 * **Example** (From the architecture that was found)
 *
 * ```ts
 * import * as Advice from "./Advice.ts"
 *
 * const divergence: Advice.Divergence = {
 *   folder: "runs/mine",
 *   phase: "retraining",
 *   recorded: false,
 *   architecture: "2,0,6",
 *   key: "retraining.optimizer.learningRate",
 *   learningRate: 0.3
 * }
 * Advice.afterDivergence(divergence) // => "osnas resume runs/mine --set retraining.optimizer.learningRate=0.1"
 * const later = Advice.afterDivergence({ ...divergence, recorded: true })
 * later.slice(0, 70) // => "osnas run runs/mine/config.yaml --dir runs/mine-2 --set start.architec"
 * ```
 */
export const afterDivergence = (divergence: Divergence): string => {
  const { architecture, folder, key, learningRate, phase, recorded } = divergence
  const lower = `--set ${key}=${Number((learningRate / 3).toPrecision(1))}`
  if (!recorded) return `osnas resume ${quoted(folder)} ${lower}`
  const start =
    phase === "supernetTraining"
      ? ""
      : architecture === null
        ? " --set start.supernet=checkpoints/supernet.safetensors"
        : ` --set start.architecture=${quoted(architecture)}`
  const bare = folder.replace(/[\\/]+$/, "")
  return `osnas run ${quoted(`${bare}/config.yaml`)} --dir ${quoted(`${bare}-2`)}${start} ${lower}`
}

/**
 * The message of a failure with the place in the user's module that threw it, where there is one, and the way to go on.
 *
 * **Example** (A criterion that throws)
 *
 * ```ts
 * import * as Advice from "./Advice.ts"
 *
 * Advice.afterThrow("no labels", "/me/loss.ts:3", "runs/a") // => "no labels (thrown in /me/loss.ts:3); mend it, then go on with: osnas resume runs/a"
 * Advice.afterThrow("no space on disk", undefined, "runs/a") // => "no space on disk"
 * ```
 */
export const afterThrow = (message: string, place: string | undefined, folder: string): string =>
  place === undefined
    ? message
    : `${message} (thrown in ${place}); mend it, then go on with: osnas resume ${quoted(folder)}`
