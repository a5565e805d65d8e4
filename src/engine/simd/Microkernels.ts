/**
 * Prints the unrolled inner loops as AssemblyScript. Unrolling by hand matters: a load must be a pointer plus a constant,
 * and the accumulators must be named locals to stay in registers.
 */

const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)
const lines = (...parts: ReadonlyArray<string | ReadonlyArray<string>>): string => parts.flat().join("\n")

const ROWS = 6
const VECTORS = 2
/**
 * A product's terms are summed in pieces of so many, each from zero, and the pieces added in order: the rounding error of a sum
 * over hundreds of channels grows with a piece's length and the number of pieces, not with their product.
 */
const K_PIECE = 128
const PIECE_BYTES = K_PIECE * VECTORS * 16

const accumulators = range(ROWS).flatMap((r) => range(VECTORS).map((v) => ({ r, v, name: `c${r}${v}` })))

/**
 * C[6 rows a group x 8 columns] = A B for consecutive groups of rows: A packed [group][vector][6][4], B one panel [k][8], C
 * [vector][row][4]. Products are added in the order of k, in pieces of {@link K_PIECE}.
 */
const gemmBlock = lines(
  "export function gemmBlock(a: usize, groups: i32, bStart: usize, bEnd: usize, c: usize, cStep: usize): void {",
  "  for (let g = 0; g < groups; g++) {",
  "    let b = bStart",
  "    do {",
  `    const stop = bEnd - b > ${PIECE_BYTES} ? b + ${PIECE_BYTES} : bEnd`,
  "    const more = b > bStart",
  accumulators.map(({ name }) => `    let ${name} = f32x4.splat(0)`),
  "    while (b < stop) {",
  "      let x: v128, b0: v128, b1: v128",
  range(4).flatMap((k) => [
    ...range(VECTORS).map((v) => `      b${v} = v128.load(b, ${32 * k + 16 * v})`),
    ...range(ROWS).flatMap((r) => [
      `      x = v128.load32_splat(a, ${16 * r + 4 * k})`,
      ...range(VECTORS).map((v) => `      c${r}${v} = madd(x, b${v}, c${r}${v})`)
    ])
  ]),
  "      b += 128",
  `      a += ${16 * ROWS}`,
  "    }",
  range(VECTORS).flatMap((v) => [
    `    const d${v} = c${v === 0 ? "" : " + cStep"}`,
    ...range(ROWS).map(
      (r) => `    v128.store(d${v}, more ? f32x4.add(v128.load(d${v}, ${16 * r}), c${r}${v}) : c${r}${v}, ${16 * r})`
    )
  ]),
  "    } while (b < bEnd)",
  `    c += ${16 * ROWS}`,
  "  }",
  "}"
)

/** The same with A and C row-major. */
const gemmPanel = lines(
  "export function gemmPanel(a: usize, lda: usize, groups: i32, bStart: usize, bEnd: usize, c: usize, ldc: usize): void {",
  "  for (let g = 0; g < groups; g++) {",
  "    let a0 = a",
  range(ROWS - 1).map((r) => `    let a${r + 1} = a${r} + lda`),
  `    a = a${ROWS - 1} + lda`,
  "    let b = bStart",
  "    do {",
  `    const stop = bEnd - b > ${PIECE_BYTES} ? b + ${PIECE_BYTES} : bEnd`,
  "    const more = b > bStart",
  accumulators.map(({ name }) => `    let ${name} = f32x4.splat(0)`),
  "    while (b < stop) {",
  "      let x: v128, b0: v128, b1: v128",
  range(4).flatMap((k) => [
    ...range(VECTORS).map((v) => `      b${v} = v128.load(b, ${32 * k + 16 * v})`),
    ...range(ROWS).flatMap((r) => [
      `      x = v128.load32_splat(a${r}, ${4 * k})`,
      ...range(VECTORS).map((v) => `      c${r}${v} = madd(x, b${v}, c${r}${v})`)
    ])
  ]),
  "      b += 128",
  range(ROWS).map((r) => `      a${r} += 16`),
  "    }",
  "    let d = c",
  range(ROWS).flatMap((r) => [
    ...range(VECTORS).map(
      (v) => `    v128.store(d, more ? f32x4.add(v128.load(d, ${16 * v}), c${r}${v}) : c${r}${v}, ${16 * v})`
    ),
    "    d += ldc"
  ]),
  "    } while (b < bEnd)",
  `    c += ldc * ${ROWS}`,
  "  }",
  "}"
)

/**
 * C[rows x 8] += A^T D over the positions of `groups` groups of six: the channels of A that lie at `channels` (bytes), eight of
 * D, both packed [group][vector][6][4] with `aStep` and `dStep` bytes a group. The sum over these positions is made first, in their
 * order, and then added to C.
 */
const gemmOuter = (name: string, channels: ReadonlyArray<number>): string => {
  const sums = channels.flatMap((_, r) => range(VECTORS).map((v) => `c${r}${v}`))
  return lines(
    `export function ${name}(a: usize, aStep: usize, d: usize, dStep: usize, groups: i32, c: usize, ldc: usize): void {`,
    sums.map((sum) => `  let ${sum} = f32x4.splat(0)`),
    "  for (; groups > 0; groups--) {",
    "    let x: v128, d0: v128, d1: v128",
    range(6).flatMap((p) => [
      ...range(VECTORS).map((v) => `    d${v} = v128.load(d, ${16 * p + 96 * v})`),
      ...channels.flatMap((channel, r) => [
        `    x = v128.load32_splat(a, ${16 * p + channel})`,
        ...range(VECTORS).map((v) => `    c${r}${v} = madd(x, d${v}, c${r}${v})`)
      ])
    ]),
    "    a += aStep",
    "    d += dStep",
    "  }",
    channels.flatMap((_, r) => [
      ...range(VECTORS).map((v) => `  v128.store(c, f32x4.add(v128.load(c, ${16 * v}), c${r}${v}), ${16 * v})`),
      "  c += ldc"
    ]),
    "}"
  )
}

// Four channels are one vector; three vectors are two times six channels.
const gemmOuters = lines(
  gemmOuter("gemmOuter4", [0, 4, 8, 12]),
  gemmOuter("gemmOuter6", [0, 4, 8, 12, 96, 100]),
  gemmOuter("gemmOuter6b", [104, 108, 192, 196, 200, 204])
)

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
    gemmBlock,
    gemmPanel,
    gemmOuters,
    depthwisePoint(8),
    depthwisePoint(1),
    depthwiseOuter(8),
    depthwiseOuter(1),
    ""
  )
