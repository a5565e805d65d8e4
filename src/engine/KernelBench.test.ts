import { describe, expect, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import { benchKernels, type KernelMeasurement, standardBlocks, standardConvolutions } from "./KernelBench.ts"

describe("benchKernels", () => {
  it.live("measures the machine's limits, then every pass of every kernel", () =>
    Effect.gen(function* () {
      const lines: Array<KernelMeasurement> = []
      const convolutions = [standardConvolutions[2]!, standardConvolutions[4]!]
      yield* benchKernels(
        { mode: "strict", threads: 2, batch: 2, seconds: 0, convolutions, blocks: [standardBlocks[1]!] },
        (line) => Effect.sync(() => void lines.push(line))
      )
      expect(lines.slice(0, 2).map((line) => line.pass)).toEqual(["peak", "peak"])
      expect(lines[0]!.gflops).toBeGreaterThan(0.1)
      expect(lines[1]!.gbps).toBeGreaterThan(0.05)
      const passes = lines.slice(2, 8).map((line) => [line.kernel, line.pass])
      expect(passes).toEqual(
        ["pointwise 1x1", "depthwise 3x3"].flatMap((kernel) =>
          ["forward", "input-gradient", "weight-gradient"].map((pass) => [kernel, pass])
        )
      )
      for (const line of lines.slice(2).filter((line) => line.kernel !== "  the rest")) {
        expect(line.microseconds, line.kernel).toBeGreaterThan(0)
        expect(line.share_of_peak, line.kernel).toBeGreaterThan(0)
      }
      expect(lines.filter((line) => line.kernel.startsWith("tf ")).map((line) => line.kernel)).toContain("tf dense 3x3")
      // The parts of a block have the passes of the whole.
      const block = lines.filter((line) => line.shape.includes("k5"))
      expect(block.filter((line) => line.kernel === "inverted residual").map((line) => line.pass)).toEqual([
        "forward",
        "backward"
      ])
      for (const pass of ["forward", "backward"]) {
        const [whole, ...parts] = block.filter((line) => line.pass === pass)
        expect(parts.map((part) => part.kernel)).toContain("  gemmRows")
        const sum = parts.reduce((total, part) => total + part.microseconds, 0)
        expect(sum).toBeGreaterThan(0.5 * whole!.microseconds)
      }
      expect(tf.memory().numTensors).toBe(0)
    })
  )

  it("covers the kernels of both spaces", () => {
    const kinds = (space: string) =>
      new Set(
        standardConvolutions
          .filter((entry) => entry.space === space)
          .map(({ stage }) => [stage.kernel, stage.groups > 1])
      ).size
    expect(kinds("proxylessnas")).toBeGreaterThan(4)
    expect(kinds("spos")).toBeGreaterThan(3)
    const last = standardConvolutions.filter((entry) => entry.space === "proxylessnas").at(-1)!
    expect([last.side, last.stage.inChannels, last.stage.outChannels]).toEqual([2, 320, 1280])
  })
})
