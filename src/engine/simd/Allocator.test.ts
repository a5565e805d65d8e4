import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { EngineMemoryError, makeAllocator } from "./Allocator.ts"

describe("makeAllocator", () => {
  it("allocates aligned blocks that do not overlap, and joins everything again when all are freed", () => {
    const action = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          allocate: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 50000 }))
        })
      },
      { weight: 2, arbitrary: fc.record({ free: fc.nat() }) }
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        let end = 0
        const limit = 100 + 200 * 50048
        const allocator = makeAllocator({
          start: 100,
          limit,
          grow: (to) => {
            end = Math.max(end, to)
          }
        })
        const live: Array<{ address: number; bytes: number }> = []
        let peak = 0
        for (const next of actions) {
          if ("allocate" in next) {
            const address = allocator.allocate(next.allocate)
            expect(address % 64).toBe(0)
            expect(address).toBeGreaterThanOrEqual(100)
            expect(address + next.allocate).toBeLessThanOrEqual(end)
            for (const other of live) {
              expect(address + next.allocate <= other.address || other.address + other.bytes <= address).toBe(true)
              expect(address).not.toBe(other.address)
            }
            live.push({ address, bytes: next.allocate })
          } else if (live.length > 0) {
            const [block] = live.splice(next.free % live.length, 1)
            allocator.free(block!.address)
          }
          const { inUseBytes, peakBytes, blocks } = allocator.usage()
          peak = Math.max(peak, inUseBytes)
          expect(peakBytes).toBe(peak)
          expect(blocks).toBe(live.length)
          expect(inUseBytes).toBeGreaterThanOrEqual(live.reduce((sum, block) => sum + block.bytes, 0))
        }
        for (const block of live) allocator.free(block.address)
        expect(allocator.usage()).toEqual({ inUseBytes: 0, peakBytes: peak, blocks: 0 })
        // One free block: all memory ever used can be allocated in one piece, without growing.
        if (end > 0) {
          const before = end
          expect(allocator.allocate(end - 128)).toBe(128)
          expect(end).toBe(before)
        }
      }),
      { seed: 11, numRuns: 200 }
    )
  })

  it("fails before it exceeds the limit: with what is needed, what is available, and what helps", () => {
    const asked: Array<number> = []
    const allocator = makeAllocator({ start: 0, limit: 1024, grow: (end) => void asked.push(end) })
    const a = allocator.allocate(512)
    allocator.allocate(256)
    allocator.free(a)
    let error: unknown
    try {
      allocator.allocate(640)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(EngineMemoryError)
    expect(error).toMatchObject({ neededBytes: 640, availableBytes: 512, inUseBytes: 256 })
    expect(String((error as Error).message)).toMatch(/640 bytes.*512 bytes.*smaller batch.*gradient accumulation/s)
    expect(() => allocator.allocate(2 ** 40)).toThrow(EngineMemoryError)
    expect(() => allocator.allocate(Number.NaN)).toThrow(RangeError)
    expect(Math.max(...asked)).toBeLessThanOrEqual(1024)
    // It still works.
    expect(allocator.allocate(512)).toBe(a)
  })

  it("fails in the same way if the host has no memory left", () => {
    const allocator = makeAllocator({
      start: 0,
      limit: 2 ** 20,
      grow: (end) => {
        if (end > 1024) throw new RangeError("no memory")
      }
    })
    const a = allocator.allocate(1000)
    allocator.free(a)
    expect(() => allocator.allocate(2000)).toThrow(EngineMemoryError)
    expect(allocator.allocate(1024)).toBe(a)
  })

  it("does not free twice", () => {
    const allocator = makeAllocator({ start: 0, limit: 1024, grow: () => {} })
    const a = allocator.allocate(1)
    allocator.free(a)
    expect(() => allocator.free(a)).toThrow("no block")
  })

  it("resets the peak", () => {
    const allocator = makeAllocator({ start: 0, limit: 4096, grow: () => {} })
    const a = allocator.allocate(1024)
    allocator.free(a)
    allocator.allocate(64)
    expect(allocator.usage().peakBytes).toBe(1024)
    allocator.resetPeak()
    expect(allocator.usage().peakBytes).toBe(64)
  })
})
