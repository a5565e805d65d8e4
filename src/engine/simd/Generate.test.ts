import { readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { assemblyDispatch, assemblySignatures, typescriptKernels } from "./Generate.ts"
import * as kernels from "./generated/Kernels.ts"
import type { JobQueue } from "./Runtime.ts"
import { signatures } from "./Signatures.ts"

/** A queue that records jobs; words start as -1, so that an unwritten word shows. */
const recorder = () => {
  const integers = new Int32Array(128).fill(-1)
  const floats = new Float32Array(128).fill(-1)
  const posted: Array<readonly [string, number]> = []
  const queue: JobQueue = {
    slot: () => ({ integers, floats }),
    submit: (kernel, pieces) => {
      posted.push([kernels.kernelNames[kernel]!, pieces])
    }
  }
  return { integers, floats, posted, queue }
}

const byFile = (): Map<string, Array<string>> => {
  const files = new Map<string, Array<string>>()
  for (const [name, { file }] of Object.entries(signatures)) files.set(file, [...(files.get(file) ?? []), name])
  return files
}

describe("kernels' signatures", () => {
  it("match the generated files: run `npm run build:wasm` if this fails", () => {
    const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
    expect(read("./generated/Kernels.ts")).toBe(typescriptKernels())
    expect(read("./assembly/generated/signatures.ts")).toBe(assemblySignatures())
  })

  it("write integers, flags, codes, missing addresses and floats, each in its position", () => {
    const { floats, integers, posted, queue } = recorder()
    kernels.sgdUpdate(queue, 3, {
      param: 64,
      gradient: 2 ** 31 + 64,
      newParam: 192,
      count: 5,
      nesterov: true,
      learningRate: 0.5,
      momentum: 0.25,
      l2: 0,
      keep: 1
    })
    expect(posted).toEqual([["sgdUpdate", 3]])
    expect([...integers.subarray(0, 8)]).toEqual([64, -(2 ** 31) + 64, 0, 192, 0, 5, 1, -1])
    expect([...floats.subarray(0, 5)]).toEqual([0.5, 0.25, 0, 1, -1])
  })

  it("write a record's fields in order, and a kernel's own fields after those of the kernel it extends", () => {
    const { integers, queue } = recorder()
    const source = { address: 8, channels: 3, pixels: 4, images: 5, groupShift: 3 } as const
    const epilogue = { out: 16, channels: 6, pixels: 7, images: 5, groupShift: 3, pixelStride: 6, channelStride: 1 }
    const product = {
      source: { ...source, kind: "activated", activation: "hswish", v2: 99 } as const,
      epilogue: { ...epilogue, kind: "backward", activation: "prelu" } as const,
      rows: 10,
      k: 11,
      columns: 12,
      groupChannels: 13,
      panels: 14,
      blockRows: 15,
      rowBlocks: 16,
      blockPanels: 17,
      columnBlocks: 18,
      blocksPerPiece: 19,
      sumPiece: 20
    }
    kernels.gemmBoth(queue, 1, { ...product, input: { ...source, kind: "nhwc" }, sums: 21 })
    const both = [...integers]
    const place = kernels.argumentPlaces["gemmBoth"]!
    expect(both.slice(0, 9)).toEqual([2, 8, 3, 3, 0, 0, 99, 0, 4])
    expect(both[place["epilogue"]!]).toBe(2)
    expect(both[place["epilogue"]! + 6]).toBe(4)
    expect(["rows", "k", "columns", "sumPiece", "input", "sums"].map((name) => both[place[name]!])).toEqual([
      10, 11, 12, 20, 0, 21
    ])
    integers.fill(-1)
    kernels.gemmRows(queue, 1, product)
    const end = place["input"]!
    expect([...integers.subarray(0, end)]).toEqual(both.slice(0, end))
    expect([...integers.subarray(end)].every((word) => word === -1)).toBe(true)
  })

  it("write every word of a kernel, and none after them", () => {
    const { integers, posted, queue } = recorder()
    kernels.blendVectors(queue, 2, {
      old: [1, 2],
      fresh: [3, 4],
      out: [5, 6],
      length: [7, 8],
      keep: 0.5,
      momentum: 0.5,
      scale: [1, 2]
    })
    expect([0, 1, 32, 33, 64, 65, 96, 97].map((at) => integers[at])).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(posted).toEqual([["blendVectors", 2]])
  })

  it("match the kernels in the source files", () => {
    const folder = new URL("./assembly/kernels/", import.meta.url)
    for (const [file, names] of byFile()) {
      const text = readFileSync(new URL(`${file}.ts`, folder), "utf8")
      for (const name of names) expect(text).toContain(`export function ${name}(args: `)
    }
    expect(readdirSync(folder).map((file) => file.slice(0, -3))).toEqual([...byFile().keys()].sort())
  })

  it("refuse a kernel without a signature, one in another file, and a signature without a kernel", () => {
    const files = byFile()
    expect(assemblyDispatch(files)).toContain(
      "case 0: { packDepthwise(changetype<PackDepthwise>(args), piece, scratch)"
    )
    expect(() => assemblyDispatch(new Map([...files, ["fill", ["fill", "trap", "other"]]]))).toThrow(
      "the kernel other of assembly/kernels/fill.ts has no signature"
    )
    expect(() => assemblyDispatch(new Map([...files, ["fill", ["trap"]]]))).toThrow(
      "Signatures.ts names a kernel fill, but assembly/kernels/fill.ts has no function"
    )
    expect(() => assemblyDispatch(new Map([...files, ["peak", [...files.get("peak")!, "fill"]]]))).toThrow(
      "the kernel fill of assembly/kernels/peak.ts has no signature for that file"
    )
  })
})
