/**
 * Joins Effects to machines: an Effect as the logic of an invoked actor. A machine declares *typed holes*
 * ({@link hole}) and stays pure; the code that runs it fills them with {@link fromEffect} through `machine.provide`.
 *
 * The persisted snapshot of the actor contains only its input, and a restored actor starts its Effect again from that
 * input. So an Effect given to a machine must be safe to repeat.
 *
 * **Example** (An Effect fills a hole)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { createActor, setup, toPromise } from "xstate"
 * import * as fromEffect from "./fromEffect.ts"
 *
 * const machine = setup({
 *   types: { output: {} as number },
 *   actors: { double: fromEffect.hole<number, number>("double") }
 * }).createMachine({
 *   initial: "doubling",
 *   states: {
 *     doubling: { invoke: { src: "double", input: 21, onDone: { target: "over" } } },
 *     over: { type: "final", output: ({ event }) => event["output"] }
 *   },
 *   output: ({ event }) => event["output"]
 * })
 * const double = fromEffect.fromEffect(Effect, (input: number) => Effect.succeed(2 * input))
 * const actor = createActor(machine.provide({ actors: { double } })).start()
 * await toPromise(actor) // => 42
 * ```
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { ActorLogic, ActorSystem, EventObject, Snapshot } from "xstate"

/** The actor's state. */
export type EffectSnapshot<Output, Input> = Snapshot<Output> & {
  /** The input it was started with; undefined once it has ended. */
  readonly input: Input | undefined
}

/** Events of the actor: the end of its Effect, a request to pause, a request to stop. */
export type EffectEvent<Output> =
  | { readonly type: "effect.exit"; readonly exit: Exit.Exit<Output, unknown> }
  | { readonly type: "pause" }
  | { readonly type: "xstate.stop" }

// xstate's own declarations ask for `any` here.
// biome-ignore lint/suspicious/noExplicitAny: the type parameter of an actor system is invariant
type AnySystem = ActorSystem<any>

/** The logic of an actor that runs one Effect. */
export type EffectLogic<Output, Input> = ActorLogic<
  EffectSnapshot<Output, Input>,
  EffectEvent<Output>,
  Input,
  AnySystem,
  EventObject
>

/** What a running Effect can read from its actor. */
export interface Tools {
  /** Whether a pause is requested: end early, at the next safe point. */
  readonly pausing: () => boolean
}

/** Starts fibers. Use `yield* FiberSet.makeRuntime()` inside a scope, so that the scope owns them all. */
export interface Runtime<R> {
  readonly runFork: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>
}

const makeLogic = <Output, Input>(
  start: (input: Input, tools: Tools) => Fiber.Fiber<Output, unknown>
): EffectLogic<Output, Input> => {
  const fibers = new WeakMap<object, Fiber.Fiber<Output, unknown>>()
  const paused = new WeakSet<object>()
  return {
    getInitialSnapshot: (_, input) => ({ status: "active", output: undefined, error: undefined, input }),
    restoreSnapshot: (snapshot) => snapshot as EffectSnapshot<Output, Input>,
    getPersistedSnapshot: (snapshot) => snapshot,
    transition: (snapshot, event, { self }) => {
      if (snapshot.status !== "active") return snapshot
      switch (event.type) {
        case "effect.exit":
          return Exit.isSuccess(event.exit)
            ? { ...snapshot, status: "done", output: event.exit.value, error: undefined, input: undefined }
            : {
                ...snapshot,
                status: "error",
                output: undefined,
                error: Cause.squash(event.exit.cause),
                input: undefined
              }
        case "pause":
          paused.add(self)
          return snapshot
        case "xstate.stop":
          fibers.get(self)?.interruptUnsafe()
          return { ...snapshot, status: "stopped", output: undefined, error: undefined, input: undefined }
      }
    },
    start: (snapshot, { self }) => {
      if (snapshot.status !== "active") return
      const fiber = start(snapshot.input as Input, { pausing: () => paused.has(self) })
      fibers.set(self, fiber)
      fiber.addObserver((exit) => {
        // Ignore the exit of a stopped actor.
        if (self.getSnapshot().status === "active") self.send({ type: "effect.exit", exit })
      })
    }
  }
}

/**
 * An actor that runs an Effect. Stopping the actor, which leaving the invoking state does, interrupts the Effect.
 *
 * **Details**
 *
 * The Effect starts one turn of the event loop later, after the transition that invoked it is complete. A snapshot that
 * the Effect persists is therefore that of the invoking state.
 */
export const fromEffect = <Output, Input, R = never>(
  runtime: Runtime<R>,
  run: (input: Input, tools: Tools) => Effect.Effect<Output, unknown, R>
): EffectLogic<Output, Input> =>
  makeLogic<Output, Input>((input, tools) =>
    runtime.runFork(
      Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => run(input, tools))
      )
    )
  )

/**
 * A typed hole: an actor that a machine invokes and that its host must provide. Unfilled, it fails the machine.
 */
export const hole = <Output, Input>(name: string): EffectLogic<Output, Input> =>
  fromEffect<Output, Input>(Effect, () => Effect.die(new Error(`the machine's actor ${name} was not provided`)))
