import { assert, it } from "vitest"
import { torture } from "./torture.ts"

it("runs killed at random instants end as the one that nobody killed", async () => {
  const report = await torture({ kills: 4, seed: 3 })
  assert.deepStrictEqual([report.different, report.failed, report.leftovers], [[], [], []])
  assert.strictEqual(report.kills, 4)
  // Every life is a process that loads everything anew.
}, 300_000)
