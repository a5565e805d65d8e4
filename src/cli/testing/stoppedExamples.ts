/** Tests of one half of the examples: each is stopped in a phase of its run, resumed and compared. */
import { globSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { afterAll } from "vitest"
import { kinds } from "../../run/BoundComponent.ts"
import * as Load from "../../run/Load.ts"
import * as Differences from "../../run/testing/Differences.ts"
import * as StoppedExample from "./StoppedExample.ts"

/**
 * Examples that are not stopped here, because other examples have all their components (a test below checks it) or, for the
 * first two, because StoppedExamples.test.ts stops them on folders of images. `npm run torture -- --examples` stops every
 * example.
 */
const elsewhere: ReadonlySet<string> = new Set([
  "osnaslib/face-triplet-evolution.yaml",
  "osnaslib/imagenet.yaml",
  "cifar100.yaml",
  "osnaslib/faces-fbnet-l.yaml",
  "osnaslib/faces-mobilefacenet.yaml",
  "osnaslib/faces-proxylessnas.yaml",
  "osnaslib/faces-spos.yaml",
  "osnaslib/fbnet-l-cifar100.yaml",
  "osnaslib/mobilefacenet-cifar100.yaml",
  "osnaslib/sgnas-cifar100.yaml",
  "osnaslib/uniform-evolution.yaml"
])

const all = globSync("**/*.yaml", { cwd: StoppedExample.folder }).sort()
const examples = all.filter((file) => !elsewhere.has(file))

/** The kinds of components of an example with the names of those chosen, data aside: all run on the shipped images. */
const componentsOf = Effect.fnUntraced(function* (file: string) {
  const { config } = yield* Load.file(join(StoppedExample.folder, file))
  return kinds.flatMap((kind) => (kind === "dataflow" ? [] : [`${kind} ${config[kind].name}`]))
})

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

    it.effect("has every component that the examples left out have", () =>
      Effect.gen(function* () {
        const componentsIn = (files: Iterable<string>) =>
          Effect.map(Effect.forEach(files, componentsOf), (found) => found.flat())
        assert.includeMembers(all, [...elsewhere])
        assert.includeMembers(yield* componentsIn(examples), yield* componentsIn(elsewhere))
      })
    )

    it("in every phase, over all of them", () => {
      assert.sameMembers([...stopped], ["supernetTraining", "searching", "retraining", "evaluating"])
    })
  })
}
