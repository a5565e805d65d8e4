/** Exit codes of the command, and which error ends with which code. */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as ThrownIn from "../component/ThrownIn.ts"

/** Everything went well. */
export const ok = 0
/** Something failed while the command was working. */
export const failed = 1
/** The command line or the configuration is wrong; nothing was started and no file was written. */
export const usage = 2
/** The run was paused, saved, and can be resumed; or another command was interrupted by Ctrl-C. */
export const interrupted = 130
/** Ended at once by a signal: 128 plus its number. What a run has saved before remains valid. */
export const bySignal = { SIGHUP: 129, SIGINT: interrupted, SIGTERM: 143 } as const

/** The exit codes, for the help. */
export const help =
  "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 paused (continue with osnas resume) or interrupted, 129 and 143 ended at once by SIGHUP and SIGTERM."

/** Set this environment variable to see the stack of an unexpected error. */
export const debugVariable = "OSNAS_DEBUG"

/** The message when Node has nothing left to do but the command has not ended. */
export const stuck =
  "the command cannot continue: it waits for a promise that never settles; does a module of your own await one?"

/** Ends a script with exit code 0 when its reader leaves, as `head` does. Call it once, in a script that only prints. */
export const whenReaderLeaves = (): void => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(ok)
      throw error
    })
  }
}

/** A wrong command line, and what would be right. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** The run was paused on request: everything is saved. */
export class RunPaused extends Schema.TaggedError<RunPaused>()("RunPaused", { folder: Schema.String }) {
  override get message(): string {
    return `paused; resume with: osnas resume ${this.folder}`
  }
}

/** The run ended in a failure that it has already reported. */
export class RunFailed extends Schema.TaggedError<RunFailed>()("RunFailed", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** An input that cannot be used, found before anything was written or computed. */
export class BadInput extends Schema.TaggedError<BadInput>()("BadInput", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** A page or table could not be written; the printed output is complete. */
export class NotWritten extends Schema.TaggedError<NotWritten>()("NotWritten", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file} could not be written: ${this.reason}`
  }
}

/** Errors that always mean wrong usage or configuration. */
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

/** Errors that mean a wrong input before a run begins, and a failure afterwards. */
const startTags: ReadonlySet<string> = new Set(["DatasetError", "EstimationError"])

/** Codes of the operating system for a place where no folder can be created: `--dir` is wrong. */
const placeCodes: ReadonlySet<string> = new Set(["ENOTDIR", "EEXIST", "EACCES", "EPERM", "EROFS", "ENAMETOOLONG"])

/**
 * Turns an error at the start of a run into a {@link BadInput} if the input caused it. An unreadable file of weights is bad
 * input for a new run; in the folder of a resumed run it is damage.
 */
export const atStart = <E>(error: E, how: "new" | "resumed"): E | BadInput => {
  const tag = Predicate.hasProperty(error, "_tag") ? String(error._tag) : ""
  const isStart = tag === "RunFailure" && Predicate.hasProperty(error, "tag") && error.tag === "StartError"
  const isPlace = tag === "DiskError" && Predicate.hasProperty(error, "code") && placeCodes.has(String(error.code))
  const isInput = isStart || isPlace || startTags.has(tag) || (tag === "CheckpointError" && how === "new")
  return isInput && error instanceof Error ? new BadInput({ reason: error.message }) : error
}

/** An unexpected error in one line, or its stack if {@link debugVariable} is set. */
const unexpected = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  if (process.env[debugVariable]) return error instanceof Error ? (error.stack ?? message) : message
  const [first = "", ...rest] = message.trim().split("\n")
  const place = ThrownIn.module(error)
  const shown = `${debugVariable}=1 shows ${place === undefined ? "where" : "the stack"}`
  return `unexpected error: ${first}${rest.length > 0 ? " ..." : ""} (${place === undefined ? "" : `thrown in ${place}; `}${shown})`
}

/** Exit code of a failed command, and its message unless it was shown already. */
export const of = (cause: Cause.Cause<unknown>): { readonly code: number; readonly message: string | undefined } => {
  if (Cause.hasInterruptsOnly(cause)) return { code: interrupted, message: "interrupted" }
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) {
    // The library has printed the help and the errors already.
    return { code: error._tag === "ShowHelp" && error.errors.length === 0 ? ok : usage, message: undefined }
  }
  const tag = Predicate.hasProperty(error, "_tag") ? String(error._tag) : ""
  if (tag === "") return { code: failed, message: unexpected(error) }
  const message = error instanceof Error ? error.message : String(error)
  if (tag === "RunPaused") return { code: interrupted, message }
  return { code: usageTags.has(tag) ? usage : failed, message }
}
