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

/** An engine cannot be used here. */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  engine: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `engine ${this.engine}: ${this.reason}`
  }
}

/** An engine that is running. */
export interface EngineShape {
  /** The name of a shipped engine or of a user's own. */
  readonly name: EngineName | (string & {})
  /** Version of its package. */
  readonly version: string
  readonly mode: EngineMode
  readonly threads: number
  /** Whether the same program gives the same bits on every machine and for any number of threads. */
  readonly portable: boolean
  /** Bytes of all tensors, now and at the peak. */
  readonly memory: () => { readonly bytes: number; readonly peakBytes: number }
}

/**
 * The engine of a run.
 *
 * **Example** (The engine in the context)
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
