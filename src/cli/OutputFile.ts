/** A file that a flag names to be written: examined before any work is done for it. */
import { lstatSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"
import * as Effect from "effect/Effect"
import { UsageError } from "./Exit.ts"

/** What is at a path, a link followed; undefined for nothing, also where a file is taken for a folder. */
const at = (path: string) => {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

/** The nearest part of a path that exists. */
const existing = (path: string): string =>
  at(path) === undefined && dirname(path) !== path ? existing(dirname(path)) : path

/**
 * Why no folder can be made at a path: a file is in its way. Undefined where one can be, or is.
 */
export const folderFault = (folder: string): string | undefined => {
  const above = existing(resolve(folder))
  return at(above)?.isDirectory() === false ? `${above} is a file; expected a folder` : undefined
}

/** Why a file cannot be written: a folder or a device is in its place, or there is no folder that it would be in. */
export const fileFault = (file: string): string | undefined => {
  const parent = dirname(resolve(file))
  const inTheWay = folderFault(parent)
  if (inTheWay !== undefined) return inTheWay
  if (at(parent) === undefined) return `there is no folder ${parent}; make it first, or name another file`
  const there = lstatSync(resolve(file), { throwIfNoEntry: false })
  if (there === undefined) return undefined
  if (at(file)?.isDirectory() === true) return "it is a folder; name a file"
  return there.isFile() || there.isSymbolicLink() ? undefined : "it is a device, not a file; name a file"
}

/** Refuses a file that cannot be written. */
export const refuse = (flag: string, file: string): Effect.Effect<void, UsageError> =>
  Effect.suspend(() => {
    const fault = fileFault(file)
    return fault === undefined ? Effect.void : Effect.fail(new UsageError({ reason: `${flag} ${file}: ${fault}` }))
  })
