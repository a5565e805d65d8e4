/** Tests of one half of the examples: each is stopped in a phase of its run, resumed and compared. */
import { globSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { afterAll } from "vitest"
import * as Differences from "../../run/testing/Differences.ts"
import * as StoppedExample from "./StoppedExample.ts"

/** All configurations of `examples/`. */
export const examples = globSync("**/*.yaml", { cwd: StoppedExample.folder }).sort()

/** Declares the tests of every second example, starting with the first or the second. */
export const declare = (from: 0 | 1): void => {
  const mine = examples.filter((_, at) => at % 2 === from)
  const home = mkdtempSync(join(tmpdir(), "osnas-stopped-"))
  afterAll(() => rmSync(home, { recursive: true, force: true }))
  const stopped = new Set<string>()

  describe("a stopped and resumed example has the bytes of its uninterrupted run", () => {
    it.live.each(mine.map((file, turn) => [file, turn] as const))(
      "%s",
      ([file, turn]) =>
        Effect.gen(function* () {
          const folder = join(home, String(turn))
          const { outcomes, stop, taken, whole } = yield* StoppedExample.trial(
            yield* StoppedExample.load(file),
            folder,
            turn
          )
          const instant = `${stop.how} in ${stop.phase} after event ${stop.event}`
          assert.deepStrictEqual(outcomes, ["Done", stop.how === "pause" ? "Paused" : "interrupted", "Done"], instant)
          assert.deepStrictEqual(Differences.between(whole, taken), [], instant)
          assert.deepStrictEqual(Differences.leftovers(taken), [], instant)
          stopped.add(stop.phase)
          rmSync(folder, { recursive: true })
        }),
      300_000
    )

    it("in every phase, over all of them", () => {
      assert.sameMembers([...stopped], ["supernetTraining", "searching", "retraining", "evaluating"])
    })
  })
}
