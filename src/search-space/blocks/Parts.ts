/** Shared parts of block kinds: fields of settings, stages, rules about widths, PyTorch's names. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Activation, ConvStage } from "../../engine/ConvChain.ts"
import type { Operation } from "../../nn/Operation.ts"
import { Chain, chain } from "../../nn/operations/Chain.ts"
import { Residual } from "../../nn/operations/Residual.ts"
import { SqueezeExcite } from "../../nn/operations/SqueezeExcite.ts"
import { PositiveInt } from "../../support/Numbers.ts"
import type { Placement, TorchPlace } from "./BlockKind.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Settings

/** An odd kernel side: padded by half of it, an image keeps its size at stride 1. */
export const oddKernel = (description: string) =>
  Schema.Int.annotate({ description }).check(
    Schema.isGreaterThan(0),
    Schema.makeFilter((k: number) => k % 2 === 1 || "an odd kernel side")
  )

/** An odd kernel side, or 0 for none. */
export const oddKernelOrNone = Schema.Int.check(
  Schema.isGreaterThanOrEqualTo(0),
  Schema.makeFilter((k: number) => k === 0 || k % 2 === 1 || "an odd kernel side, or 0")
)

/** A setting that is on or off. */
export const flag = (value: boolean, description: string) =>
  Schema.Boolean.annotate({ description }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** An integer of at least 1; default 1. */
export const one = (description: string) =>
  PositiveInt.annotate({ description }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))

const ActivationSchema: Schema.Codec<Activation> = Schema.Literals(["none", "relu", "relu6", "hswish", "prelu"])

/** The activation after a normalisation; default ReLU6. */
export const activation = ActivationSchema.annotate({
  description: "none, relu, relu6, hswish or prelu (one learned slope per channel)"
}).pipe(Schema.withDecodingDefaultKey(Effect.succeed("relu6" as const)))

/** Hidden width over input width. */
export const expansion = Schema.Finite.check(Schema.isGreaterThan(0)).annotate({
  description: "Hidden width over input width; 1 omits the expanding convolution"
})

/** The activation in a label; empty for the default. */
export const withActivation = (name: Activation): string => (name === "relu6" ? "" : ` ${name}`)

// ---------------------------------------------------------------------------------------------------------------------
// Stages

/** Settings of a stage that are not those of a 1x1 convolution with batch normalisation and no activation. */
export interface StageSettings {
  readonly kernel?: number
  readonly stride?: number
  readonly padding?: number
  readonly dilation?: number
  readonly groups?: number
  readonly bias?: boolean
  readonly norm?: boolean
  readonly activation?: Activation
}

/** A convolution stage, padded by half the kernel on all sides, as usual in PyTorch. */
export const stage = (inChannels: number, outChannels: number, settings: StageSettings = {}): ConvStage => {
  const kernel = settings.kernel ?? 1
  const dilation = settings.dilation ?? 1
  return {
    kernel,
    stride: settings.stride ?? 1,
    padding: settings.padding ?? Math.floor((dilation * (kernel - 1)) / 2),
    dilation,
    groups: settings.groups ?? 1,
    inChannels,
    outChannels,
    bias: settings.bias ?? false,
    norm: settings.norm ?? true,
    activation: settings.activation ?? "none"
  }
}

/** Whether a block's output has the shape of its input, so that the input can be added. */
export const keepsShape = ({ inChannels, outChannels, stride }: Placement): boolean =>
  stride === 1 && inChannels === outChannels

/** Adds the input to the output of operations, on a condition. */
export const residualIf = (condition: boolean, operations: ReadonlyArray<Operation>): ReadonlyArray<Operation> => {
  if (!condition) return operations
  const only = operations.length === 1 ? operations[0] : undefined
  return Chain.is(only) ? [chain(only.settings.stages, true)] : [Residual.make({ operations })]
}

/** Merges neighbouring chains into one, which is fastest. */
export const joinChains = (operations: ReadonlyArray<Operation>): ReadonlyArray<Operation> => {
  const out: Array<Operation> = []
  for (const operation of operations) {
    const last = out.at(-1)
    if (Chain.is(last) && Chain.is(operation) && !last.settings.residual && !operation.settings.residual) {
      out[out.length - 1] = chain([...last.settings.stages, ...operation.settings.stages])
    } else out.push(operation)
  }
  return out
}

/** Squeeze-and-excitation to a quarter of the channels. */
export const squeezeExcite = (name: string, channels: number): Operation =>
  SqueezeExcite.make({ name: `${name}.se`, channels, reduced: Math.max(1, Math.floor(channels / 4)) })

// ---------------------------------------------------------------------------------------------------------------------
// Rules about widths

/** Why a block that keeps the width cannot have its widths; undefined if it can. */
export const keepsWidth = ({ inChannels, outChannels }: Placement): string | undefined =>
  inChannels === outChannels ? undefined : `it keeps the width, and ${inChannels} channels should become ${outChannels}`

/** Why channels cannot be divided into groups; undefined if they can. */
export const unevenGroups = (groups: number, widths: ReadonlyArray<number>): string | undefined => {
  const uneven = widths.find((width) => width % groups !== 0)
  return uneven === undefined ? undefined : `${groups} groups do not divide its ${uneven} channels`
}

/** Settings that all inverted residuals have. */
interface InvertedResidual extends Placement {
  readonly expansion: number
  readonly pointGroups: number
}

/** The hidden width of an inverted residual. */
export const hiddenWidth = ({ expansion, inChannels }: InvertedResidual): number => Math.floor(inChannels * expansion)

/** Why an inverted residual that needs `least` hidden channels cannot have its widths; undefined if it can. */
export const misplacedInvertedResidual = (block: InvertedResidual, least: number): string | undefined => {
  const { expansion, inChannels, outChannels, pointGroups } = block
  const hidden = hiddenWidth(block)
  if (hidden < least) return `it needs ${least} hidden channels or more, and its expansion makes ${hidden}`
  return unevenGroups(pointGroups, expansion === 1 ? [hidden, outChannels] : [inChannels, hidden, outChannels])
}

// ---------------------------------------------------------------------------------------------------------------------
// PyTorch's names

/** A module of convolution, normalisation and PReLU. */
export const convBnAct = (path: string): TorchPlace => {
  const dot = path === "" ? "" : `${path}.`
  return { conv: `${dot}conv`, norm: `${dot}bn`, slope: `${dot}prelu` }
}

const invertedResidualParts: Readonly<Record<string, string>> = {
  expand: "point_wise",
  depthwise: "depthwise",
  project: "point_wise_1"
}

/** The stages of an inverted residual. */
export const invertedResidualPlace = (part: string): TorchPlace => convBnAct(invertedResidualParts[part] ?? part)
