/**
 * From blocks to operations: what each kind of block computes. Shapes follow PyTorch's conventions (symmetric padding
 * of half the kernel), so that weights move between the two.
 */
import type { Activation, ConvStage } from "../../engine/ConvChain.ts"
import type { Operation } from "../../nn/Operation.ts"
import { Branches } from "../../nn/operations/Branches.ts"
import { Chain, chain, type NamedStage, namedStage } from "../../nn/operations/Chain.ts"
import { ChannelShuffle } from "../../nn/operations/ChannelShuffle.ts"
import { GlobalAverage } from "../../nn/operations/GlobalAverage.ts"
import { ImagePool } from "../../nn/operations/ImagePool.ts"
import { Linear } from "../../nn/operations/Linear.ts"
import { Pool } from "../../nn/operations/Pool.ts"
import { Residual } from "../../nn/operations/Residual.ts"
import { SqueezeExcite } from "../../nn/operations/SqueezeExcite.ts"
import { TimesZero } from "../../nn/operations/TimesZero.ts"
import { Zeros } from "../../nn/operations/Zeros.ts"
import type { Block, BlockOf } from "./Block.ts"

interface StageSettings {
  readonly kernel?: number
  readonly stride?: number
  readonly padding?: number
  readonly dilation?: number
  readonly groups?: number
  readonly bias?: boolean
  readonly norm?: boolean
  readonly activation?: Activation
}

