import { assert, it } from "vitest"
import { torture } from "./torture.ts"

it("runs killed at random instants end like an uninterrupted one", async () => {
  const report = await torture({ kills: 6, seed: 3, killsPerRun: 4 })
  assert.deepStrictEqual([report.different, report.failed, report.leftovers], [[], [], []])
  assert.strictEqual(report.kills, 6)
  assert.isAbove(report.killedTwice, 0)
  assert.isAbove(Object.values(report.killsByPhase).filter((kills) => kills > 0).length, 2)
  // Every start is a new process that loads everything.
}, 300_000)
