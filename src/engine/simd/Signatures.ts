/**
 * The kernels' signatures: one record per kernel, with its arguments in order. The build makes both sides of every call from this
 * table (see Generate.ts): a class for `assembly/` whose getters read the arguments, and a function in `generated/Kernels.ts`
 * that writes them straight into a job's slot. A kernel `name` in `assembly/kernels/FILE.ts` takes the class `Name`.
 *
 * To add a kernel, write its function in a file of `assembly/kernels` and its entry here, then run `npm run build:wasm`.
 */
import { BLENDED_VECTORS, type KindName, PERMUTED_AXES } from "./Kinds.ts"

/** Names of records: groups of fields that several kernels share. */
export type RecordName = keyof typeof records

/** One argument: an integer or a float, or several of them. */
export type Field =
  | { readonly type: "address" | "integer"; readonly name: string; readonly doc: string; readonly optional: boolean }
  | { readonly type: "flag" | "float"; readonly name: string; readonly doc: string }
  | {
      readonly type: "kind"
      readonly of: KindName
      readonly name: string
      readonly doc: string
      readonly optional: boolean
    }
  | { readonly type: "record"; readonly of: string; readonly name: string; readonly doc: string }
  | {
      readonly type: "addresses" | "integers" | "floats"
      readonly count: number
      readonly name: string
      readonly doc: string
    }

/** A kernel. With `extends` its arguments begin with those of another one, so that the two share code. */
export interface Signature {
  readonly file: string
  readonly doc: string
  readonly extends?: string
  readonly fields: ReadonlyArray<Field>
}

/** An address of the engine's memory. */
const address = (name: string, doc: string): Field => ({ type: "address", name, doc, optional: false })
/** An address that may be missing: the kernel reads 0. */
const maybe = (name: string, doc: string): Field => ({ type: "address", name, doc, optional: true })
const integer = (name: string, doc: string): Field => ({ type: "integer", name, doc, optional: false })
/** An integer that only some kinds of a record use. */
const sometimes = (name: string, doc: string): Field => ({ type: "integer", name, doc, optional: true })
const flag = (name: string, doc: string): Field => ({ type: "flag", name, doc })
const float = (name: string, doc: string): Field => ({ type: "float", name, doc })
const kind = (name: string, of: KindName, doc: string): Field => ({ type: "kind", name, of, doc, optional: false })
const maybeKind = (name: string, of: KindName, doc: string): Field => ({ type: "kind", name, of, doc, optional: true })
const record = (name: string, of: string, doc: string): Field => ({ type: "record", name, of, doc })
const addresses = (name: string, count: number, doc: string): Field => ({ type: "addresses", name, count, doc })
const integers = (name: string, count: number, doc: string): Field => ({ type: "integers", name, count, doc })
const floats = (name: string, count: number, doc: string): Field => ({ type: "floats", name, count, doc })

