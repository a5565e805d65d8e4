/**
 * How the events of a run look: on a terminal a progress bar with the remaining time, elsewhere a line now and then. A pure
 * fold over events; the caller keeps the state and writes.
 */
import type { Phase } from "../../machines/RunState.ts"
import { phaseTitles } from "../component/Phase.ts"
import { duration, metric, reviewWords, si } from "../report/Format.ts"
import type { RunEvent, Stamped } from "../run/RunEvents.ts"

/** The state between two events. */
export interface State {
  readonly phase: Phase | undefined
  /** When the phase began, in milliseconds. */
  readonly since: number
  /** Candidates already scored when the phase began; they do not count for the remaining time. */
  readonly doneBefore: number
  /** When the last line was written, in milliseconds. */
  readonly lineAt: number
  readonly best: string
  /** The latest figures of a gradient-based searcher. */
  readonly learned: string
}

/** Before the first event. */
export const initial: State = { phase: undefined, since: 0, doneBefore: 0, lineAt: 0, best: "", learned: "" }

/** What to draw: lines that stay, and the bar, which is redrawn (undefined: none, or unchanged). */
export interface Drawn {
  readonly state: State
  readonly lines: ReadonlyArray<string>
  readonly bar: string | undefined
}

/** Seconds between two lines within an epoch if there is no terminal. */
const lineEvery = 10

/** Titles of at most ten columns. */
const titles: Readonly<Record<Phase, string>> = { ...phaseTitles, supernetTraining: "Supernet" }

/**
 * A progress bar of `width` characters.
 *
 * **Example** (Half way)
 *
 * ```ts
 * import { bar } from "./Progress.ts"
 *
 * bar(0.5, 4) // => "██░░"
 * ```
 */
export const bar = (fraction: number, width: number): string => {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width)
  return "█".repeat(filled) + "░".repeat(width - filled)
}

const accuracy = (value: number | null): string => (value === null ? "" : `  accuracy ${metric("accuracy", value)}`)

