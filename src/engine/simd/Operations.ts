/**
 * The operations of the embedded engine as plain functions from tensors to tensors: each allocates its result, cuts its
 * work in pieces that depend on the shapes alone, and posts a kernel. StandardKernels.ts puts tfjs's names on them.
 */
export * from "./operations/Elementwise.ts"
export * from "./operations/Head.ts"
export * from "./operations/Layout.ts"
export * from "./operations/Products.ts"
export * from "./operations/Reductions.ts"
