import * as fc from "fast-check"
import { sizeOf } from "../../Shape.ts"
import type { Dtype, Input } from "./KernelCase.ts"

/** Draws types, shapes and values from fast-check. */
export class Draw {
  readonly #draw: fc.GeneratorValue

  constructor(draw: fc.GeneratorValue) {
    this.#draw = draw
  }

  int(min: number, max: number): number {
    return this.#draw(fc.integer, { min, max })
  }

  bool(): boolean {
    return this.#draw(fc.boolean)
  }

  pick<A>(...values: ReadonlyArray<A>): A {
    return values[this.int(0, values.length - 1)]!
  }

  /** Sizes of a rank; 0 is rare, since nothing is computed where it occurs. */
  shape(minRank = 0, maxRank = 4, empty = true): Array<number> {
    const rank = this.int(minRank, maxRank)
    const sizes = empty && this.int(0, 11) === 0 ? [0, 1, 3] : [1, 2, 3, 5, 6]
    return Array.from({ length: rank }, () => this.pick(...sizes))
  }

  /** A shape that broadcasts with another: axes missing in front, or of size 1. */
  broadcast(shape: ReadonlyArray<number>): Array<number> {
    return shape.slice(this.int(0, shape.length)).map((size) => (this.int(0, 2) === 0 ? 1 : size))
  }

  axis(shape: ReadonlyArray<number>): number {
    const axis = this.int(0, shape.length - 1)
    return this.bool() ? axis : axis - shape.length
  }

  /** Some of the axes, or undefined for all. */
  axes(shape: ReadonlyArray<number>): Array<number> | undefined {
    return this.int(0, 3) === 0 ? undefined : shape.map((_, i) => i).filter(() => this.bool())
  }

  /** Numbers in [low, high), whole ones for int32; few are equal. `special` mixes in NaN, infinities and zeros. */
  tensor(shape: ReadonlyArray<number>, dtype: Dtype = "float32", low = -4, high = 4, special = false): Input {
    let state = this.int(1, 2 ** 31 - 1)
    const next = (): number => {
      // mulberry32
      state = (state + 0x6d2b79f5) | 0
      let bits = Math.imul(state ^ (state >>> 15), 1 | state)
      bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
      return ((bits ^ (bits >>> 14)) >>> 8) / 2 ** 24
    }
    const length = sizeOf(shape)
    const number = (): number => low + next() * (high - low)
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 0.5, -2.5, 3e9]
    switch (dtype) {
      case "float32":
        return {
          shape,
          dtype,
          values: Float32Array.from({ length }, () =>
            special && next() < 0.3 ? odd[Math.floor(next() * odd.length)]! : number()
          )
        }
      case "int32":
        return { shape, dtype, values: Int32Array.from({ length }, () => Math.floor(number())) }
      case "bool":
        return { shape, dtype, values: Uint8Array.from({ length }, () => (next() < 0.5 ? 0 : 1)) }
      case "string":
        return {
          shape,
          dtype,
          values: Array.from({ length }, () => ["a", "bb", "", "ü", "a b"][Math.floor(next() * 5)]!)
        }
    }
  }

  /** Whole numbers in [low, high). */
  whole(shape: ReadonlyArray<number>, low: number, high: number): Input {
    return this.tensor(shape, "int32", low, high)
  }
}
