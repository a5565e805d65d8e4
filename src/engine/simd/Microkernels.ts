/**
 * Prints the unrolled inner loops as AssemblyScript. Unrolling by hand matters: a load must be a pointer plus a constant,
 * and the accumulators must be named locals to stay in registers.
 */

const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)
const lines = (...parts: ReadonlyArray<string | ReadonlyArray<string>>): string => parts.flat().join("\n")

/**
 * A product's terms are summed in pieces of so many, each from zero, and the pieces added in order: the rounding error of a sum
 * over hundreds of channels grows with a piece's length and the number of pieces, not with their product.
 */
const K_PIECE = 128

// There are fifteen vector registers, and a separate product needs one more than its operands: nine accumulators (three rows by
// three vectors) leave no value in memory. Two vectors, what is left of a width, are done six rows at a time, as fewer chains of
// additions would wait for each other; their second operand is loaded again instead of kept.

/**
 * C[groups of 6 rows x vectors of 4 columns] = A B: A packed [group][vector][6][4], B one panel [k][vectors][4], C
 * [vector][row][4]. Products are added in the order of k, in pieces of {@link K_PIECE}.
 */
const gemmBlock = (rows: number, vectors: number): string => {
  const bytes = 16 * vectors
  const piece = K_PIECE * bytes
  const sums = range(rows).flatMap((r) => range(vectors).map((v) => ({ r, v, name: `c${r}${v}` })))
  const kept = rows * vectors + vectors < 14 ? vectors : 1
  return lines(
    `export function gemmBlock${vectors}(a: usize, groups: i32, bStart: usize, bEnd: usize, c: usize, cStep: usize): void {`,
    "  for (; groups > 0; groups--) {",
    "    let next = a",
    `    for (let part: usize = 0; part < 96; part += ${16 * rows}) {`,
    "      let p = a + part",
    "      let b = bStart",
    "      do {",
    `        const stop = bEnd - b > ${piece} ? b + ${piece} : bEnd`,
    "        const more = b > bStart",
    sums.map(({ name }) => `        let ${name} = f32x4.splat(0)`),
    "        while (b < stop) {",
    `          let x: v128, ${range(kept)
      .map((v) => `b${v}: v128`)
      .join(", ")}`,
    range(4).flatMap((k) => [
      ...range(kept).map((v) => `          b${v} = v128.load(b, ${bytes * k + 16 * v})`),
      ...range(rows).flatMap((r) => [
        `          x = v128.load32_splat(p, ${16 * r + 4 * k})`,
        ...range(vectors).map((v) => {
          const operand = v < kept ? `b${v}` : `v128.load(b, ${bytes * k + 16 * v})`
          return `          c${r}${v} = madd(x, ${operand}, c${r}${v})`
        })
      ])
    ]),
    `          b += ${4 * bytes}`,
    "          p += 96",
    "        }",
    "        let d = c",
    "        if (more) {",
    range(vectors).flatMap((v) => [
      ...range(rows).map((r) => `          v128.store(d, f32x4.add(v128.load(d, ${16 * r}), c${r}${v}), ${16 * r})`),
      "          d += cStep"
    ]),
    "        } else {",
    range(vectors).flatMap((v) => [
      ...range(rows).map((r) => `          v128.store(d, c${r}${v}, ${16 * r})`),
      "          d += cStep"
    ]),
    "        }",
    "      } while (b < bEnd)",
    `      c += ${16 * rows}`,
    "      next = p - part",
    "    }",
    "    a = next",
    "  }",
    "}"
  )
}

/**
 * C[3 x vectors of columns] += A^T D over the positions of `groups` groups of six: the channels of A whose first position is at
 * a0, a1 and a2, some vectors of D, both packed [group][vector][6][4] with `aStep` and `dStep` bytes a group. The sum over these
 * positions is made first, in their order, and then added to C.
 */
