/**
 * A disk in memory that distinguishes what was written from what is on the medium, and that can be made to fail: for tests of
 * crashes.
 */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { beatDigits, DiskError, type DiskShape, type Handle } from "../../support/Disk.ts"

interface Inode {
  /** Content as readers see it. */
  data: Uint8Array<ArrayBuffer>
  /** Content on the medium. */
  durable: Uint8Array<ArrayBuffer>
}

/** A disk in memory. */
export interface MemoryDisk {
  readonly disk: DiskShape
  /** Content of all files as readers see it, by path. */
  readonly files: () => ReadonlyMap<string, Uint8Array>
  /**
   * A power failure: files lose what was not synced, folders the names that were not. With `keep`, the drive had written
   * everything.
   */
  readonly powerCut: (keep: boolean) => void
  /** Changes one byte of a file, on the medium too. */
  readonly flip: (file: string, offset: number) => void
  readonly removeFile: (file: string) => void
}

const fail = (operation: string, file: string, code: string) =>
  Effect.fail(new DiskError({ operation, file, code, reason: code }))

/** An empty disk. */
export const make = (): MemoryDisk => {
  const folders = new Set<string>(["/"])
  let names = new Map<string, Inode>()
  let durableNames = new Map<string, Inode>()
  const open = new Map<number, Inode>()
  let nextId = 1

  const isWithin = (folder: string, file: string) => file.startsWith(`${folder}/`)

  const move = (map: Map<string, Inode>, from: string, to: string): Map<string, Inode> => {
    const moved = new Map<string, Inode>()
    for (const [name, inode] of map) {
      if (name === to || isWithin(to, name)) continue
      moved.set(name === from || isWithin(from, name) ? to + name.slice(from.length) : name, inode)
    }
    return moved
  }

  const disk: DiskShape = {
    size: (file) => Effect.sync(() => names.get(file)?.data.length ?? (folders.has(file) ? 0 : undefined)),
    list: (folder) =>
      Effect.sync(() =>
        [
          ...new Set(
            [...names.keys(), ...folders]
              .filter((name) => isWithin(folder, name))
              .map((name) => name.slice(folder.length + 1).split("/")[0] as string)
          )
        ].sort()
      ),
    read: (file, offset, length) =>
      Effect.suspend(() => {
        const inode = names.get(file)
        return inode === undefined
          ? fail("read", file, "ENOENT")
          : Effect.succeed(inode.data.slice(offset, offset + length))
      }),
    makeFolder: (folder) =>
      Effect.sync(() => {
        for (let at = folder; !folders.has(at); at = path.dirname(at)) folders.add(at)
      }),
    open: (file, how) =>
      Effect.suspend(() => {
        if (!folders.has(path.dirname(file))) return fail("open", file, "ENOENT")
        let inode = names.get(file)
        if (inode !== undefined && how === "exclusive") return fail("open", file, "EEXIST")
        if (inode === undefined) {
          inode = { data: new Uint8Array(0), durable: new Uint8Array(0) }
          names.set(file, inode)
        }
        if (how === "create") inode.data = new Uint8Array(0)
        const id = nextId++
        open.set(id, inode)
        return Effect.succeed({ file, id })
      }),
    write: (handle, bytes) =>
      Effect.sync(() => {
        const inode = open.get(handle.id) as Inode
        const grown = new Uint8Array(inode.data.length + bytes.length)
        grown.set(inode.data)
        grown.set(bytes, inode.data.length)
        inode.data = grown
      }),
    sync: (handle) =>
      Effect.sync(() => {
        const inode = open.get(handle.id) as Inode
        inode.durable = inode.data
      }),
    close: (handle) => Effect.sync(() => void open.delete(handle.id)),
    truncate: (file, length) =>
      Effect.suspend(() => {
        const inode = names.get(file)
        if (inode === undefined) return fail("cut", file, "ENOENT")
        inode.data = inode.data.slice(0, length)
        return Effect.void
      }),
    rename: (from, to) =>
      Effect.suspend(() => {
        if (folders.has(from)) {
          if ([...names.keys()].some((name) => isWithin(to, name))) return fail("rename to", to, "ENOTEMPTY")
          for (const folder of [...folders]) {
            if (folder === from || isWithin(from, folder)) {
              folders.delete(folder)
              folders.add(to + folder.slice(from.length))
            }
          }
          // The name and the content of a folder move together: after a power failure it is in one place.
          durableNames = move(durableNames, from, to)
        } else if (!names.has(from)) return fail("rename to", to, "ENOENT")
        names = move(names, from, to)
        return Effect.void
      }),
    remove: (file) =>
      Effect.sync(() => {
        for (const name of [...names.keys()]) if (name === file || isWithin(file, name)) names.delete(name)
        for (const folder of [...folders]) if (folder === file || isWithin(file, folder)) folders.delete(folder)
      }),
    syncFolder: (folder) =>
      Effect.sync(() => {
        for (const name of [...durableNames.keys()]) {
          if (path.dirname(name) === folder && !names.has(name)) durableNames.delete(name)
        }
        for (const [name, inode] of names) if (path.dirname(name) === folder) durableNames.set(name, inode)
      }),
    beat: (file, offset, millis) =>
      Effect.gen(function* () {
        let [at, count] = [file, 0]
        const once = Effect.sync(() => {
          count += 1
          const inode = names.get(at)
          if (inode === undefined) return
          const data = inode.data.slice()
          data.set(new TextEncoder().encode(String(count).padStart(beatDigits, "0")), offset)
          inode.data = data
        })
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(millis), once)))
        return (moved: string) =>
          Effect.sync(() => {
            at = moved
          })
      })
  }

  return {
    disk,
    files: () => new Map([...names].map(([name, inode]) => [name, inode.data])),
    powerCut: (keep) => {
      open.clear()
      if (keep) return
      names = new Map(durableNames)
      for (const inode of names.values()) inode.data = inode.durable
    },
    flip: (file, offset) => {
      const inode = names.get(file)
      if (inode === undefined) throw new RangeError(`no file ${file}`)
      const data = inode.data.slice()
      data[offset] = (data[offset] ?? 0) ^ 1
      inode.data = data
      inode.durable = data
    },
    removeFile: (file) => {
      names.delete(file)
      durableNames.delete(file)
    }
  }
}