/** Fields that several kernels share, or that one function of `assembly/` reads. */
export const records = {
  Source: {
    doc: "An operand of a product, computed from kept tensors while its rows are packed (assembly/rows.ts).",
    fields: [
      kind("kind", "Operand", "Kind of the operand."),
      address("address", "x: planes or NHWC."),
      integer("channels", "Channels of planes; of NHWC the floats from one pixel to the next."),
      maybeKind("activation", "Activation", "Of `activated`."),
      maybe("v0", "Vector of channels: factor of x."),
      maybe("v1", "Vector of channels: term (`activated`), or factor of y (`normBackward`)."),
      maybe("v2", "Vector of channels: slope (`activated`), or term (`normBackward`)."),
      maybe("y", "Planes of the raw output (`normBackward`)."),
      integer("pixels", "Positions of an image in the grid of rows."),
      integer("images", "Images of the batch."),
      sometimes("height", "Height of the tensor that patches are taken from."),
      sometimes("width", "Its width."),
      sometimes("gridWidth", "Width of the grid of rows."),
      sometimes("kernel", "Side of the convolution's kernel."),
      sometimes("stride", "Stride of the convolution."),
      sometimes("padding", "Zeros around the input."),
      sometimes("dilation", "Distance between taps."),
      sometimes("tapChannels", "Channels of a tap of a patch: those of one group."),
      integer("groupShift", "Logarithm of the images in a group of planes.")
    ]
  },
  Epilogue: {
    doc: "How a finished block of a convolution is stored (assembly/epilogue.ts). Vectors are padded with zeros.",
    fields: [
      kind("kind", "EpilogueKind", "Kind of the epilogue."),
      address("out", "Destination: planes, or the first of its channels in NHWC."),
      integer("channels", "Channels of the result."),
      maybe("partial", "Partial sums: mean and squared deviations, or the three sums of `backward`."),
      maybe("counts", "Rows that each partial mean covers (`statistics`)."),
      maybe("bias", "Vector of channels that is added first."),
      maybeKind("activation", "Activation", "The activation, or (`backward`) the one to differentiate."),
      maybe("y", "Planes of the raw output (`backward`)."),
      maybe("scale", "Vector of channels: z = scale y + shift."),
      maybe("shift", "Vector of channels."),
      maybe("mean", "Vector of channels: the mean of y."),
      maybe("slope", "Vector of channels: PReLU's slopes."),
      maybe("residual", "NHWC tensor that is added to the result (`activateNhwc`)."),
      integer("pixels", "Positions of an image."),
      integer("images", "Images of the batch."),
      integer("groupShift", "Logarithm of the images in a group of planes."),
      integer("pixelStride", "Floats from one pixel of an NHWC result to the next."),
      integer("channelStride", "Floats from one channel of an NHWC result to the next.")
    ]
  },
  Geometry: {
    doc: "The shapes of a depthwise convolution and its pieces.",
    fields: [
      integer("groups", "Groups of images."),
      integer("height", "Height of the input."),
      integer("width", "Width of the input."),
      integer("outHeight", "Height of the output."),
      integer("outWidth", "Width of the output."),
      integer("kernel", "Side of the kernel."),
      integer("stride", "Stride."),
      integer("padding", "Zeros around the input."),
      integer("dilation", "Distance between taps."),
      integer("vectors", "Vectors of four channels."),
      integer("vectorsPerPiece", "Vectors of a piece."),
      integer("bands", "Bands of rows."),
      integer("bandRows", "Rows of a band: of the output in the forward pass, of the input in the backward pass.")
    ]
  },
  Pooling: {
    doc: "The geometry of a pooling operation on NHWC tensors.",
    fields: [
      integer("height", "Height of the input."),
      integer("width", "Width of the input."),
      integer("channels", "Channels."),
      integer("outHeight", "Height of the output."),
      integer("outWidth", "Width of the output."),
      integer("windowHeight", "Height of a window."),
      integer("windowWidth", "Width of a window."),
      integer("strideHeight", "Vertical stride."),
      integer("strideWidth", "Horizontal stride."),
      integer("top", "Padding at the top."),
      integer("left", "Padding at the left."),
      flag("maximum", "Maximum instead of average.")
    ]
  },
  Rowwise: {
    doc: "Two operands combined in rows; each operand is a row or one number.",
    fields: [
      address("a", "First operand."),
      address("b", "Second operand."),
      address("out", "Result."),
      integer("operation", "Code of the operation or comparison."),
      integer("count", "Elements of the result."),
      integer("length", "Elements of a row."),
      kind("splat", "Splat", "Which operand is a single number in a row."),
      integer("stepA", "Floats from one row of a to the next."),
      integer("sharedA", "Rows of the result that one row of a serves."),
      integer("stepB", "Floats from one row of b to the next."),
      integer("sharedB", "Rows of the result that one row of b serves."),
      integer("rowsPerPiece", "Rows of a piece.")
    ]
  },
  GroupedWeights: {
    doc: "Weights of a grouped convolution beside the dense ones with zeros between the groups.",
    fields: [
      address("grouped", "[taps][in / groups][out]."),
      address("dense", "[taps][in][out]."),
      integer("taps", "Taps of the kernel."),
      integer("inputs", "Input channels."),
      integer("outputs", "Output channels."),
      integer("groups", "Groups.")
    ]
  },
  PlanesToNhwc: {
    doc: "The end of a chain: planes become NHWC, a block of pixels of one group of images per piece.",
    fields: [
      address("x", "Planes."),
      address("out", "First of the result's channels in NHWC."),
      integer("channels", "Channels."),
      integer("pixels", "Positions of an image."),
      integer("images", "Images of the batch."),
      address("v0", "Vector of channels: factor of x."),
      address("v1", "Vector of channels: term (`activateTensor`), or factor of y (`gradientTensor`)."),
      address("v2", "Vector of channels: slope (`activateTensor`), or term (`gradientTensor`)."),
      maybe("residual", "NHWC tensor that is added."),
      maybe("y", "Planes of the raw output (`gradientTensor`)."),
      kind("activation", "Activation", "Of `activateTensor`."),
      integer("blockPixels", "Pixels of a block."),
      integer("blocks", "Blocks of an image."),
      integer("groupShift", "Logarithm of the images in a group of planes."),
      integer("pixelStride", "Floats from one pixel of the result to the next."),
      integer("channelStride", "Floats from one channel of the result to the next.")
    ]
  }
} as const satisfies Record<string, { readonly doc: string; readonly fields: ReadonlyArray<Field> }>

