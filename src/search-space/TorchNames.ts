/**
 * Parameters under PyTorch's names, as networks of OSNASLib save them. The layouts are in `nn/TorchTensors.ts`; the kind of a
 * block says where its tensors are.
 */
import type { ParameterKind, ParameterSpec } from "../nn/Parameter.ts"
import type { TorchEntry } from "../nn/TorchTensors.ts"
import { type Block, kindOf } from "./blocks/Block.ts"
import type { TorchForm, TorchPlace } from "./blocks/BlockKind.ts"
import { convBnAct } from "./blocks/Parts.ts"
import { blockParameterSpecs, type NamedBlock } from "./Network.ts"

export * from "../nn/TorchTensors.ts"
export type { TorchForm } from "./blocks/BlockKind.ts"

const suffixes: Readonly<Record<string, string>> = {
  gamma: "weight",
  beta: "bias",
  mean: "running_mean",
  variance: "running_var"
}

/** The place of the stage `part` (its name below the block's). */
const placeOf = (block: Block, part: string, form: TorchForm): TorchPlace =>
  kindOf(block).torch?.(block, part, form) ?? convBnAct(part)

const squeezeExcitePaths: Readonly<Record<string, string>> = {
  "se.reduce": "se.squeeze_conv",
  "se.expand": "se.excite_conv"
}

const blockPath = (name: string, block: Block, form: TorchForm): string => {
  const [part, ...indices] = name.split(".")
  if (part === "first" || part === "last") return `${part}_stages.${indices.join(".")}`
  const [layer, option] = indices
  if (form === "network") return `stages.${layer}`
  return kindOf(block).mix !== undefined ? `search_stages.${layer}` : `search_stages.${layer}.supernet_layer.${option}`
}

const isVector = (kind: ParameterKind): boolean => kind !== "convolution" && kind !== "depthwise" && kind !== "linear"

const entryOf = (path: string, name: string, block: Block, spec: ParameterSpec, form: TorchForm): TorchEntry => {
  const at = (module: string, leaf: string) => [path, module, leaf].filter((part) => part !== "").join(".")
  const rest = spec.name.slice(name.length + 1)
  const lastDot = rest.lastIndexOf(".")
  const owner = rest.slice(0, lastDot)
  const leaf = rest.slice(lastDot + 1)
  const plain = { ours: spec, pointwise: false }
  const gate = squeezeExcitePaths[owner]
  if (gate !== undefined) return { ours: spec, theirs: at(gate, leaf), pointwise: leaf === "weight" }
  const normSuffix = suffixes[leaf]
  if (normSuffix !== undefined) {
    // `expand.norm.gamma` belongs to the stage `expand`; the switched normalisation `project.norm.2` is its own.
    const part = owner.endsWith(".norm") ? owner.slice(0, -".norm".length) : owner
    const { norm, vectorSlice } = placeOf(block, part, form)
    return { ...plain, theirs: at(norm, normSuffix), ...(vectorSlice === undefined ? {} : { slice: vectorSlice }) }
  }
  const { conv, slope, vectorSlice, weightSlice } = placeOf(block, owner, form)
  const slice = isVector(spec.kind) ? vectorSlice : weightSlice
  return {
    ...plain,
    theirs: leaf === "slope" ? at(slope, "weight") : at(conv, leaf),
    ...(slice === undefined ? {} : { slice })
  }
}

/**
 * The position of every tensor of the given blocks in PyTorch's state.
 *
 * **Example** (The stem)
 * ```ts
 * import { conv, place } from "./blocks/Block.ts"
 * import { entries } from "./TorchNames.ts"
 * const stem = { name: "first.0", block: place(conv({ kernel: 3 }), 3, 16, 2) }
 * entries([stem], "network").slice(0, 2).map((entry) => entry.theirs) // => ["first_stages.0.conv.weight", "first_stages.0.bn.weight"]
 * ```
 */
export const entries = (blocks: ReadonlyArray<NamedBlock>, form: TorchForm): ReadonlyArray<TorchEntry> => {
  const byName = new Map<string, TorchEntry>()
  for (const block of blocks) {
    const path = blockPath(block.name, block.block, form)
    for (const spec of blockParameterSpecs(block)) {
      if (!byName.has(spec.name)) byName.set(spec.name, entryOf(path, block.name, block.block, spec, form))
    }
  }
  return [...byName.values()]
}
