/**
 * The kinds of block that ship, one line each. This is the only place that knows them all: `Block.ts` makes the union, the
 * decoding and the lists of them from what these files export.
 */
export * from "./Aspp.ts"
export * from "./AveragePool.ts"
export * from "./Classifier.ts"
export * from "./Conv.ts"
export * from "./Ghost.ts"
export * from "./GlobalAverage.ts"
export * from "./MaxPool.ts"
export * from "./Mixed.ts"
export * from "./Mobile.ts"
export * from "./Separable.ts"
export * from "./Shuffle.ts"
export * from "./Skip.ts"
export * from "./Unified.ts"
export * from "./Zero.ts"
