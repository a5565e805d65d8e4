import * as Effect from "effect/Effect"
import { assert, it } from "vitest"
import * as Key from "../../random/Key.ts"
import * as Fuzz from "./fuzz.ts"

it("every parser takes or refuses whatever it is fed", async () => {
  for (const [name, fuzzer] of Object.entries(await Effect.runPromise(Fuzz.fuzzers))) {
    const whole = Effect.runSyncExit(fuzzer.parse(fuzzer.good))
    assert.strictEqual(whole._tag, "Success", name)
    const report = Fuzz.fuzz(fuzzer, 300, Key.derive(Key.make(7), name))
    assert.deepStrictEqual(report.crashes, [], name)
    assert.isAbove(report.refused, 100, name)
  }
})