const signature = (file: string, doc: string, fields: ReadonlyArray<Field>): Signature => ({ file, doc, fields })
/** A kernel whose arguments are one record. */
const ofRecord = (file: string, doc: string, name: RecordName): Signature => ({
  file,
  doc,
  extends: name,
  fields: []
})
const extending = (name: string, file: string, doc: string, fields: ReadonlyArray<Field>): Signature => ({
  file,
  doc,
  extends: name,
  fields
})

/** All kernels. A kernel's number is its position here. */
export const signatures: Readonly<Record<string, Signature>> = {
  packDepthwise: signature(
    "depthwise",
    "Depthwise weights [taps][channels] to [vectors][taps][4], times a scale per channel. A piece is DEPTHWISE_PACK_VECTORS vectors.",
    [
      address("source", "Weights."),
      address("destination", "Packed weights."),
      integer("taps", "Taps of the kernel."),
      integer("channels", "Channels."),
      maybe("scale", "Vector of channels.")
    ]
  ),
  joinDepthwise: signature(
    "depthwise",
    "The weight gradient [taps][channels] from partial sums, parts in order. A piece is DEPTHWISE_JOIN_VECTORS vectors.",
    [
      address("partial", "[parts][vectors][taps][4]."),
      address("out", "Gradient."),
      integer("taps", "Taps of the kernel."),
      integer("channels", "Channels."),
      integer("parts", "Partial sums.")
    ]
  ),
  depthwiseForward: signature(
    "depthwise",
    "y from a source and packed weights, and an epilogue. A piece is a range of vectors, a band of output rows and a group of images.",
    [
      record("source", "Source", "The input; dy in the backward pass."),
      record("epilogue", "Epilogue", "Epilogue of y; of da in the backward pass."),
      address("weights", "Packed weights."),
      record("geometry", "Geometry", "Shapes and pieces.")
    ]
  ),
  depthwiseBackward: extending(
    "depthwiseForward",
    "depthwise",
    "Both gradients of a depthwise convolution: da with an epilogue, and partial sums of dW. Pieces as in the forward pass.",
    [
      integer("outBandRows", "Output rows of a band, whose terms of dW are summed together."),
      record("input", "Source", "The input a."),
      maybe("partial", "Partial dW [groups * bands][vectors][taps][4]."),
      flag("wantsInput", "Whether da is computed."),
      integer("tapStep", "Taps from one that meets dy to the next: stride / gcd(stride, dilation)."),
      integer("sourceStep", "Positions of dy from one such tap to the next.")
    ]
  ),
  unary: signature("elementwise", "out = op(x).", [
    address("x", "Operand."),
    address("out", "Result."),
    integer("count", "Elements."),
    kind("operation", "UnaryOperation", "The operation."),
    integer("perPiece", "Elements of a piece."),
    float("a", "First constant of the operation."),
    float("b", "Second constant.")
  ]),
  binary: ofRecord("elementwise", "out = op(a, b), float32.", "Rowwise"),
  compare: ofRecord("elementwise", "out = the comparison of a and b, one byte each.", "Rowwise"),
  select: signature("elementwise", "out = t where the condition holds, e elsewhere. Pieces of ELEMENTWISE_PIECE.", [
    address("condition", "Bytes of 0 and 1."),
    address("t", "Chosen where the condition is 1."),
    address("e", "Chosen where it is 0."),
    address("out", "Result."),
    integer("count", "Elements.")
  ]),
  sgdUpdate: signature("optimizers", "One SGD update (OptimizerOps.ts says which). Pieces of ELEMENTWISE_PIECE.", [
    address("param", "Parameter."),
    address("gradient", "Gradient."),
    maybe("velocity", "Velocity; missing in the first step."),
    address("newParam", "New parameter."),
    maybe("newVelocity", "New velocity; missing without momentum."),
    integer("count", "Elements."),
    flag("nesterov", "Nesterov's form."),
    float("learningRate", "Learning rate."),
    float("momentum", "Momentum."),
    float("l2", "L2 penalty that is added to the gradient."),
    float("keep", "Factor of the parameter: decoupled weight decay.")
  ]),
  padVector: signature("elementwise", "Copies a vector and pads it with zeros to a multiple of four. One piece.", [
    address("from", "Source."),
    address("to", "Destination."),
    integer("length", "Floats.")
  ]),
  blendVectors: signature(
    "elementwise",
    "Moves vectors towards others: out = old keep + (fresh scale) momentum. A piece is a vector.",
    [
      addresses("old", BLENDED_VECTORS, "Vectors."),
      addresses("fresh", BLENDED_VECTORS, "Vectors they move towards."),
      addresses("out", BLENDED_VECTORS, "Results."),
      integers("length", BLENDED_VECTORS, "Floats."),
      float("keep", "Factor of the old vectors."),
      float("momentum", "Factor of the fresh ones."),
      floats("scale", BLENDED_VECTORS, "Further factor of each fresh one.")
    ]
  ),
  adamUpdate: signature("optimizers", "One Adam update. Pieces of ELEMENTWISE_PIECE.", [
    address("param", "Parameter."),
    address("gradient", "Gradient."),
    maybe("first", "First moment; missing in the first step."),
    maybe("second", "Second moment; missing in the first step."),
    address("newParam", "New parameter."),
    address("newFirst", "New first moment."),
    address("newSecond", "New second moment."),
    integer("count", "Elements."),
    float("beta1", "Decay of the first moment."),
    float("oneMinusBeta1", "1 - beta1."),
    float("beta2", "Decay of the second moment."),
    float("oneMinusBeta2", "1 - beta2."),
    float("stepSize", "Step size with the first moment's correction."),
    float("secondScale", "Correction of the root of the second moment."),
    float("epsilon", "Term of the denominator."),
    float("l2", "L2 penalty that is added to the gradient."),
    float("keep", "Factor of the parameter: decoupled weight decay.")
  ]),
  rmspropUpdate: signature("optimizers", "One RMSprop update. Pieces of ELEMENTWISE_PIECE.", [
    address("param", "Parameter."),
    address("gradient", "Gradient."),
    maybe("square", "Mean square; missing in the first step."),
    maybe("velocity", "Velocity; missing in the first step."),
    address("newParam", "New parameter."),
    address("newSquare", "New mean square."),
    maybe("newVelocity", "New velocity; missing without momentum."),
    integer("count", "Elements."),
    float("learningRate", "Learning rate."),
    float("alpha", "Decay of the mean square."),
    float("oneMinusAlpha", "1 - alpha."),
    float("epsilon", "Term of the denominator."),
    float("momentum", "Momentum."),
    float("l2", "L2 penalty that is added to the gradient."),
    float("keep", "Factor of the parameter: decoupled weight decay.")
  ]),
  fill: signature("fill", "Fills floats with one value. Pieces of ELEMENTWISE_PIECE.", [
    address("address", "First float."),
    integer("count", "Floats."),
    float("value", "Value.")
  ]),
  trap: signature("fill", "Crashes: for the tests of the crash path.", [
    integer("piece", "The piece that crashes."),
    flag("worker", "A worker crashes instead; the calling thread waits for it, and resumes after a while.")
  ]),
  packPanels: signature(
    "gemm",
    "Packs matrices B [taps * inner, columns], one per group, into micro-panels [k][vectors][4]; k is padded to a multiple of four. A piece is a panel.",
    [
      address("source", "Weights."),
      address("destination", "Panels."),
      integer("taps", "Taps of the kernel."),
      integer("inner", "Channels of a tap."),
      integer("columns", "Columns of a group."),
      integer("tapStride", "Floats from one tap to the next."),
      integer("innerStride", "Floats from one channel of a tap to the next."),
      integer("columnStride", "Floats from one column to the next."),
      integer("groupStride", "Floats from one group to the next."),
      maybe("scale", "Factor per column."),
      integer("panels", "Panels of a group.")
    ]
  ),
  gemmRows: signature(
    "gemm",
    "Rows of a source times packed B, and an epilogue. A piece is a strip of row blocks times a column block of one group; strips keep threads from writing to the same cache lines.",
    [
      record("source", "Source", "A."),
      record("epilogue", "Epilogue", "Epilogue of a block of the product."),
      integer("rows", "Rows of A."),
      integer("k", "Terms of a sum: taps times channels of a group."),
      integer("columns", "Columns of a group."),
      integer("groupChannels", "Source channels of a group."),
      address("panels", "Packed B."),
      integer("blockRows", "Rows of a block (a multiple of 6)."),
      integer("rowBlocks", "Row blocks."),
      integer("blockPanels", "Panels of a column block."),
      integer("columnBlocks", "Column blocks of a group."),
      integer("blocksPerPiece", "Row blocks of a piece."),
      integer("sumPiece", "Terms that are summed from zero before they are added (a multiple of 4).")
    ]
  ),
  gemmBoth: extending(
    "gemmRows",
    "gemm",
    "Both gradients of a pointwise convolution, whose shared operand is packed once: gemmRows with one column block and one group, and per strip the sum of the weight gradient, as in gemmWeights.",
    [
      record("input", "Source", "The other operand of the weight gradient."),
      address("sums", "Partial weight gradients, [columns][k] per strip.")
    ]
  ),
  gemmWeights: signature(
    "gemm",
    "The weight gradient A^T D, summed over a group of positions, for a block of A's columns and of D's.",
    [
      record("a", "Source", "A, the input."),
      record("d", "Source", "D, dy."),
      integer("rows", "Positions."),
      integer("k", "Columns of A of a group."),
      integer("columns", "Columns of D of a group."),
      integer("groupChannels", "Channels of A of a group."),
      address("out", "Result."),
      integer("rowStride", "Floats from one row of the result to the next."),
      integer("positionGroupStride", "Floats from the result of one group of positions to the next."),
      integer("positionsPerGroup", "Positions of a group (a multiple of `positions`)."),
      integer("positionGroups", "Groups of positions."),
      integer("blockA", "Columns of A of a block (a multiple of 4)."),
      integer("blocksA", "Blocks of A."),
      integer("blockD", "Columns of D of a block."),
      integer("blocksD", "Blocks of D."),
      integer("positions", "Positions summed at once (a multiple of 6).")
    ]
  ),
  sumParts: signature("gemm", "out = the sum over the parts, in order. Pieces of SUM_PARTS_PIECE.", [
    address("partial", "[parts][count]."),
    address("out", "Result."),
    integer("count", "Elements."),
    integer("parts", "Parts.")
  ]),
  spreadGroups: ofRecord(
    "gemm",
    "Grouped weights as dense ones, zero between the groups. One piece.",
    "GroupedWeights"
  ),
  gatherGroups: ofRecord(
    "gemm",
    "The groups' part of dense weights: the reverse of spreadGroups. One piece.",
    "GroupedWeights"
  ),
  matMulBlock: signature(
    "head",
    "A block of rows of A times a block of columns of packed B, for one of several pairs of matrices.",
    [
      address("a", "A."),
      address("panels", "Packed B."),
      address("out", "Result."),
      integer("rows", "Rows of A."),
      integer("k", "Terms of a sum."),
      integer("columns", "Columns of B."),
      integer("rowStride", "Floats from one row of A to the next."),
      integer("columnStride", "Floats from one column of A to the next."),
      integer("matrixStride", "Floats from one matrix A to the next."),
      integer("packedStride", "Floats from one packed B to the next."),
      integer("blockRows", "Rows of a block (a multiple of 6)."),
      integer("rowBlocks", "Row blocks."),
      integer("blockPanels", "Panels of a block."),
      integer("columnBlocks", "Column blocks."),
      integer("sumPiece", "Terms that are summed from zero before they are added (a multiple of 4).")
    ]
  ),
  softmaxRows: signature("head", "Softmax of rows.", [
    address("x", "[rows][columns]."),
    address("out", "Result."),
    integer("rows", "Rows."),
    integer("columns", "Columns."),
    integer("rowsPerPiece", "Rows of a piece.")
  ]),
  crossEntropyRows: signature(
    "head",
    "Cross entropy of the softmax with smoothed labels: the loss of each row, and the gradient of their mean.",
    [
      address("logits", "[rows][columns]."),
      address("labels", "[rows], int32."),
      address("losses", "[rows]."),
      address("gradient", "[rows][columns]."),
      integer("rows", "Rows."),
      integer("columns", "Classes."),
      integer("rowsPerPiece", "Rows of a piece."),
      float("smoothing", "Label smoothing.")
    ]
  ),
  poolRows: signature("head", "Average or maximum over windows of NHWC. A piece is a row of outputs.", [
    address("x", "Input."),
    address("out", "Result."),
    record("pooling", "Pooling", "Geometry.")
  ]),
  poolGradient: signature(
    "head",
    "The gradient of poolRows. A piece is an image, its windows in order; a maximum's gradient goes to its first place, row by row.",
    [
      address("x", "Input; read for maxima only."),
      address("dy", "Gradient of the output."),
      record("pooling", "Pooling", "Geometry."),
      address("dx", "Gradient of the input.")
    ]
  ),
  copyBlock: signature(
    "layout",
    "Copies runs of consecutive elements from one strided place to another. Strides are in elements, outer axis first.",
    [
      address("source", "First element."),
      address("destination", "Where it goes."),
      integer("run", "Elements of a run."),
      integer("runs", "Runs."),
      integers("sizes", 3, "Sizes of the three inner axes of runs; the outer one follows from the runs."),
      integers("sourceStrides", 4, "Strides of the source."),
      integers("destinationStrides", 4, "Strides of the destination."),
      integer("runsPerPiece", "Runs of a piece.")
    ]
  ),
  permute: signature(
    "layout",
    "Permutes axes: the result, in rows of its last axis, gathered from strides of the source.",
    [
      address("source", "Source."),
      address("out", "Result."),
      integer("length", "Elements of a row."),
      integer("rows", "Rows."),
      integer("rowStride", "Stride of the source along a row."),
      integer("rowsPerPiece", "Rows of a piece."),
      integer("axes", "Axes of rows."),
      integers("sizes", PERMUTED_AXES, "Sizes of these axes, inner first."),
      integers("strides", PERMUTED_AXES, "Their strides in the source.")
    ]
  ),
  transposeTiles: signature(
    "layout",
    "Transposes matrices in tiles. A piece is a strip of TRANSPOSE_TILE columns of one of them.",
    [
      address("source", "[matrices][rows][columns]."),
      address("out", "[matrices][columns][rows]."),
      integer("rows", "Rows."),
      integer("columns", "Columns."),
      integer("strips", "Strips of a matrix.")
    ]
  ),
  shuffleChannels: signature("layout", "Channel shuffle of rows [groups][each], written [each][groups].", [
    address("source", "Source."),
    address("out", "Result."),
    integer("rows", "Rows."),
    integer("groups", "Groups."),
    integer("each", "Channels of a group."),
    integer("rowsPerPiece", "Rows of a piece.")
  ]),
  spreadRows: signature(
    "layout",
    "Every row of [outer][columns] repeated and divided by a number: [outer][repeats][columns].",
    [
      address("source", "Source."),
      address("out", "Result."),
      integer("rows", "Rows of the result."),
      integer("repeats", "Repeats."),
      integer("columns", "Columns."),
      integer("rowsPerPiece", "Rows of a piece."),
      float("divisor", "Divisor.")
    ]
  ),
  moveChannels: signature("layout", "Copies channels from one NHWC tensor to another. Strides are in floats.", [
    address("source", "First channel."),
    address("out", "Where it goes."),
    integer("rows", "Pixels."),
    integer("channels", "Channels."),
    integer("sourcePixelStride", "From one pixel of the source to the next."),
    integer("outPixelStride", "From one pixel of the result to the next."),
    integer("sourceChannelStride", "From one channel of the source to the next."),
    integer("outChannelStride", "From one channel of the result to the next."),
    integer("rowsPerPiece", "Pixels of a piece.")
  ]),
  joinStatistics: signature(
    "norm",
    "Batch statistics from partial means and squared deviations, joined in float64, in order. A piece is JOIN_CHANNELS channels. The last four vectors are padded with zeros.",
    [
      address("partial", "[parts][2][padded channels]."),
      address("counts", "[parts], int32."),
      integer("parts", "Parts."),
      integer("channels", "Channels."),
      address("gamma", "Scale parameter."),
      address("beta", "Shift parameter."),
      address("mean", "Result: mean."),
      address("variance", "Result: variance."),
      address("scale", "Result: gamma / deviation."),
      address("shift", "Result: beta - mean scale."),
      address("inverse", "Result: 1 / deviation."),
      address("storedMean", "Result: the mean again, for the backward pass."),
      float("epsilon", "Term of the variance.")
    ]
  ),
  joinGradients: signature(
    "norm",
    "The gradients of a normalisation's parameters from the partial sums of the backward pass, joined in float64, in order. A piece is JOIN_CHANNELS channels.",
    [
      address("partial", "[parts][3][padded channels]."),
      integer("parts", "Parts."),
      integer("channels", "Channels."),
      integer("positions", "Positions of all images."),
      flag("normalised", "Whether there is a normalisation."),
      flag("slopes", "Whether there are PReLU slopes."),
      address("gamma", "Scale parameter."),
      address("mean", "Vector of channels."),
      address("inverse", "Vector of channels: 1 / deviation."),
      address("dbeta", "Result: gradient of beta, or of the bias."),
      address("dgamma", "Result: gradient of gamma."),
      maybe("dslope", "Result: gradient of the slopes."),
      address("k", "Result: the three vectors of dy = k1 dz + k2 y + k3, [3][padded channels].")
    ]
  ),
  foldNorm: signature(
    "norm",
    "Folds running statistics: scale = gamma / sqrt(variance + epsilon), shift = beta + (bias - mean) scale, padded with zeros. One piece.",
    [
      integer("channels", "Channels."),
      address("gamma", "Scale parameter."),
      address("beta", "Shift parameter."),
      address("mean", "Running mean."),
      address("variance", "Running variance."),
      maybe("bias", "Bias of the convolution."),
      address("scale", "Result: factor of the weights."),
      address("shift", "Result: bias."),
      float("epsilon", "Term of the variance.")
    ]
  ),
  activateTensor: ofRecord("norm", "out = act(x v0 + v1) + residual, from planes to NHWC.", "PlanesToNhwc"),
  gradientTensor: ofRecord("norm", "out = x v0 + y v1 + v2, from planes to NHWC.", "PlanesToNhwc"),
  activateBackwardTensor: signature(
    "norm",
    "dz and the sums that the normalisation needs, from a gradient in NHWC. A piece is a block of rows.",
    [
      address("da", "First channel of the gradient."),
      integer("channels", "Channels."),
      integer("rows", "Rows."),
      integer("blockRows", "Rows of a block."),
      integer("pixels", "Positions of an image."),
      integer("images", "Images of the batch."),
      integer("groupShift", "Logarithm of the images in a group of planes."),
      integer("pixelStride", "Floats from one pixel of da to the next."),
      integer("channelStride", "Floats from one channel of da to the next."),
      record("epilogue", "Epilogue", "Of kind `backward`.")
    ]
  ),
  peakArithmetic: signature("peak", "Twelve independent chains of multiply and add.", [
    integer("rounds", "Rounds."),
    address("place", "Two factors at 64, the pieces' results from 128 on.")
  ]),
  peakCopy: signature("peak", "Copies floats.", [
    address("source", "Source."),
    address("destination", "Destination."),
    integer("count", "Floats."),
    integer("perPiece", "Floats of a piece (a multiple of 16).")
  ]),
  drawNumbers: signature(
    "random",
    "The first numbers of a key: standard normal ones, rounded to float32, times a factor, or uniform ones of [-factor, factor). Pieces of RANDOM_PIECE.",
    [
      address("out", "Result."),
      integer("count", "Numbers."),
      integer("key0", "First word of the key."),
      integer("key1", "Second word."),
      flag("uniform", "Uniform instead of normal."),
      address("factorLow", "Low word of the factor, a float64."),
      address("factorHigh", "High word.")
    ]
  ),
  reduceRows: signature(
    "reduce",
    "Reduces rows of consecutive floats to one partial result per chunk of REDUCTION_CHUNK, [rows][chunks].",
    [
      address("x", "Rows."),
      address("partial", "Result."),
      integer("rows", "Rows."),
      integer("length", "Floats of a row."),
      kind("operation", "Reduction", "The reduction."),
      integer("chunks", "Chunks of a row."),
      integer("chunksPerPiece", "Chunks of a piece.")
    ]
  ),
  reduceColumns: signature(
    "reduce",
    "Reduces [outer][rows][columns] over rows to one partial result per chunk of rows, [outer][chunks][columns]. A piece is a chunk of rows and a block of columns.",
    [
      address("x", "Operand."),
      maybe("y", "Second operand: products are summed."),
      address("partial", "Result."),
      integer("rows", "Rows."),
      integer("columns", "Columns."),
      kind("operation", "Reduction", "The reduction."),
      integer("chunks", "Chunks of rows."),
      integer("blockColumns", "Columns of a block (a multiple of 16)."),
      integer("blocks", "Blocks of columns."),
      integer("chunkRows", "Rows of a chunk.")
    ]
  ),
  reduceJoin: signature(
    "reduce",
    "The partial results of each element joined in order (sums in float64), divided by a number.",
    [
      address("partial", "[outer][chunks][columns]."),
      address("out", "[outer][columns]."),
      integer("outer", "Outer size."),
      integer("chunks", "Chunks."),
      integer("columns", "Columns."),
      kind("operation", "Reduction", "The reduction."),
      integer("perPiece", "Elements of a piece."),
      float("divisor", "Divisor of sums.")
    ]
  )
}
