/**
 * One optimiser update of one tensor, fused where the engine can. The arithmetic is that of PyTorch's `SGD`, `Adam`
 * (`AdamW` with `decoupled`) and `RMSprop`. Every operation is rounded to float32 in the order written here, so the fused
 * and the composed form give the same bits.
 *
 * Inputs are neither changed nor disposed; the results are new tensors of the caller's tidy scope. State that is
 * `undefined` counts as zeros.
 */
import * as tf from "@tensorflow/tfjs-core"
import type {
  AdamScalars,
  AdamTensors,
  RmspropScalars,
  RmspropTensors,
  SgdScalars,
  SgdTensors
} from "./FusedKernels.ts"
import { fusedKernels } from "./FusedKernels.ts"

/** Options of every optimiser. */
export interface DecayOptions {
  readonly learningRate: number
  /** 0: none. */
  readonly weightDecay: number
  /**
   * false: the decay is an L2 term, added to the gradient. true: the parameter is first multiplied by
   * `1 - learningRate * weightDecay` (Loshchilov and Hutter 2019).
   */
  readonly decoupled: boolean
}

/** Options of {@link sgdStep}. */
export interface SgdOptions extends DecayOptions {
  readonly momentum: number
  readonly nesterov: boolean
}

/** Options of {@link adamStep}. */
export interface AdamOptions extends DecayOptions {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** Options of {@link rmspropStep}. */
export interface RmspropOptions extends DecayOptions {
  /** Decay of the squared average. */
  readonly alpha: number
  readonly epsilon: number
  readonly momentum: number
}

const f32 = Math.fround

/** By exact products only: `Math.pow` differs between machines. */
const power = (base: number, exponent: number): number => {
  let [result, square, left] = [1, base, exponent]
  while (left > 0) {
    if (left % 2 === 1) result *= square
    square *= square
    left = Math.floor(left / 2)
  }
  return result
}

const decay = (options: DecayOptions): { readonly l2: number; readonly keep: number } => ({
  l2: options.decoupled ? 0 : f32(options.weightDecay),
  keep: options.decoupled ? f32(1 - options.learningRate * options.weightDecay) : 1
})

/** The parameter after decoupled decay, and the gradient with the L2 term. */
const decayed = (
  tensors: { readonly param: tf.Tensor; readonly gradient: tf.Tensor },
  scalars: { readonly l2: number; readonly keep: number }
): readonly [param: tf.Tensor, gradient: tf.Tensor] => [
  scalars.keep === 1 ? tensors.param : tf.mul(tensors.param, scalars.keep),
  scalars.l2 === 0 ? tensors.gradient : tf.add(tensors.gradient, tf.mul(tensors.param, scalars.l2))
]

const composedSgd = (tensors: SgdTensors, scalars: SgdScalars) =>
  tf.tidy(() => {
    const [param, gradient] = decayed(tensors, scalars)
    const { learningRate, momentum, nesterov } = scalars
    if (momentum === 0) return { param: tf.sub(param, tf.mul(gradient, learningRate)), velocity: undefined }
    const velocity =
      tensors.velocity === undefined ? tf.clone(gradient) : tf.add(tf.mul(tensors.velocity, momentum), gradient)
    const direction = nesterov ? tf.add(gradient, tf.mul(velocity, momentum)) : velocity
    return { param: tf.sub(param, tf.mul(direction, learningRate)), velocity }
  })

/**
 * Stochastic gradient descent with (Nesterov) momentum, as PyTorch's `SGD` without dampening:
 * `v' = momentum * v + g`, `p' = p - learningRate * v'` (Nesterov: `g + momentum * v'` in place of `v'`).
 * `velocity` is undefined in the result where momentum is 0.
 */
export const sgdStep = (
  tensors: SgdTensors,
  options: SgdOptions
): { readonly param: tf.Tensor; readonly velocity: tf.Tensor | undefined } => {
  const scalars: SgdScalars = {
    learningRate: f32(options.learningRate),
    momentum: f32(options.momentum),
    nesterov: options.nesterov,
    ...decay(options)
  }
  return (fusedKernels().sgdStep ?? composedSgd)(tensors, scalars)
}

const composedAdam = (tensors: AdamTensors, s: AdamScalars) =>
  tf.tidy(() => {
    const [param, gradient] = decayed(tensors, s)
    const newFirst = tf.mul(gradient, s.oneMinusBeta1)
    const newSecond = tf.mul(tf.mul(gradient, gradient), s.oneMinusBeta2)
    const first = tensors.first === undefined ? newFirst : tf.add(tf.mul(tensors.first, s.beta1), newFirst)
    const second = tensors.second === undefined ? newSecond : tf.add(tf.mul(tensors.second, s.beta2), newSecond)
    const denominator = tf.add(tf.mul(tf.sqrt(second), s.secondScale), s.epsilon)
    return { param: tf.sub(param, tf.mul(tf.div(first, denominator), s.stepSize)), first, second }
  })

/**
 * Adam (Kingma and Ba 2015, algorithm 1; epsilon added after the bias correction, as in PyTorch); AdamW with
 * `decoupled`. `count` is the number of this update, from 1.
 */
export const adamStep = (
  tensors: AdamTensors & { readonly count: number },
  options: AdamOptions
): { readonly param: tf.Tensor; readonly first: tf.Tensor; readonly second: tf.Tensor } => {
  if (!Number.isInteger(tensors.count) || tensors.count < 1) {
    throw new RangeError(`adamStep: count is ${tensors.count}; updates are counted from 1`)
  }
  const scalars: AdamScalars = {
    beta1: f32(options.beta1),
    oneMinusBeta1: f32(1 - options.beta1),
    beta2: f32(options.beta2),
    oneMinusBeta2: f32(1 - options.beta2),
    stepSize: f32(options.learningRate / (1 - power(options.beta1, tensors.count))),
    secondScale: f32(1 / Math.sqrt(1 - power(options.beta2, tensors.count))),
    epsilon: f32(options.epsilon),
    ...decay(options)
  }
  return (fusedKernels().adamStep ?? composedAdam)(tensors, scalars)
}

const composedRmsprop = (tensors: RmspropTensors, s: RmspropScalars) =>
  tf.tidy(() => {
    const [param, gradient] = decayed(tensors, s)
    const newSquare = tf.mul(tf.mul(gradient, gradient), s.oneMinusAlpha)
    const square = tensors.square === undefined ? newSquare : tf.add(tf.mul(tensors.square, s.alpha), newSquare)
    const scaled = tf.div(gradient, tf.add(tf.sqrt(square), s.epsilon))
    if (s.momentum === 0) {
      return { param: tf.sub(param, tf.mul(scaled, s.learningRate)), square, velocity: undefined }
    }
    const velocity = tensors.velocity === undefined ? scaled : tf.add(tf.mul(tensors.velocity, s.momentum), scaled)
    return { param: tf.sub(param, tf.mul(velocity, s.learningRate)), square, velocity }
  })

/**
 * RMSprop (Tieleman and Hinton 2012) with momentum, as PyTorch's: `s' = alpha * s + (1 - alpha) * g^2`,
 * `v' = momentum * v + g / (sqrt(s') + epsilon)`, `p' = p - learningRate * v'`. `velocity` is undefined in the result
 * where momentum is 0.
 */
export const rmspropStep = (
  tensors: RmspropTensors,
  options: RmspropOptions
): { readonly param: tf.Tensor; readonly square: tf.Tensor; readonly velocity: tf.Tensor | undefined } => {
  const scalars: RmspropScalars = {
    learningRate: f32(options.learningRate),
    alpha: f32(options.alpha),
    oneMinusAlpha: f32(1 - options.alpha),
    epsilon: f32(options.epsilon),
    momentum: f32(options.momentum),
    ...decay(options)
  }
  return (fusedKernels().rmspropStep ?? composedRmsprop)(tensors, scalars)
}
