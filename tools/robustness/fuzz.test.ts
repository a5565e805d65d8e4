import * as Effect from "effect/Effect"
import { assert, it } from "vitest"
import * as Key from "../../src/random/Key.ts"
import * as Fuzz from "./fuzz.ts"

it("every parser accepts or refuses any input, and names the place", async () => {
  const all = Object.entries(await Effect.runPromise(Fuzz.fuzzers))
  assert.isAtLeast(all.length, 21)
  for (const [name, fuzzer] of all) {
    for (const good of fuzzer.good) {
      // All except a lock, which another host owns.
      if (name !== "lock") await Effect.runPromise(fuzzer.parse(good))
    }
    // Only the long version, `npm run fuzz`, runs the expensive traps.
    const traps = fuzzer.traps?.slice(-3)
    const report = await Fuzz.fuzz({ ...fuzzer, traps }, 60, Key.derive(Key.make(7), name))
    assert.deepStrictEqual(report.crashes, [], name)
    assert.isAbove(report.refused, 2, name)
    assert.strictEqual(report.taken + report.refused, report.inputs, name)
  }
}, 120_000)
