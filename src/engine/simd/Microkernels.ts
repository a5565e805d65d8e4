/**
 * Prints the unrolled inner loops as AssemblyScript. They are fast only if each load is a pointer plus a constant and each
 * accumulator is a named local, which stays in a register.
 */

const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)
const lines = (...parts: ReadonlyArray<string | ReadonlyArray<string>>): string => parts.flat().join("\n")

// There are fifteen vector registers, and a separate product needs one besides its operands. With ten accumulators (two rows by
// five vectors, the rows' splats kept, the vectors loaded one by one) nothing spills. A width that is not a multiple of five
// is split into fours and threes. The minimum of two vectors takes six rows at a time, since fewer chains of additions would
// wait for each other.
const ROWS: Record<number, number> = { 2: 6, 3: 3, 4: 2, 5: 2 }

/** c += x y for `rows` numbers and `vectors` vectors, read from the given addresses. */
const outerProduct = (rows: number, vectors: number, x: (row: number) => string, y: (vector: number) => string) => {
  const add = (r: number, v: number, a: string, b: string): string => `c${r}${v} = madd(${a}, ${b}, c${r}${v})`
  const splat = (r: number): string => `v128.load32_splat(${x(r)})`
  const vector = (v: number): string => `v128.load(${y(v)})`
  return vectors === 2
    ? [
        `y = ${vector(0)}`,
        ...range(rows).flatMap((r) => [`x0 = ${splat(r)}`, add(r, 0, "x0", "y"), add(r, 1, "x0", vector(1))])
      ]
    : [
        ...range(rows).map((r) => `x${r} = ${splat(r)}`),
        ...range(vectors).flatMap((v) => [`y = ${vector(v)}`, ...range(rows).map((r) => add(r, v, `x${r}`, "y"))])
      ]
}
const operands = (rows: number, vectors: number): string =>
  `let y: v128, ${range(vectors === 2 ? 1 : rows)
    .map((r) => `x${r}: v128`)
    .join(", ")}`

/**
 * C[groups of 6 rows x vectors of 4 columns] = A B: A packed [group][vector][6][4], B one panel [k][vectors][4], C
 * [vector][row][4]. Products are added in the order of k. Pieces of `piece` bytes of B are summed from zero, then added in
 * order: so the rounding error of a long sum grows with the length and the number of pieces, not with their product.
 */
const gemmBlock = (vectors: number): string => {
  const rows = ROWS[vectors]!
  const bytes = 16 * vectors
  return lines(
    `export function gemmBlock${vectors}(a: usize, groups: i32, bStart: usize, bEnd: usize, piece: usize, c: usize, cStep: usize): void {`,
    "  for (; groups > 0; groups--) {",
    "    let next = a",
    `    for (let part: usize = 0; part < 96; part += ${16 * rows}) {`,
    "      let p = a + part",
    "      let b = bStart",
    "      do {",
    "        const stop = bEnd - b > piece ? b + piece : bEnd",
    "        const more = b > bStart",
    range(rows).flatMap((r) => range(vectors).map((v) => `        let c${r}${v} = f32x4.splat(0)`)),
    "        while (b < stop) {",
    operands(rows, vectors),
    range(4).flatMap((k) =>
      outerProduct(
        rows,
        vectors,
        (r) => `p, ${16 * r + 4 * k}`,
        (v) => `b, ${bytes * k + 16 * v}`
      )
    ),
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
 * C[channels x vectors of columns] += A^T D over the positions of `groups` groups of six: the channels of A whose first position
 * is at a0, a1 ..., some vectors of D, both packed [group][vector][6][4] with `aStep` and `dStep` bytes per group. The sum over
 * these positions is computed in order, then added to C.
 */
const gemmOuter = (vectors: number): string => {
  const rows = Math.min(3, ROWS[vectors]!)
  const channels = range(rows)
  return lines(
    `export function gemmOuter${vectors}(${channels.map((r) => `a${r}: usize, `).join("")}aStep: usize, d: usize, dStep: usize, groups: i32, c: usize, ldc: usize): void {`,
    channels.flatMap((r) => range(vectors).map((v) => `  let c${r}${v} = f32x4.splat(0)`)),
    "  for (; groups > 0; groups--) {",
    operands(rows, vectors),
    range(6).flatMap((p) =>
      outerProduct(
        rows,
        vectors,
        (r) => `a${r}, ${16 * p}`,
        (v) => `d, ${16 * p + 96 * v}`
      )
    ),
    channels.map((r) => `    a${r} += aStep`),
    "    d += dStep",
    "  }",
    channels.flatMap((r) => [
      ...range(vectors).map((v) => `  v128.store(c, f32x4.add(v128.load(c, ${16 * v}), c${r}${v}), ${16 * v})`),
      "  c += ldc"
    ]),
    "}"
  )
}

/**
 * `images` at once, four channels: acc[image] = sum over rows and columns of taps of x[image] * w. `x` and `w` step by `xStep`,
 * `wStep` along a row of taps and by `xRow`, `wRow` from row to row; the results go to `o`, [images][4]. With `apart` each row
 * of taps is summed from zero, and the rows are added in order: half the rounding error for a 5x5 kernel.
 */
const depthwisePoint = (images: number, apart: boolean): string =>
  lines(
    "// @ts-ignore: decorator",
    "@inline",
    `export function depthwise${apart ? "Rows" : "Point"}${images}(x: usize, w: usize, ny: i32, nx: i32, xStep: usize, wStep: usize, xRow: usize, wRow: usize, o: usize): void {`,
    range(images).map((n) => `  let c${n} = f32x4.splat(0)`),
    apart ? "  let more = false" : [],
    "  for (; ny > 0; ny--) {",
    "    let p = x, q = w",
    apart ? ["    if (more) {", range(images).map((n) => `      c${n} = f32x4.splat(0)`), "    }"].flat() : [],
    "    for (let i = nx; i > 0; i--) {",
    "      const k = v128.load(q)",
    range(images).map((n) => `      c${n} = madd(v128.load(p, ${16 * n}), k, c${n})`),
    "      p += xStep; q += wStep",
    "    }",
    "    x += xRow; w += wRow",
    apart
      ? [
          "    if (more) {",
          ...range(images).map((n) => `      c${n} = f32x4.add(v128.load(o, ${16 * n}), c${n})`),
          "    }",
          ...range(images).map((n) => `    v128.store(o, c${n}, ${16 * n})`),
          "    more = true"
        ]
      : [],
    "  }",
    apart ? "  if (more) return" : [],
    range(images).map((n) => `  v128.store(o, c${n}, ${16 * n})`),
    "}"
  )

/**
 * The weight gradient of one position: for each tap, w += sum over the images of x[image] * d[image], even and odd images
 * summed separately.
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
    [2, 3, 4, 5].flatMap((vectors) => [gemmBlock(vectors), gemmOuter(vectors)]),
    [true, false].flatMap((apart) => [depthwisePoint(8, apart), depthwisePoint(1, apart)]),
    depthwiseOuter(8),
    depthwiseOuter(1),
    ""
  )