const stage = (inChannels: number, outChannels: number, settings: StageSettings): ConvStage => {
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
const keepsShape = (block: Block): boolean => block.stride === 1 && block.inChannels === block.outChannels

const residualIf = (condition: boolean, operations: ReadonlyArray<Operation>): ReadonlyArray<Operation> => {
  if (!condition) return operations
  const only = operations.length === 1 ? operations[0] : undefined
  return Chain.is(only) ? [chain(only.settings.stages, true)] : [Residual.make({ operations })]
}

const squeezeExcite = (name: string, channels: number): Operation =>
  SqueezeExcite.make({ name: `${name}.se`, channels, reduced: Math.max(1, Math.floor(channels / 4)) })

const compileConv = (name: string, block: BlockOf<"Conv">): ReadonlyArray<Operation> => [
  chain([
    namedStage(
      `${name}.conv`,
      stage(block.inChannels, block.outChannels, {
        kernel: block.kernel,
        stride: block.stride,
        dilation: block.dilation,
        groups: block.groups === "depthwise" ? block.outChannels : block.groups,
        bias: block.bias,
        norm: block.norm,
        activation: block.activation,
        ...(block.padding === null ? {} : { padding: block.padding })
      })
    )
  ])
]

const compileSeparable = (name: string, block: BlockOf<"Separable">): ReadonlyArray<Operation> => [
  chain([
    namedStage(
      `${name}.depthwise`,
      stage(block.inChannels, block.inChannels, {
        kernel: block.kernel,
        stride: block.stride,
        dilation: block.dilation,
        groups: block.inChannels,
        norm: false
      })
    ),
    namedStage(
      `${name}.pointwise`,
      stage(block.inChannels, block.outChannels, { norm: block.norm, activation: block.activation })
    )
  ])
]

const compileMobile = (name: string, block: BlockOf<"Mobile">): ReadonlyArray<Operation> => {
  const hidden = Math.floor(block.inChannels * block.expansion)
  const { activation, pointGroups: groups } = block
  const expand =
    block.expansion === 1 ? [] : [namedStage(`${name}.expand`, stage(block.inChannels, hidden, { groups, activation }))]
  const depthwise = namedStage(
    `${name}.depthwise`,
    stage(hidden, hidden, { kernel: block.kernel, stride: block.stride, groups: hidden, activation })
  )
  const project = namedStage(`${name}.project`, stage(hidden, block.outChannels, { groups }))
  // Without squeeze-excite and shuffle all three are one chain, which is what engines are fastest at.
  const shuffled = block.channelShuffle && groups > 1
  const operations: Array<Operation> = []
  let open: Array<NamedStage> = [...expand]
  const close = () => {
    if (open.length > 0) operations.push(chain(open))
    open = []
  }
  if (shuffled) {
    close()
    operations.push(ChannelShuffle.make({ groups }))
  }
  open.push(depthwise)
  if (block.squeezeExcite) {
    close()
    operations.push(squeezeExcite(name, hidden))
  }
  open.push(project)
  close()
  return residualIf(keepsShape(block), operations)
}

const compileMixed = (name: string, block: BlockOf<"Mixed">): ReadonlyArray<Operation> => {
  const hidden = Math.floor(block.inChannels * block.expansion)
  const share = Math.floor(hidden / block.kernels.length)
  const { activation, pointGroups: groups } = block
  const operations: Array<Operation> = []
  if (block.expansion !== 1) {
    operations.push(chain([namedStage(`${name}.expand`, stage(block.inChannels, hidden, { groups, activation }))]))
  }
  operations.push(
    Branches.make({
      branches: block.kernels.map((kernel, i) => {
        // the last share takes what does not divide
        const from = i * share
        const to = i === block.kernels.length - 1 ? hidden : from + share
        const settings = { kernel, stride: block.stride, groups: to - from, activation }
        return {
          from,
          to,
          operations: [chain([namedStage(`${name}.mixed.${i}`, stage(to - from, to - from, settings))])]
        }
      })
    })
  )
  if (block.squeezeExcite) operations.push(squeezeExcite(name, hidden))
  operations.push(chain([namedStage(`${name}.project`, stage(hidden, block.outChannels, { groups }))]))
  return residualIf(keepsShape(block), operations)
}

/** The expansion of a unified block for some of its slots: a 1x1 convolution whose outputs belong to the slots. */
export const unifiedExpand = (name: string, block: BlockOf<"Unified">, slots: ReadonlyArray<number>): Chain => {
  const parts = slots.map((slot) => `${name}.expand.${slot}`)
  const width = block.inChannels
  return chain([
    {
      stage: stage(width, width * slots.length, { activation: block.activation }),
      weight: parts.map((part) => `${part}.weight`),
      weightAxis: 3,
      bias: "",
      norm: parts.map((part) => `${part}.norm`),
      slope: parts.map((part) => `${part}.slope`),
      fanOutChannels: width * block.slots.length
    }
  ])
}

/** The depthwise convolutions of one kernel for some slots of a unified block, side by side. */
export const unifiedDepthwise = (
  name: string,
  block: BlockOf<"Unified">,
  slots: ReadonlyArray<number>,
  kernel: number
): Chain => {
  const parts = slots.map((slot) => `${name}.slot.${slot}.k${kernel}`)
  const channels = block.inChannels * slots.length
  const { activation, stride } = block
  return chain([
    {
      stage: stage(channels, channels, { kernel, stride, groups: channels, activation }),
      weight: parts.map((part) => `${part}.weight`),
      weightAxis: 2,
      bias: "",
      norm: parts.map((part) => `${part}.norm`),
      slope: parts.map((part) => `${part}.slope`),
      fanOutChannels: block.inChannels
    }
  ])
}

/** The projection of some slots of a unified block, with the batch normalisation for `empty` slots left out. */
export const unifiedProject = (
  name: string,
  block: BlockOf<"Unified">,
  slots: ReadonlyArray<number>,
  empty: number
): Chain =>
  chain([
    {
      stage: stage(block.inChannels * slots.length, block.outChannels, {}),
      weight: slots.map((slot) => `${name}.project.${slot}.weight`),
      weightAxis: 2,
      bias: "",
      norm: [`${name}.project.norm.${empty}`],
      slope: [],
      fanOutChannels: block.outChannels
    }
  ])

/** One run of neighbouring slots with the same kernel. */
interface SlotRun {
  readonly kernel: number
  readonly slots: ReadonlyArray<number>
}

const slotRuns = (block: BlockOf<"Unified">, slots: ReadonlyArray<number>): ReadonlyArray<SlotRun> => {
  const runs: Array<{ kernel: number; slots: Array<number> }> = []
  for (const slot of slots) {
    const kernel = block.slots[slot] as number
    const last = runs.at(-1)
    if (last !== undefined && last.kernel === kernel) last.slots.push(slot)
    else runs.push({ kernel, slots: [slot] })
  }
  return runs
}

const compileUnified = (name: string, block: BlockOf<"Unified">): ReadonlyArray<Operation> => {
  const kept = block.slots.flatMap((kernel, slot) => (kernel === 0 && !block.published ? [] : [slot]))
  const empty = block.slots.filter((kernel) => kernel === 0).length
  let from = 0
  const branches = slotRuns(block, kept).map(({ kernel, slots }) => {
    const operation: Operation =
      kernel === 0 ? TimesZero.make({ stride: block.stride }) : unifiedDepthwise(name, block, slots, kernel)
    const branch = { from, to: from + block.inChannels * slots.length, operations: [operation] }
    from = branch.to
    return branch
  })
  const only = branches.length === 1 ? branches[0] : undefined
  const operations: ReadonlyArray<Operation> = [
    // As in the decoded network, a single sub-block works on the input itself.
    ...(kept.length > 1 ? [unifiedExpand(name, block, kept)] : []),
    ...(only === undefined ? [Branches.make({ branches })] : only.operations),
    unifiedProject(name, block, kept, empty)
  ]
  return residualIf(keepsShape(block), joinChains(operations))
}

/** Neighbouring chains become one. */
const joinChains = (operations: ReadonlyArray<Operation>): ReadonlyArray<Operation> => {
  const out: Array<Operation> = []
  for (const operation of operations) {
    const last = out.at(-1)
    if (Chain.is(last) && Chain.is(operation) && !last.settings.residual && !operation.settings.residual) {
      out[out.length - 1] = chain([...last.settings.stages, ...operation.settings.stages])
    } else out.push(operation)
  }
  return out
}

const compileShuffle = (name: string, block: BlockOf<"Shuffle">): ReadonlyArray<Operation> => {
  const { activation, inChannels, outChannels, stride } = block
  const widens = stride !== 1 || inChannels !== outChannels
  const half = Math.floor(outChannels / 2)
  const kernel = block.xception ? 3 : block.kernel
  const side = widens && block.widening === "keep" ? inChannels : outChannels - half
  const main = widens ? outChannels - side : half
  const mainIn = widens ? inChannels : inChannels - half
  const depthwise = (part: string, channels: number, strideHere: number) =>
    namedStage(`${name}.${part}`, stage(channels, channels, { kernel, stride: strideHere, groups: channels }))
  const point = (part: string, from: number, to: number) =>
    namedStage(`${name}.${part}`, stage(from, to, { activation }))
  const projection: ReadonlyArray<Operation> = widens
    ? [chain([depthwise("side.depthwise", inChannels, stride), point("side.project", inChannels, side)])]
    : []
  // The hidden width of the authors' blocks is half the output in both variants.
  const hidden = half
  const stages = block.xception
    ? [
        depthwise("main.0.depthwise", mainIn, stride),
        point("main.0.project", mainIn, hidden),
        depthwise("main.1.depthwise", hidden, 1),
        point("main.1.project", hidden, hidden),
        depthwise("main.2.depthwise", hidden, 1),
        point("main.2.project", hidden, main)
      ]
    : [
        point("main.expand", mainIn, hidden),
        depthwise("main.depthwise", hidden, stride),
        point("main.project", hidden, main)
      ]
  return [
    Branches.make({
      branches: [
        { from: 0, to: widens ? inChannels : inChannels - mainIn, operations: projection },
        { from: widens ? 0 : inChannels - mainIn, to: inChannels, operations: [chain(stages)] }
      ]
    }),
    ChannelShuffle.make({ groups: 2 })
  ]
}

const compileSkip = (name: string, block: BlockOf<"Skip">): ReadonlyArray<Operation> => {
  if (block.inChannels !== block.outChannels) {
    return [chain([namedStage(`${name}.conv`, stage(block.inChannels, block.outChannels, { stride: block.stride }))])]
  }
  if (block.stride === 1) return []
  return [Pool.make({ kind: "average", kernel: block.stride, stride: block.stride, padding: "ceil" })]
}

const compileAspp = (name: string, block: BlockOf<"Aspp">): ReadonlyArray<Operation> => {
  const { activation, inChannels, outChannels } = block
  const whole = { from: 0, to: inChannels }
  const dilated = block.rates.map((rate, i) => ({
    ...whole,
    operations: [
      chain([
        namedStage(
          `${name}.rate.${i}`,
          stage(inChannels, outChannels, { kernel: block.kernel, stride: block.stride, dilation: rate, activation })
        )
      ])
    ]
  }))
  return [
    Branches.make({
      branches: [
        {
          ...whole,
          operations: [
            chain([namedStage(`${name}.point`, stage(inChannels, outChannels, { stride: block.stride, activation }))])
          ]
        },
        ...dilated,
        {
          ...whole,
          operations: [
            ImagePool.make({
              stride: block.stride,
              operations: [chain([namedStage(`${name}.image`, stage(inChannels, outChannels, { activation }))])]
            })
          ]
        }
      ]
    }),
    chain([namedStage(`${name}.join`, stage(outChannels * (block.rates.length + 2), outChannels, { activation }))])
  ]
}

/**
 * The operations of a block whose parameters are prefixed by `name`.
 *
 * **Example** (An inverted residual is one chain of three convolutions)
 * ```ts
 * import { mobile, place } from "./Block.ts"
 * import { compile } from "./Compile.ts"
 * compile("search.0.1", place(mobile({ kernel: 3, expansion: 6 }), 16, 24, 2)).length // => 1
 * ```
 */
export const compile = (name: string, block: Block): ReadonlyArray<Operation> => {
  switch (block._tag) {
    case "Conv":
      return compileConv(name, block)
    case "Separable":
      return compileSeparable(name, block)
    case "Mobile":
      return compileMobile(name, block)
    case "Mixed":
      return compileMixed(name, block)
    case "Unified":
      return compileUnified(name, block)
    case "Shuffle":
      return compileShuffle(name, block)
    case "Skip":
      return compileSkip(name, block)
    case "Zero":
      return [Zeros.make({ outChannels: block.outChannels, stride: block.stride })]
    case "AveragePool":
    case "MaxPool":
      return [
        Pool.make({
          kind: block._tag === "MaxPool" ? "max" : "average",
          kernel: block.kernel,
          stride: block.stride,
          padding: Math.floor(block.kernel / 2)
        })
      ]
    case "Aspp":
      return compileAspp(name, block)
    case "GlobalAverage":
      return [GlobalAverage.make({})]
    case "Classifier":
      return [
        Linear.make({
          name: `${name}.linear`,
          inFeatures: block.inChannels,
          outFeatures: block.outChannels,
          bias: block.bias
        })
      ]
  }
}
