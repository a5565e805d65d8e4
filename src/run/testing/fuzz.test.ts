import * as Effect from "effect/Effect"
import { assert, it } from "vitest"
import * as Key from "../../random/Key.ts"
import * as Fuzz from "./fuzz.ts"

it("every parser takes or refuses whatever it is fed, and names the place", async () => {
  const all = Object.entries(await Effect.runPromise(Fuzz.fuzzers))
  assert.isAtLeast(all.length, 21)
  for (const [name, fuzzer] of all) {
    for (const good of fuzzer.good) {
      // All but a lock, which another host holds.
      if (name !== "lock") await Effect.runPromise(fuzzer.parse(good))
    }
    const report = await Fuzz.fuzz(fuzzer, 100, Key.derive(Key.make(7), name))
    assert.deepStrictEqual(report.crashes, [], name)
    assert.isAbove(report.refused, 20, name)
  }
}, 120_000)
