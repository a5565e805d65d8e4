/**
 * Blocks as data. A {@link BlockSpec} is what a micro description lists: the kind of a block and its own settings. A
 * {@link Block} is a spec put at a place of a network: with its input and output width and its stride. What a block
 * computes, which parameters it has and what it costs follow from that data alone (`Compile.ts`).
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Activation } from "../../engine/ConvChain.ts"

const Positive = Schema.Int.check(Schema.isGreaterThan(0))
const NonNegative = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const OddOrNone = NonNegative.check(
  Schema.makeFilter((k: number) => k === 0 || k % 2 === 1 || "an odd kernel side, or 0")
)
const OddKernel = Schema.Int.check(
  Schema.isGreaterThan(0),
  Schema.makeFilter((k: number) => k % 2 === 1 || "an odd kernel side")
)
const flag = (value: boolean) => Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))
const ActivationSchema: Schema.Codec<Activation> = Schema.Literals(["none", "relu", "relu6", "hswish", "prelu"])
const activation = ActivationSchema.annotate({
  description: "none, relu, relu6, hswish or prelu (a learned slope a channel)"
}).pipe(Schema.withDecodingDefaultKey(Effect.succeed("relu6" as const)))
const one = Positive.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))

/** Convolution, batch normalisation, activation. */
export const ConvSpec = Schema.TaggedStruct("Conv", {
  kernel: Positive,
  activation,
  norm: flag(true),
  bias: flag(false),
  groups: Schema.Union([Positive, Schema.Literals(["depthwise"])])
    .annotate({ description: "Groups of the convolution; `depthwise`: one a channel" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
  dilation: one,
  padding: Schema.NullOr(NonNegative)
    .annotate({ description: "Rows and columns of zeros on every side; null: as many as keep the size at stride 1" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
})

/** Depthwise then pointwise convolution, then one batch normalisation and activation. */
export const SeparableSpec = Schema.TaggedStruct("Separable", {
  kernel: OddKernel,
  activation,
  norm: flag(true),
  dilation: one
})

/**
 * The inverted residual of MobileNetV2 (Sandler et al. 2018, section 3.3): expand, depthwise, project, and the input
 * added where width and size agree. An expansion of 1 has no expanding convolution.
 */
export const MobileSpec = Schema.TaggedStruct("Mobile", {
  kernel: OddKernel,
  expansion: Schema.Finite.check(Schema.isGreaterThan(0)).annotate({ description: "Hidden width over input width" }),
  activation,
  squeezeExcite: flag(false),
  pointGroups: one.annotate({ description: "Groups of the two pointwise convolutions" }),
  channelShuffle: flag(false).annotate({
    description: "Shuffle channels between the groups before the depthwise convolution"
  })
})

/**
 * The inverted residual with several depthwise kernels, each on its share of the hidden channels (MixConv: Tan and Le
 * 2019, section 3).
 */
export const MixedSpec = Schema.TaggedStruct("Mixed", {
  kernels: Schema.Array(OddKernel).check(Schema.isMinLength(1)),
  expansion: Schema.Finite.check(Schema.isGreaterThan(0)),
  activation,
  squeezeExcite: flag(false),
  pointGroups: one
})

/**
 * The unified block of SGNAS (Huang and Chu 2021, section 3.3): `slots` sub-blocks of the input's width each, every one
 * a depthwise convolution or left out (0), and a batch normalisation of its own for each number of slots left out.
 * Parameters are named by slot, so that a layer with fewer sub-blocks shares those of the full one.
 */
export const UnifiedSpec = Schema.TaggedStruct("Unified", {
  slots: Schema.Array(OddOrNone).check(Schema.isMinLength(1)),
  activation,
  published: flag(false).annotate({
    description: "Compute the slots left out as well and multiply them by zero, as the published supernet does"
  })
})

/**
 * A block of ShuffleNetV2 (Ma et al. 2018, section 4) with a free kernel, as Single Path One-Shot searches it (Guo et
 * al. 2020, section 4.1); `xception` has three depthwise convolutions of kernel 3 instead.
 */
export const ShuffleSpec = Schema.TaggedStruct("Shuffle", {
  kernel: OddKernel,
  xception: flag(false),
  activation,
  widening: Schema.Literals(["half", "keep"])
    .annotate({
      description:
        "Where the width changes, the projection branch gets half of the new width, or keeps the input's width"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("half" as const)))
})

/** Nothing; where the width changes a 1x1 convolution with batch normalisation, where only the size does, average pooling. */
export const SkipSpec = Schema.TaggedStruct("Skip", {})
/** Zeros of the right shape. */
export const ZeroSpec = Schema.TaggedStruct("Zero", {})
/** Average pooling; padding does not count. Keeps the width. */
export const AveragePoolSpec = Schema.TaggedStruct("AveragePool", { kernel: OddKernel })
/** Max pooling. Keeps the width. */
export const MaxPoolSpec = Schema.TaggedStruct("MaxPool", { kernel: OddKernel })

/**
 * Atrous spatial pyramid pooling (Chen et al. 2017, section 3.3): a 1x1 convolution, one dilated convolution a rate and
 * the image's average side by side, joined by a 1x1 convolution.
 */
export const AsppSpec = Schema.TaggedStruct("Aspp", {
  kernel: OddKernel,
  rates: Schema.Array(Positive).check(Schema.isMinLength(1)),
  activation
})

/** The mean over all positions: images become vectors. */
export const GlobalAverageSpec = Schema.TaggedStruct("GlobalAverage", {})
/** A linear layer on vectors. */
export const ClassifierSpec = Schema.TaggedStruct("Classifier", { bias: flag(true) })

/**
 * Every kind of block, without its place. Decodes from YAML with the defaults filled in.
 *
 * **Example** (As YAML writes them)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Block from "./Block.ts"
 *
 * const decode = Schema.decodeUnknownSync(Block.BlockSpec)
 * decode({ _tag: "Conv", kernel: 3 }) // => Block.conv({ kernel: 3 })
 * const is = (schema: Schema.Constraint, spec: Block.BlockSpec) => Schema.is(schema)(spec)
 * is(Block.ConvSpec, decode({ _tag: "Conv", kernel: 1 })) // => true
 * is(Block.SeparableSpec, decode({ _tag: "Separable", kernel: 5 })) // => true
 * is(Block.MobileSpec, decode({ _tag: "Mobile", kernel: 3, expansion: 6 })) // => true
 * is(Block.MixedSpec, decode({ _tag: "Mixed", kernels: [3, 5], expansion: 6 })) // => true
 * is(Block.UnifiedSpec, decode({ _tag: "Unified", slots: [3, 0] })) // => true
 * is(Block.ShuffleSpec, decode({ _tag: "Shuffle", kernel: 3 })) // => true
 * is(Block.SkipSpec, decode({ _tag: "Skip" })) // => true
 * is(Block.ZeroSpec, decode({ _tag: "Zero" })) // => true
 * is(Block.AveragePoolSpec, decode({ _tag: "AveragePool", kernel: 3 })) // => true
 * is(Block.MaxPoolSpec, decode({ _tag: "MaxPool", kernel: 3 })) // => true
 * is(Block.AsppSpec, decode({ _tag: "Aspp", kernel: 3, rates: [2] })) // => true
 * is(Block.GlobalAverageSpec, decode({ _tag: "GlobalAverage" })) // => true
 * is(Block.ClassifierSpec, decode({ _tag: "Classifier" })) // => true
 * ```
 */
export const BlockSpec = Schema.Union([
  ConvSpec,
  SeparableSpec,
  MobileSpec,
  MixedSpec,
  UnifiedSpec,
  ShuffleSpec,
  SkipSpec,
  ZeroSpec,
  AveragePoolSpec,
  MaxPoolSpec,
  AsppSpec,
  GlobalAverageSpec,
  ClassifierSpec
])
/** A kind of block and its settings. */
export type BlockSpec = typeof BlockSpec.Type

/** Where a block stands: the widths before and after it, and its stride. */
export interface Placement {
  readonly inChannels: number
  readonly outChannels: number
  readonly stride: number
}

/** A block of a network. */
export type Block = BlockSpec & Placement

/** A block of one kind. */
export type BlockOf<Tag extends BlockSpec["_tag"]> = Extract<BlockSpec, { readonly _tag: Tag }> & Placement

/** Settings of a kind with the optional ones left out. */
type Partially<S extends BlockSpec, Needed extends keyof S = never> = Pick<S, Needed> &
  Partial<Omit<S, Needed | "_tag">>

/**
 * Puts a spec at its place.
 *
 * **Example** (An inverted residual)
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.place(Block.mobile({ kernel: 3, expansion: 6 }), 16, 24, 2).outChannels // => 24
 * ```
 */
export const place = (spec: BlockSpec, inChannels: number, outChannels: number, stride: number): Block => ({
  ...spec,
  inChannels,
  outChannels,
  stride
})

/** Why channels cannot be dealt out to groups; undefined where they can. */
const unevenGroups = (groups: number, widths: ReadonlyArray<number>): string | undefined => {
  const uneven = widths.find((width) => width % groups !== 0)
  return uneven === undefined ? undefined : `${groups} groups do not divide its ${uneven} channels`
}

/** Why hidden channels are too few; undefined where there are at least `least`. */
const fewHidden = (hidden: number, least: number): string | undefined =>
  hidden >= least ? undefined : `it needs ${least} hidden channels or more, and its expansion makes ${hidden}`

/**
 * Why a block cannot have the widths that it is put between; undefined where it can.
 *
 * **Example** (A pooling keeps the width)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.misplaced(Block.place(Block.shuffle({ kernel: 3 }), 16, 16, 1)) // => undefined
 * Block.misplaced(Block.place({ _tag: "MaxPool", kernel: 3 }, 16, 24, 1)) // => "it keeps the width, and 16 channels should become 24"
 * ```
 */
export const misplaced = (block: Block): string | undefined => {
  const { inChannels, outChannels } = block
  const keepsWidth =
    inChannels === outChannels
      ? undefined
      : `it keeps the width, and ${inChannels} channels should become ${outChannels}`
  switch (block._tag) {
    case "Conv":
      return block.groups === "depthwise" ? keepsWidth : unevenGroups(block.groups, [inChannels, outChannels])
    case "Mobile":
    case "Mixed": {
      const hidden = Math.floor(inChannels * block.expansion)
      const widths = block.expansion === 1 ? [hidden, outChannels] : [inChannels, hidden, outChannels]
      const least = block._tag === "Mixed" ? block.kernels.length : 1
      return fewHidden(hidden, least) ?? unevenGroups(block.pointGroups, widths)
    }
    case "Unified":
      return block.slots.some((kernel) => kernel > 0) ? undefined : "all its sub-blocks are left out"
    case "Shuffle": {
      if (outChannels % 2 !== 0) return `its two branches share an even width, and ${outChannels} is odd`
      const widens = block.stride !== 1 || inChannels !== outChannels
      return widens && block.widening === "keep" && outChannels <= inChannels
        ? `it keeps the input's ${inChannels} channels beside new ones, and gives ${outChannels} in all`
        : undefined
    }
    case "AveragePool":
    case "MaxPool":
    case "GlobalAverage":
      return keepsWidth
    default:
      return undefined
  }
}

/**
 * A convolution; ReLU6 and batch normalisation unless said.
 *
 * **Example** (Defaults, and settings of one's own)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.conv({ kernel: 3 }).activation // => "relu6"
 * Block.label(Block.conv({ kernel: 3, groups: "depthwise", activation: "prelu" })) // => "conv k3 dw prelu"
 * ```
 */
export const conv = (settings: Partially<typeof ConvSpec.Type, "kernel">): typeof ConvSpec.Type => ({
  _tag: "Conv",
  activation: "relu6",
  norm: true,
  bias: false,
  groups: 1,
  dilation: 1,
  padding: null,
  ...settings
})

/**
 * An inverted residual.
 *
 * **Example** (The inverted residual of MobileNetV3)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.mobile({ kernel: 5, expansion: 3, squeezeExcite: true })) // => "k5 e3 se"
 * ```
 */
export const mobile = (
  settings: Partially<typeof MobileSpec.Type, "kernel" | "expansion">
): typeof MobileSpec.Type => ({
  _tag: "Mobile",
  activation: "relu6",
  squeezeExcite: false,
  pointGroups: 1,
  channelShuffle: false,
  ...settings
})

/**
 * An inverted residual with mixed kernels.
 *
 * **Example** (Two kernels)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.mixed({ kernels: [3, 5], expansion: 6 })) // => "k3+5 e6"
 * ```
 */
export const mixed = (settings: Partially<typeof MixedSpec.Type, "kernels" | "expansion">): typeof MixedSpec.Type => ({
  _tag: "Mixed",
  activation: "relu6",
  squeezeExcite: false,
  pointGroups: 1,
  ...settings
})

/**
 * A unified block.
 *
 * **Example** (Three of four sub-blocks)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.unified({ slots: [3, 3, 7, 0] })) // => "k3 k3 k7 -"
 * ```
 */
export const unified = (settings: Partially<typeof UnifiedSpec.Type, "slots">): typeof UnifiedSpec.Type => ({
  _tag: "Unified",
  activation: "relu6",
  published: false,
  ...settings
})

/**
 * A separable convolution.
 *
 * **Example** (A dilated one)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.separable({ kernel: 3, dilation: 2 })) // => "separable k3 d2"
 * ```
 */
export const separable = (settings: Partially<typeof SeparableSpec.Type, "kernel">): typeof SeparableSpec.Type => ({
  _tag: "Separable",
  activation: "relu6",
  norm: true,
  dilation: 1,
  ...settings
})

/**
 * A shuffle block.
 *
 * **Example** (The two kinds)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.shuffle({ kernel: 7 })) // => "shuffle k7"
 * Block.label(Block.shuffle({ kernel: 3, xception: true })) // => "xception"
 * ```
 */
export const shuffle = (settings: Partially<typeof ShuffleSpec.Type, "kernel">): typeof ShuffleSpec.Type => ({
  _tag: "Shuffle",
  xception: false,
  activation: "relu6",
  widening: "half",
  ...settings
})

/**
 * Atrous spatial pyramid pooling.
 *
 * **Example** (Three rates)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.aspp({ rates: [6, 12, 18] })) // => "aspp k3 d6+12+18"
 * ```
 */
export const aspp = (settings: Partially<typeof AsppSpec.Type, "rates">): typeof AsppSpec.Type => ({
  _tag: "Aspp",
  kernel: 3,
  activation: "relu6",
  ...settings
})

/** The skip block. */
export const skip: typeof SkipSpec.Type = { _tag: "Skip" }
/**
 * The zero block.
 *
 * **Example** (Blocks without settings)
 *
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * [Block.skip, Block.zero, Block.globalAverage, Block.classifier].map(Block.label) // => ["skip", "zero", "global average", "linear"]
 * ```
 */
export const zero: typeof ZeroSpec.Type = { _tag: "Zero" }
/** Global average pooling. */
export const globalAverage: typeof GlobalAverageSpec.Type = { _tag: "GlobalAverage" }
/** A linear layer with bias. */
export const classifier: typeof ClassifierSpec.Type = { _tag: "Classifier", bias: true }

const withActivation = (activation: Activation): string => (activation === "relu6" ? "" : ` ${activation}`)

/**
 * A short name for people.
 *
 * **Example** (Labels)
 * ```ts
 * import * as Block from "./Block.ts"
 *
 * Block.label(Block.mobile({ kernel: 5, expansion: 3 })) // => "k5 e3"
 * Block.label(Block.skip) // => "skip"
 * ```
 */
export const label = (spec: BlockSpec): string => {
  switch (spec._tag) {
    case "Conv":
      return `conv k${spec.kernel}${spec.groups === 1 ? "" : spec.groups === "depthwise" ? " dw" : ` g${spec.groups}`}${
        spec.dilation === 1 ? "" : ` d${spec.dilation}`
      }${withActivation(spec.activation)}`
    case "Separable":
      return `separable k${spec.kernel}${spec.dilation === 1 ? "" : ` d${spec.dilation}`}`
    case "Mobile":
      return `k${spec.kernel} e${spec.expansion}${spec.pointGroups === 1 ? "" : ` g${spec.pointGroups}`}${
        spec.squeezeExcite ? " se" : ""
      }`
    case "Mixed":
      return `k${spec.kernels.join("+")} e${spec.expansion}${spec.squeezeExcite ? " se" : ""}`
    case "Unified":
      return spec.slots.map((kernel) => (kernel === 0 ? "-" : `k${kernel}`)).join(" ")
    case "Shuffle":
      return spec.xception ? "xception" : `shuffle k${spec.kernel}`
    case "Skip":
      return "skip"
    case "Zero":
      return "zero"
    case "AveragePool":
      return `average pool k${spec.kernel}`
    case "MaxPool":
      return `max pool k${spec.kernel}`
    case "Aspp":
      return `aspp k${spec.kernel} d${spec.rates.join("+")}`
    case "GlobalAverage":
      return "global average"
    case "Classifier":
      return "linear"
  }
}
