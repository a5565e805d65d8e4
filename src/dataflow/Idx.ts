/**
 * The idx format of MNIST and similar data sets: two zero bytes, the element type (8: unsigned byte), the number of dimensions,
 * the dimensions as big-endian 32-bit numbers, then the bytes. Source: http://yann.lecun.com/exdb/mnist.
 */
import * as Result from "effect/Result"
import { sizeOf } from "../engine/Shape.ts"

/** Unsigned bytes, and their shape. */
export interface Idx {
  readonly dimensions: ReadonlyArray<number>
  /** A view of the file's bytes. */
  readonly data: Uint8Array
}

/**
 * Reads an idx file of unsigned bytes with the given number of dimensions. Fails with what is wrong, at which byte.
 *
 * **Example** (Three labels)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Idx from "./Idx.ts"
 *
 * Result.getOrThrow(Idx.parse(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9), 1)).dimensions // => [3]
 * ```
 */
export const parse = (bytes: Uint8Array, dimensions: number): Result.Result<Idx, string> => {
  const header = 4 + 4 * dimensions
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0) {
    return Result.fail("not an idx file: bytes 0 and 1 must be 0")
  }
  if (bytes[2] !== 8) return Result.fail(`byte 2, the element type, is ${bytes[2]}; must be 8 (unsigned byte)`)
  if (bytes[3] !== dimensions) {
    return Result.fail(`byte 3, the number of dimensions, is ${bytes[3]}; must be ${dimensions}`)
  }
  if (bytes.length < header) return Result.fail(`ends in its header: ${bytes.length} bytes of ${header}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const sizes = Array.from({ length: dimensions }, (_, d) => view.getUint32(4 + 4 * d))
  const expected = sizeOf(sizes)
  if (bytes.length - header !== expected) {
    return Result.fail(
      `the header says ${sizes.join(" x ")} = ${expected} bytes, the file has ${bytes.length - header} after the header`
    )
  }
  return Result.succeed({ dimensions: sizes, data: bytes.subarray(header) })
}

/** Writes an idx file. */
export const format = (dimensions: ReadonlyArray<number>, data: Uint8Array): Uint8Array => {
  const header = 4 + 4 * dimensions.length
  const bytes = new Uint8Array(header + data.length)
  const view = new DataView(bytes.buffer)
  bytes[2] = 8
  bytes[3] = dimensions.length
  dimensions.forEach((size, d) => {
    view.setUint32(4 + 4 * d, size)
  })
  bytes.set(data, header)
  return bytes
}