/**
 * How the operation fails: `error` does nothing and fails; `short` does half of a write, or nothing, and fails; `crash` does
 * half of it, and then every operation dies.
 */
export type Fault = "error" | "short" | "crash"

/** Dies in place of a process that is killed. */
export class Crashed extends Error {
  override readonly name = "Crashed"
}

/** A disk whose changing operation number `at` (from 0) fails; `operations` counts them. */
export const faulty = (
  disk: DiskShape,
  at: number,
  fault: Fault
): { readonly disk: DiskShape; readonly operations: () => number; readonly log: ReadonlyArray<string> } => {
  let count = 0
  let dead = false
  const log: Array<string> = []
  const wrap = <A>(
    operation: string,
    file: string,
    whole: Effect.Effect<A, DiskError>,
    half: Effect.Effect<unknown, DiskError> = Effect.void
  ): Effect.Effect<A, DiskError> =>
    Effect.suspend(() => {
      if (dead) return Effect.die(new Crashed())
      log.push(`${operation} ${file}`)
      if (count++ !== at) return whole
      const error = fail(operation, file, fault === "short" ? "ENOSPC" : "EIO")
      switch (fault) {
        case "error":
          return error
        case "short":
          return Effect.andThen(half, error)
        case "crash":
          return Effect.andThen(
            half,
            Effect.suspend(() => {
              dead = true
              return Effect.die(new Crashed())
            })
          )
      }
    })
  return {
    disk: {
      ...disk,
      makeFolder: (folder) => wrap("make folder", folder, disk.makeFolder(folder)),
      open: (file, how) => wrap("open", file, disk.open(file, how)),
      write: (handle: Handle, bytes) =>
        wrap("write", handle.file, disk.write(handle, bytes), disk.write(handle, bytes.subarray(0, bytes.length >> 1))),
      sync: (handle) => wrap("sync", handle.file, disk.sync(handle)),
      truncate: (file, length) => wrap("cut", file, disk.truncate(file, length)),
      rename: (from, to) => wrap("rename to", to, disk.rename(from, to)),
      remove: (file) => wrap("remove", file, disk.remove(file)),
      syncFolder: (folder) => wrap("sync folder", folder, disk.syncFolder(folder))
    },
    operations: () => count,
    log
  }
}
