/** Kernels of images and of boxes in them. */
import * as tf from "@tensorflow/tfjs-core"
import type { Draw } from "./Draw.ts"
import { type Dtype, given, type Input, image, type KernelCases, numeric, run } from "./KernelCase.ts"

const resized = (op: typeof tf.image.resizeBilinear, tolerance: number): KernelCases => {
  return (draw) => {
    const target: [number, number] = [draw.int(1, 9), draw.int(1, 9)]
    const align = draw.bool()
    const centers = !align && draw.bool()
    return {
      inputs: [draw.tensor(image(draw, 2, 5), draw.pick(...numeric))],
      operation: (x) => op(x as tf.Tensor4D, target, align, centers),
      tolerance,
      ...(centers ? { noGradient: "the cpu backend's gradient ignores halfPixelCenters" } : {})
    }
  }
}

const resizedGradient =
  (kernel: string): KernelCases =>
  (draw) => {
    const shape = image(draw, 2, 5)
    const alignCorners = draw.bool()
    return {
      inputs: [draw.tensor([shape[0], draw.int(1, 7), draw.int(1, 7), shape[3]]), draw.tensor(shape)],
      operation: (dy, images) => run(kernel, { dy: dy!, images: images! }, { alignCorners }),
      noGradient: "a gradient kernel"
    }
  }

const boxes = (draw: Draw, count: number): Input => {
  const corner = draw.tensor([count, 2], "float32", 0, 3).values as Float32Array
  const extent = draw.tensor([count, 2], "float32", 0.5, 3).values as Float32Array
  const values = new Float32Array(count * 4)
  for (let i = 0; i < count; i++) {
    values.set(
      [corner[2 * i]!, corner[2 * i + 1]!, corner[2 * i]! + extent[2 * i]!, corner[2 * i + 1]! + extent[2 * i + 1]!],
      4 * i
    )
  }
  return { shape: [count, 4], dtype: "float32", values }
}

const suppression =
  (
    op: (boxes: tf.Tensor2D, scores: tf.Tensor1D, draw: readonly [number, number]) => ReadonlyArray<tf.Tensor>
  ): KernelCases =>
  (draw) => {
    const count = draw.int(1, 8)
    const limits = [draw.int(1, 6), draw.int(0, 9) / 10] as const
    return {
      inputs: [boxes(draw, count), draw.tensor([count], "float32", 0, 1)],
      operation: (b, s) => op(b as tf.Tensor2D, s as tf.Tensor1D, limits),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  }

/** The generators by kernel name. */
export const imageCases: Readonly<Record<string, KernelCases>> = {
  ResizeBilinear: resized(tf.image.resizeBilinear, 1e-6),
  ResizeNearestNeighbor: (draw) => ({
    ...resized(tf.image.resizeNearestNeighbor as typeof tf.image.resizeBilinear, 0)(draw),
    noGradient: "none registered"
  }),
  ResizeBilinearGrad: resizedGradient("ResizeBilinearGrad"),
  ResizeNearestNeighborGrad: resizedGradient("ResizeNearestNeighborGrad"),
  CropAndResize: (draw) => {
    const [count, shape] = [draw.int(1, 3), image(draw)]
    const method = draw.pick("bilinear", "nearest")
    return {
      inputs: [
        draw.tensor(shape, draw.pick(...numeric)),
        draw.tensor([count, 4], "float32", -0.2, 1.2),
        draw.whole([count], 0, shape[0])
      ],
      operation: (x, b, i) =>
        tf.image.cropAndResize(
          x as tf.Tensor4D,
          b as tf.Tensor2D,
          i as tf.Tensor1D,
          [3, 2],
          method as "bilinear" | "nearest",
          0.5
        ),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  },
  FlipLeftRight: (draw) => ({
    inputs: [draw.tensor(image(draw), draw.pick(...numeric))],
    operation: (x) => tf.image.flipLeftRight(x as tf.Tensor4D),
    noGradient: "none registered"
  }),
  RotateWithOffset: (draw) => {
    const radians = draw.int(0, 20) / 7
    return {
      inputs: [draw.tensor(image(draw), draw.pick(...numeric))],
      operation: (x) => tf.image.rotateWithOffset(x as tf.Tensor4D, radians, 1),
      noGradient: "none registered"
    }
  },
  Transform: (draw) => {
    const [method, mode] = [draw.pick("nearest", "bilinear"), draw.pick("constant", "reflect", "wrap", "nearest")]
    // The cpu backend transforms the first image of a batch only.
    const [, ...rest] = image(draw)
    const target = draw.pick<[number, number] | undefined>([4, 3], undefined)
    return {
      inputs: [draw.tensor([1, ...rest]), given([1, 8], "float32", [1, 0.25, 1, -0.25, 1, 0.5, 0, 0])],
      operation: (x, t) =>
        tf.image.transform(
          x as tf.Tensor4D,
          t as tf.Tensor2D,
          method as "nearest" | "bilinear",
          mode as "constant" | "reflect" | "wrap" | "nearest",
          0.5,
          target
        ),
      tolerance: 1e-6,
      noGradient: "none registered"
    }
  },
  NonMaxSuppressionV3: suppression((b, s, [count, overlap]) => [tf.image.nonMaxSuppression(b, s, count, overlap, 0.2)]),
  NonMaxSuppressionV4: suppression(
    (b, s, [count, overlap]) =>
      Object.values(tf.image.nonMaxSuppressionPadded(b, s, count, overlap, 0.2, true)) as Array<tf.Tensor>
  ),
  NonMaxSuppressionV5: suppression(
    (b, s, [count, overlap]) =>
      Object.values(tf.image.nonMaxSuppressionWithScore(b, s, count, overlap, 0.2, 0.5)) as Array<tf.Tensor>
  ),
  Draw: (draw) => {
    const dtype = draw.pick<Dtype>("float32", "int32")
    const shape = [draw.int(1, 3), draw.int(1, 4), draw.pick(1, 3, 4)]
    return {
      inputs: [draw.tensor(shape, dtype, 0, dtype === "float32" ? 1 : 255)],
      operation: (x) => {
        let drawn: ReadonlyArray<number> = []
        const context = { putImageData: (data: { readonly data: Uint8ClampedArray }) => (drawn = [...data.data]) }
        const canvas = { width: 0, height: 0, getContext: () => context }
        const scope = globalThis as { ImageData?: unknown }
        const before = scope.ImageData
        scope.ImageData = class {
          readonly data: Uint8ClampedArray
          constructor(data: Uint8ClampedArray) {
            this.data = data
          }
        }
        try {
          run("Draw", { image: x! }, { canvas })
        } finally {
          if (before === undefined) delete scope.ImageData
          else scope.ImageData = before
        }
        return tf.tensor1d([...drawn], "int32")
      },
      noGradient: "draws on a canvas"
    }
  }
}
