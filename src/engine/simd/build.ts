/**
 * Compiles `assembly/` into `kernels-strict.wasm` and `kernels-relaxed.wasm` beside this file. Kernels are the exported
 * functions `(args, piece, scratch)` of `assembly/kernels/*.ts`; the switch that calls them by number, and the numbers'
 * names, are written here. Nothing is done when the sources, the compiler and the outputs are those of the last build.
 */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import asc from "assemblyscript/asc"
import { microkernels } from "./Microkernels.ts"

const here = dirname(fileURLToPath(import.meta.url))
const assembly = join(here, "assembly")
const generated = join(assembly, "generated")

const kernelPattern = /^export function (\w+)\(args: usize, piece: i32, scratch: usize\): void/gm

const dispatchSource = (): string => {
  const files = readdirSync(join(assembly, "kernels"))
    .filter((name) => name.endsWith(".ts"))
    .sort()
  const kernels = files.map((file) => ({
    file: file.slice(0, -3),
    names: [...readFileSync(join(assembly, "kernels", file), "utf8").matchAll(kernelPattern)].map((match) => match[1]!)
  }))
  const names = kernels.flatMap((kernel) => kernel.names)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new Error(`two kernels are named ${twice}`)
  return [
    "// Written by build.ts.",
    ...kernels.map(({ file, names }) => `import { ${names.join(", ")} } from "../kernels/${file}"`),
    ...names.map((name, id) => `export const id_${name}: i32 = ${id}`),
    "export function dispatch(kernel: i32, args: usize, piece: i32, scratch: usize): void {",
    "  switch (kernel) {",
    ...names.map((name, id) => `    case ${id}: { ${name}(args, piece, scratch); break }`),
    "    default: unreachable()",
    "  }",
    "}",
    ""
  ].join("\n")
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

mkdirSync(generated, { recursive: true })
const write = (name: string, text: string) => {
  const path = join(generated, name)
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text)
}
write("dispatch.ts", dispatchSource())
write("microkernels.ts", microkernels())

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
