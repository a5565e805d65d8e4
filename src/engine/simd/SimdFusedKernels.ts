/** The fused operations of the embedded engine; see ../FusedKernels.ts. */
import * as tf from "@tensorflow/tfjs-core"
import { isDifferentiating } from "../Autodiff.ts"
import { composedConvBranches, composedConvChain } from "../ConvChainOps.ts"
import type { FusedKernels } from "../FusedKernels.ts"
import type { SimdBackend } from "./Backend.ts"
import { convBranches, convChain } from "./Chain.ts"
import * as kernels from "./generated/Kernels.ts"
import { BLENDED_VECTORS, ELEMENTWISE_PIECE } from "./Kinds.ts"
import { binary, channelShuffle, crossEntropy, randomNumbers, reduce, spreadRows } from "./Operations.ts"
import "./StandardKernels.ts"

type Info = tf.TensorInfo

/** Registers a function's results as tensors of the current scope. */
const run = <T extends tf.Tensor>(body: (backend: SimdBackend) => Array<Info>): Array<T> => {
  const backend = tf.backend() as unknown as SimdBackend
  return body(backend).map((info) => tf.engine().makeTensorFromTensorInfo(info) as T)
}

const shapeOf = (x: tf.Tensor): Array<number> => [...x.shape]
const at = (backend: SimdBackend, x: tf.Tensor | Info | undefined): number | undefined =>
  x === undefined ? undefined : backend.address(x)
/** Number of pieces of an optimiser's update. */
const updatePieces = (param: tf.Tensor): number => Math.ceil(param.size / ELEMENTWISE_PIECE)

