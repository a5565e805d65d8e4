/**
 * A process that owns a folder and writes there until it is refused, as if in a container of its own. It prints `owns` once it
 * owns the folder, and why it stops. Arguments: folder, place, milliseconds between beats, milliseconds of a lease.
 */
import * as Effect from "effect/Effect"
import { Disk, writeTextAtomic } from "../../support/Disk.ts"
import * as Lock from "../Lock.ts"

const [folder = "", place = "", beat = "", stale = ""] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const lease = yield* Lock.acquire(yield* Disk, folder)
  process.stdout.write("owns\n")
  for (let count = 0; ; count++) {
    yield* writeTextAtomic(lease.disk, `${folder}/written`, `${place} ${count}`)
    yield* Effect.sleep(10)
  }
}).pipe(
  Effect.scoped,
  Effect.updateService(Lock.Surroundings, (here) => ({
    ...here,
    place,
    beatMillis: Number(beat),
    staleMillis: Number(stale),
    pollMillis: 10
  })),
  Effect.catch((error) => Effect.sync(() => process.stdout.write(`${error._tag}: ${error.message}\n`))),
  Effect.provide(Disk.layer)
)

await Effect.runPromise(program)