const metrics = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${metric(name, value)}`)
    .join("  ")

/** The figures of a gradient-based searcher that fit into a line. */
const learnedWords = ({ cost, entropy, target, temperature }: Readonly<Record<string, number>>): string =>
  [
    cost === undefined ? "" : `  expected cost ${si(cost)}${target === undefined ? "" : ` of ${si(target)}`}`,
    entropy === undefined ? "" : `  entropy ${entropy.toFixed(3)}`,
    temperature === undefined ? "" : `  temperature ${temperature.toPrecision(3)}`
  ].join("")

/** How a phase ended: done, or where it stopped. */
const endWords = (event: Extract<RunEvent, { readonly _tag: "PhaseEnded" }>): string => {
  if (event.stopped === undefined) return `done in ${duration(event.seconds)}`
  const { reached } = event
  const where =
    reached === undefined
      ? ""
      : ` at ${reached.unit} ${reached.done}${reached.total === null ? "" : `/${reached.total}`}`
  return `${event.stopped}${where}, after ${duration(event.seconds)}`
}

const drawBar = (title: string, fraction: number, rest: string, columns: number): string => {
  const head = `${title.padEnd(10)} `
  const percent = `${String(Math.floor(fraction * 100)).padStart(3)} %`
  const width = Math.max(6, Math.min(32, columns - head.length - percent.length - rest.length - 4))
  return `${head}${bar(fraction, width)} ${percent}  ${rest}`.slice(0, Math.max(20, columns - 1))
}

/** Adds an event to the state. `columns`: width of the terminal; undefined: there is none. */
export const fold = (state: State, { event, time }: Stamped, columns: number | undefined): Drawn => {
  const none: Drawn = { state, lines: [], bar: undefined }
  const line = (...lines: ReadonlyArray<string>): Drawn => ({
    state: { ...state, lineAt: time },
    lines,
    bar: undefined
  })
  switch (event._tag) {
    case "RunStarted":
      return line(
        `${event.name}: ${event.space} (${event.size} architectures) on ${event.dataset}, engine ${event.engine}, seed ${event.seed}${event.resumed ? ", resumed" : ""}`
      )
    case "PhaseStarted":
      return {
        state: { ...state, phase: event.phase, since: time, lineAt: time, doneBefore: event.done, learned: "" },
        lines: columns === undefined ? [`${titles[event.phase]} begins`] : [],
        bar: undefined
      }
    case "StepDone": {
      const rest = `epoch ${event.epoch.toFixed(1)}  loss ${event.loss.toFixed(4)}${accuracy(event.accuracy)}  ${Math.round(event.imagesPerSecond)} images/s${state.learned}  ${duration(event.remainingSeconds)} left`
      if (columns !== undefined) {
        return { ...none, bar: drawBar(titles[event.phase], event.step / Math.max(1, event.steps), rest, columns) }
      }
      return time - state.lineAt >= lineEvery * 1000
        ? line(`${titles[event.phase]} step ${event.step}/${event.steps}  ${rest}`)
        : none
    }
    case "EpochDone":
      return line(
        `${titles[event.phase].padEnd(10)} epoch ${event.epoch}/${event.epochs}  loss ${event.loss.toFixed(4)}${accuracy(event.accuracy)}${state.learned}`
      )
    case "Learned": {
      const learned = learnedWords(event.metrics)
      if (event.phase !== "searching") return { ...none, state: { ...state, learned } }
      const here = (time - state.since) / Math.max(1, event.step)
      const rest = `step ${event.step}/${event.steps}  loss ${event.metrics["loss"]?.toFixed(4) ?? ""}${learned}`
      const left = `  ${duration(((event.steps - event.step) * here) / 1000)} left`
      if (event.probabilities !== null) {
        const over = event.step >= event.steps ? { since: time } : {}
        return { state: { ...state, lineAt: time, ...over }, lines: [`Learning   ${rest}`], bar: undefined }
      }
      if (columns !== undefined) {
        return { ...none, bar: drawBar("Learning", event.step / Math.max(1, event.steps), `${rest}${left}`, columns) }
      }
      return time - state.lineAt >= lineEvery * 1000 ? line(`Learning   ${rest}${left}`) : none
    }
    case "LearningReviewed":
      return line(`Learning   ${reviewWords(event.metrics)}`)
    case "OptionsChanged": {
      const changes = event.changes.map(({ is, key, was }) => `Changed    ${key}: ${was} before, now ${is}`)
      return { ...none, lines: changes }
    }
    case "CriterionWarning":
      return line(`${titles[event.phase].padEnd(10)} epoch ${event.epoch}, step ${event.step}: ${event.warning}`)
    case "CandidateScored": {
      const done = event.evaluation + 1
      const here = done - state.doneBefore
      const left =
        event.total === null || here < 1
          ? ""
          : `  ${duration((((time - state.since) / here) * (event.total - done)) / 1000)} left`
      const count = event.total === null ? `${done} candidates` : `${done}/${event.total} candidates`
      const rest = `${count}${state.best === "" ? "" : `  best ${state.best}`}${left}`
      if (columns === undefined) return time - state.lineAt >= lineEvery * 1000 ? line(`Search     ${rest}`) : none
      return event.total === null
        ? { ...none, bar: `${titles.searching.padEnd(10)} ${rest}`.slice(0, columns - 1) }
        : { ...none, bar: drawBar(titles.searching, done / event.total, rest, columns) }
    }
    case "GenerationDone": {
      if (event.best === null) return none
      const { metrics: recorded, objective } = event.best
      const named = Object.values(recorded).includes(objective)
      const best = metrics(named ? recorded : { objective, ...recorded })
      return {
        state: { ...state, lineAt: time, best: event.best.objective.toFixed(4) },
        lines: [`Search     generation ${event.generation + 1}  best ${event.best.architecture}  ${best}`],
        bar: undefined
      }
    }
    case "Evaluated":
      return line(`Evaluation ${metrics(event.metrics)}`)
    case "PhaseEnded":
      return line(`${titles[event.phase].padEnd(10)} ${endWords(event)}`)
    // The command itself reports how the run ended.
    case "RunPaused":
    case "RunFailed":
    case "RunDone":
    case "CheckpointSaved":
      return none
  }
}

/** The text for a terminal: clears the bar, writes the lines, draws the bar again. */
export const ansi = (drawn: Drawn, bar: string): string => {
  const lines = drawn.lines.map((line) => `${line}\n`).join("")
  return `\r\u001b[2K${lines}${bar}`
}

/** An event as one line of JSON. */
export const json = ({ event, time }: { readonly event: RunEvent; readonly time: number }): string =>
  JSON.stringify({ time, ...event })
