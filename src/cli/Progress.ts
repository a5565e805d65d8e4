/**
 * What a run's events look like on a terminal: a bar with the remaining time where lines can be redrawn, else one line a
 * step worth telling. A pure fold over events; whoever draws keeps the state.
 */
import type { Phase } from "../../machines/RunState.ts"
import { phaseTitles } from "../component/Phase.ts"
import { duration, metric, reviewWords, si } from "../report/Format.ts"
import type { RunEvent, Stamped } from "../run/RunEvents.ts"

/** What is remembered between two events. */
export interface State {
  readonly phase: Phase | undefined
  /** When the phase began, in milliseconds. */
  readonly since: number
  /** Candidates scored when the phase began: the remaining time follows from those after. */
  readonly doneBefore: number
  /** When the last line was written. */
  readonly told: number
  readonly best: string
  /** What a search strategy that learns by gradient told last. */
  readonly learned: string
}

/** Before the first event. */
export const initial: State = { phase: undefined, since: 0, doneBefore: 0, told: 0, best: "", learned: "" }

/** What to draw: lines that stay, and the bar that is redrawn (undefined: none, or as it was). */
export interface Drawn {
  readonly state: State
  readonly lines: ReadonlyArray<string>
  readonly bar: string | undefined
}

/** Seconds between two lines where there is no terminal and an epoch takes long. */
const lineEvery = 10

/** Titles of at most ten columns. */
const titles: Readonly<Record<Phase, string>> = { ...phaseTitles, supernetTraining: "Supernet" }

/**
 * A bar of eighths.
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

/** What of a search strategy's learning fits into a line. */
const learnedWords = ({ cost, entropy, target, temperature }: Readonly<Record<string, number>>): string =>
  [
    cost === undefined ? "" : `  expected cost ${si(cost)}${target === undefined ? "" : ` of ${si(target)}`}`,
    entropy === undefined ? "" : `  entropy ${entropy.toFixed(3)}`,
    temperature === undefined ? "" : `  temperature ${temperature.toPrecision(3)}`
  ].join("")

/** How a phase ended: over, or where it stopped. */
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

/** Folds an event in. `columns`: width of the terminal; undefined: there is none. */
export const fold = (state: State, { event, time }: Stamped, columns: number | undefined): Drawn => {
  const none: Drawn = { state, lines: [], bar: undefined }
  const line = (...lines: ReadonlyArray<string>): Drawn => ({ state: { ...state, told: time }, lines, bar: undefined })
  switch (event._tag) {
    case "RunStarted":
      return line(
        `${event.name}: ${event.space} (${event.size} architectures) on ${event.dataset}, engine ${event.engine}, seed ${event.seed}${event.resumed ? ", resumed" : ""}`
      )
    case "PhaseStarted":
      return {
        state: { ...state, phase: event.phase, since: time, told: time, doneBefore: event.done, learned: "" },
        lines: columns === undefined ? [`${titles[event.phase]} begins`] : [],
        bar: undefined
      }
    case "StepDone": {
      const rest = `epoch ${event.epoch.toFixed(1)}  loss ${event.loss.toFixed(4)}${accuracy(event.accuracy)}  ${Math.round(event.imagesPerSecond)} images/s${state.learned}  ${duration(event.remainingSeconds)} left`
      if (columns !== undefined) {
        return { ...none, bar: drawBar(titles[event.phase], event.step / Math.max(1, event.steps), rest, columns) }
      }
      return time - state.told >= lineEvery * 1000
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
        return { state: { ...state, told: time, ...over }, lines: [`Learning   ${rest}`], bar: undefined }
      }
      if (columns !== undefined) {
        return { ...none, bar: drawBar("Learning", event.step / Math.max(1, event.steps), `${rest}${left}`, columns) }
      }
      return time - state.told >= lineEvery * 1000 ? line(`Learning   ${rest}${left}`) : none
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
      if (columns === undefined) return time - state.told >= lineEvery * 1000 ? line(`Search     ${rest}`) : none
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
        state: { ...state, told: time, best: event.best.objective.toFixed(4) },
        lines: [`Search     generation ${event.generation + 1}  best ${event.best.architecture}  ${best}`],
        bar: undefined
      }
    }
    case "Evaluated":
      return line(`Evaluation ${metrics(event.metrics)}`)
    case "PhaseEnded":
      return line(`${titles[event.phase].padEnd(10)} ${endWords(event)}`)
    // How a run ended, the command says itself.
    case "RunPaused":
    case "RunFailed":
    case "RunDone":
    case "CheckpointSaved":
      return none
  }
}

/** Draws on a terminal: takes the bar away, writes the lines, puts the bar back. */
export const ansi = (drawn: Drawn, bar: string): string => {
  const lines = drawn.lines.map((line) => `${line}\n`).join("")
  return `\r\u001b[2K${lines}${bar}`
}

/** An event as one line of JSON. */
export const json = ({ event, time }: { readonly event: RunEvent; readonly time: number }): string =>
  JSON.stringify({ time, ...event })
