/** Commands to continue with after a failure, for its message. */
import type { Phase } from "../../machines/RunState.ts"

/** Where and how a phase diverged. */
export interface Divergence {
  /** The run's folder, as in a command. */
  readonly folder: string
  readonly phase: Phase
  /** Whether a step of the phase is recorded: its options can then no longer change. */
  readonly recorded: boolean
  /** The architecture that is retrained, as text; null before one is found. */
  readonly architecture: string | null
  /** Option to lower, and its value. */
  readonly key: string
  readonly learningRate: number
}

/** A folder or value, quoted for a shell if necessary. */
const quoted = (text: string): string => (/^[\w./,:=@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

/**
 * The command that continues from what a run has found, with a third of the learning rate.
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
 * The message of a failure. If a user's module threw it, with its file and line and the command to continue with.
 *
 * **Example** (A criterion that throws)
 *
 * ```ts
 * import * as Advice from "./Advice.ts"
 *
 * Advice.afterThrow("no labels", "/me/loss.ts:3", "runs/a") // => "no labels (thrown in /me/loss.ts:3); correct it, then resume with: osnas resume runs/a"
 * Advice.afterThrow("no space on disk", undefined, "runs/a") // => "no space on disk"
 * ```
 */
export const afterThrow = (message: string, place: string | undefined, folder: string): string =>
  place === undefined
    ? message
    : `${message} (thrown in ${place}); correct it, then resume with: osnas resume ${quoted(folder)}`
