import * as tf from "@tensorflow/tfjs-core"
import { afterAll, describe, expect, it } from "vitest"
import type { ConvStage } from "../engine/ConvChain.ts"
import { convChain } from "../engine/ConvChainOps.ts"
import { registerFusedKernels, unregisterFusedKernels } from "../engine/FusedKernels.ts"
import { EngineMemoryError } from "../engine/simd/Allocator.ts"
import { registerSimdBackend } from "../engine/simd/Backend.ts"
import { fusedSimdKernels } from "../engine/simd/SimdFusedKernels.ts"
import { valueAndGradient } from "./Gradient.ts"

const name = "osnas-simd-gradient"
const backend = registerSimdBackend({ mode: "strict", threads: 1 }, name)
registerFusedKernels(name, fusedSimdKernels)
afterAll(() => {
  unregisterFusedKernels(name)
  tf.removeBackend(name)
})

const stage = (fields: Partial<ConvStage>): ConvStage => ({
  kernel: 1,
  stride: 1,
  padding: 0,
  dilation: 1,
  groups: 1,
  bias: false,
  norm: true,
  activation: "relu6",
  inChannels: 8,
  outChannels: 8,
  ...fields
})

describe("valueAndGradient", () => {
  it("leaves nothing behind when memory runs out, wherever it does", () => {
    tf.setBackend(name)
    const { allocator } = backend.runtime as { allocator: { allocate: (bytes: number) => number } }
    const allocate = allocator.allocate
    const stages = [
      stage({ outChannels: 24 }),
      stage({ inChannels: 24, outChannels: 24, kernel: 3, padding: 1, groups: 24 })
    ]
    tf.tidy(() => {
      const x = tf.fill<tf.Rank.R4>([2, 5, 5, 8], 0.5)
      const params = {
        a: tf.fill([1, 1, 8, 24], 0.1),
        b: tf.fill([3, 3, 24, 1], 0.1),
        gamma: tf.ones([24]),
        beta: tf.ones([24])
      }
      const step = () =>
        tf.tidy(() => {
          const { gamma, beta } = params
          valueAndGradient(() => {
            const weights = [params.a, params.b] as Array<tf.Tensor4D>
            const { output, statistics } = convChain(
              x,
              stages,
              weights.map((weight) => ({ weight, gamma, beta })) as never,
              { mode: "train", epsilon: 1e-5, residual: false }
            )
            return { loss: tf.sum(tf.square(output)), rest: statistics }
          }, params)
        })
      step()
      let calls = 0
      allocator.allocate = (bytes) => {
        calls++
        return allocate(bytes)
      }
      step()
      const [tensors, usage] = [tf.memory().numTensors, backend.runtime.allocator.usage()]
      const total = calls
      expect(total).toBeGreaterThan(20)
      for (let last = 0; last < total; last++) {
        calls = 0
        allocator.allocate = (bytes) => {
          if (calls++ === last) throw new EngineMemoryError({ neededBytes: bytes, availableBytes: 0, inUseBytes: 0 })
          return allocate(bytes)
        }
        expect(step).toThrow(EngineMemoryError)
        expect(tf.memory().numTensors, `allocation ${last} of ${total}`).toBe(tensors)
        const after = backend.runtime.allocator.usage()
        expect([after.blocks, after.inUseBytes]).toEqual([usage.blocks, usage.inUseBytes])
      }
      allocator.allocate = allocate
      step()
    })
  })
})