/** All fused operations. */
export const fusedSimdKernels: FusedKernels = {
  // In evaluation the kernel folds normalisations into weights and has no gradient, so differentiation uses the composed
  // form.
  convChain: (x, stages, params, options) =>
    options.mode === "eval" && isDifferentiating()
      ? composedConvChain(x, stages, params, options)
      : convChain(tf.backend() as unknown as SimdBackend, x, stages, params, options),
  convBranches: (x, branches, options) =>
    options.mode === "eval" && isDifferentiating()
      ? composedConvBranches(x, branches, options)
      : convBranches(tf.backend() as unknown as SimdBackend, x, branches, options),
  softmaxCrossEntropy: (logits, labels, smoothing) =>
    tf.tidy(() => {
      const whole = labels.dtype === "int32" ? labels : tf.cast(labels, "int32")
      const [losses, gradient] = run<tf.Tensor2D>((backend) => {
        const found = crossEntropy(backend, logits, whole, smoothing)
        return [found.losses, found.gradient]
      })
      return { loss: tf.mean(losses!) as tf.Scalar, gradient: gradient! }
    }),
  channelShuffle: (x, groups) => run<tf.Tensor4D>((backend) => [channelShuffle(backend, x, groups)])[0]!,
  scaleChannels: (x, scale) =>
    tf.tidy(() => tf.mul(x, tf.reshape(scale, [scale.shape[0], 1, 1, scale.shape[1]]))) as tf.Tensor4D,
  scaleChannelsGradient: (dy, x, scale) => {
    const [n, h, w, c] = x.shape
    const [dx, dScale] = run<tf.Tensor>((backend) => [
      binary(backend, "Multiply", dy, { dataId: scale.dataId, shape: [n, 1, 1, c], dtype: "float32" })!,
      reduce(backend, "Sum", dy, [n, h * w, c], [n, c], { y: x })
    ])
    return { x: dx as tf.Tensor4D, scale: dScale as tf.Tensor2D }
  },
  globalAveragePool: (x) => {
    const [n, h, w, c] = x.shape
    return run<tf.Tensor2D>((backend) => [reduce(backend, "Sum", x, [n, h * w, c], [n, c], { divisor: h * w })])[0]!
  },
  globalAveragePoolGradient: (dy, shape) => {
    const [, h, w, c] = shape
    return run<tf.Tensor4D>((backend) => [spreadRows(backend, dy, h * w, c, h * w, shape)])[0]!
  },
  randomNumbers: (key, shape, distribution, factor) =>
    run<tf.Tensor>((backend) => [randomNumbers(backend, key, shape, distribution, factor)])[0]!,
  blend: (vectors, keep, momentum) =>
    run<tf.Tensor1D>((backend) => {
      const made: Array<Info> = []
      for (let from = 0; from < vectors.length; from += BLENDED_VECTORS) {
        const some = vectors.slice(from, from + BLENDED_VECTORS)
        const out = some.map(({ old }) => backend.allocate(shapeOf(old)))
        made.push(...out)
        kernels.blendVectors(backend.runtime, some.length, {
          old: some.map(({ old }) => backend.address(old)),
          fresh: some.map(({ fresh }) => backend.address(fresh)),
          out: out.map((info) => backend.address(info)),
          length: some.map(({ old }) => old.size),
          keep,
          momentum,
          scale: some.map(({ scale }) => scale)
        })
      }
      return made
    }),
  sgdStep: ({ gradient, param, velocity }, s) => {
    const keeps = s.momentum !== 0
    const out = run<tf.Tensor>((backend) => {
      const next = backend.allocate(shapeOf(param))
      const moved = keeps ? backend.allocate(shapeOf(param)) : undefined
      kernels.sgdUpdate(backend.runtime, updatePieces(param), {
        param: backend.address(param),
        gradient: backend.address(gradient),
        velocity: at(backend, velocity),
        newParam: backend.address(next),
        newVelocity: at(backend, moved),
        count: param.size,
        nesterov: s.nesterov,
        learningRate: s.learningRate,
        momentum: s.momentum,
        l2: s.l2,
        keep: s.keep
      })
      return moved === undefined ? [next] : [next, moved]
    })
    return { param: out[0]!, velocity: out[1] }
  },
  adamStep: ({ first, gradient, param, second }, s) => {
    const out = run<tf.Tensor>((backend) => {
      const made = [0, 1, 2].map(() => backend.allocate(shapeOf(param)))
      const [newParam, newFirst, newSecond] = made.map((info) => backend.address(info)) as [number, number, number]
      kernels.adamUpdate(backend.runtime, updatePieces(param), {
        param: backend.address(param),
        gradient: backend.address(gradient),
        first: at(backend, first),
        second: at(backend, second),
        newParam,
        newFirst,
        newSecond,
        count: param.size,
        beta1: s.beta1,
        oneMinusBeta1: s.oneMinusBeta1,
        beta2: s.beta2,
        oneMinusBeta2: s.oneMinusBeta2,
        stepSize: s.stepSize,
        secondScale: s.secondScale,
        epsilon: s.epsilon,
        l2: s.l2,
        keep: s.keep
      })
      return made
    })
    return { param: out[0]!, first: out[1]!, second: out[2]! }
  },
  rmspropStep: ({ gradient, param, square, velocity }, s) => {
    const keeps = s.momentum !== 0
    const out = run<tf.Tensor>((backend) => {
      const made = [0, 1, ...(keeps ? [2] : [])].map(() => backend.allocate(shapeOf(param)))
      const [newParam, newSquare, newVelocity] = made.map((info) => backend.address(info)) as [number, number, number?]
      kernels.rmspropUpdate(backend.runtime, updatePieces(param), {
        param: backend.address(param),
        gradient: backend.address(gradient),
        square: at(backend, square),
        velocity: keeps ? at(backend, velocity) : undefined,
        newParam,
        newSquare,
        newVelocity,
        count: param.size,
        learningRate: s.learningRate,
        alpha: s.alpha,
        oneMinusAlpha: s.oneMinusAlpha,
        epsilon: s.epsilon,
        momentum: s.momentum,
        l2: s.l2,
        keep: s.keep
      })
      return made
    })
    return { param: out[0]!, square: out[1]!, velocity: out[2] }
  }
}
