/**
 * Chains of convolutions on the embedded backend: forward and backward passes cut into jobs of `assembly/kernels`.
 *
 * In training only the raw convolution outputs y are kept, as planes (see assembly/rows.ts). With a = act(scale y + shift), every
 * consumer of a (the next convolution, its weight gradient) makes it from y while it packs its operand. Backward,
 * dz = da act'(z) is stored by the job that computes da, together with the sums that the normalisation's gradient needs;
 * dy = k1 dz + k2 y + k3 is made where it is packed.
 *
 * What is added in which order is part of the engine, not of the number of threads or the width of vectors: products run
 * over their taps and channels in order, in pieces that are summed from zero and then added in order (of 16 terms, 32 in sums of
 * more than 512, 128 going back; of a row of taps in a depthwise convolution's forward pass); statistics over at most 32 rows of a
 * block in float32, the sums of the backward pass over 128, then over the block (of at most 384 rows of a product, or of a band of a
 * group of images of a depthwise convolution) in float64, then over the blocks in order, in float64; weight gradients over at most
 * 192 positions, over a fixed number of those, then over these groups in order. The sizes follow from the shapes
 * (`rowTiles`, `weightTiles`, `depthwiseTiles`).
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Schema from "effect/Schema"
import type {
  Activation,
  BatchStatistics,
  ConvBranch,
  ConvBranchesOptions,
  ConvBranchesResult,
  ConvChainOptions,
  ConvChainResult,
  ConvStage,
  ConvStageParams
} from "../ConvChain.ts"
import type { SimdBackend } from "./Backend.ts"
import { fill, panelColumns, panelCount, sumPiece } from "./Operations.ts"
import type { Runtime } from "./Runtime.ts"

const activationCode: Record<Activation, number> = { none: 0, relu: 1, relu6: 2, hswish: 3, prelu: 4 }

// Source and epilogue kinds, as in assembly/rows.ts and assembly/epilogue.ts.
const NHWC = 0
const PLAIN = 1
const ACTIVATED = 2
const NORM_BACKWARD = 3
const GATHER = 4
const GATHER_BACKWARD = 5
const STATISTICS = 0
const ACTIVATE = 1
const BACKWARD = 2
const ACTIVATE_NHWC = 3

const SCRATCH_BYTES = 8 * 2 ** 20
/** Images of a group in planes are eight, or one in batches that would leave most of the eight empty; by their logarithm. */
const groupShift = (batch: number): number => (batch < 5 ? 0 : 3)
const groupsOf = (batch: number): number => ceil(batch, 2 ** groupShift(batch))
const filledImages = (batch: number): number => groupsOf(batch) * 2 ** groupShift(batch)

const ceil = (a: number, b: number): number => Math.ceil(a / b)
const roundUp = (a: number, b: number): number => ceil(a, b) * b
const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(high, x))
/** Channels of planes. */
const padded = (channels: number): number => roundUp(channels, 4)

/**
 * A pointwise convolution of so many positions and so few weights reads more than it computes: its gradients share what they read.
 */
const JOINT_ROWS = 1024
const JOINT_WEIGHTS = 16384

/** A stage with the shapes it meets. */
interface Plan {
  readonly stage: ConvStage
  readonly kind: "rows" | "gather" | "depthwise"
  readonly batch: number
  readonly height: number
  readonly width: number
  readonly outHeight: number
  readonly outWidth: number
  /** Positions of the input and of the output, images filled up to groups of eight. */
  readonly inRows: number
  readonly outRows: number
  /** Groups of the product, and channels of one. */
  readonly groups: number
  readonly inGroup: number
  readonly outGroup: number
  /** Groups whose channels are no whole vectors are done as one, with zeros between them. */
  readonly spread: boolean
  readonly taps: number
  /** Whether the gradients of the input and the weight are one job. */
  readonly joint: boolean
}

const outputSide = (side: number, stage: ConvStage): number =>
  Math.floor((side + 2 * stage.padding - stage.dilation * (stage.kernel - 1) - 1) / stage.stride) + 1

const makePlans = (shape: ReadonlyArray<number>, stages: ReadonlyArray<ConvStage>): ReadonlyArray<Plan> => {
  const batch = shape[0]!
  let height = shape[1]!
  let width = shape[2]!
  let channels = shape[3]!
  return stages.map((stage, index) => {
    const { inChannels, outChannels, groups, kernel } = stage
    if (inChannels !== channels) {
      throw new Error(`stage ${index} of a convolution chain takes ${inChannels} channels, but is given ${channels}`)
    }
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new Error(
        `stage ${index} of a convolution chain: ${groups} groups do not divide ${inChannels} and ${outChannels} channels`
      )
    }
    const outHeight = outputSide(height, stage)
    const outWidth = outputSide(width, stage)
    if (!(outHeight > 0 && outWidth > 0)) {
      throw new Error(
        `stage ${index} of a convolution chain: a kernel of ${kernel} does not fit into ${height} x ${width}`
      )
    }
    const depthwise = groups > 1 && groups === inChannels && groups === outChannels
    const spread = !depthwise && groups > 1 && (inChannels % (4 * groups) !== 0 || outChannels % (4 * groups) !== 0)
    const productGroups = spread ? 1 : groups
    const kind = depthwise ? "depthwise" : kernel === 1 && stage.stride === 1 && stage.padding === 0 ? "rows" : "gather"
    const inRows = filledImages(batch) * height * width
    const plan: Plan = {
      stage,
      kind,
      batch,
      height,
      width,
      outHeight,
      outWidth,
      inRows,
      outRows: filledImages(batch) * outHeight * outWidth,
      groups: productGroups,
      inGroup: inChannels / productGroups,
      outGroup: outChannels / productGroups,
      spread,
      taps: kernel * kernel,
      joint:
        depthwise ||
        (kind === "rows" && groups === 1 && inRows >= JOINT_ROWS && inChannels * outChannels <= JOINT_WEIGHTS)
    }
    height = outHeight
    width = outWidth
    channels = outChannels
    return plan
  })
}

// Sizes of pieces. They are part of what the engine computes (partial sums follow them), so they depend on shapes only.

/** Rows of a block at most and, where there are enough rows, at least; floats of its operand, which is to stay in the second cache. */
const MOST_ROWS = 384
const ROWS_BLOCK = 96
const BLOCK_FLOATS = 48 * 1024
const PIECES = 16

/** Terms that the products of a backward pass sum at once: what errors there are comes from the forward pass. */
const BACKWARD_SUM_PIECE = 128

const rowTiles = (rows: number, k: number, columns: number, groups: number) => {
  const depth = roundUp(k, 4)
  const wide = clamp(
    Math.floor(Math.min(rows / (3 * PIECES), BLOCK_FLOATS / depth)),
    rows >= ROWS_BLOCK * 8 ? ROWS_BLOCK : ROWS_BLOCK / 2,
    MOST_ROWS
  )
  const most = clamp(Math.floor(Math.min(wide, SCRATCH_BYTES / 2 / (depth * 4)) / 6) * 6, 6, MOST_ROWS)
  const rowBlocks = ceil(rows, Math.min(most, roundUp(rows, 6)))
  const blockRows = roundUp(ceil(rows, rowBlocks), 6)
  const blocks = ceil(rows, blockRows)
  const wanted = Math.max(
    ceil(columns, 160),
    Math.min(ceil(PIECES, blocks * groups), Math.max(1, Math.floor(columns / 32)))
  )
  const panels = panelCount(columns)
  const blockPanels = ceil(panels, wanted)
  return { blockRows, rowBlocks: blocks, blockPanels, columnBlocks: ceil(panels, blockPanels) }
}

const POSITIONS = 192

