/** Checks a file that a flag names for output, before any work is done. */
import { lstatSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"
import * as Effect from "effect/Effect"
import { UsageError } from "./Exit.ts"

/** What is at a path, following links; undefined if nothing is, or if a file is used as a folder. */
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

/** Why a folder cannot be created at a path: a file is in the way. Undefined if it can, or exists. */
export const folderFault = (folder: string): string | undefined => {
  const above = existing(resolve(folder))
  return at(above)?.isDirectory() === false ? `${above} is a file; expected a folder` : undefined
}

/** Why a file cannot be written: it is a folder or a device, or its folder does not exist. */
export const fileFault = (file: string): string | undefined => {
  const parent = dirname(resolve(file))
  const inTheWay = folderFault(parent)
  if (inTheWay !== undefined) return inTheWay
  if (at(parent) === undefined) return `there is no folder ${parent}; create it first, or name another file`
  const there = lstatSync(resolve(file), { throwIfNoEntry: false })
  if (there === undefined) return undefined
  if (at(file)?.isDirectory() === true) return "it is a folder; name a file"
  return there.isFile() || there.isSymbolicLink() ? undefined : "it is a device, not a file; name a file"
}

/** Fails if the file of a flag cannot be written. */
export const refuse = (flag: string, file: string): Effect.Effect<void, UsageError> =>
  Effect.suspend(() => {
    const fault = fileFault(file)
    return fault === undefined ? Effect.void : Effect.fail(new UsageError({ reason: `${flag} ${file}: ${fault}` }))
  })
