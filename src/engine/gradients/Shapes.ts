/** Derivatives of operations that move elements. */
import * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../Shape.ts"
import { type Entry, masked, one, x } from "./Gradient.ts"

/** Derivatives of operations that move elements. */
export const shapes: ReadonlyArray<Entry> = [
  ["Reshape", x, (dy, s) => ({ x: () => tf.reshape(dy, one(s).shape) })],
  ["ExpandDims", { inputs: ["input"] }, (dy, s) => ({ input: () => tf.reshape(dy, one(s).shape) })],
  [
    "Transpose",
    {},
    (dy, _, attrs) => {
      const perm = attrs["perm"] as ReadonlyArray<number>
      const back = perm.map((_, i) => perm.indexOf(i))
      return { x: () => tf.transpose(dy, back) }
    }
  ],
  ["Reverse", {}, (dy, _, attrs) => ({ x: () => tf.reverse(dy, attrs["dims"] as Array<number>) })],
  [
    "Concat",
    { allInputs: true },
    (dy, s, attrs) => {
      const shapes = s.map((t) => t.shape)
      const axis = tf.util.parseAxisParam(attrs["axis"] as number, one(s).shape)[0] ?? 0
      let start = 0
      const parts = shapes.map((shape, i) => {
        const begin = shape.map((_, d) => (d === axis ? start : 0))
        start += shape[axis] ?? 0
        return [String(i), () => tf.slice(dy, begin, shape)] as const
      })
      return Object.fromEntries(parts)
    }
  ],
  [
    "Slice",
    x,
    (dy, s, attrs) => {
      const input = one(s)
      const [begin] = tf.slice_util.parseSliceParams(
        input,
        attrs["begin"] as Array<number>,
        attrs["size"] as Array<number>
      )
      const paddings = dy.shape.map((size, i): [number, number] => {
        const before = begin?.[i] ?? 0
        return [before, (input.shape[i] ?? 0) - before - size]
      })
      return { x: () => tf.pad(dy, paddings) }
    }
  ],
  [
    "PadV2",
    x,
    (dy, s, attrs) => {
      const begin = (attrs["paddings"] as ReadonlyArray<readonly [number, number]>).map(([before]) => before)
      return { x: () => tf.slice(dy, begin, one(s).shape) }
    }
  ],
  [
    "Tile",
    x,
    (dy, s, attrs) => {
      const input = one(s)
      const reps = attrs["reps"] as ReadonlyArray<number>
      // Merged into [before, reps, size and after] one axis at a time, so that no rank grows past four.
      return {
        x: () => {
          let gradient = dy
          reps.forEach((count, axis) => {
            if (count === 1) return
            const shape = gradient.shape
            const before = sizeOf(shape.slice(0, axis))
            const after = sizeOf(shape.slice(axis + 1))
            const size = input.shape[axis] ?? 1
            const summed = tf.sum(tf.reshape(gradient, [before, count, size * after]), 1)
            gradient = tf.reshape(summed, [...shape.slice(0, axis), size, ...shape.slice(axis + 1)])
          })
          return tf.reshape(gradient, input.shape)
        }
      }
    }
  ],
  [
    "Select",
    { inputs: ["condition"] },
    (dy, s) => ({
      condition: () => tf.zeros(one(s).shape),
      t: () => masked(one(s), dy),
      e: () => tf.where(one(s), tf.zerosLike(dy), dy)
    })
  ],
  ["OneHot", { inputs: ["indices"] }, (_, s) => ({ indices: () => tf.zeros(one(s).shape) })],
  [
    "GatherV2",
    { inputs: ["x", "indices"] },
    (dy, s, attrs) => {
      const [input, indices] = [one(s), one(s, 1)]
      if (((attrs["batchDims"] as number | undefined) ?? 0) !== 0) {
        throw new RangeError("gradient of gather: batchDims must be 0")
      }
      const axis = tf.util.parseAxisParam(attrs["axis"] as number, input.shape)[0] ?? 0
      return {
        x: () => {
          const before = sizeOf(input.shape.slice(0, axis))
          const after = sizeOf(input.shape.slice(axis + 1))
          const rows = tf.transpose(tf.reshape(dy, [before, indices.size, after]), [1, 0, 2])
          const summed = tf.unsortedSegmentSum(
            rows,
            tf.reshape(indices, [indices.size]) as tf.Tensor1D,
            input.shape[axis] ?? 0
          )
          return tf.reshape(tf.transpose(summed, [1, 0, 2]), input.shape)
        },
        indices: () => tf.zeros(indices.shape)
      }
    }
  ],
  [
    "UnsortedSegmentSum",
    { inputs: ["segmentIds"] },
    (dy, s) => {
      const ids = one(s)
      return {
        x: () => {
          const rows = tf.gather(dy, tf.maximum(ids, tf.zerosLike(ids)) as tf.Tensor1D)
          const shape = [ids.size, ...rows.shape.slice(1).map(() => 1)]
          const inside = tf.reshape(tf.greaterEqual(ids, tf.scalar(0, "int32")), shape)
          return masked(tf.broadcastTo(inside, rows.shape), rows)
        },
        segmentIds: () => tf.zeros(ids.shape)
      }
    }
  ]
]