/**
 * Positions whose terms of a weight gradient are summed at once: 192, or as many as there is scratch memory for where patches, which
 * are packed whole, have so many terms. Below six there are none.
 */
const positionsAtOnce = (plan: Pick<Plan, "kind">, k: number): number =>
  plan.kind === "gather"
    ? Math.min(POSITIONS, Math.floor((Math.floor((SCRATCH_BYTES - 2 ** 19) / (roundUp(k, 4) * 4)) - 1) / 6) * 6)
    : POSITIONS

/** Whether the least block of rows of a product over so many terms, six of them, has room in the scratch memory. */
const productFits = (k: number): boolean => roundUp(k, 4) * 24 <= SCRATCH_BYTES / 2
const tooDeep = ({ inGroup, stage }: Plan): Error =>
  new Error(
    `a ${stage.kernel} x ${stage.kernel} convolution of ${inGroup} channels is too deep for the embedded engine`
  )

const weightTiles = (rows: number, k: number, columns: number, groups: number, positions: number) => {
  const blockA = Math.min(padded(k), 96)
  const blocksA = ceil(k, blockA)
  const blockD = roundUp(ceil(columns, ceil(columns, 144)), 12)
  const blocksD = ceil(columns, blockD)
  const positionBlocks = ceil(rows, positions)
  const groupsWanted = clamp(ceil(2 * PIECES, blocksA * blocksD * groups), 1, positionBlocks)
  const perGroup = ceil(positionBlocks, groupsWanted) * positions
  return { blockA, blocksA, blockD, blocksD, perGroup, positionGroups: ceil(rows, perGroup) }
}

/** A depthwise convolution's rows are longer than a thread's scratch memory has room for. */
export class EngineWidthError extends Schema.TaggedError<EngineWidthError>()("EngineWidthError", {
  width: Schema.Finite,
  kernel: Schema.Finite,
  batch: Schema.Finite,
  widest: Schema.Finite
}) {
  override get message(): string {
    return (
      `A depthwise convolution of kernel ${this.kernel} over rows of ${this.width} pixels is too wide for the embedded engine: at a ` +
      `batch of ${this.batch} rows may have ${this.widest} pixels. Use smaller images` +
      `${this.batch < 5 ? "" : ", a batch below 5 (rows may then be eight times as long)"}, or the engine tensorflow.`
    )
  }
}

/** Rows of a band of a depthwise convolution. */
const depthwiseBand = (plan: Plan, height: number, rowWidth: number): number =>
  ceil(height, ceil(height, Math.max(1, Math.floor(4608 / 2 ** groupShift(plan.batch) / rowWidth))))

/** The longest rows whose band's tiles have room in the scratch memory: three tiles at most (dy, a, result). */
const depthwiseWidest = (plan: Plan, height: number, rowWidth: number): number => {
  const halo = plan.stage.dilation * (plan.stage.kernel - 1)
  const rows = depthwiseBand(plan, height, rowWidth) * plan.stage.stride + 2 * halo + 2
  return Math.floor((SCRATCH_BYTES * 0.9) / (rows * 2 ** groupShift(plan.batch) * 16 * 3))
}

/** Whether the tiles of a band have room in the scratch memory. */
const depthwiseFits = (plan: Plan, height: number, rowWidth: number): boolean =>
  Math.max(plan.width, plan.outWidth) <= depthwiseWidest(plan, height, rowWidth)

const depthwiseTiles = (plan: Plan, height: number, rowWidth: number) => {
  const vectors = ceil(plan.stage.inChannels, 4)
  const groups = groupsOf(plan.batch)
  const images = 2 ** groupShift(plan.batch)
  const bandRows = depthwiseBand(plan, height, rowWidth)
  const bands = ceil(height, bandRows)
  if (!depthwiseFits(plan, height, rowWidth)) {
    throw new EngineWidthError({
      width: plan.width,
      kernel: plan.stage.kernel,
      batch: plan.batch,
      widest: depthwiseWidest(plan, height, rowWidth)
    })
  }
  // Enough pieces to share, each enough work to be worth taking.
  const vectorsPerPiece = clamp(
    Math.floor((vectors * groups * bands) / 64),
    1,
    clamp(Math.floor(16384 / images / (bandRows * rowWidth)), 1, vectors)
  )
  return {
    vectors,
    groups,
    bandRows,
    bands,
    vectorsPerPiece,
    pieces: groups * bands * ceil(vectors, vectorsPerPiece),
    parts: groups * bands
  }
}

/** Runs `f` with temporary blocks that are freed when it ends, however it ends. */
const withTemporaries = <A>(runtime: Runtime, f: (temporary: (floats: number) => number) => A): A => {
  const blocks: Array<number> = []
  try {
    return f((floats) => {
      const address = runtime.allocator.allocate(floats * 4)
      blocks.push(address)
      return address
    })
  } finally {
    for (const address of blocks) runtime.allocator.free(address)
  }
}

type Words = ReadonlyArray<number>

/** Channels of an NHWC tensor: where the first of them is, the channels of a pixel, of which every so manieth is meant. */
interface Channels {
  readonly address: number
  readonly row: number
  readonly apart: number
}
const allChannels = (address: number, channels: number): Channels => ({ address, row: channels, apart: 1 })
const channelsFrom = (whole: Channels, from: number, apart = 1): Channels => ({
  address: whole.address + from * 4,
  row: whole.row,
  apart
})

// Word 9 is the batch, which decides how images are grouped (word 18).
const sourceWords = (fields: Words): Words => [
  ...fields,
  ...Array(18 - fields.length).fill(0),
  groupShift(fields[9]!),
  0
]

const plainSource = (kind: number, address: number, channels: number, pixels: number, batch: number): Words =>
  sourceWords([kind, address, channels, 0, 0, 0, 0, 0, pixels, batch])

const inPixels = (plan: Plan): number => plan.height * plan.width
const outPixels = (plan: Plan): number => plan.outHeight * plan.outWidth

const gatherSource = (kind: number, plan: Plan, x: Channels): Words => {
  const { stage } = plan
  const forward = kind === GATHER
  return sourceWords([
    kind,
    x.address,
    x.row,
    0,
    0,
    0,
    0,
    0,
    forward ? outPixels(plan) : inPixels(plan),
    plan.batch,
    forward ? plan.height : plan.outHeight,
    forward ? plan.width : plan.outWidth,
    forward ? plan.outWidth : plan.width,
    stage.kernel,
    stage.stride,
    stage.padding,
    stage.dilation,
    forward ? plan.inGroup : plan.outGroup
  ])
}

interface Epilogue {
  readonly kind: number
  readonly out: number
  readonly channels: number
  readonly pixels: number
  readonly batch: number
  readonly partial?: number
  readonly counts?: number
  readonly bias?: number
  readonly activation?: Activation
  readonly y?: number
  readonly scale?: number
  readonly shift?: number
  readonly mean?: number
  readonly slope?: number
  readonly residual?: number
  /** Where NHWC is not just these channels. */
  readonly row?: number
  readonly apart?: number
}

const epilogueWords = (e: Epilogue): Words => [
  e.kind,
  e.out,
  e.channels,
  e.partial ?? 0,
  e.counts ?? 0,
  e.bias ?? 0,
  activationCode[e.activation ?? "none"],
  e.y ?? 0,
  e.scale ?? 0,
  e.shift ?? 0,
  e.mean ?? 0,
  e.slope ?? 0,
  e.residual ?? 0,
  e.pixels,
  e.batch,
  groupShift(e.batch),
  e.row ?? e.channels,
  e.apart ?? 1,
  0,
  0
]

/** What a stage leaves for its consumers: its raw output as planes, and vectors a channel, filled up with zeros. */
interface Stored {
  readonly y: number
  readonly vectors: number
}
const SCALE = 0
const SHIFT = 1
const INVERSE = 2
const MEAN = 3
const SLOPE = 4
const BIAS = 5
const VECTORS = 6

