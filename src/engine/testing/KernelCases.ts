/**
 * Inputs for every kernel of tfjs: a table from a kernel's name to a small generator of calls. Engines are compared on
 * them; see ../simd/Kernels.test.ts. A generator draws dtypes, shapes (ranks 0 to 4, sizes with 0 and 1, few of them
 * multiples of four), attributes and values; everything follows from fast-check's seed.
 */
import { binaryCases } from "./kernelCases/Binary.ts"
import { complexCases } from "./kernelCases/Complex.ts"
import { convolutionCases } from "./kernelCases/Convolutions.ts"
import { creationCases } from "./kernelCases/Creation.ts"
import { imageCases } from "./kernelCases/Images.ts"
import { indexingCases } from "./kernelCases/Indexing.ts"
import type { KernelCases } from "./kernelCases/KernelCase.ts"
import { layoutCases } from "./kernelCases/Layout.ts"
import { poolingCases } from "./kernelCases/Pooling.ts"
import { productCases } from "./kernelCases/Products.ts"
import { reductionCases } from "./kernelCases/Reductions.ts"
import { textCases } from "./kernelCases/Text.ts"
import { unaryCases } from "./kernelCases/Unary.ts"

/** The generators by kernel name. */
export const kernelCases: Readonly<Record<string, KernelCases>> = {
  ...layoutCases,
  ...unaryCases,
  ...binaryCases,
  ...reductionCases,
  ...productCases,
  ...convolutionCases,
  ...poolingCases,
  ...creationCases,
  ...indexingCases,
  ...imageCases,
  ...complexCases,
  ...textCases
}
