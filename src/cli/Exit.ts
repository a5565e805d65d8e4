/** Exit codes of the command, and which failure ends in which. */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/** Everything went well. */
export const ok = 0
/** Something failed while at work. */
export const failed = 1
/** The command line or the configuration is not right; nothing was started, no file made. */
export const usage = 2
/** The run was paused or stopped (Ctrl-C); `osnas resume` goes on. */
export const interrupted = 130

/** What the exit codes mean, for the help. */
export const help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 paused or interrupted."

/** A reader that has seen enough, as `head` has, ends the process well: for the edge of a command, once. */
export const whenReaderLeaves = (): void => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(ok)
      throw error
    })
  }
}

/** A command line that cannot be obeyed, and what would be right. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** The run was paused on request: everything is saved. */
export class RunPaused extends Schema.TaggedError<RunPaused>()("RunPaused", { folder: Schema.String }) {
  override get message(): string {
    return `paused; go on with: osnas resume ${this.folder}`
  }
}

/** The run ended in a failure that it has already reported. */
export class RunFailed extends Schema.TaggedError<RunFailed>()("RunFailed", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

const usageTags: ReadonlySet<string> = new Set([
  "UsageError",
  "ConfigError",
  "ComponentLoadError",
  "LookupTableError",
  "GenotypeError",
  "SearchSpaceError",
  "TorchStateError",
  "BudgetInfeasible",
  "PreflightError"
])

/** Exit code and message (if one is still to be shown) of a failed command. */
export const of = (cause: Cause.Cause<unknown>): { readonly code: number; readonly message: string | undefined } => {
  if (Cause.hasInterruptsOnly(cause)) return { code: interrupted, message: "interrupted" }
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) {
    // The command has shown its help and the errors already.
    return { code: error._tag === "ShowHelp" && error.errors.length === 0 ? ok : usage, message: undefined }
  }
  const tag = Predicate.hasProperty(error, "_tag") ? String(error._tag) : ""
  const message = error instanceof Error ? error.message : String(error)
  if (tag === "RunPaused") return { code: interrupted, message }
  if (tag === "") return { code: failed, message: error instanceof Error ? (error.stack ?? message) : message }
  return { code: usageTags.has(tag) ? usage : failed, message }
}
