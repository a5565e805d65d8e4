/**
 * Compiles `assembly/` into `kernels-strict.wasm` and `kernels-relaxed.wasm` beside this file. Kernels are the exported
 * functions `(args, piece, scratch)` of `assembly/kernels/*.ts`; what both sides of a call share is written first, from
 * Signatures.ts and Kinds.ts: `assembly/generated/` and `generated/Kernels.ts`. Nothing is compiled when the sources, the
 * compiler and the outputs are those of the last build.
 */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import asc from "assemblyscript/asc"
import { assemblyDispatch, assemblySignatures, typescriptKernels } from "./Generate.ts"
import { microkernels } from "./Microkernels.ts"

const here = dirname(fileURLToPath(import.meta.url))
const assembly = join(here, "assembly")
const generated = join(assembly, "generated")

const kernelPattern = /^export function (\w+)\(args: \w+, piece: i32, scratch: usize\): void/gm

/** The kernels of each file of `assembly/kernels`. */
const exportedKernels = (): ReadonlyMap<string, ReadonlyArray<string>> => {
  const files = readdirSync(join(assembly, "kernels")).filter((name) => name.endsWith(".ts"))
  return new Map(
    files.sort().map((file) => {
      const text = readFileSync(join(assembly, "kernels", file), "utf8")
      return [file.slice(0, -3), [...text.matchAll(kernelPattern)].map((match) => match[1]!)]
    })
  )
}

const sources = (folder: string): Array<string> =>
  readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) =>
      entry.isDirectory()
        ? sources(join(folder, entry.name))
        : entry.name.endsWith(".ts")
          ? [join(folder, entry.name)]
          : []
    )

const modes = [
  { name: "strict", flags: [] },
  { name: "relaxed", flags: ["--enable", "relaxed-simd"] }
]

const write = (folder: string, name: string, text: string) => {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, name)
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text)
}
write(join(here, "generated"), "Kernels.ts", typescriptKernels())
write(generated, "signatures.ts", assemblySignatures())
write(generated, "dispatch.ts", assemblyDispatch(exportedKernels()))
write(generated, "microkernels.ts", microkernels())

const hash = createHash("sha256")
  .update(asc.version)
  .update(readFileSync(fileURLToPath(import.meta.url)))
for (const path of sources(assembly)) hash.update(path.slice(assembly.length)).update(readFileSync(path))
const digest = hash.digest("hex")
const stamp = join(generated, "digest")

for (const mode of modes) {
  const output = join(here, `kernels-${mode.name}.wasm`)
  const stampFile = `${stamp}-${mode.name}`
  if (existsSync(output) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === digest) continue
  const { error, stderr } = await asc.main([
    join(assembly, "main.ts"),
    // The third level moves each accumulator's operations together, and with them far more values into registers than there are.
    "-O2",
    "--noAssert",
    "--runtime",
    "stub",
    "--enable",
    "simd",
    "--enable",
    "threads",
    ...mode.flags,
    "--importMemory",
    "--sharedMemory",
    "--initialMemory",
    "16",
    "--maximumMemory",
    "65536",
    "--memoryBase",
    "131072",
    "--use",
    "abort=",
    "--baseDir",
    here,
    "-o",
    output
  ])
  if (error !== null) {
    process.stderr.write(stderr.toString())
    throw error
  }
  writeFileSync(stampFile, digest)
  process.stdout.write(`kernels-${mode.name}.wasm ${readFileSync(output).length} bytes\n`)
}
