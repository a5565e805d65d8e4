/**
 * Finds a user's modules after a run's folder was moved: its configuration names them by relative paths, and its manifest
 * records where they were when the run began.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { Disk } from "../support/Disk.ts"
import * as ConfigFile from "./ConfigFile.ts"
import * as RunFolder from "./RunFolder.ts"
import * as UserModule from "./UserModule.ts"

/**
 * The modules that are no longer where a run's configuration says, with the paths that its manifest records, as overrides of
 * the configuration. Loading reports a module that is at neither place.
 *
 * **Example** (A folder that is not a run)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { Disk } from "../support/Disk.ts"
 * import * as MovedModules from "./MovedModules.ts"
 *
 * const found = Effect.provide(Effect.flip(MovedModules.found("/nowhere")), Disk.layer)
 * ;(await Effect.runPromise(found))._tag // => "RunFolderError"
 * ```
 */
export const found = Effect.fn("MovedModules.found")(function* (folder: string) {
  const disk = yield* Disk
  const { notes } = yield* RunFolder.readManifest(disk, folder)
  const noted = notes["modules"]
  if (typeof noted !== "object" || noted === null) return []
  const text = yield* RunFolder.readConfig(disk, folder)
  const source = yield* Effect.fromResult(ConfigFile.parse(join(folder, RunFolder.files.config), text))
  return Object.entries(noted).flatMap(([kind, place]) => {
    const section = source.value[kind]
    const name = Predicate.hasProperty(section, "name") ? section.name : undefined
    if (typeof name !== "string" || typeof place !== "string" || !UserModule.isPath(name)) return []
    const isLost = !existsSync(UserModule.pathOf(name, folder)) && existsSync(place)
    return isLost ? [[[kind, "name"], place, RunFolder.files.manifest] as const] : []
  })
})