const gemmOuter = (vectors: number): string => {
  const sums = range(3).flatMap((r) => range(vectors).map((v) => `c${r}${v}`))
  return lines(
    `export function gemmOuter${vectors}(a0: usize, a1: usize, a2: usize, aStep: usize, d: usize, dStep: usize, groups: i32, c: usize, ldc: usize): void {`,
    sums.map((sum) => `  let ${sum} = f32x4.splat(0)`),
    "  for (; groups > 0; groups--) {",
    `    let x: v128, ${range(vectors)
      .map((v) => `d${v}: v128`)
      .join(", ")}`,
    range(6).flatMap((p) => [
      ...range(vectors).map((v) => `    d${v} = v128.load(d, ${16 * p + 96 * v})`),
      ...range(3).flatMap((r) => [
        `    x = v128.load32_splat(a${r}, ${16 * p})`,
        ...range(vectors).map((v) => `    c${r}${v} = madd(x, d${v}, c${r}${v})`)
      ])
    ]),
    range(3).map((r) => `    a${r} += aStep`),
    "    d += dStep",
    "  }",
    range(3).flatMap((r) => [
      ...range(vectors).map((v) => `  v128.store(c, f32x4.add(v128.load(c, ${16 * v}), c${r}${v}), ${16 * v})`),
      "  c += ldc"
    ]),
    "}"
  )
}

/**
 * `images` at once, four channels: acc[image] = sum over rows and columns of taps of x[image] * w. `x` and `w` step by `xStep`,
 * `wStep` along a row of taps and by `xRow`, `wRow` from row to row; the results go to `o`, [images][4].
 */
const depthwisePoint = (images: number): string =>
  lines(
    "// @ts-ignore: decorator",
    "@inline",
    `export function depthwisePoint${images}(x: usize, w: usize, ny: i32, nx: i32, xStep: usize, wStep: usize, xRow: usize, wRow: usize, o: usize): void {`,
    range(images).map((n) => `  let c${n} = f32x4.splat(0)`),
    "  for (; ny > 0; ny--) {",
    "    let p = x, q = w",
    "    for (let i = nx; i > 0; i--) {",
    "      const k = v128.load(q)",
    range(images).map((n) => `      c${n} = madd(v128.load(p, ${16 * n}), k, c${n})`),
    "      p += xStep; q += wStep",
    "    }",
    "    x += xRow; w += wRow",
    "  }",
    range(images).map((n) => `  v128.store(o, c${n}, ${16 * n})`),
    "}"
  )

/**
 * The weight gradient of one position: for each tap, w += sum over the images of x[image] * d[image], even and odd images
 * summed apart.
 */
const depthwiseOuter = (images: number): string =>
  lines(
    "// @ts-ignore: decorator",
    "@inline",
    `export function depthwiseOuter${images}(x: usize, w: usize, ny: i32, nx: i32, xStep: usize, xRow: usize, wRow: usize, d: usize): void {`,
    range(images).map((n) => `  const d${n} = v128.load(d, ${16 * n})`),
    "  for (; ny > 0; ny--) {",
    "    let p = x, q = w",
    "    for (let i = nx; i > 0; i--) {",
    range(images).map((n) => {
      const sum = `s${n % 2}`
      return n < 2
        ? `      let ${sum} = f32x4.mul(v128.load(p, ${16 * n}), d${n})`
        : `      ${sum} = madd(v128.load(p, ${16 * n}), d${n}, ${sum})`
    }),
    `      v128.store(q, f32x4.add(v128.load(q), ${images > 1 ? "f32x4.add(s0, s1)" : "s0"}))`,
    "      p += xStep; q += 16",
    "    }",
    "    x += xRow; w += wRow",
    "  }",
    "}"
  )

/** The text of `assembly/generated/microkernels.ts`. */
export const microkernels = (): string =>
  lines(
    "// Written by build.ts.",
    'import { madd } from "../math"',
    gemmBlock(3, 3),
    gemmBlock(6, 2),
    gemmOuter(3),
    gemmOuter(2),
    depthwisePoint(8),
    depthwisePoint(1),
    depthwiseOuter(8),
    depthwiseOuter(1),
    ""
  )
