/**
 * The tensor engine. The tensor API is tfjs-core's everywhere; an Engine Layer chooses the backend that runs it,
 * makes it current while the Layer's scope is open, and frees its threads and memory when the scope closes.
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"

/**
 * `simd`: the embedded default; `cpu`: tfjs's reference in plain JavaScript; the others are optional packages.
 *
 * **Example** (The engines that ship)
 *
 * ```ts
 * import * as Engine from "./Engine.ts"
 *
 * Engine.EngineName.literals // => ["simd", "cpu", "tensorflow", "tensorflow-gpu"]
 * Engine.EngineMode.literals // => ["strict", "relaxed"]
 * ```
 */
export const EngineName = Schema.Literals(["simd", "cpu", "tensorflow", "tensorflow-gpu"])
/** The name of an engine. */
export type EngineName = typeof EngineName.Type

/** `strict`: the same bits on every machine; `relaxed`: faster, reproducible on one machine only. */
export const EngineMode = Schema.Literals(["strict", "relaxed"])
/** Arithmetic of an engine. */
export type EngineMode = typeof EngineMode.Type

/** An engine that cannot be used here, and why. */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  engine: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `engine ${this.engine}: ${this.reason}`
  }
}

/** The contract. */
export interface EngineShape {
  /** One of the shipped ones, or the name of an engine of the user's own. */
  readonly name: EngineName | (string & {})
  /** Version of the package behind it. */
  readonly version: string
  readonly mode: EngineMode
  readonly threads: number
  /** Whether the same program gives the same bits on every machine and for any number of threads. */
  readonly portable: boolean
  /** Bytes held by tensors now, and at most so far. */
  readonly memory: () => { readonly bytes: number; readonly peakBytes: number }
}

/**
 * The engine of a run.
 *
 * **Example** (What a run is computed by)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Engine from "./Engine.ts"
 *
 * const engine = Engine.Engine.of({
 *   name: "mine",
 *   version: "1.0.0",
 *   mode: "strict",
 *   threads: 1,
 *   portable: true,
 *   memory: () => ({ bytes: 0, peakBytes: 0 })
 * })
 * const told = Effect.map(Engine.Engine, ({ name, threads }) => `${name}, ${threads} thread`)
 * Effect.runSync(Effect.provideService(told, Engine.Engine, engine)) // => "mine, 1 thread"
 * new Engine.EngineError({ engine: "mine", reason: "is missing" }).engine // => "mine"
 * ```
 */
export class Engine extends Context.Service<Engine, EngineShape>()("osnas/engine/Engine") {}
