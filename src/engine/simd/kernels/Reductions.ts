/** Reductions along axes. */
import * as tf from "@tensorflow/tfjs-core"
import type { SimdBackend } from "../Backend.ts"
import { type Reduction, reduce, reductionExtents } from "../Operations.ts"
import { type Attributes, type Info, isFloat, register, size } from "./Registration.ts"

const reduced = (
  reduction: Reduction,
  x: Info,
  attributes: Attributes,
  axisKey: string,
  backend: SimdBackend,
  mean: boolean
): Info | undefined => {
  if (!isFloat(x) || size(x) === 0) return undefined
  const axes = tf.util.parseAxisParam(attributes[axisKey] as number | Array<number>, [...x.shape])
  const extents = reductionExtents(x.shape, axes)
  if (extents === undefined) return undefined
  const gone = new Set(axes)
  const keep = attributes["keepDims"] === true
  const shape = x.shape.flatMap((length, i) => (gone.has(i) ? (keep ? [1] : []) : [length]))
  return reduce(backend, reduction, x, extents, shape, mean ? { divisor: extents[1] } : {})
}
register("Sum", ({ x }, attributes, backend) => reduced("Sum", x!, attributes, "axis", backend, false))
register("Mean", ({ x }, attributes, backend) => reduced("Sum", x!, attributes, "axis", backend, true))
register("Max", ({ x }, attributes, backend) => reduced("Max", x!, attributes, "reductionIndices", backend, false))
register("Min", ({ x }, attributes, backend) => reduced("Min", x!, attributes, "axis", backend, false))
