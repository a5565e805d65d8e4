/**
 * Laws of a state machine that drives a run. Apply them in one line of vitest:
 * `it("is lawful", () => MachineLaws.check(machine, { input, events }))`. The machine is stepped, never run: its actors do
 * not start, and their ends are among the events given.
 */
import {
  type AnyStateMachine,
  createActor,
  type EventObject,
  initialTransition,
  type Snapshot,
  transition
} from "xstate"

/** Inputs and settings of the check. */
export interface Options {
  readonly input: unknown
  /** Events to try in every state; make those of actors by `done` and `failed`. */
  readonly events: ReadonlyArray<EventObject>
  /** Equal for snapshots that count as the same; default: the state's value and the whole context. */
  readonly key?: ((snapshot: { readonly value: unknown; readonly context: unknown }) => string) | undefined
  /** Most states to visit; default 2000. */
  readonly limit?: number | undefined
}

/** The event of an actor's success. */
export const done = (actor: string, output?: unknown): EventObject =>
  ({ type: `xstate.done.actor.${actor}`, actorId: actor, output }) as EventObject

/** The event of an actor's failure. */
export const failed = (actor: string, error: unknown): EventObject =>
  ({ type: `xstate.error.actor.${actor}`, actorId: actor, error }) as EventObject

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`machine law broken: ${name}: ${about}`)
}

interface Visited {
  readonly path: string
  readonly over: boolean
  readonly next: Set<string>
}

interface Stepped {
  readonly value: unknown
  readonly context: unknown
  readonly status: string
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Whether two values are the same data; keys whose value is undefined count as missing, as in JSON. */
const same = (a: unknown, b: unknown): boolean => {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b)
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => same(item, b[at]))
  }
  if (!isPlain(a) || !isPlain(b)) return false
  const [x, y] = [a, b] as ReadonlyArray<Readonly<Record<string, unknown>>>
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => same(x?.[key], y?.[key]))
}

/** A snapshot is the same after it was persisted, written as JSON and read. */
const checkRestores = (machine: AnyStateMachine, snapshot: Stepped, path: string): void => {
  const persisted: unknown = machine.getPersistedSnapshot(snapshot as never)
  const read = JSON.parse(JSON.stringify(persisted)) as Snapshot<unknown>
  const restored = createActor(machine, { snapshot: read, input: undefined }).getSnapshot() as unknown as Stepped
  law(
    same([restored.value, restored.context, restored.status], [snapshot.value, snapshot.context, snapshot.status]),
    "a snapshot survives JSON",
    `${JSON.stringify(snapshot.value)} after ${path}`
  )
}

/**
 * Checks all laws; throws with the first broken one. Laws: every reachable snapshot is the same after it was written and read;
 * every state can reach an end. Returns the values of the states that it visited.
 *
 * **Example** (A machine of two states)
 *
 * ```ts
 * import { setup } from "xstate"
 * import * as MachineLaws from "./MachineLaws.ts"
 *
 * const machine = setup({}).createMachine({
 *   initial: "working",
 *   states: {
 *     working: { on: { "xstate.done.actor.work": { target: "over" }, "xstate.error.actor.work": { target: "over" } } },
 *     over: { type: "final" }
 *   }
 * })
 * const events = [MachineLaws.done("work"), MachineLaws.failed("work", new Error("no"))]
 * MachineLaws.check(machine, { input: {}, events }) // => ["over", "working"]
 * ```
 */
export const check = (machine: AnyStateMachine, options: Options): ReadonlyArray<string> => {
  const key =
    options.key ??
    (({ context, value }: { readonly value: unknown; readonly context: unknown }) => JSON.stringify([value, context]))
  const limit = options.limit ?? 2000
  const visited = new Map<string, Visited>()
  const values = new Set<string>()
  const queue: Array<readonly [snapshot: Stepped, path: string]> = []
  const visit = (snapshot: Stepped, path: string): string => {
    const name = key(snapshot)
    if (!visited.has(name)) {
      visited.set(name, { path, over: snapshot.status !== "active", next: new Set() })
      values.add(typeof snapshot.value === "string" ? snapshot.value : JSON.stringify(snapshot.value))
      checkRestores(machine, snapshot, path)
      queue.push([snapshot, path])
    }
    return name
  }
  visit(initialTransition(machine, options.input as never)[0] as unknown as Stepped, "the beginning")
  for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
    const [snapshot, path] = entry
    if (snapshot.status !== "active") continue
    if (visited.size > limit) throw new RangeError(`more than ${limit} states: give a key that distinguishes fewer`)
    for (const event of options.events) {
      const next = transition(machine, snapshot as never, event as never)[0] as unknown as Stepped
      visited.get(key(snapshot))?.next.add(visit(next, `${path}, ${event.type}`))
    }
  }
  // From the ends backwards: a state that is not reached has no way to an end.
  const leaving = new Set([...visited].flatMap(([name, { over }]) => (over ? [name] : [])))
  for (let grown = true; grown; ) {
    grown = false
    for (const [name, { next }] of visited) {
      if (!leaving.has(name) && [...next].some((other) => leaving.has(other))) {
        leaving.add(name)
        grown = true
      }
    }
  }
  for (const [name, { path }] of visited) law(leaving.has(name), "every state has a way out", `${name} after ${path}`)
  return [...values].sort()
}
