/** Casts, and functions of one operand. */
import type * as tf from "@tensorflow/tfjs-core"
import { type UnaryOperation, unary } from "../Operations.ts"
import { asFloats, fallback, isFloat, narrowed, register } from "./Registration.ts"

// tfjs-backend-cpu relabels the same data when it casts to a wider type; here every type has data of its own.
const castTypes: ReadonlySet<unknown> = new Set(["float32", "int32", "bool"])
register("Cast", ({ x }, attributes, backend) => {
  const dtype = attributes["dtype"] as tf.DataType
  if (x!.dtype === dtype) return fallback("Identity", { x: x! }, {}, backend)
  // To and from complex numbers, the fallback copies the parts.
  if ((dtype === "complex64" && x!.dtype !== "string") || x!.dtype === "complex64") return undefined
  if (!castTypes.has(dtype) || !castTypes.has(x!.dtype)) {
    throw new TypeError(`cast: a ${x!.dtype} tensor cannot become ${dtype}; numbers and bool can become each other`)
  }
  const out = backend.allocate([...x!.shape], dtype)
  const [from, to] = [backend.view(x!), backend.view(out)]
  // Storing in an Int32Array cuts the fraction off and makes NaN and infinities 0; NaN is not zero, so it is true.
  if (dtype === "bool") for (let i = 0; i < to.length; i++) to[i] = from[i] === 0 ? 0 : 1
  else to.set(from)
  return out
})

// Functions whose fallback would call the host's library take any type. As in tfjs, integers give integers, except that
// the exponential is always float32.
const hostFunctions: ReadonlyArray<UnaryOperation> = [
  "Exp",
  "Log",
  "Tanh",
  "Sigmoid",
  "Expm1",
  "Log1p",
  "Softplus",
  "Sin",
  "Cos",
  "Tan",
  "Asin",
  "Acos",
  "Atan",
  "Sinh",
  "Cosh",
  "Asinh",
  "Acosh",
  "Atanh",
  "Erf",
  "Elu",
  "Selu"
]
for (const name of hostFunctions) {
  register(name, ({ x }, _, backend) => {
    if (x!.dtype === "complex64" || x!.dtype === "string") return undefined
    const out = asFloats(backend, [x!], (floats) => unary(backend, name, floats!))
    return name === "Exp" ? out : narrowed(backend, out, x!.dtype)
  })
}
const exactFunctions: ReadonlyArray<UnaryOperation> = [
  "Sqrt",
  "Rsqrt",
  "Square",
  "Neg",
  "Abs",
  "Relu",
  "Relu6",
  "Reciprocal",
  "Floor",
  "Ceil",
  "Round"
]
for (const name of exactFunctions) {
  register(name, ({ x }, _, backend) => (isFloat(x!) ? unary(backend, name, x!) : undefined))
}
register("ClipByValue", ({ x }, attributes, backend) =>
  isFloat(x!)
    ? unary(backend, "ClipByValue", x!, [attributes["clipValueMin"] as number, attributes["clipValueMax"] as number])
    : undefined
)
register("Step", ({ x }, attributes, backend) =>
  isFloat(x!) ? unary(backend, "Step", x!, [(attributes["alpha"] as number | undefined) ?? 0, 0]) : undefined
)
register("LeakyRelu", ({ x }, attributes, backend) =>
  isFloat(x!) ? unary(backend, "LeakyRelu", x!, [attributes["alpha"] as number, 0]) : undefined
)
register("EluGrad", ({ dy, y }, _, backend) => {
  if (!isFloat(dy!) || !isFloat(y!)) return undefined
  // dy (y + 1) where y is negative: y + 1 is e^x there, so no exponential is needed.
  const [slopes, values, out] = [backend.view(y!), backend.view(dy!), backend.allocate([...y!.shape])]
  const result = backend.view(out)
  for (let i = 0; i < values.length; i++) {
    result[i] = slopes[i]! >= 0 ? values[i]! : values[i]! * Math.fround(slopes[i]! + 1)
  }
  return out
})
