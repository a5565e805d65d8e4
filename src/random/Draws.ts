/**
 * What {@link Key} does, without its Schema: worker threads import this alone, and so start at once. Everyone else
 * imports `Key.ts`, which has all of it.
 */
import * as Deterministic from "./Deterministic.ts"

/** Two 32-bit words, as plain data: it goes into JSON and comes back. */
export interface Key {
  readonly k0: number
  readonly k1: number
}

// The cipher's result goes into these two, so that a draw allocates nothing.
let word0 = 0
let word1 = 0

const encrypt = (key0: number, key1: number, counter0: number, counter1: number): void => {
  const key2 = key0 ^ key1 ^ 0x1bd11bda
  let x = (counter0 + key0) | 0
  let y = (counter1 + key1) | 0
  // Five groups of four rounds, the key injected after each.
  x = (x + y) | 0
  y = ((y << 13) | (y >>> 19)) ^ x
  x = (x + y) | 0
  y = ((y << 15) | (y >>> 17)) ^ x
  x = (x + y) | 0
  y = ((y << 26) | (y >>> 6)) ^ x
  x = (x + y) | 0
  y = ((y << 6) | (y >>> 26)) ^ x
  x = (x + key1) | 0
  y = (y + key2 + 1) | 0
  x = (x + y) | 0
  y = ((y << 17) | (y >>> 15)) ^ x
  x = (x + y) | 0
  y = ((y << 29) | (y >>> 3)) ^ x
  x = (x + y) | 0
  y = ((y << 16) | (y >>> 16)) ^ x
  x = (x + y) | 0
  y = ((y << 24) | (y >>> 8)) ^ x
  x = (x + key2) | 0
  y = (y + key0 + 2) | 0
  x = (x + y) | 0
  y = ((y << 13) | (y >>> 19)) ^ x
  x = (x + y) | 0
  y = ((y << 15) | (y >>> 17)) ^ x
  x = (x + y) | 0
  y = ((y << 26) | (y >>> 6)) ^ x
  x = (x + y) | 0
  y = ((y << 6) | (y >>> 26)) ^ x
  x = (x + key0) | 0
  y = (y + key1 + 3) | 0
  x = (x + y) | 0
  y = ((y << 17) | (y >>> 15)) ^ x
  x = (x + y) | 0
  y = ((y << 29) | (y >>> 3)) ^ x
  x = (x + y) | 0
  y = ((y << 16) | (y >>> 16)) ^ x
  x = (x + y) | 0
  y = ((y << 24) | (y >>> 8)) ^ x
  x = (x + key1) | 0
  y = (y + key2 + 4) | 0
  x = (x + y) | 0
  y = ((y << 13) | (y >>> 19)) ^ x
  x = (x + y) | 0
  y = ((y << 15) | (y >>> 17)) ^ x
  x = (x + y) | 0
  y = ((y << 26) | (y >>> 6)) ^ x
  x = (x + y) | 0
  y = ((y << 6) | (y >>> 26)) ^ x
  word0 = (x + key2) | 0
  word1 = (y + key0 + 5) | 0
}

/**
 * The cipher itself: Threefry-2x32, 20 rounds. All words unsigned.
 *
 * **Example** (A published vector)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * Key.threefry2x32([0, 0], [0, 0]) // => [0x6b200159, 0x99ba4efe]
 * ```
 */
export const threefry2x32 = (
  key: readonly [number, number],
  counter: readonly [number, number]
): readonly [number, number] => {
  encrypt(key[0] | 0, key[1] | 0, counter[0] | 0, counter[1] | 0)
  return [word0 >>> 0, word1 >>> 0]
}

// The second counter word distinguishes the uses: its top bit marks a derivation, the three bits below it the kind; the
// 28 bits that remain contain the high part of an index (21 bits, as indices stay below 2^53) and of attempts (7 bits).
const derivation = 1 << 31
const kindWords = 0
const kindUniform = 1 << 28
const kindNormal = 2 << 28
const kindInteger = 3 << 28
const kindBigint = 4 << 28
const partInteger = derivation
const partNegative = derivation | (1 << 28)
const partFraction = derivation | (2 << 28)
const partText = derivation | (3 << 28)
const partMore = derivation | (4 << 28)

const two32 = 4294967296
const two53 = 9007199254740992

const draw = (key: Key, kind: number, index: number, attempt: number): void =>
  encrypt(key.k0 | 0, key.k1 | 0, index | 0, kind | (attempt << 21) | Math.floor(index / two32))

