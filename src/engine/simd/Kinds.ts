/**
 * What TypeScript and the kernels share besides arguments: the codes of enumerations, and the sizes of pieces. The build
 * (build.ts) writes them as constants for `assembly/`.
 */

/** Codes of activations. */
export const activations = { none: 0, relu: 1, relu6: 2, hswish: 3, prelu: 4 } as const

/**
 * Codes of the operands that products compute while they pack rows (assembly/rows.ts). `plain`: planes as they are. `activated`:
 * act(x v0 + v1). `normBackward`: x v0 + y v1 + v2. `gather`: im2col patches of an NHWC input; `gatherBackward`: of an NHWC dy.
 */
export const operands = { nhwc: 0, plain: 1, activated: 2, normBackward: 3, gather: 4, gatherBackward: 5 } as const

/**
 * Codes of epilogues: how a finished block of a convolution is stored (assembly/epilogue.ts). `statistics`: stored with partial batch
 * statistics. `activate`: stored as planes. `backward`: da becomes dz. `activateNhwc`: stored as NHWC, plus a residual.
 */
export const epilogues = { statistics: 0, activate: 1, backward: 2, activateNhwc: 3 } as const

/** Codes of unary operations; those from 32 on take one element at a time, in double precision. */
export const unaryOperations = {
  Exp: 0,
  Log: 1,
  Tanh: 2,
  Sigmoid: 3,
  Sqrt: 4,
  Rsqrt: 5,
  Square: 6,
  Neg: 7,
  Abs: 8,
  Relu: 9,
  Relu6: 10,
  Reciprocal: 11,
  ClipByValue: 12,
  Step: 13,
  LeakyRelu: 14,
  Floor: 15,
  Ceil: 16,
  Round: 17,
  Expm1: 32,
  Log1p: 33,
  Softplus: 34,
  Sin: 35,
  Cos: 36,
  Tan: 37,
  Asin: 38,
  Acos: 39,
  Atan: 40,
  Sinh: 41,
  Cosh: 42,
  Asinh: 43,
  Acosh: 44,
  Atanh: 45,
  Erf: 46,
  Elu: 47,
  Selu: 48
} as const

/** Codes of binary operations; those from 32 on take one element at a time, in double precision. */
export const binaryOperations = {
  Add: 0,
  Sub: 1,
  Multiply: 2,
  RealDiv: 3,
  Maximum: 4,
  Minimum: 5,
  SquaredDifference: 6,
  Prelu: 7,
  Pow: 32,
  Atan2: 33
} as const

/** Codes of comparisons. */
export const comparisons = { Equal: 0, NotEqual: 1, Greater: 2, GreaterEqual: 3, Less: 4, LessEqual: 5 } as const

/** Codes of reductions. */
export const reductions = { Sum: 0, Max: 1, Min: 2 } as const

/** Codes that say which operand of a row is a single number. */
export const splats = { none: 0, b: 1, a: 2 } as const

/** The enumerations, under the names of their types. */
export const kinds = {
  Activation: activations,
  Operand: operands,
  EpilogueKind: epilogues,
  UnaryOperation: unaryOperations,
  BinaryOperation: binaryOperations,
  Comparison: comparisons,
  Reduction: reductions,
  Splat: splats
} as const

/** The name of an enumeration. */
export type KindName = keyof typeof kinds
/** The members of an enumeration. */
export type Kind<Name extends KindName> = keyof (typeof kinds)[Name]

/** Operations from this code on are scalar. */
export const FIRST_SCALAR_OPERATION = 32
/** Elements of a piece of elementwise work. */
export const ELEMENTWISE_PIECE = 16384
/** Numbers of a piece of random draws. */
export const RANDOM_PIECE = 4096
/** Elements of a piece of a sum over parts. */
export const SUM_PARTS_PIECE = 4096
/** Elements of a row that one partial result of a reduction covers. */
export const REDUCTION_CHUNK = 16384
/** Channels of a piece of the kernels that join a normalisation's sums. */
export const JOIN_CHANNELS = 64
/** Vectors of a piece of the packing of depthwise weights, and of the join of their gradients. */
export const DEPTHWISE_PACK_VECTORS = 16
export const DEPTHWISE_JOIN_VECTORS = 4
/** Maximum number of positions whose terms of a weight gradient are summed at once. */
export const WEIGHT_POSITIONS = 192
/** Rows (and columns) of a tile of a matrix transposition. */
export const TRANSPOSE_TILE = 32

/** Sizes that the kernels import. */
export const sizes = {
  FIRST_SCALAR_OPERATION,
  ELEMENTWISE_PIECE,
  RANDOM_PIECE,
  SUM_PARTS_PIECE,
  REDUCTION_CHUNK,
  JOIN_CHANNELS,
  DEPTHWISE_PACK_VECTORS,
  DEPTHWISE_JOIN_VECTORS,
  WEIGHT_POSITIONS,
  TRANSPOSE_TILE
} as const

/** Maximum number of vectors in a job of `blendVectors`. */
export const BLENDED_VECTORS = 32
/** Maximum number of axes that `permute` gathers, besides that of its rows. */
export const PERMUTED_AXES = 7
