/**
 * What the examination before a run finds: mistakes that would end the run later, and values that are allowed but probably not
 * intended. Components report findings of their own; `run/Preflight.ts` collects them all.
 */
import * as Schema from "effect/Schema"

/** One finding. */
export const Finding = Schema.Struct({
  /** `error`: the run would fail or mean nothing, so it is refused; `warning`: it runs. */
  severity: Schema.Literals(["error", "warning"]),
  /** The key of the configuration to change, `supernetTraining.batchSize`; empty if the finding is not about a key. */
  key: Schema.String,
  /** What is wrong, with the value found and what would be right. */
  message: Schema.String
})
/** One finding. */
export type Finding = typeof Finding.Type

/**
 * A finding with which the run is refused.
 *
 * **Example** (An error and a warning)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Finding from "./Finding.ts"
 *
 * const findings = [Finding.warning("", "class b has no test image"), Finding.error("retraining.batchSize", "got 64")]
 * findings.every(Schema.is(Finding.Finding)) // => true
 * Finding.text(findings[1] ?? findings[0]) // => "retraining.batchSize: got 64"
 * new Finding.PreflightError({ findings }).message // => "1 mistake found before the start\n  retraining.batchSize: got 64"
 * ```
 */
export const error = (key: string, message: string): Finding => ({ severity: "error", key, message })

/** A finding with which the run is allowed. */
export const warning = (key: string, message: string): Finding => ({ severity: "warning", key, message })

/** A finding as one line. */
export const text = ({ key, message }: Finding): string => (key === "" ? message : `${key}: ${message}`)

/** The run is refused because of the errors among these findings; nothing was written. */
export class PreflightError extends Schema.TaggedError<PreflightError>()("PreflightError", {
  findings: Schema.Array(Finding)
}) {
  override get message(): string {
    const errors = this.findings.filter(({ severity }) => severity === "error")
    const count = errors.length === 1 ? "1 mistake" : `${errors.length} mistakes`
    return [`${count} found before the start`, ...errors.map((finding) => `  ${text(finding)}`)].join("\n")
  }
}