const vectorAt = (stored: Stored, stage: ConvStage, index: number): number =>
  stored.vectors + index * padded(stage.outChannels) * 4

/** The activated output of a stage as a source. */
const activatedSource = (plan: Plan, stored: Stored): Words => {
  const { stage } = plan
  return sourceWords([
    ACTIVATED,
    stored.y,
    stage.outChannels,
    activationCode[stage.activation],
    vectorAt(stored, stage, SCALE),
    vectorAt(stored, stage, SHIFT),
    vectorAt(stored, stage, SLOPE),
    0,
    outPixels(plan),
    plan.batch
  ])
}

/** The jobs of a chain on one backend. */
const makeJobs = (backend: SimdBackend) => {
  const { runtime } = backend
  const { run } = runtime

  const packPanels = (plan: Plan, weight: number, destination: number, transposed: boolean, scale = 0): void => {
    const { inGroup, outGroup, taps, stage } = plan
    const columns = transposed ? inGroup : outGroup
    const panels = panelCount(columns)
    run("packPanels", panels * plan.groups, [
      weight,
      destination,
      taps,
      transposed ? outGroup : inGroup,
      columns,
      inGroup * stage.outChannels,
      transposed ? 1 : stage.outChannels,
      transposed ? stage.outChannels : 1,
      outGroup,
      scale,
      panels
    ])
  }
  const spreadWords = (plan: Plan, grouped: number, dense: number): Words => [
    grouped,
    dense,
    plan.taps,
    plan.stage.inChannels,
    plan.stage.outChannels,
    plan.stage.groups
  ]
  /** The weights of a product: those of spread groups with zeros between the groups. */
  const productWeight = (plan: Plan, weight: number, temporary: (floats: number) => number): number => {
    if (!plan.spread) return weight
    const dense = temporary(plan.taps * plan.stage.inChannels * plan.stage.outChannels)
    run("spreadGroups", 1, spreadWords(plan, weight, dense))
    return dense
  }
  const panelFloats = (plan: Plan, transposed: boolean): number =>
    plan.groups *
    panelColumns(transposed ? plan.inGroup : plan.outGroup) *
    roundUp(plan.taps * (transposed ? plan.outGroup : plan.inGroup), 4)

  /** Rows times weights, forward or (transposed) backward; backward with the weight gradient too, where `other` says of what. */
  const product = (
    plan: Plan,
    source: Words,
    panels: number,
    epilogue: Words,
    transposed: boolean,
    joint?: { readonly input: Words; readonly dw: number; readonly temporary: (floats: number) => number }
  ): void => {
    const rows = transposed ? plan.inRows : plan.outRows
    const channels = transposed ? plan.outGroup : plan.inGroup
    const k = channels * plan.taps
    const columns = transposed ? plan.inGroup : plan.outGroup
    if (!productFits(k)) throw tooDeep(plan)
    const t = rowTiles(rows, k, columns, plan.groups)
    const columnPieces = t.columnBlocks * plan.groups
    const words = (perPiece: number, blockPanels: number, columnBlocks: number): Words => [
      ...source,
      ...epilogue,
      rows,
      k,
      columns,
      channels,
      panels,
      t.blockRows,
      t.rowBlocks,
      blockPanels,
      columnBlocks,
      perPiece,
      transposed ? BACKWARD_SUM_PIECE : sumPiece(k)
    ]
    if (joint === undefined) {
      const perPiece = clamp(Math.floor((t.rowBlocks * columnPieces) / 40), 1, 4)
      run("gemmRows", ceil(t.rowBlocks, perPiece) * columnPieces, words(perPiece, t.blockPanels, t.columnBlocks))
    } else {
      const perPiece = ceil(t.rowBlocks, 4 * PIECES)
      const strips = ceil(t.rowBlocks, perPiece)
      const sums = joint.temporary(strips * k * columns)
      run("gemmBoth", strips, [...words(perPiece, panelCount(columns), 1), ...Array(9).fill(0), ...joint.input, sums])
      run("sumParts", ceil(k * columns, 4096), [sums, joint.dw, k * columns, strips])
    }
  }

  const depthwiseWords = (plan: Plan, t: ReturnType<typeof depthwiseTiles>): Words => [
    t.groups,
    plan.height,
    plan.width,
    plan.outHeight,
    plan.outWidth,
    plan.stage.kernel,
    plan.stage.stride,
    plan.stage.padding,
    plan.stage.dilation,
    t.vectors,
    t.vectorsPerPiece,
    t.bands,
    t.bandRows
  ]
  const packDepthwise = (plan: Plan, weight: number, destination: number, scale = 0): void =>
    run("packDepthwise", ceil(ceil(plan.stage.inChannels, 4), 16), [
      weight,
      destination,
      plan.taps,
      plan.stage.inChannels,
      scale
    ])
  const depthwiseFloats = (plan: Plan): number => roundUp(plan.stage.inChannels, 4) * plan.taps

  const toNhwc = (
    kernel: string,
    plan: Plan,
    x: number,
    out: Channels,
    vectors: Words,
    residual: number,
    y: number
  ): void => {
    const { stage } = plan
    const pixels = outPixels(plan)
    const block = Math.min(pixels, 64)
    const blocks = ceil(pixels, block)
    run(kernel, groupsOf(plan.batch) * blocks, [
      x,
      out.address,
      stage.outChannels,
      pixels,
      plan.batch,
      ...vectors,
      residual,
      y,
      activationCode[stage.activation],
      block,
      blocks,
      groupShift(plan.batch),
      out.row,
      out.apart
    ])
  }

  const activateTensor = (plan: Plan, stored: Stored, out: Channels, residual: number): void =>
    toNhwc(
      "activateTensor",
      plan,
      stored.y,
      out,
      [SCALE, SHIFT, SLOPE].map((index) => vectorAt(stored, plan.stage, index)),
      residual,
      0
    )

  /** The input of a stage as a source, materialised where patches of it are gathered. */
  const inputSource = (
    plan: Plan,
    previous: { readonly plan: Plan; readonly stored: Stored } | undefined,
    x: Channels,
    temporary: (floats: number) => number
  ): Words => {
    const channels = plan.stage.inChannels
    if (previous === undefined) {
      return plan.kind === "gather"
        ? gatherSource(GATHER, plan, x)
        : plainSource(NHWC, x.address, x.row, inPixels(plan), plan.batch)
    }
    const { stage } = previous.plan
    if (plan.kind === "gather") {
      const a = allChannels(temporary(plan.batch * inPixels(plan) * channels), channels)
      activateTensor(previous.plan, previous.stored, a, 0)
      return gatherSource(GATHER, plan, a)
    }
    return !stage.norm && stage.activation === "none"
      ? plainSource(PLAIN, previous.stored.y, channels, inPixels(plan), plan.batch)
      : activatedSource(previous.plan, previous.stored)
  }

  /** Convolves. With statistics, returns where the partial ones are and how many. */
  const forward = (
    plan: Plan,
    source: Words,
    weight: number,
    scale: number,
    epilogue: (parts: number) => Epilogue,
    temporary: (floats: number) => number
  ): number => {
    if (plan.kind === "depthwise") {
      const t = depthwiseTiles(plan, plan.outHeight, plan.outWidth)
      const weights = temporary(depthwiseFloats(plan))
      packDepthwise(plan, weight, weights, scale)
      run("depthwiseForward", t.pieces, [
        ...source,
        ...epilogueWords(epilogue(t.parts)),
        weights,
        ...depthwiseWords(plan, t)
      ])
      return t.parts
    }
    const t = rowTiles(plan.outRows, plan.inGroup * plan.taps, plan.outGroup, plan.groups)
    const panels = temporary(panelFloats(plan, false))
    packPanels(plan, productWeight(plan, weight, temporary), panels, false, scale)
    product(plan, source, panels, epilogueWords(epilogue(t.rowBlocks)), false)
    return t.rowBlocks
  }

  const joinStatistics = (
    plan: Plan,
    partial: number,
    counts: number,
    parts: number,
    gamma: number,
    beta: number,
    mean: number,
    variance: number,
    stored: Stored,
    epsilon: number
  ): void => {
    const { stage } = plan
    run(
      "joinStatistics",
      ceil(stage.outChannels, 64),
      [
        partial,
        counts,
        parts,
        stage.outChannels,
        gamma,
        beta,
        mean,
        variance,
        vectorAt(stored, stage, SCALE),
        vectorAt(stored, stage, SHIFT),
        vectorAt(stored, stage, INVERSE),
        vectorAt(stored, stage, MEAN)
      ],
      [epsilon]
    )
  }

  const joinGradients = (
    plan: Plan,
    partial: number,
    parts: number,
    gamma: number,
    stored: Stored,
    dbeta: number,
    dgamma: number,
    dslope: number,
    k: number
  ): void => {
    const { stage } = plan
    run("joinGradients", ceil(stage.outChannels, 64), [
      partial,
      parts,
      stage.outChannels,
      plan.batch * outPixels(plan),
      stage.norm ? 1 : 0,
      stage.activation === "prelu" ? 1 : 0,
      gamma,
      vectorAt(stored, stage, MEAN),
      vectorAt(stored, stage, INVERSE),
      dbeta,
      dgamma,
      dslope,
      k
    ])
  }

  /** The epilogue that takes da of a stage to dz. */
  const backwardEpilogue = (plan: Plan, stored: Stored, out: number, partial: number): Epilogue => ({
    kind: BACKWARD,
    out,
    channels: plan.stage.outChannels,
    pixels: outPixels(plan),
    batch: plan.batch,
    partial,
    activation: plan.stage.activation,
    y: stored.y,
    scale: vectorAt(stored, plan.stage, SCALE),
    shift: vectorAt(stored, plan.stage, SHIFT),
    mean: vectorAt(stored, plan.stage, MEAN),
    slope: vectorAt(stored, plan.stage, SLOPE)
  })

  /** dz and its sums from the gradient of the chain's output. */
  const backwardTensor = (
    plan: Plan,
    da: Channels,
    temporary: (floats: number) => number,
    stored: Stored,
    out: number
  ) => {
    const channels = plan.stage.outChannels
    const block = clamp(Math.floor(8192 / channels), 24, ROWS_BLOCK)
    const parts = ceil(plan.outRows, block)
    const partial = temporary(parts * 3 * padded(channels))
    run("activateBackwardTensor", parts, [
      da.address,
      channels,
      plan.outRows,
      block,
      outPixels(plan),
      plan.batch,
      groupShift(plan.batch),
      da.row,
      da.apart,
      ...Array(11).fill(0),
      ...epilogueWords(backwardEpilogue(plan, stored, out, partial))
    ])
    return { partial, parts }
  }

  const gradientVectors = (plan: Plan, k: number): Words =>
    [0, 1, 2].map((index) => k + index * padded(plan.stage.outChannels) * 4)

  /** dy of a stage as a source. */
  const gradientSource = (plan: Plan, stored: Stored, dz: number, k: number): Words => {
    const { stage } = plan
    return stage.norm
      ? sourceWords([
          NORM_BACKWARD,
          dz,
          stage.outChannels,
          0,
          ...gradientVectors(plan, k),
          stored.y,
          outPixels(plan),
          plan.batch
        ])
      : plainSource(PLAIN, dz, stage.outChannels, outPixels(plan), plan.batch)
  }

  const depthwiseBackward = (
    plan: Plan,
    dy: Words,
    input: Words,
    weight: number,
    epilogue: ((parts: number) => Epilogue) | undefined,
    dw: number,
    temporary: (floats: number) => number
  ): number => {
    const { stage } = plan
    const t = depthwiseTiles(plan, plan.height, plan.width)
    const weights = temporary(depthwiseFloats(plan))
    if (epilogue !== undefined) packDepthwise(plan, weight, weights)
    const dwParts = t.parts
    const partial = dw === 0 ? 0 : temporary(dwParts * t.vectors * plan.taps * 4)
    let common = stage.stride
    for (let b = stage.dilation; b !== 0; ) [common, b] = [b, common % b]
    const tapStep = stage.stride / common
    run("depthwiseBackward", t.pieces, [
      ...dy,
      ...epilogueWords(
        epilogue?.(t.parts) ?? { kind: ACTIVATE, out: 0, channels: stage.inChannels, pixels: 0, batch: 0 }
      ),
      weights,
      ...depthwiseWords(plan, t),
      ceil(plan.outHeight, t.bands),
      ...Array(5).fill(0),
      ...input,
      partial,
      epilogue === undefined ? 0 : 1,
      tapStep,
      (stage.dilation * tapStep) / stage.stride
    ])
    if (dw !== 0) run("joinDepthwise", ceil(t.vectors, 4), [partial, dw, plan.taps, stage.inChannels, dwParts])
    return t.parts
  }

  /** The output of a stage from planes to NHWC, as it is. */
  const planesToNhwc = (plan: Plan, x: number, out: Channels, temporary: (floats: number) => number): void => {
    const channels = padded(plan.stage.outChannels)
    const address = temporary(3 * channels)
    runtime
      .float32(address, 3 * channels)
      .fill(0)
      .fill(1, 0, channels)
    toNhwc("gradientTensor", plan, x, out, gradientVectors(plan, address), 0, x)
  }

  /** da of the input of a stage that is a product, with an epilogue. */
  const productBackward = (
    plan: Plan,
    stored: Stored,
    dz: number,
    k: number,
    weight: number,
    epilogue: (parts: number) => Epilogue,
    joint: { readonly input: Words; readonly dw: number } | undefined,
    temporary: (floats: number) => number
  ): number => {
    const { stage } = plan
    let source = gradientSource(plan, stored, dz, k)
    if (plan.kind === "gather") {
      const dy = allChannels(temporary(plan.batch * outPixels(plan) * stage.outChannels), stage.outChannels)
      if (stage.norm) toNhwc("gradientTensor", plan, dz, dy, gradientVectors(plan, k), 0, stored.y)
      else planesToNhwc(plan, dz, dy, temporary)
      source = gatherSource(GATHER_BACKWARD, plan, dy)
    }
    return backwardProduct(plan, source, weight, epilogue, joint, temporary)
  }

  /** The same from dy, or its patches, as a source. */
  const backwardProduct = (
    plan: Plan,
    source: Words,
    weight: number,
    epilogue: (parts: number) => Epilogue,
    joint: { readonly input: Words; readonly dw: number } | undefined,
    temporary: (floats: number) => number
  ): number => {
    const panels = temporary(panelFloats(plan, true))
    packPanels(plan, productWeight(plan, weight, temporary), panels, true)
    const t = rowTiles(plan.inRows, plan.outGroup * plan.taps, plan.inGroup, plan.groups)
    product(
      plan,
      source,
      panels,
      epilogueWords(epilogue(t.rowBlocks)),
      true,
      joint === undefined ? undefined : { ...joint, temporary }
    )
    return t.rowBlocks
  }

  const weightGradient = (
    plan: Plan,
    input: Words,
    dy: Words,
    dw: number,
    temporary: (floats: number) => number
  ): void => {
    const { stage } = plan
    const k = plan.inGroup * plan.taps
    const positions = positionsAtOnce(plan, k)
    if (positions < 6) throw tooDeep(plan)
    const t = weightTiles(plan.outRows, k, plan.outGroup, plan.groups, positions)
    const size = k * stage.outChannels
    const whole = plan.spread ? temporary(size) : dw
    const out = t.positionGroups > 1 ? temporary(t.positionGroups * size) : whole
    run("gemmWeights", t.positionGroups * t.blocksA * t.blocksD * plan.groups, [
      ...input,
      ...dy,
      plan.outRows,
      k,
      plan.outGroup,
      plan.inGroup,
      out,
      stage.outChannels,
      size,
      t.perGroup,
      t.positionGroups,
      t.blockA,
      t.blocksA,
      t.blockD,
      t.blocksD,
      positions
    ])
    if (t.positionGroups > 1) run("sumParts", ceil(size, 4096), [out, whole, size, t.positionGroups])
    if (plan.spread) run("gatherGroups", 1, spreadWords(plan, dw, whole))
  }

  /** Channels as they are from one tensor to another. */
  const moveChannels = (from: Channels, to: Channels, rows: number, channels: number): void => {
    const perPiece = Math.max(1, Math.floor(16384 / channels))
    run("moveChannels", ceil(rows, perPiece), [
      from.address,
      to.address,
      rows,
      channels,
      from.row,
      to.row,
      from.apart,
      to.apart,
      perPiece
    ])
  }

  return {
    moveChannels,
    inputSource,
    forward,
    joinStatistics,
    activateTensor,
    backwardTensor,
    backwardEpilogue,
    joinGradients,
    gradientSource,
    depthwiseBackward,
    productBackward,
    backwardProduct,
    planesToNhwc,
    weightGradient
  }
}

