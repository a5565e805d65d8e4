/** The fused operations of the embedded engine, under the names ../FusedKernels.ts looks them up by. */
import type { FusedKernels } from "../FusedKernels.ts"

/** All of them. */
export const fusedSimdKernels: FusedKernels = {}
