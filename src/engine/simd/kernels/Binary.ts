/** Functions of two operands, comparisons, and choice by a condition. */
import * as tf from "@tensorflow/tfjs-core"
import type { SimdBackend } from "../Backend.ts"
import { type BinaryOperation, binary, compare, select } from "../Operations.ts"
import { asFloats, broadcast, type Info, isFloat, narrowed, register, size } from "./Registration.ts"

for (const name of ["Add", "Sub", "Multiply", "RealDiv", "Maximum", "Minimum", "SquaredDifference"] as const) {
  register(name, ({ a, b }, _, backend) => (isFloat(a!) && isFloat(b!) ? binary(backend, name, a!, b!) : undefined))
}
register("Prelu", ({ alpha, x }, _, backend) =>
  isFloat(x!) && isFloat(alpha!) ? binary(backend, "Prelu", x!, alpha!) : undefined
)

/** a^b by repeated squaring in 32-bit integers, exact where a float32 would keep 24 bits. b < 0 drops the fraction. */
const wholePower = (a: number, b: number): number => {
  if (b < 0) return a === 1 || (a === -1 && b % 2 === 0) ? 1 : a === -1 ? -1 : 0
  let [result, square, rest] = [1, a, b]
  while (rest > 0) {
    if (rest % 2 === 1) result = Math.imul(result, square)
    square = Math.imul(square, square)
    rest = Math.floor(rest / 2)
  }
  return result
}

/** Runs `body` on the operands, both broadcast to their common shape. */
const together = <A>(backend: SimdBackend, a: Info, b: Info, body: (a: Info, b: Info) => A): A => {
  const shape = tf.broadcast_util.assertAndGetBroadcastShape([...a.shape], [...b.shape])
  const wide = [broadcast(backend, a, shape), broadcast(backend, b, shape)] as const
  try {
    return body(...wide)
  } finally {
    for (const info of wide) backend.disposeData(info.dataId)
  }
}

for (const name of ["Pow", "Atan2"] as const satisfies ReadonlyArray<BinaryOperation>) {
  register(name, ({ a, b }, _, backend) => {
    if (name === "Pow" && a!.dtype === "int32" && b!.dtype === "int32") {
      return together(backend, a!, b!, (x, y) => {
        const out = backend.allocate([...x.shape], "int32")
        const [bases, exponents, powers] = [backend.view(x), backend.view(y), backend.view(out)]
        for (let i = 0; i < powers.length; i++) powers[i] = wholePower(bases[i]!, exponents[i]!)
        return out
      })
    }
    const result = asFloats(
      backend,
      [a!, b!],
      (x, y) =>
        binary(backend, name, x!, y!) ??
        together(backend, x!, y!, (wideX, wideY) => binary(backend, name, wideX, wideY))
    )
    return result === undefined ? undefined : narrowed(backend, result, a!.dtype === b!.dtype ? a!.dtype : "float32")
  })
}

for (const name of ["Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"] as const) {
  register(name, ({ a, b }, _, backend) => (isFloat(a!) && isFloat(b!) ? compare(backend, name, a!, b!) : undefined))
}
register("Select", ({ condition, e, t }, _, backend) => {
  const direct = condition!.dtype === "bool" && isFloat(t!) && isFloat(e!) && size(condition!) === size(t!)
  return direct && size(t!) === size(e!) ? select(backend, condition!, t!, e!) : undefined
})
