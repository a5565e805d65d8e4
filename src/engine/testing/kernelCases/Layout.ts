/** Kernels that convert, cut, join or reorder tensors. */
import * as tf from "@tensorflow/tfjs-core"
import { sizeOf } from "../../Shape.ts"
import { everyType, given, type KernelCases, numbers, numeric, type One } from "./KernelCase.ts"

/** The generators by kernel name. */
export const layoutCases: Readonly<Record<string, KernelCases>> = {
  Cast: (draw) => {
    const to = draw.pick<tf.DataType>("float32", "int32", "bool")
    const input = draw.tensor(draw.shape(), draw.pick(...numbers), -4, 4, draw.bool())
    const shape = [...input.shape]
    // As it is; behind a view; computed with, by kernels of the engine and by tfjs-backend-cpu's.
    const use = draw.pick<One>(
      (y) => y,
      (y) => tf.reshape(y, [sizeOf(shape)]),
      (y) => tf.add(y, y),
      (y) => tf.max(y),
      (y) => tf.cast(y, "float32")
    )
    return { inputs: [input], operation: (x) => use(tf.cast(x!, to)) }
  },
  Identity: (draw) => ({
    inputs: [draw.tensor(draw.shape(), draw.pick(...everyType))],
    operation: (x) => tf.clone(x!)
  }),
  Reshape: (draw) => {
    const shape = draw.shape()
    const target = draw.pick([sizeOf(shape)], [1, ...shape.slice().reverse()])
    return { inputs: [draw.tensor(shape, draw.pick(...everyType))], operation: (x) => tf.reshape(x!, target) }
  },
  ExpandDims: (draw) => {
    const shape = draw.shape(0, 3)
    const axis = draw.int(0, shape.length)
    return { inputs: [draw.tensor(shape, draw.pick(...everyType))], operation: (x) => tf.expandDims(x!, axis) }
  },
  Slice: (draw) => {
    const shape = draw.shape(1, 4, false)
    const begin = shape.map((size) => draw.int(0, size - 1))
    const size = shape.map((full, i) => draw.pick(-1, draw.int(0, full - begin[i]!)))
    return { inputs: [draw.tensor(shape, draw.pick(...everyType))], operation: (x) => tf.slice(x!, begin, size) }
  },
  StridedSlice: (draw) => {
    const shape = draw.shape(1, 3, false)
    const begin = shape.map((size) => draw.int(0, size - 1))
    const end = shape.map((size, i) => draw.int(begin[i]!, size))
    const strides = shape.map(() => draw.int(1, 2))
    const masks = [draw.int(0, 3), draw.int(0, 3)] as const
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) => tf.stridedSlice(x!, begin, end, strides, ...masks),
      noGradient: "none registered"
    }
  },
  SplitV: (draw) => {
    const shape = draw.shape(1, 4, false)
    const axis = draw.int(0, shape.length - 1)
    const first = draw.int(0, shape[axis]!)
    const sizes = draw.pick<number | Array<number>>(shape[axis]!, [first, shape[axis]! - first])
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.split(x!, sizes, axis) }
  },
  Concat: (draw) => {
    const [shape, dtype] = [draw.shape(1, 4), draw.pick(...everyType)]
    const axis = draw.int(0, shape.length - 1)
    const inputs = Array.from({ length: draw.int(1, 3) }, () =>
      draw.tensor(
        shape.map((size, i) => (i === axis ? draw.int(0, 3) : size)),
        dtype
      )
    )
    return { inputs, operation: (...all) => tf.concat(all, axis) }
  },
  Pack: (draw) => {
    const [shape, dtype] = [draw.shape(0, 3), draw.pick(...everyType)]
    const axis = draw.int(0, shape.length)
    const inputs = Array.from({ length: draw.int(1, 3) }, () => draw.tensor(shape, dtype))
    return { inputs, operation: (...all) => tf.stack(all, axis) }
  },
  Unpack: (draw) => {
    const shape = draw.shape(1, 4, false)
    const axis = draw.axis(shape)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.unstack(x!, axis) }
  },
  PadV2: (draw) => {
    const shape = draw.shape(1, 4)
    const paddings = shape.map((): [number, number] => [draw.int(0, 2), draw.int(0, 2)])
    const value = draw.int(-1, 2)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.pad(x!, paddings, value) }
  },
  MirrorPad: (draw) => {
    const shape = draw.shape(1, 3, false)
    const mode = draw.pick("reflect", "symmetric")
    const most = (size: number) => Math.min(2, mode === "reflect" ? size - 1 : size)
    const paddings = shape.map((size): [number, number] => [draw.int(0, most(size)), draw.int(0, most(size))])
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) => tf.mirrorPad(x!, paddings, mode as "reflect" | "symmetric"),
      noGradient: "none registered"
    }
  },
  Tile: (draw) => {
    const shape = draw.shape(1, 4)
    const reps = shape.map(() => draw.int(0, 3))
    return { inputs: [draw.tensor(shape, draw.pick(...everyType))], operation: (x) => tf.tile(x!, reps) }
  },
  Transpose: (draw) => {
    const shape = draw.shape()
    const keys = shape.map(() => draw.int(0, 99))
    const perm = shape.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]!)
    return { inputs: [draw.tensor(shape, draw.pick(...everyType))], operation: (x) => tf.transpose(x!, perm) }
  },
  Reverse: (draw) => {
    const shape = draw.shape()
    const axes = draw.axes(shape)
    return { inputs: [draw.tensor(shape, draw.pick(...numbers))], operation: (x) => tf.reverse(x!, axes) }
  },
  BroadcastArgs: (draw) => {
    const shape = draw.shape(1, 4, false)
    const other = draw.broadcast(shape)
    return {
      inputs: [given([shape.length], "int32", shape), given([other.length], "int32", other)],
      operation: (a, b) => tf.broadcastArgs(a!, b!)
    }
  },
  BatchToSpaceND: (draw) => {
    const block = [draw.int(1, 2), draw.int(1, 3)]
    const shape = [block[0]! * block[1]! * draw.int(1, 2), draw.int(2, 3), draw.int(2, 3), draw.int(1, 3)]
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) =>
        tf.batchToSpaceND(x!, block, [
          [0, 1],
          [1, 0]
        ]),
      noGradient: "none registered"
    }
  },
  SpaceToBatchND: (draw) => {
    const block = [draw.int(1, 2), draw.int(1, 3)]
    const shape = [draw.int(1, 2), block[0]! * draw.int(1, 3), block[1]! * draw.int(1, 2), draw.int(1, 3)]
    return {
      inputs: [draw.tensor(shape, draw.pick(...numeric))],
      operation: (x) =>
        tf.spaceToBatchND(x!, block, [
          [block[0]!, 0],
          [0, block[1]!]
        ]),
      noGradient: "none registered"
    }
  },
  DepthToSpace: (draw) => ({
    inputs: [draw.tensor([draw.int(1, 2), draw.int(1, 3), draw.int(1, 3), 4 * draw.int(1, 2)], draw.pick(...numeric))],
    operation: (x) => tf.depthToSpace(x as tf.Tensor4D, 2, "NHWC"),
    noGradient: "none registered"
  })
}
