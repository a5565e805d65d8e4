/**
 * Lets every disk operation of a run go wrong once, in turn: it fails, is cut short, or is the last one before the power fails
 * (with and without writes that had not reached the medium). After each fault, the run resumes on a good disk and must end with
 * the same bytes. Prints a JSON object; exits 0 if all runs did.
 */
import { parseArgs } from "node:util"
import * as Effect from "effect/Effect"
import * as MemoryDisk from "../../src/run/testing/MemoryDisk.ts"
import * as Trials from "../../src/run/testing/Trials.ts"

const { values } = parseArgs({
  options: { every: { type: "string", default: "1" }, from: { type: "string", default: "0" } }
})
const config = Trials.shortConfig

const kinds = [
  { fault: "error", keep: true },
  { fault: "short", keep: true },
  { fault: "crash", keep: true },
  { fault: "crash", keep: false }
] as const

const program = Effect.gen(function* () {
  const untouched = MemoryDisk.make()
  const counter = MemoryDisk.faulty(untouched.disk, -1, "error")
  yield* Trials.begin(counter.disk, config)
  const expected = JSON.stringify(Trials.outcome(untouched))
  const operations = counter.operations()
  const wrong: Array<string> = []
  let trials = 0
  for (let at = Number.parseInt(values.from, 10); at < operations; at += Number.parseInt(values.every, 10)) {
    for (const { fault, keep } of kinds) {
      const memory = MemoryDisk.make()
      const faulty = MemoryDisk.faulty(memory.disk, at, fault)
      yield* Effect.exit(Trials.begin(faulty.disk, config))
      if (fault === "crash") memory.powerCut(keep)
      // Another process resumes the run: this one is gone, with any lock that it could not remove.
      yield* Trials.buryOwner(memory)
      const exit = yield* Effect.exit(Trials.resumeOrBegin(memory.disk, config))
      const leftovers = [...memory.files().keys()].filter((file) => /\.part|run\.lock/.test(file))
      trials += 1
      const good = Trials.isDone(exit) && JSON.stringify(Trials.outcome(memory)) === expected && leftovers.length === 0
      if (!good)
        wrong.push(`${fault}${keep ? "" : ", unsynced lost"} at ${at}: ${faulty.log[at]} ${String(exit).slice(0, 200)}`)
    }
  }
  return { operations, trials, wrong }
})

const report = await Effect.runPromise(program)
process.stdout.write(`${JSON.stringify(report)}\n`)
process.exitCode = report.wrong.length === 0 ? 0 : 1
