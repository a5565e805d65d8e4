/**
 * Registers the kernels of the embedded engine under tfjs's names. Each takes float32 tensors in the shapes it covers and
 * leaves the rest to tfjs-backend-cpu's kernel, whose arithmetic (sums and products in double precision, rounded once) is
 * the same on every machine too. Functions for which that kernel would call the host's mathematical library are covered
 * for every shape and type; {@link hostDependentKernels} lists the exceptions.
 */
import "./kernels/Binary.ts"
import "./kernels/Layout.ts"
import "./kernels/Products.ts"
import "./kernels/Reductions.ts"
import "./kernels/Unary.ts"
import "./kernels/Windows.ts"

/**
 * Kernels that still call the host's exp, log, sine or power, or its random generator. No run uses them: fused products
 * with an activation, spectra, local response normalisation, soft non-maximum suppression, rotation of images, complex
 * magnitudes, tfjs's random operations.
 */
export const hostDependentKernels: ReadonlyArray<string> = [
  "ComplexAbs",
  "FFT",
  "FusedConv2D",
  "FusedDepthwiseConv2D",
  "IFFT",
  "LRN",
  "LRNGrad",
  "Multinomial",
  "NonMaxSuppressionV5",
  "RotateWithOffset",
  "_FusedMatMul"
]
