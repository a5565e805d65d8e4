/**
 * Memory of the embedded engine: aligned blocks over one WebAssembly memory, freed blocks joined with their free
 * neighbours and reused, growth on demand, and a typed error before WebAssembly's 4 GiB are exceeded.
 */
import * as Schema from "effect/Schema"

/** The engine needs more memory than a WebAssembly memory can hold. */
export class EngineMemoryError extends Schema.TaggedError<EngineMemoryError>()("EngineMemoryError", {
  neededBytes: Schema.Finite,
  availableBytes: Schema.Finite,
  inUseBytes: Schema.Finite
}) {
  override get message(): string {
    const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB (${bytes} bytes)`
    return (
      `The engine needs ${mib(this.neededBytes)} more, but at most ${mib(this.availableBytes)} in one piece is available ` +
      `of WebAssembly's limit (${mib(this.inUseBytes)} in use). Use a smaller batch, or gradient accumulation, which ` +
      `gives the same update with less memory.`
    )
  }
}

/** What an allocator reports. */
export interface AllocatorUsage {
  readonly inUseBytes: number
  readonly peakBytes: number
  readonly blocks: number
}

/** Hands out addresses of a growing range; see {@link makeAllocator}. */
export interface Allocator {
  /** Address of a block of at least `bytes` bytes, a multiple of 64. Throws {@link EngineMemoryError}. */
  readonly allocate: (bytes: number) => number
  /** Frees a block by its address. Throws if no block starts there. */
  readonly free: (address: number) => void
  readonly usage: () => AllocatorUsage
  /** Resets the peak to the bytes in use. */
  readonly resetPeak: () => void
}

// A span of memory, free or in use. Neighbours in memory are linked; free spans are linked in the bin of their size too.
interface Span {
  address: number
  size: number
  free: boolean
  before: Span | undefined
  after: Span | undefined
  newer: Span | undefined
  older: Span | undefined
}

const ALIGNMENT = 64

// Four bins per octave: a span from a higher bin than that of the requested size always fits.
const binOf = (size: number): number => {
  const octave = 31 - Math.clz32(size / ALIGNMENT)
  return octave * 4 + (Math.floor((size / ALIGNMENT / 2 ** octave) * 4) - 4)
}
const BINS = 27 * 4

/** The free spans, in bins by size. */
const makeFreeSpans = () => {
  const bins = new Array<Span | undefined>(BINS).fill(undefined)
  const fits = (head: Span | undefined, size: number, tries: number): Span | undefined => {
    for (let span = head; span !== undefined && tries > 0; span = span.older, tries--)
      if (span.size >= size) return span
    return undefined
  }
  return {
    add: (span: Span): void => {
      const bin = binOf(span.size)
      const head = bins[bin]
      span.free = true
      span.newer = undefined
      span.older = head
      if (head !== undefined) head.newer = span
      bins[bin] = span
    },
    /** Call it before the span's size changes: the size says in which bin it is. */
    remove: (span: Span): void => {
      if (span.newer === undefined) bins[binOf(span.size)] = span.older
      else span.newer.older = span.older
      if (span.older !== undefined) span.older.newer = span.newer
      span.free = false
    },
    /** A few spans of the size's own bin, then any of a higher one, and all of its own bin before the memory has to grow. */
    find: (size: number): Span | undefined => {
      const bin = binOf(size)
      const near = fits(bins[bin], size, 8)
      if (near !== undefined) return near
      for (let b = bin + 1; b < BINS; b++) if (bins[b] !== undefined) return bins[b]
      return fits(bins[bin], size, Number.POSITIVE_INFINITY)
    }
  }
}

/**
 * An allocator over the addresses from `start`. `grow(end)` must make memory up to `end` usable, or throw; `end` never
 * exceeds `limit`.
 *
 * **Example** (Allocate, free, reuse)
 *
 * ```ts
 * import { makeAllocator } from "./Allocator.ts"
 *
 * const allocator = makeAllocator({ start: 1024, limit: 1 << 20, grow: () => {} })
 * const a = allocator.allocate(100)
 * allocator.free(a)
 * allocator.allocate(128) === a // => true
 * allocator.usage().inUseBytes // => 128
 * ```
 */
export const makeAllocator = (options: {
  readonly start: number
  readonly limit: number
  readonly grow: (end: number) => void
}): Allocator => {
  const start = Math.ceil(options.start / ALIGNMENT) * ALIGNMENT
  const limit = Math.floor(options.limit / ALIGNMENT) * ALIGNMENT
  const used = new Map<number, Span>()
  const spans = makeFreeSpans()
  let last: Span | undefined
  let end = start
  let inUseBytes = 0
  let peakBytes = 0

  const tooMuch = (neededBytes: number, beyond: number): EngineMemoryError => {
    let availableBytes = Math.max(0, beyond)
    for (let span = last; span !== undefined; span = span.before) {
      if (span.free && span.size > availableBytes) availableBytes = span.size
    }
    return new EngineMemoryError({ neededBytes, availableBytes, inUseBytes })
  }
  const extend = (size: number): Span => {
    const tail = last?.free === true ? last : undefined
    const from = tail?.address ?? end
    if (from + size > limit) throw tooMuch(size, limit - from)
    try {
      options.grow(from + size)
    } catch {
      // The host refuses what WebAssembly would allow.
      throw tooMuch(size, 0)
    }
    end = from + size
    if (tail !== undefined) {
      spans.remove(tail)
      tail.size = size
      return tail
    }
    const span: Span = {
      address: from,
      size,
      free: false,
      before: last,
      after: undefined,
      newer: undefined,
      older: undefined
    }
    if (last !== undefined) last.after = span
    last = span
    return span
  }

  /** Cuts a span after `size` bytes; the rest becomes free. */
  const split = (span: Span, size: number): void => {
    const rest: Span = {
      address: span.address + size,
      size: span.size - size,
      free: true,
      before: span,
      after: span.after,
      newer: undefined,
      older: undefined
    }
    if (span.after === undefined) last = rest
    else span.after.before = rest
    span.after = rest
    span.size = size
    spans.add(rest)
  }

  const allocate = (bytes: number): number => {
    if (!(bytes >= 0)) throw new RangeError(`a block needs 0 or more bytes, got ${bytes}`)
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT)
    if (size > limit - start) throw tooMuch(size, limit - end)
    const found = spans.find(size)
    if (found !== undefined) {
      spans.remove(found)
      if (found.size > size) split(found, size)
    }
    const span = found ?? extend(size)
    used.set(span.address, span)
    inUseBytes += span.size
    if (inUseBytes > peakBytes) peakBytes = inUseBytes
    return span.address
  }

  /** Appends the span after `span` to it. */
  const join = (span: Span, after: Span): void => {
    span.size += after.size
    span.after = after.after
    if (after.after === undefined) last = span
    else after.after.before = span
  }

  const free = (address: number): void => {
    const span = used.get(address)
    if (span === undefined) throw new Error(`no block of the engine's memory starts at address ${address}`)
    used.delete(address)
    inUseBytes -= span.size
    let whole = span
    if (span.before?.free === true) {
      whole = span.before
      spans.remove(whole)
      join(whole, span)
    }
    if (whole.after?.free === true) {
      spans.remove(whole.after)
      join(whole, whole.after)
    }
    spans.add(whole)
  }

  return {
    allocate,
    free,
    usage: () => ({ inUseBytes, peakBytes, blocks: used.size }),
    resetPeak: () => {
      peakBytes = inUseBytes
    }
  }
}
