import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as tf from "@tensorflow/tfjs-core"
import "@tensorflow/tfjs-backend-cpu"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import * as Yaml from "yaml"
import { filled } from "../../property-tests/testing/Filled.ts"
import { sizeOf } from "../engine/Shape.ts"
import { BlockSpec } from "./blocks/Block.ts"
import { fromMacro, MacroSpec } from "./MacroSpace.ts"
import * as Network from "./Network.ts"

const page = readFileSync(join(import.meta.dirname, "../../docs/components/search-space.md"), "utf8")
const text = /## Blocks[\s\S]*?```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? ""
const { name, ...written } = (Yaml.parse(text) as { searchSpace: Record<string, unknown> }).searchSpace
const spec = Schema.decodeUnknownSync(MacroSpec, { onExcessProperty: "error" })({ name, ...written })
const task = { input: [16, 16, 3], head: { _tag: "Classifier", classes: 4 } } as const
const space = Result.getOrThrow(fromMacro(spec, task))

describe("the space that the page writes as data", () => {
  it("has every kind of block", () => {
    const tags = new Set(
      [...spec.first, ...spec.last].map(({ block }) => block._tag).concat(spec.choices.map((one) => one._tag))
    )
    expect([...tags].sort()).toEqual(BlockSpec.members.map((member) => member.fields._tag.schema.literal).sort())
  })

  it.each(spec.choices.map((_, choice) => [space.choices[0]?.[choice] ?? "", choice] as const))(
    "computes with %s in both layers, and is counted",
    (_, choice) => {
      const network = space.network([choice, choice])
      const { macs, params } = Network.count(network)
      const trainable = Network.parameterSpecs(network).filter((one) => one.trainable)
      const sizes = trainable.map(({ shape }) => sizeOf(shape))
      expect(params).toBe(sizes.reduce((sum, size) => sum + size, 0))
      expect(macs).toBeGreaterThan(0)
      const shape = tf.tidy(() => {
        const images = tf.fill([2, 16, 16, 3], 0.5)
        const output = Network.apply(network, filled(network), images, "eval").output
        return { shape: output.shape, finite: Number(tf.sum(output).dataSync()[0]) }
      })
      expect(shape.shape).toEqual([2, 4])
      expect(Number.isFinite(shape.finite)).toBe(true)
    }
  )
})
