/** `osnas verify`: repeats a finished run, or a part of it, and compares it bit for bit. */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { phaseNouns } from "../component/Phase.ts"
import * as TextTable from "../report/TextTable.ts"
import * as Load from "../run/Load.ts"
import * as RunVerification from "../run/RunVerification.ts"
import { Disk } from "../support/Disk.ts"
import type { Input } from "./commands/Verify.ts"
import * as DrawnEvents from "./DrawnEvents.ts"
import { RunFailed, UsageError } from "./Exit.ts"
import { ofFolder } from "./Run.ts"

/** The repeated run, or part of it, differs from the recorded one. */
export class NotReproduced extends Schema.TaggedError<NotReproduced>()("NotReproduced", {
  folder: Schema.String,
  differences: Schema.Array(RunVerification.Difference)
}) {
  override get message(): string {
    const [first] = this.differences
    if (first === undefined) return `${this.folder}: not reproduced`
    const rest = this.differences.length - 1
    return `${this.folder} was not reproduced. First difference: ${first.file}, ${first.place}
  recorded ${first.recorded}
  repeated ${first.again}${rest === 0 ? "" : `\n${rest} more differences`}`
  }
}

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "osnas-verify-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Prints the outcome as text or JSON; fails on a difference. */
const report = Effect.fnUntraced(function* (
  input: Input,
  outcome: RunVerification.Verification | RunVerification.PartVerification,
  equal: string
) {
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
  const digests = TextTable.format(Object.entries(verification.digests), { align: ["left", "left"], indent: 2 })
  yield* report(
    input,
    verification,
    `${input.dir}: reproduced, bit for bit, through ${phaseNouns[verification.until]}\n${digests}`
  )
})

const part = Effect.fnUntraced(function* (input: Input, checkpoint: string) {
  // Relative to the run folder, or to the working directory, as the shell completes it.
  const from = [resolve(input.dir, checkpoint), resolve(checkpoint)].find((file) => existsSync(file))
  if (from === undefined) {
    return yield* new UsageError({
      reason: `--from ${checkpoint}: there is no such file, neither in ${input.dir} nor in the working directory`
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
      reason: `${steps}: nothing to compare with; weights are recorded at the end of every epoch, so use more --steps`
    })
  }
  yield* report(
    input,
    verification,
    `${input.dir}: ${steps} reproduced, bit for bit (compared after step ${compared.join(", ")})`
  )
})

/** Runs the command. */
export const run = Effect.fn("Verify.run")(function* (input: Input) {
  if (Option.isSome(input.steps) && Option.isNone(input.from)) {
    return yield* new UsageError({ reason: "--steps needs --from: it counts training steps from a checkpoint" })
  }
  const program = Option.isSome(input.from) ? part(input, input.from.value) : whole(input)
  yield* Effect.provide(program, Layer.merge(DrawnEvents.layer(input.json), Disk.layer))
})
