/** Exit codes of the command, and which failure ends in which. */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as ThrownIn from "../component/ThrownIn.ts"

/** Everything went well. */
export const ok = 0
/** Something failed while at work. */
export const failed = 1
/** The command line or the configuration is not right; nothing was started, no file made. */
export const usage = 2
/** The run was paused, everything is saved, and `osnas resume` goes on; or another command was ended by Ctrl-C. */
export const interrupted = 130
/** Ended at once by a signal: 128 and its number. What a run has saved before is good. */
export const bySignal = { SIGHUP: 129, SIGINT: interrupted, SIGTERM: 143 } as const

/** What the exit codes mean, for the help. */
export const help =
  "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 paused (osnas resume goes on) or interrupted, 129 and 143 ended at once by SIGHUP and SIGTERM."

/** The stack of an unexpected error is shown where this variable of the environment is set. */
export const debugVariable = "OSNAS_DEBUG"

/** What is said where the command can never end, though nothing is left to do. */
export const stuck =
  "the command cannot go on: something waits for what never comes; does a module of your own await a promise that never settles?"

/** A reader that has seen enough, as `head` has, ends the process well: for a script that only prints, once. */
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

/** What was given cannot be used: found before anything was written or computed. */
export class BadInput extends Schema.TaggedError<BadInput>()("BadInput", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** A page or table could not be written; what was to be printed has been printed. */
export class NotWritten extends Schema.TaggedError<NotWritten>()("NotWritten", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file} could not be written: ${this.reason}`
  }
}

/** Errors that say, whenever they occur, that what was given is wrong. */
const usageTags: ReadonlySet<string> = new Set([
  "UsageError",
  "BadInput",
  "ConfigError",
  "ComponentLoadError",
  "LookupTableError",
  "GenotypeError",
  "SearchSpaceError",
  "TorchStateError",
  "BudgetInfeasible",
  "PreflightError",
  "TorchNamesError",
  "CompatibilityError",
  "TableError",
  "EngineError",
  "RunFolderError",
  "RunMismatch"
])

/** Errors that say so where a run has not begun yet; later they are failures. */
const startTags: ReadonlySet<string> = new Set(["DatasetError", "EstimationError"])

/** What the operating system says of a place where no folder can be, whoever asks: `--dir` is to blame. */
const placeCodes: ReadonlySet<string> = new Set(["ENOTDIR", "EEXIST", "EACCES", "EPERM", "EROFS", "ENAMETOOLONG"])

/**
 * An error at the start of a run: one that its input is to blame for is a {@link BadInput}. So is a file of weights that
 * a new run is given; in the folder of a run that is resumed it is damage.
 */
export const atStart = <E>(error: E, how: "new" | "resumed"): E | BadInput => {
  const tag = Predicate.hasProperty(error, "_tag") ? String(error._tag) : ""
  const isStart = tag === "RunFailure" && Predicate.hasProperty(error, "tag") && error.tag === "StartError"
  const isPlace = tag === "DiskError" && Predicate.hasProperty(error, "code") && placeCodes.has(String(error.code))
  const isInput = isStart || isPlace || startTags.has(tag) || (tag === "CheckpointError" && how === "new")
  return isInput && error instanceof Error ? new BadInput({ reason: error.message }) : error
}

/** An error that no command expects, in one line; the stack on request. */
const unexpected = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  if (process.env[debugVariable]) return error instanceof Error ? (error.stack ?? message) : message
  const [first = "", ...rest] = message.trim().split("\n")
  const place = ThrownIn.module(error)
  const shown = `${debugVariable}=1 shows ${place === undefined ? "where" : "the stack"}`
  return `unexpected error: ${first}${rest.length > 0 ? " ..." : ""} (${place === undefined ? "" : `thrown in ${place}; `}${shown})`
}

/** Exit code and message (if one is still to be shown) of a failed command. */
export const of = (cause: Cause.Cause<unknown>): { readonly code: number; readonly message: string | undefined } => {
  if (Cause.hasInterruptsOnly(cause)) return { code: interrupted, message: "interrupted" }
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) {
    // The command has shown its help and the errors already.
    return { code: error._tag === "ShowHelp" && error.errors.length === 0 ? ok : usage, message: undefined }
  }
  const tag = Predicate.hasProperty(error, "_tag") ? String(error._tag) : ""
  if (tag === "") return { code: failed, message: unexpected(error) }
  const message = error instanceof Error ? error.message : String(error)
  if (tag === "RunPaused") return { code: interrupted, message }
  return { code: usageTags.has(tag) ? usage : failed, message }
}
