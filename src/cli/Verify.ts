/** `osnas verify`: does a finished run, or a part of it, again and compares it bit for bit. */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { phaseNouns } from "../component/Phase.ts"
import * as Load from "../run/Load.ts"
import * as RunVerification from "../run/RunVerification.ts"
import { Disk } from "../support/Disk.ts"
import type { Input } from "./commands/Verify.ts"
import { RunFailed, UsageError } from "./Exit.ts"
import { drawnEvents, ofFolder } from "./Run.ts"

/** A run that was done again, or a part of it, differs from what its folder holds. */
export class NotReproduced extends Schema.TaggedError<NotReproduced>()("NotReproduced", {
  folder: Schema.String,
  differences: Schema.Array(RunVerification.Difference)
}) {
  override get message(): string {
    const [first] = this.differences
    if (first === undefined) return `${this.folder}: not reproduced`
    const rest = this.differences.length - 1
    return `${this.folder} does not come again. First difference: ${first.file}, ${first.place}
  recorded ${first.recorded}
  again    ${first.again}${rest === 0 ? "" : `\n${rest} more after it`}`
  }
}

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "osnas-verify-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** The outcome in words or as JSON; a difference is a failure. */
const tell = (
  input: Input,
  outcome: RunVerification.Verification | RunVerification.PartVerification,
  equal: string
): Effect.Effect<void, NotReproduced> =>
  Effect.gen(function* () {
    const { differences } = outcome
    if (input.json) {
      yield* Console.log(JSON.stringify({ _tag: "Verification", equal: differences.length === 0, ...outcome }))
    } else if (differences.length === 0) yield* Console.log(equal)
    if (differences.length > 0) return yield* new NotReproduced({ folder: input.dir, differences })
  })

const whole = Effect.fnUntraced(function* (input: Input) {
  const { layers, loaded } = yield* ofFolder(input.dir, input.threads)
  const verification = yield* Effect.gen(function* () {
    const again = join(yield* temporaryFolder, "again")
    return yield* Effect.provide(
      RunVerification.verify({
        config: loaded.config,
        kinds: loaded.kinds,
        modules: Load.moduleDigests(loaded),
        folder: input.dir,
        again
      }),
      layers
    )
  }).pipe(Effect.scoped)
  const digests = Object.entries(verification.digests)
  const width = Math.max(...digests.map(([file]) => file.length))
  const lines = digests.map(([file, digest]) => `  ${file.padEnd(width)}  ${digest}`)
  yield* tell(
    input,
    verification,
    [`${input.dir} comes again, bit for bit, through ${phaseNouns[verification.until]}`, ...lines].join("\n")
  )
})

const part = Effect.fnUntraced(function* (input: Input, checkpoint: string) {
  // As the folder names it, or as the shell completes it.
  const from = [resolve(input.dir, checkpoint), resolve(checkpoint)].find((file) => existsSync(file))
  if (from === undefined) {
    return yield* new UsageError({
      reason: `--from ${checkpoint}: there is no such file, neither in ${input.dir} nor here`
    })
  }
  const { layers, loaded } = yield* ofFolder(input.dir, input.threads)
  const verification = yield* RunVerification.verifyFrom({
    config: loaded.config,
    kinds: loaded.kinds,
    modules: Load.moduleDigests(loaded),
    folder: input.dir,
    from,
    steps: Option.getOrUndefined(input.steps)
  }).pipe(Effect.provide(layers))
  const { compared, phase, to } = verification
  const steps = `steps ${verification.from} to ${to} of ${phaseNouns[phase]}`
  if (compared.length === 0) {
    return yield* new RunFailed({
      reason: `${steps}: nothing to compare with; weights are recorded at the end of every epoch, so do more steps`
    })
  }
  yield* tell(
    input,
    verification,
    `${input.dir}: ${steps} come again, bit for bit (compared after step ${compared.join(", ")})`
  )
})

/** Runs the command. */
export const run = Effect.fn("Verify.run")(function* (input: Input) {
  if (Option.isSome(input.steps) && Option.isNone(input.from)) {
    return yield* new UsageError({ reason: "--steps goes with --from: it counts training steps from a checkpoint" })
  }
  const program = Option.isSome(input.from) ? part(input, input.from.value) : whole(input)
  yield* Effect.provide(program, Layer.merge(drawnEvents(input.json), Disk.layer))
})
