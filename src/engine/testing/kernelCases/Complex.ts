/** Complex numbers and spectra. */
import * as tf from "@tensorflow/tfjs-core"
import type { KernelCases } from "./KernelCase.ts"

const ofComplex =
  (op: (x: tf.Tensor) => tf.Tensor, tolerance = 0): KernelCases =>
  (draw) => {
    const shape = draw.shape(1, 3, false)
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape)],
      operation: (a, b) => op(tf.complex(a!, b!)),
      tolerance,
      noGradient: "none registered"
    }
  }

const parts = (x: tf.Tensor): ReadonlyArray<tf.Tensor> => [tf.real(x), tf.imag(x)]

const spectrum =
  (op: (x: tf.Tensor) => tf.Tensor): KernelCases =>
  (draw) => {
    const shape = [draw.int(1, 3), draw.pick(1, 2, 3, 4, 5, 8)]
    return {
      inputs: [draw.tensor(shape), draw.tensor(shape)],
      operation: (a, b) => parts(op(tf.complex(a!, b!))),
      tolerance: 1e-5,
      noGradient: "none registered"
    }
  }

/** The generators by kernel name. */
export const complexCases: Readonly<Record<string, KernelCases>> = {
  Complex: ofComplex((x) => x),
  Real: ofComplex((x) => tf.add(tf.real(x), 1)),
  Imag: ofComplex((x) => tf.add(tf.imag(x), 1)),
  ComplexAbs: ofComplex(tf.abs, 1e-6),
  FFT: spectrum(tf.fft),
  IFFT: spectrum(tf.ifft)
}