const checkIndex = (index: number): void => {
  if (!(Number.isSafeInteger(index) && index >= 0)) {
    throw new RangeError(`Key: index must be an integer from 0 to 2^53 - 1, got ${index}`)
  }
}

const checkCount = (count: number): void => {
  if (!(Number.isSafeInteger(count) && count >= 0 && count < two32)) {
    throw new RangeError(`Key: count must be an integer from 0 to 2^32 - 1, got ${count}`)
  }
}

const bits = new DataView(new ArrayBuffer(8))

/**
 * The key named by `path` under `key`. Parts are distinguished by type and length, so `("a", "b")`, `("ab")` and
 * `("a", 1)`, `("a", "1")` are different paths; deriving by parts one after the other or at once gives the same key.
 * A part is any string, or any number but NaN (which is a mistake and throws a RangeError).
 *
 * **Example** (By parts or at once)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * Key.derive(Key.derive(Key.make(1), "epoch"), 3) // => Key.derive(Key.make(1), "epoch", 3)
 * ```
 */
export const derive = (key: Key, ...path: ReadonlyArray<string | number>): Key => {
  let k0 = key.k0 | 0
  let k1 = key.k1 | 0
  const absorb = (low: number, high: number): void => {
    encrypt(k0, k1, low, high)
    k0 = word0
    k1 = word1
  }
  for (const part of path) {
    if (typeof part === "string") {
      absorb(part.length, partText | (part.length > 0 ? part.charCodeAt(0) : 0))
      for (let at = 1; at < part.length; at += 3) {
        // charCodeAt past the end is NaN, which `|` makes 0; the length above keeps that unambiguous.
        absorb(part.charCodeAt(at) | (part.charCodeAt(at + 1) << 16), partMore | part.charCodeAt(at + 2))
      }
    } else if (Number.isSafeInteger(part)) {
      const size = Math.abs(part)
      absorb(size | 0, (part < 0 ? partNegative : partInteger) | Math.floor(size / two32))
    } else if (Number.isNaN(part)) {
      throw new RangeError("Key.derive: a part of the path is NaN; use an integer or a string")
    } else {
      bits.setFloat64(0, part)
      absorb(bits.getInt32(0), partFraction)
      absorb(bits.getInt32(4), partFraction)
    }
  }
  return { k0: k0 >>> 0, k1: k1 >>> 0 }
}

/**
 * The key of a seed, an integer within 2^53 (anything else throws a RangeError). Different seeds give different keys.
 *
 * **Example** (A root key)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * Key.make(7) // => Key.make(7)
 * ```
 */
export const make = (seed: number): Key => {
  if (!Number.isSafeInteger(seed))
    throw new RangeError(`Key.make: the seed must be an integer within 2^53, got ${seed}`)
  return derive({ k0: 0, k1: 0 }, seed)
}

/**
 * The `index`-th 32-bit word of a key, an integer in [0, 2^32).
 *
 * **Example** (The same word, however often it is drawn)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * Key.uint32(Key.make(1), 5) === Key.uint32(Key.make(1), 5) // => true
 * Key.uint32(Key.make(1), 5) === Key.uint32(Key.make(1), 6) // => false
 * ```
 */
export const uint32 = (key: Key, index = 0): number => {
  checkIndex(index)
  draw(key, kindWords, Math.floor(index / 2), 0)
  return (index % 2 === 0 ? word0 : word1) >>> 0
}

const uniformUnchecked = (key: Key, index: number): number => {
  draw(key, kindUniform, index, 0)
  return ((word0 >>> 5) * 67108864 + (word1 >>> 6)) / two53
}

/** The `index`-th uniform number of a key, in [0, 1), a multiple of 2^-53. */
export const uniform = (key: Key, index = 0): number => {
  checkIndex(index)
  return uniformUnchecked(key, index)
}

/**
 * The first `count` uniform numbers of a key.
 *
 * **Example** (The first few are the indexed ones)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * Array.from(Key.uniforms(Key.make(3), 2)) // => [Key.uniform(Key.make(3), 0), Key.uniform(Key.make(3), 1)]
 * ```
 */
export const uniforms = (key: Key, count: number): Float64Array => {
  checkCount(count)
  const out = new Float64Array(count)
  for (let i = 0; i < count; i += 1) out[i] = uniformUnchecked(key, i)
  return out
}

const normalUnchecked = (key: Key, index: number): number => {
  draw(key, kindNormal, index, 0)
  // The middle of one of 2^52 equal pieces of (0, 1): exact, never 0 or 1, symmetric about 1/2.
  return Deterministic.normalQuantile(((word0 >>> 6) * 67108864 + (word1 >>> 6) + 0.5) / 4503599627370496)
}

