/** For tests: an allocator that detects writes outside its blocks. */
import type { Runtime } from "../Runtime.ts"

const GUARD = 64
const MARK = 0xa5

/**
 * Makes a runtime's allocator put 64 marked bytes before and at least 64 after every block. The marks are checked when the
 * block is freed, and for blocks still in use when the returned function is called. Throws an Error that names the block.
 */
export const guardAllocator = (runtime: Runtime): (() => void) => {
  const { allocate, free } = runtime.allocator
  const sizes = new Map<number, number>()
  const guards = (address: number, bytes: number): ReadonlyArray<Uint8Array> => [
    runtime.uint8(address - GUARD, GUARD),
    runtime.uint8(address + bytes, GUARD)
  ]
  const check = (address: number): void => {
    const bytes = sizes.get(address)
    if (bytes === undefined) throw new Error(`no guarded block starts at ${address}`)
    guards(address, bytes).forEach((guard, side) => {
      const at = guard.findIndex((value) => value !== MARK)
      if (at < 0) return
      const where = side === 0 ? `${GUARD - at} bytes before its start` : `${at} bytes after its end`
      throw new Error(`a kernel wrote outside the block of ${bytes} bytes at ${address}: ${where}`)
    })
  }
  Object.assign(runtime.allocator, {
    allocate: (bytes: number) => {
      const address = allocate(bytes + 2 * GUARD) + GUARD
      sizes.set(address, bytes)
      for (const guard of guards(address, bytes)) guard.fill(MARK)
      return address
    },
    free: (address: number) => {
      check(address)
      sizes.delete(address)
      free(address - GUARD)
    }
  })
  return () => {
    for (const address of sizes.keys()) check(address)
  }
}