/** The part of tfjs's engine behind `customGrad` that knows which gradients are asked for. */
interface TapeEngine {
  track<T extends tf.Tensor>(tensor: T): T
  runKernelFunc(kernel: {
    readonly forwardFunc: (backend: unknown, save: (tensors: Array<tf.Tensor>) => void) => Array<tf.Tensor>
    readonly backwardsFunc: (dy: tf.Tensor, saved: Array<tf.Tensor>) => Record<string, () => tf.Tensor>
    readonly inputs: tf.NamedTensorMap
    readonly attrs: object
  }): Array<tf.Tensor>
}

/** A residual is for a single chain only. */
interface BranchesOptions extends ConvBranchesOptions {
  readonly residual?: boolean
}

/** A branch with the shapes that it meets. */
interface Branch {
  readonly from: number
  readonly plans: ReadonlyArray<Plan>
  readonly params: ReadonlyArray<ConvStageParams>
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** Named tensors of the branches in the order in which tfjs is to ask for their gradients: from the last branch and stage to the
 * first, x at the end. So what a stage keeps can be freed as soon as the pass has gone through it, and is used while it is in cache. */
const makeInputs = (x: tf.Tensor4D, branches: ReadonlyArray<Branch>): tf.NamedTensorMap => {
  const inputs: tf.NamedTensorMap = {}
  for (let b = branches.length - 1; b >= 0; b--) {
    const { params } = branches[b]!
    for (let index = params.length - 1; index >= 0; index--) {
      const stage = params[index]!
      for (const name of ["weight", "bias", "gamma", "beta", "slope"] as const) {
        const tensor = stage[name]
        if (tensor !== undefined) inputs[`${name}.${b}.${index}`] = tensor
      }
    }
  }
  inputs["x"] = x
  return inputs
}

/**
 * Chains side by side on channels of x, on the embedded backend: one node of the tape. Their outputs are joined along the
 * channels, or dealt out in turn (`shuffled`: a channel of each). In `eval` mode normalisations are folded into the weights and the
 * result has no gradient: asking for one throws.
 */
export const convBranches = (
  backend: SimdBackend,
  x: tf.Tensor4D,
  given: ReadonlyArray<ConvBranch>,
  options: BranchesOptions
): ConvBranchesResult => {
  const [batch, height, width] = x.shape
  const branches = given.map(({ from, params, stages, to }): Branch => {
    const plans = makePlans([batch, height, width, to - from], stages)
    const last = plans[plans.length - 1]
    return {
      from,
      plans,
      params,
      channels: last?.stage.outChannels ?? to - from,
      height: last?.outHeight ?? height,
      width: last?.outWidth ?? width
    }
  })
  const first = branches[0]
  if (first === undefined) throw new Error("a convolution chain needs at least one stage")
  const channels = branches.reduce((sum, branch) => sum + branch.channels, 0)
  const outShape: [number, number, number, number] = [batch, first.height, first.width, channels]
  if (branches.some((branch) => branch.height !== first.height || branch.width !== first.width)) {
    throw new Error("convolution chains side by side differ in the size of their outputs")
  }
  if (options.residual && !(branches.length === 1 && tf.util.arraysEqual(outShape, x.shape))) {
    throw new Error(`a residual needs the same shape at both ends, but the chain takes [${x.shape}] to [${outShape}]`)
  }
  return options.mode === "train"
    ? train(backend, x, branches, options, outShape)
    : evaluate(backend, x, branches, options, outShape)
}

/** Which channels of the output are a branch's. */
const outputOf = (out: Channels, branches: ReadonlyArray<Branch>, index: number, shuffled: boolean): Channels =>
  shuffled
    ? channelsFrom(out, index, branches.length)
    : channelsFrom(
        out,
        branches.slice(0, index).reduce((sum, branch) => sum + branch.channels, 0)
      )

/** The chain of {@link ConvChainResult} on the embedded backend: {@link convBranches} of one branch. */
export const convChain = (
  backend: SimdBackend,
  x: tf.Tensor4D,
  stages: ReadonlyArray<ConvStage>,
  params: ReadonlyArray<ConvStageParams>,
  options: ConvChainOptions
): ConvChainResult => {
  if (stages.length === 0) throw new Error("a convolution chain needs at least one stage")
  const { output, statistics } = convBranches(backend, x, [{ from: 0, to: x.shape[3], stages, params }], {
    ...options,
    shuffled: false
  })
  return { output, statistics: statistics[0]! }
}

const required = (tensor: tf.Tensor | undefined, name: string, index: number): tf.Tensor => {
  if (tensor === undefined) throw new Error(`stage ${index} of a convolution chain lacks its ${name}`)
  return tensor
}

type Jobs = ReturnType<typeof makeJobs>
type Shape4 = [number, number, number, number]

const evaluate = (
  backend: SimdBackend,
  x: tf.Tensor4D,
  branches: ReadonlyArray<Branch>,
  options: BranchesOptions,
  outShape: Shape4
): ConvBranchesResult => {
  const jobs = makeJobs(backend)
  const engine = tf.engine() as unknown as TapeEngine
  const [output] = engine.runKernelFunc({
    inputs: makeInputs(x, branches),
    attrs: {},
    forwardFunc: () => {
      const out = tf.engine().makeTensorFromTensorInfo(backend.allocate(outShape), backend)
      const whole = allChannels(backend.address(out), outShape[3])
      const input = allChannels(backend.address(x), x.shape[3])
      branches.forEach((branch, index) => {
        evaluateBranch(
          backend,
          jobs,
          branch,
          options,
          outShape[0] * outShape[1] * outShape[2],
          channelsFrom(input, branch.from),
          outputOf(whole, branches, index, options.shuffled)
        )
      })
      return [out]
    },
    backwardsFunc: () => {
      throw new Error(
        "a convolution chain in eval mode has no gradient on the embedded engine: its normalisation is folded into the weights"
      )
    }
  })
  return {
    output: output as tf.Tensor4D,
    statistics: branches.map((branch) => branch.plans.map(() => undefined))
  }
}

const evaluateBranch = (
  backend: SimdBackend,
  jobs: Jobs,
  { channels, params, plans }: Branch,
  options: BranchesOptions,
  rows: number,
  x: Channels,
  out: Channels
): void =>
  withTemporaries(backend.runtime, (temporary) => {
    if (plans.length === 0) {
      jobs.moveChannels(x, out, rows, channels)
      return
    }
    let input = 0
    // Between stages activations are planes, already activated.
    const evalSource = (plan: Plan, index: number): Words => {
      if (index === 0) return jobs.inputSource(plan, undefined, x, temporary)
      const { inChannels } = plan.stage
      if (plan.kind !== "gather") return plainSource(PLAIN, input, inChannels, inPixels(plan), plan.batch)
      const a = allChannels(temporary(plan.batch * inPixels(plan) * inChannels), inChannels)
      jobs.planesToNhwc(plans[index - 1]!, input, a, temporary)
      return gatherSource(GATHER, plan, a)
    }
    plans.forEach((plan, index) => {
      const { stage } = plan
      const final = index === plans.length - 1
      const stageParams = params[index]!
      const vector = (tensor: tf.Tensor | undefined): number => {
        if (tensor === undefined) return 0
        const address = temporary(padded(stage.outChannels))
        fillVector(backend, address, tensor)
        return address
      }
      let scale = 0
      let bias = vector(stageParams.bias)
      if (stage.norm) {
        scale = temporary(padded(stage.outChannels))
        const shift = temporary(padded(stage.outChannels))
        backend.runtime.run(
          "foldNorm",
          1,
          [
            stage.outChannels,
            backend.address(required(stageParams.gamma, "gamma", index)),
            backend.address(required(stageParams.beta, "beta", index)),
            backend.address(required(stageParams.mean, "running mean", index)),
            backend.address(required(stageParams.variance, "running variance", index)),
            bias,
            scale,
            shift
          ],
          [options.epsilon]
        )
        bias = shift
      }
      const destination = final ? out.address : temporary(plan.outRows * padded(stage.outChannels))
      jobs.forward(
        plan,
        evalSource(plan, index),
        backend.address(stageParams.weight),
        scale,
        () => ({
          kind: final ? ACTIVATE_NHWC : ACTIVATE,
          out: destination,
          channels: stage.outChannels,
          pixels: outPixels(plan),
          batch: plan.batch,
          bias,
          activation: stage.activation,
          slope: stage.activation === "prelu" ? vector(required(stageParams.slope, "slope", index)) : 0,
          ...(final ? { row: out.row, apart: out.apart, residual: options.residual ? x.address : 0 } : {})
        }),
        temporary
      )
      input = destination
    })
  })

// A vector a channel, filled up with zeros to whole vectors.
const fillVector = (backend: SimdBackend, address: number, tensor: tf.Tensor): void =>
  backend.runtime.run("padVector", 1, [backend.address(tensor), address, tensor.size])

/** What is saved of each stage for the backward pass: y, vectors, weight and gamma. */
const SAVED_PER_STAGE = 4

const train = (
  backend: SimdBackend,
  x: tf.Tensor4D,
  branches: ReadonlyArray<Branch>,
  options: BranchesOptions,
  outShape: Shape4
): ConvBranchesResult => {
  const jobs = makeJobs(backend)
  const tfEngine = tf.engine()
  const engine = tfEngine as unknown as TapeEngine
  const tensor = (shape: Array<number>): tf.Tensor =>
    tfEngine.makeTensorFromTensorInfo(backend.allocate(shape), backend)
  const address = (t: tf.Tensor): number => backend.address(t)
  const rows = outShape[0] * outShape[1] * outShape[2]

  // Made in the caller's scope, and no outputs of the tape's node: each output costs a tensor of zeros going back.
  const statistics = branches.map(({ plans }) =>
    plans.map((plan): BatchStatistics | undefined =>
      plan.stage.norm
        ? {
            mean: tensor([plan.stage.outChannels]) as tf.Tensor1D,
            variance: tensor([plan.stage.outChannels]) as tf.Tensor1D,
            count: plan.batch * outPixels(plan)
          }
        : undefined
    )
  )

  // Saved: x, then what each stage of each branch saves.
  const forwardFunc = (_: unknown, save: (tensors: Array<tf.Tensor>) => void): Array<tf.Tensor> => {
    const saved: Array<tf.Tensor> = [x]
    const input = allChannels(address(x), x.shape[3])
    const ends = branches.map((branch, index) =>
      trainForward(
        backend,
        jobs,
        branch,
        options.epsilon,
        channelsFrom(input, branch.from),
        statistics[index]!,
        tensor,
        saved
      )
    )
    const out = tensor(outShape)
    const whole = allChannels(address(out), outShape[3])
    branches.forEach((branch, index) => {
      const target = outputOf(whole, branches, index, options.shuffled)
      const end = ends[index]
      if (end === undefined) jobs.moveChannels(channelsFrom(input, branch.from), target, rows, branch.channels)
      else jobs.activateTensor(end.plan, end.stored, target, options.residual ? input.address : 0)
    })
    // Last, as what is saved by a function that fails then stays.
    save(saved)
    return [out]
  }

  const backwardsFunc = (dout: tf.Tensor, saved: Array<tf.Tensor>): Record<string, () => tf.Tensor> => {
    const input = allChannels(address(saved[0]!), x.shape[3])
    const upstream = allChannels(address(dout), outShape[3])
    // What outlives one gradient function but not the tape is kept with what the tape has saved, and disposed with it.
    const hold = (t: tf.Tensor): tf.Tensor => {
      saved.push(tf.keep(t))
      return t
    }
    // The gradient's own scope frees it from now on.
    const hand = (t: tf.Tensor): tf.Tensor => {
      saved.splice(saved.lastIndexOf(t), 1)
      t.kept = false
      return engine.track(t)
    }
    let dx: tf.Tensor | undefined
    const inputGradient = (): tf.Tensor => {
      dx ??= hold(tensor(x.shape))
      return dx
    }
    // Branches that share channels add up theirs, in the order in which they are asked for.
    const written = new Set<number>()
    const residualOf = (branch: Branch, target: Channels): number => {
      if (options.residual) return upstream.address
      const again = written.has(branch.from)
      written.add(branch.from)
      return again ? target.address : 0
    }
    const result: Record<string, () => tf.Tensor> = {}
    let start = 1
    const passes = branches.map((branch, index) => {
      const da = outputOf(upstream, branches, index, options.shuffled)
      if (branch.plans.length === 0) {
        return () => {
          const target = channelsFrom(allChannels(address(inputGradient()), x.shape[3]), branch.from)
          jobs.moveChannels(da, target, rows, branch.channels)
        }
      }
      const pass = trainBackward(backend, jobs, branch, {
        x: channelsFrom(input, branch.from),
        da,
        saved,
        start,
        tensor,
        hold,
        hand,
        dx: () => {
          const target = channelsFrom(allChannels(address(inputGradient()), x.shape[3]), branch.from)
          return { target, residual: residualOf(branch, target) }
        }
      })
      start += branch.plans.length * SAVED_PER_STAGE
      for (const [name, gradient] of Object.entries(pass.gradients)) {
        const dot = name.indexOf(".")
        result[`${name.slice(0, dot)}.${index}${name.slice(dot)}`] = gradient
      }
      return pass.input
    })
    result["x"] = () => {
      for (let index = passes.length - 1; index >= 0; index--) passes[index]!()
      return hand(inputGradient())
    }
    return result
  }

  try {
    const [output] = engine.runKernelFunc({ inputs: makeInputs(x, branches), attrs: {}, forwardFunc, backwardsFunc })
    return { output: output as tf.Tensor4D, statistics }
  } catch (error) {
    for (const found of statistics.flat()) {
      found?.mean.dispose()
      found?.variance.dispose()
    }
    throw error
  }
}

/** The forward pass of a branch up to its last raw output; what its backward pass needs is added to `saved`. */
const trainForward = (
  backend: SimdBackend,
  jobs: Jobs,
  { params, plans }: Branch,
  epsilon: number,
  x: Channels,
  statistics: ReadonlyArray<BatchStatistics | undefined>,
  tensor: (shape: Array<number>) => tf.Tensor,
  saved: Array<tf.Tensor>
): { readonly plan: Plan; readonly stored: Stored } | undefined => {
  const address = (t: tf.Tensor): number => backend.address(t)
  let previous: { plan: Plan; stored: Stored } | undefined
  plans.forEach((plan, index) => {
    const { stage } = plan
    const stageParams = params[index]!
    const y = tensor([plan.outRows * padded(stage.outChannels)])
    const vectors = tensor([VECTORS, padded(stage.outChannels)])
    const stored: Stored = { y: address(y), vectors: address(vectors) }
    if (!stage.norm) {
      // Nothing is normalised: a scale of one, and zeros.
      fill(backend, stored.vectors, VECTORS * padded(stage.outChannels), 0)
      fill(backend, vectorAt(stored, stage, SCALE), stage.outChannels, 1)
    }
    if (stage.activation === "prelu")
      fillVector(backend, vectorAt(stored, stage, SLOPE), required(stageParams.slope, "slope", index))
    if (stageParams.bias !== undefined) fillVector(backend, vectorAt(stored, stage, BIAS), stageParams.bias)
    const bias = stageParams.bias === undefined ? 0 : vectorAt(stored, stage, BIAS)
    const target = { out: stored.y, channels: stage.outChannels, pixels: outPixels(plan), batch: plan.batch, bias }
    withTemporaries(backend.runtime, (temporary) => {
      const source = jobs.inputSource(plan, previous, x, temporary)
      const weight = address(stageParams.weight)
      if (stage.norm) {
        let partial = 0
        let counts = 0
        const parts = jobs.forward(
          plan,
          source,
          weight,
          0,
          (parts) => {
            partial = temporary(parts * 2 * padded(stage.outChannels))
            counts = temporary(parts)
            return { ...target, kind: STATISTICS, partial, counts }
          },
          temporary
        )
        const { mean, variance } = statistics[index]!
        jobs.joinStatistics(
          plan,
          partial,
          counts,
          parts,
          address(required(stageParams.gamma, "gamma", index)),
          address(required(stageParams.beta, "beta", index)),
          address(mean),
          address(variance),
          stored,
          epsilon
        )
      } else {
        jobs.forward(plan, source, weight, 0, () => ({ ...target, kind: ACTIVATE }), temporary)
      }
    })
    // A stage always fills its places; the weight stands in for a scale that it does not have.
    saved.push(y, vectors, stageParams.weight, stageParams.gamma ?? stageParams.weight)
    previous = { plan, stored }
  })
  return previous
}

interface BackwardPass {
  /** The branch's input, and the gradient of its output. */
  readonly x: Channels
  readonly da: Channels
  /** What the forward pass has saved; this branch's from `start`. */
  readonly saved: ReadonlyArray<tf.Tensor>
  readonly start: number
  readonly tensor: (shape: Array<number>) => tf.Tensor
  /** Keeps a tensor until the pass has ended, or until it is handed out. */
  readonly hold: (t: tf.Tensor) => tf.Tensor
  readonly hand: (t: tf.Tensor) => tf.Tensor
  /** Where the input's gradient goes, and what is added to it. */
  readonly dx: () => { readonly target: Channels; readonly residual: number }
}

/** The backward pass of a branch: gradients by name and stage, and what writes the input's. All of them may be asked for in any order. */
const trainBackward = (
  backend: SimdBackend,
  jobs: Jobs,
  { params, plans }: Branch,
  pass: BackwardPass
): { readonly gradients: Readonly<Record<string, () => tf.Tensor>>; readonly input: () => void } => {
  const { hand, hold, saved, tensor } = pass
  const count = plans.length
  const address = (t: tf.Tensor): number => backend.address(t)
  const at = (index: number, slot: number): tf.Tensor => saved[pass.start + index * SAVED_PER_STAGE + slot]!
  const stored = (index: number): Stored => ({
    y: address(at(index, 0)),
    vectors: address(at(index, 1))
  })
  const before = (index: number) => (index === 0 ? undefined : { plan: plans[index - 1]!, stored: stored(index - 1) })
  const held = (shape: Array<number>): tf.Tensor => hold(tensor(shape))

  interface StageGradient {
    readonly dz: tf.Tensor
    readonly k: tf.Tensor
    readonly dbeta: tf.Tensor
    readonly dgamma: tf.Tensor
    readonly dslope: tf.Tensor | undefined
  }
  const gradients: Array<StageGradient | undefined> = plans.map(() => undefined)
  // Where a stage's two gradients are one job, what it has brought besides the input's is kept here.
  const jointWeights: Array<tf.Tensor | undefined> = plans.map(() => undefined)
  let inputDone = false
  const left = plans.map(() => 2)
  /** Frees y and dz of a stage once both its weight's and its input's gradient are there. */
  const release = (index: number): void => {
    if (--left[index]! === 0) {
      at(index, 0).dispose()
      gradients[index]!.dz.dispose()
    }
  }

  const join = (index: number, dz: tf.Tensor, partial: number, parts: number): StageGradient => {
    const plan = plans[index]!
    const channels = plan.stage.outChannels
    const gradient: StageGradient = {
      dz,
      k: held([3, padded(channels)]),
      dbeta: held([channels]),
      dgamma: held([channels]),
      dslope: plan.stage.activation === "prelu" ? held([channels]) : undefined
    }
    jobs.joinGradients(
      plan,
      partial,
      parts,
      address(at(index, 3)),
      stored(index),
      address(gradient.dbeta),
      address(gradient.dgamma),
      gradient.dslope === undefined ? 0 : address(gradient.dslope),
      address(gradient.k)
    )
    return gradient
  }

  /** Takes the gradient of a stage's output through the stage, to its input, with an epilogue there. */
  const through = (
    index: number,
    epilogue: (parts: number) => Epilogue,
    temporary: (floats: number) => number
  ): number => {
    const plan = plans[index]!
    const { dz, k } = gradientOf(index)
    const kept = stored(index)
    const weight = address(at(index, 2))
    if (!plan.joint)
      return jobs.productBackward(plan, kept, address(dz), address(k), weight, epilogue, undefined, temporary)
    const dw = held(params[index]!.weight.shape)
    jointWeights[index] = dw
    const source = jobs.inputSource(plan, before(index), pass.x, temporary)
    if (plan.kind === "depthwise") {
      const dy = jobs.gradientSource(plan, kept, address(dz), address(k))
      return jobs.depthwiseBackward(plan, dy, source, weight, epilogue, address(dw), temporary)
    }
    const joint = { input: source, dw: address(dw) }
    return jobs.productBackward(plan, kept, address(dz), address(k), weight, epilogue, joint, temporary)
  }

  const gradientOf = (index: number): StageGradient => {
    const known = gradients[index]
    if (known !== undefined) return known
    const plan = plans[index]!
    const { stage } = plan
    const kept = stored(index)
    const gradient = withTemporaries(backend.runtime, (temporary) => {
      if (index === count - 1) {
        const dz = held([plan.outRows * padded(stage.outChannels)])
        const { partial, parts } = jobs.backwardTensor(plan, pass.da, temporary, kept, address(dz))
        return join(index, dz, partial, parts)
      }
      gradientOf(index + 1)
      const dz = held([plan.outRows * padded(stage.outChannels)])
      let partial = 0
      const parts = through(
        index + 1,
        (parts) => {
          partial = temporary(parts * 3 * padded(stage.outChannels))
          return jobs.backwardEpilogue(plan, kept, address(dz), partial)
        },
        temporary
      )
      return join(index, dz, partial, parts)
    })
    gradients[index] = gradient
    if (index < count - 1) {
      release(index + 1)
      if (plans[index + 1]!.joint) release(index + 1)
    }
    return gradient
  }

  const inputGradient = (): void => {
    if (inputDone) return
    inputDone = true
    gradientOf(0)
    const { target, residual } = pass.dx()
    const { stage, batch } = plans[0]!
    withTemporaries(backend.runtime, (temporary) =>
      through(
        0,
        () => ({
          kind: ACTIVATE_NHWC,
          out: target.address,
          channels: stage.inChannels,
          pixels: inPixels(plans[0]!),
          batch,
          residual,
          row: target.row,
          apart: target.apart
        }),
        temporary
      )
    )
    release(0)
    if (plans[0]!.joint) release(0)
  }

  const result: Record<string, () => tf.Tensor> = {}
  plans.forEach((plan, index) => {
    result[`weight.${index}`] = () => {
      if (plan.joint) {
        if (index > 0) gradientOf(index - 1)
        else inputGradient()
        return hand(jointWeights[index]!)
      }
      const { dz, k } = gradientOf(index)
      const dw = tensor(params[index]!.weight.shape)
      withTemporaries(backend.runtime, (temporary) => {
        const source = jobs.inputSource(plan, before(index), pass.x, temporary)
        const dy = jobs.gradientSource(plan, stored(index), address(dz), address(k))
        jobs.weightGradient(plan, source, dy, address(dw), temporary)
      })
      release(index)
      return dw
    }
    result[`beta.${index}`] = () => hand(gradientOf(index).dbeta)
    result[`gamma.${index}`] = () => hand(gradientOf(index).dgamma)
    result[`slope.${index}`] = () => hand(required(gradientOf(index).dslope, "slope", index))
    // A normalisation takes any constant away again, so the gradient of a bias before it is zero.
    result[`bias.${index}`] = () =>
      plan.stage.norm ? tf.zeros([plan.stage.outChannels]) : hand(gradientOf(index).dbeta)
  })
  return { gradients: result, input: inputGradient }
}

/** A single convolution between NHWC tensors, without anything around it: tfjs's own operations. */
export interface PlainConvolution {
  readonly forward: (x: tf.TensorInfo, weight: tf.TensorInfo) => tf.TensorInfo
  readonly inputGradient: (dy: tf.TensorInfo, weight: tf.TensorInfo) => tf.TensorInfo
  readonly weightGradient: (x: tf.TensorInfo, dy: tf.TensorInfo) => tf.TensorInfo
}

/**
 * The convolution that tfjs describes, on the embedded backend; undefined where the kernels do not cover it: sides of the kernel,
 * strides, dilations or padding at the top and at the left that differ, several outputs a channel of a depthwise one, patches or
 * rows too large for the scratch memory. Padding at the bottom and at the right is whatever the output's size says.
 */
export const plainConvolution = (
  backend: SimdBackend,
  info: tf.backend_util.Conv2DInfo,
  depthwise: boolean
): PlainConvolution | undefined => {
  const { batchSize, filterHeight, inChannels, inHeight, inWidth, outChannels, outHeight, outWidth, padInfo } = info
  const covered =
    info.dataFormat === "channelsLast" &&
    filterHeight === info.filterWidth &&
    info.strideHeight === info.strideWidth &&
    info.dilationHeight === info.dilationWidth &&
    padInfo.top === padInfo.left &&
    Number.isInteger(padInfo.top) &&
    padInfo.top >= 0 &&
    Math.min(batchSize, inChannels, inHeight, inWidth, outChannels, outHeight, outWidth) > 0 &&
    (!depthwise || inChannels === outChannels)
  if (!covered) return undefined
  const byChannel = depthwise && inChannels > 1
  const pointwise =
    filterHeight === 1 && info.strideHeight === 1 && padInfo.top === 0 && outHeight === inHeight && outWidth === inWidth
  const plan: Plan = {
    stage: {
      kernel: filterHeight,
      stride: info.strideHeight,
      padding: padInfo.top,
      dilation: info.dilationHeight,
      groups: byChannel ? inChannels : 1,
      inChannels,
      outChannels,
      bias: false,
      norm: false,
      activation: "none"
    },
    kind: byChannel ? "depthwise" : pointwise ? "rows" : "gather",
    batch: batchSize,
    height: inHeight,
    width: inWidth,
    outHeight,
    outWidth,
    inRows: filledImages(batchSize) * inHeight * inWidth,
    outRows: filledImages(batchSize) * outHeight * outWidth,
    groups: byChannel ? inChannels : 1,
    inGroup: byChannel ? 1 : inChannels,
    outGroup: byChannel ? 1 : outChannels,
    spread: false,
    taps: filterHeight * filterHeight,
    joint: false
  }
  const fits = byChannel
    ? depthwiseFits(plan, outHeight, outWidth) && depthwiseFits(plan, inHeight, inWidth)
    : productFits(plan.taps * Math.max(inChannels, outChannels)) && positionsAtOnce(plan, plan.taps * inChannels) >= 6
  if (!fits) return undefined
  const jobs = makeJobs(backend)
  const input = (x: tf.TensorInfo, temporary: (floats: number) => number): Words =>
    jobs.inputSource(plan, undefined, allChannels(backend.address(x), inChannels), temporary)
  const gradient = (dy: tf.TensorInfo): Words =>
    plainSource(NHWC, backend.address(dy), outChannels, outPixels(plan), batchSize)
  const into = (out: tf.TensorInfo, channels: number, pixels: number) => (): Epilogue => ({
    kind: ACTIVATE_NHWC,
    out: backend.address(out),
    channels,
    pixels,
    batch: batchSize
  })
  const made = (shape: Array<number>, fill: (out: tf.TensorInfo, temporary: (floats: number) => number) => void) => {
    const out = backend.allocate(shape)
    withTemporaries(backend.runtime, (temporary) => fill(out, temporary))
    return out
  }
  return {
    forward: (x, weight) =>
      made([batchSize, outHeight, outWidth, outChannels], (out, temporary) => {
        const epilogue = into(out, outChannels, outPixels(plan))
        jobs.forward(plan, input(x, temporary), backend.address(weight), 0, epilogue, temporary)
      }),
    inputGradient: (dy, weight) =>
      made([batchSize, inHeight, inWidth, inChannels], (out, temporary) => {
        const epilogue = into(out, inChannels, inPixels(plan))
        const dyAt = allChannels(backend.address(dy), outChannels)
        if (byChannel) {
          const source = gradient(dy)
          jobs.depthwiseBackward(plan, source, source, backend.address(weight), epilogue, 0, temporary)
        } else {
          const source = pointwise ? gradient(dy) : gatherSource(GATHER_BACKWARD, plan, dyAt)
          jobs.backwardProduct(plan, source, backend.address(weight), epilogue, undefined, temporary)
        }
      }),
    weightGradient: (x, dy) =>
      made(
        byChannel ? [filterHeight, filterHeight, inChannels, 1] : [filterHeight, filterHeight, inChannels, outChannels],
        (out, temporary) => {
          const [a, d, dw] = [input(x, temporary), gradient(dy), backend.address(out)]
          if (byChannel) jobs.depthwiseBackward(plan, d, a, 0, undefined, dw, temporary)
          else jobs.weightGradient(plan, a, d, dw, temporary)
        }
      )
  }
}