/** The `index`-th standard normal number of a key, by inversion of the distribution function. */
export const normal = (key: Key, index = 0): number => {
  checkIndex(index)
  return normalUnchecked(key, index)
}

/**
 * The first `count` standard normal numbers of a key, rounded to float32.
 *
 * **Example** (The first few are the indexed ones, as float32)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * Array.from(Key.normals(Key.make(3), 2)) // => [0, 1].map((index) => Math.fround(Key.normal(Key.make(3), index)))
 * ```
 */
export const normals = (key: Key, count: number): Float32Array => {
  checkCount(count)
  const out = new Float32Array(count)
  for (let i = 0; i < count; i += 1) out[i] = normalUnchecked(key, i)
  return out
}

const integerUnchecked = (key: Key, bound: number, index: number): number => {
  if (bound <= two32) {
    const limit = two32 - (two32 % bound)
    for (let attempt = 0; ; attempt += 1) {
      draw(key, kindInteger, index, attempt)
      const first = word0 >>> 0
      if (first < limit) return first % bound
      const second = word1 >>> 0
      // 256 words in a row are rejected with probability below 2^-256.
      if (second < limit || attempt === 127) return second % bound
    }
  }
  const limit = two53 - (two53 % bound)
  for (let attempt = 0; ; attempt += 1) {
    draw(key, kindInteger, index, attempt)
    const value = (word0 >>> 5) * 67108864 + (word1 >>> 6)
    if (value < limit || attempt === 127) return value % bound
  }
}

/**
 * The `index`-th integer of a key, uniform and without bias in [0, bound); `bound` an integer from 1 to 2^53 (anything
 * else throws a RangeError).
 *
 * **Example** (A die)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * const throws = Array.from({ length: 600 }, (_, index) => Key.integer(Key.make(1), 6, index))
 * Math.min(...throws) // => 0
 * Math.max(...throws) // => 5
 * ```
 */
export const integer = (key: Key, bound: number, index = 0): number => {
  if (!(Number.isInteger(bound) && bound >= 1 && bound <= two53)) {
    throw new RangeError(`Key.integer: the bound must be an integer from 1 to 2^53, got ${bound}`)
  }
  checkIndex(index)
  return integerUnchecked(key, bound, index)
}

/**
 * An integer uniform in [0, bound), of any size; a bound below 1 throws a RangeError.
 *
 * **Example** (One of all architectures of a large space)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * const size = 7n ** 21n
 * Key.bigint(Key.make(1), size) < size // => true
 * ```
 */
export const bigint = (key: Key, bound: bigint): bigint => {
  if (bound < 1n) throw new RangeError(`Key.bigint: the bound must be at least 1, got ${bound}`)
  const length = bound === 1n ? 0 : (bound - 1n).toString(2).length
  const words = Math.ceil(length / 32)
  const excess = words * 32 - length
  // Below 2^length more than half of all values are below the bound, so this ends soon.
  for (let attempt = 0; ; attempt += 1) {
    const derived = attempt === 0 ? key : derive(key, "bigint", attempt)
    let value = 0n
    for (let w = 0; w < words; w += 1) {
      draw(derived, kindBigint, w >>> 1, 0)
      const word = (w % 2 === 0 ? word0 : word1) >>> 0
      value = (value << 32n) | BigInt(w === 0 ? word >>> excess : word)
    }
    if (value < bound) return value
  }
}

/**
 * A uniformly drawn order of 0 .. n - 1 (Fisher and Yates).
 *
 * **Example** (All of them, once)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * Array.from(Key.permutation(Key.make(1), 4)).sort() // => [0, 1, 2, 3]
 * ```
 */
export const permutation = (key: Key, n: number): Uint32Array => {
  checkCount(n)
  const order = new Uint32Array(n)
  for (let i = 0; i < n; i += 1) order[i] = i
  for (let i = n - 1; i > 0; i -= 1) {
    const j = integerUnchecked(key, i + 1, i)
    const swap = order[i]!
    order[i] = order[j]!
    order[j] = swap
  }
  return order
}

/**
 * One of the items, each equally likely; an empty list throws a RangeError.
 *
 * **Example** (One of three)
 *
 * ```ts
 * import * as Key from "./Draws.ts"
 *
 * ["k3", "k5", "k7"].includes(Key.choice(Key.make(1), ["k3", "k5", "k7"])) // => true
 * ```
 */
export const choice = <A>(key: Key, items: ReadonlyArray<A>, index = 0): A => {
  if (items.length === 0) throw new RangeError("Key.choice: there is nothing to choose from")
  return items[integer(key, items.length, index)]!
}
