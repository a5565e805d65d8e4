/**
 * Runs an example in this process, smaller than with `--quick`: once uninterrupted, and once stopped at a random event of one
 * phase, moved and resumed.
 */
import { mkdirSync, renameSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Phase } from "../../../machines/RunState.ts"
import * as Key from "../../random/Key.ts"
import * as Load from "../../run/Load.ts"
import { RunEvents } from "../../run/RunEvents.ts"
import { Disk } from "../../support/Disk.ts"
import * as Quick from "../Quick.ts"
import * as Run from "../Run.ts"
import { Signals } from "../Signals.ts"
import * as StandIn from "../StandIn.ts"

/** The folder of the examples. */
export const folder = resolve(import.meta.dirname, "../../../examples")

const flag = "a test"

/** Overrides that make a run even smaller than `--quick`; options that a component does not have are left out. */
const smaller = ({ components, config }: Load.LoadedRun): NonNullable<Load.Overrides["flags"]> => {
  const { options } = components.dataflow
  const side = typeof options["size"] === "number" ? options["size"] : 32
  const perIdentity = typeof options["perIdentity"] === "number" ? options["perIdentity"] : 0
  // The few images for scoring must include pairs of one person.
  const isFaces = config.trainingAgent.name === "face-recognition"
  const faces = components.trainingAgent.options["objective"] === "auc" ? 100 : 60
  const batchSize = isFaces ? Math.max(16, 2 * perIdentity) : 8
  const wanted = {
    dataflow: {
      size: Math.min(side, 28),
      trainLimit: isFaces ? faces : 24,
      testLimit: 16,
      verificationPairs: 20,
      prefetch: 0
    },
    searchStrategy: { evaluations: 3, generation: 2, samples: 2, batchSize, sweep: 3 },
    estimator: { recalibrationBatchSize: batchSize, batchSize: isFaces ? 64 : 8 }
  } as const
  const sections = (["dataflow", "searchStrategy", "estimator"] as const).flatMap((kind) =>
    Object.entries(wanted[kind]).flatMap(([key, value]) => {
      const now = components[kind].options[key]
      return now === undefined || now === 0 || now === null ? [] : [[[kind, key], value, flag] as const]
    })
  )
  return [
    ...sections,
    // The budget of the example is for its published image size.
    [["budget"], { ...config.budget, min: 0, max: 1e12 }, flag],
    [["supernetTraining", "batchSize"], batchSize, flag],
    [["retraining", "batchSize"], batchSize, flag],
    [["engine", "threads"], 1, flag]
  ]
}

/** Loads an example with shipped images instead of its data, or with the dataflow section `data`. */
export const load = Effect.fnUntraced(function* (file: string, data?: Readonly<Record<string, unknown>>) {
  const path = join(folder, file)
  const asWritten = yield* Load.file(path)
  const absent =
    asWritten.config.dataflow.name === "fashion-mnist"
      ? []
      : data === undefined
        ? StandIn.assignments(asWritten)
        : Object.entries(data).map(([key, value]) => [["dataflow", key], value, flag] as const)
  const withData = yield* Load.file(path, { flags: absent })
  const quick = [...absent, ...Quick.assignments(withData)]
  const quickly = yield* Load.file(path, { flags: quick })
  return yield* Load.file(path, { flags: [...quick, ...smaller(quickly)] })
})

/** When and how to stop a run. */
export interface Stop {
  readonly phase: Phase
  /** Number of events of the phase after which to stop; the run stops at the end of the phase at the latest. */
  readonly event: number
  readonly how: "pause" | "interrupt"
}

type Program = Effect.Effect<unknown, unknown, Disk | RunEvents>

/** Runs a program, counts the events of every phase, and stops it as `stop` says. */
const life = Effect.fnUntraced(function* (program: Program, stop?: Stop) {
  const signals = Signals.make()
  const reached = yield* Deferred.make<void>()
  const events = new Map<Phase, number>()
  let phase: Phase | undefined
  const watched = Layer.effect(
    RunEvents,
    Effect.map(RunEvents, (inner) =>
      RunEvents.of({
        ...inner,
        publish: (event) =>
          Effect.tap(inner.publish(event), () => {
            if (event._tag === "PhaseStarted") phase = event.phase
            if (phase === undefined) return Effect.void
            const seen = events.get(phase) ?? 0
            const isNow = phase === stop?.phase && (seen === stop.event || event._tag === "PhaseEnded")
            events.set(phase, seen + 1)
            if (event._tag === "PhaseEnded") phase = undefined
            if (!isNow) return Effect.void
            if (stop.how === "pause") return Effect.sync(() => signals.pause("SIGINT"))
            return Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
          })
      })
    )
  ).pipe(Layer.provide(RunEvents.layer))
  const fiber = yield* program.pipe(
    Effect.provide(Layer.merge(watched, Disk.layer)),
    Effect.provideService(Signals, signals),
    Effect.forkChild
  )
  if (stop?.how === "interrupt") {
    yield* Effect.raceFirst(Deferred.await(reached), Effect.asVoid(Fiber.await(fiber)))
    yield* Fiber.interrupt(fiber)
  }
  const exit = yield* Fiber.await(fiber)
  return { exit, events }
})

/** The tag of a run's outcome, or its failure as text. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isFailure(exit)) return Exit.hasInterrupts(exit) ? "interrupted" : String(exit.cause)
  return String((exit.value as { readonly _tag?: unknown })._tag)
}

/** The results of an example's runs. */
export interface Trial {
  readonly stop: Stop
  /** How the uninterrupted, the stopped and the resumed run ended. */
  readonly outcomes: ReadonlyArray<string>
  /** Folders of the uninterrupted and of the resumed run. */
  readonly whole: string
  readonly taken: string
}

/**
 * Runs an example uninterrupted, and again with a stop at a random event of its `turn`-th phase; moves the folder before it
 * resumes.
 */
export const trial = Effect.fnUntraced(function* (loaded: Load.LoadedRun, home: string, turn: number) {
  const [whole, stopped, taken] = [join(home, "whole"), join(home, "stopped"), join(home, "moved", "deeper", "taken")]
  const begin = (folder: string) => Run.begin(loaded, { folder, tableFolder: loaded.folder, overwrite: false })
  const first = yield* life(begin(whole))
  const phases = [...first.events.keys()]
  const phase = phases[turn % phases.length] ?? "supernetTraining"
  const key = Key.derive(Key.make(1), "stopped examples", loaded.config.name, phase)
  // Evaluation is a single piece of work: a pause can only stop it at its beginning.
  const event = phase === "evaluating" ? 0 : Key.integer(key, Math.max((first.events.get(phase) ?? 0) - 1, 1))
  const stop: Stop = { phase, event, how: Key.integer(Key.derive(key, "how"), 2) === 0 ? "pause" : "interrupt" }
  const second = yield* life(begin(stopped), stop)
  mkdirSync(dirname(taken), { recursive: true })
  renameSync(stopped, taken)
  const third = yield* life(
    Run.resumeFolder({ dir: taken, set: [], maxMinutes: Option.none(), threads: Option.none() })
  )
  return { stop, outcomes: [first.exit, second.exit, third.exit].map(outcomeOf), whole, taken }
})
