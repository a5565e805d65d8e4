/**
 * Generates both sides of every kernel call from the table of Signatures.ts. For `assembly/`: the classes that read arguments,
 * and the switch that calls a kernel by its number. For callers: the functions of `generated/Kernels.ts`, which write
 * arguments into a job's slot.
 *
 * A job's slot has 128 integers (addresses, flags and codes among them) and 128 floats. A field is one word or
 * several; its position follows from the order in the table.
 */
import { createHash } from "node:crypto"
import { kinds, sizes } from "./Kinds.ts"
import { type Field, records, type Signature, signatures } from "./Signatures.ts"

/** A job has this many integer arguments, and as many floats. */
const LIMIT = 128

interface Layout {
  readonly name: string
  readonly doc: string
  readonly base: string | undefined
  readonly fields: ReadonlyArray<Placed>
  readonly own: ReadonlyArray<Placed>
  readonly integers: number
}
interface Placed {
  readonly field: Field
  /** The field's first word, among the integers or among the floats. */
  readonly at: number
}

const capital = (name: string): string => name[0]!.toUpperCase() + name.slice(1)
const constantCase = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()
const isFloat = (field: Field): boolean => field.type === "float" || field.type === "floats"

const recordOf = (name: string) => {
  const found = (records as Readonly<Record<string, { readonly doc: string; readonly fields: ReadonlyArray<Field> }>>)[
    name
  ]
  if (found === undefined) throw new Error(`Signatures.ts has no record ${name}`)
  return found
}

const wordsOf = (field: Field): number => {
  if (field.type === "record") return recordOf(field.of).fields.reduce((words, inner) => words + wordsOf(inner), 0)
  return "count" in field ? field.count : 1
}

const place = (fields: ReadonlyArray<Field>, integers: number, floats = 0): ReadonlyArray<Placed> => {
  const next = { integers, floats }
  return fields.map((field) => {
    const space = isFloat(field) ? "floats" : "integers"
    const at = next[space]
    next[space] += wordsOf(field)
    return { field, at }
  })
}

const layoutOf = (name: string, signature: Pick<Signature, "doc" | "extends" | "fields">): Layout => {
  const base = signature.extends
  const inherited = base === undefined ? [] : (signatures[base] ?? recordOf(base)).fields
  const fields = place([...inherited, ...signature.fields], 0)
  const end = (floats: boolean): number =>
    fields.reduce((most, { at, field }) => (isFloat(field) === floats ? Math.max(most, at + wordsOf(field)) : most), 0)
  if (end(false) > LIMIT || end(true) > LIMIT) {
    throw new Error(`${name} takes ${end(false)} integers and ${end(true)} floats; a job has room for ${LIMIT} of each`)
  }
  return {
    name: capital(name),
    doc: signature.doc,
    base: base === undefined ? undefined : capital(base),
    fields,
    own: fields.slice(inherited.length),
    integers: end(false)
  }
}

const kernelNames = Object.keys(signatures)
const recordLayouts = Object.keys(records).map((name) => layoutOf(name, recordOf(name)))
const kernelLayouts = kernelNames.map((name) => layoutOf(name, signatures[name]!))

/** A number that differs if the two sides disagree about arguments. */
const digest = createHash("sha256")
  .update(JSON.stringify([kinds, sizes, records, signatures]))
  .digest()
  .readInt32LE()

// The kernels' side.

const getter = ({ at, field }: Placed): ReadonlyArray<string> => {
  const self = "changetype<usize>(this)"
  const one = (type: string, read: string) => `get ${field.name}(): ${type} { return ${read} }`
  const many = (type: string, read: string) => `${field.name}(index: i32): ${type} { return ${read} }`
  const index = `${at} + index`
  const text = (): string => {
    switch (field.type) {
      case "address":
        return one("usize", `argP(${self}, ${at})`)
      case "integer":
      case "flag":
      case "kind":
        return one("i32", `argI(${self}, ${at})`)
      case "float":
        return one("f32", `argF(${self}, ${at})`)
      case "record":
        return one(field.of, `changetype<${field.of}>(${self} + ${4 * at})`)
      case "addresses":
        return many("usize", `argP(${self}, ${index})`)
      case "integers":
        return many("i32", `argI(${self}, ${index})`)
      case "floats":
        return many("f32", `argF(${self}, ${index})`)
    }
  }
  return [`  /** ${field.doc} */`, "  // @ts-ignore: decorator", "  @inline", `  ${text()}`]
}

const assemblyClass = ({ base, doc, name, own }: Layout): ReadonlyArray<string> => [
  `/** ${doc} */`,
  "// @ts-ignore: decorator",
  "@unmanaged",
  `export class ${name}${base === undefined ? "" : ` extends ${base}`} {`,
  ...own.flatMap(getter),
  "}"
]

/** The text of `assembly/generated/signatures.ts`: enumerations, sizes, and a class for each record and kernel. */
export const assemblySignatures = (): string =>
  [
    "// Written by build.ts.",
    'import { argF, argI, argP } from "../abi"',
    ...Object.entries(kinds).flatMap(([name, members]) => [
      `export const enum ${name} {`,
      ...Object.entries(members).map(([member, code]) => `  ${constantCase(member)} = ${code},`),
      "}"
    ]),
    ...Object.entries(sizes).map(([name, size]) => `export const ${name}: i32 = ${size}`),
    ...[...recordLayouts, ...kernelLayouts].flatMap(assemblyClass),
    ""
  ].join("\n")

/**
 * The text of `assembly/generated/dispatch.ts`: the switch over kernels. `exported` lists the kernels in each file of
 * `assembly/kernels`. A kernel without a signature, or a signature without a kernel, is an error.
 */
export const assemblyDispatch = (exported: ReadonlyMap<string, ReadonlyArray<string>>): string => {
  for (const [file, names] of exported) {
    for (const name of names) {
      if (signatures[name]?.file === file) continue
      throw new Error(
        `the kernel ${name} of assembly/kernels/${file}.ts has no signature for that file in Signatures.ts`
      )
    }
  }
  for (const [name, { file }] of Object.entries(signatures)) {
    if (exported.get(file)?.includes(name)) continue
    throw new Error(
      `Signatures.ts names a kernel ${name}, but assembly/kernels/${file}.ts has no function ` +
        `"export function ${name}(args: ${capital(name)}, piece: i32, scratch: usize): void"`
    )
  }
  return [
    "// Written by build.ts.",
    `import { ${kernelNames.map(capital).join(", ")} } from "./signatures"`,
    ...[...exported].map(([file, names]) => `import { ${names.join(", ")} } from "../kernels/${file}"`),
    `export const signatures: i32 = ${digest}`,
    "export function dispatch(kernel: i32, args: usize, piece: i32, scratch: usize): void {",
    "  switch (kernel) {",
    ...kernelNames.map(
      (name, id) => `    case ${id}: { ${name}(changetype<${capital(name)}>(args), piece, scratch); break }`
    ),
    "    default: unreachable()",
    "  }",
    "}",
    ""
  ].join("\n")
}

// The callers' side.

const typeOf = (field: Field): string => {
  switch (field.type) {
    case "flag":
      return "boolean"
    case "kind":
      return `Kind<"${field.of}">`
    case "record":
      return field.of
    case "addresses":
    case "integers":
    case "floats":
      return "ReadonlyArray<number>"
    default:
      return "number"
  }
}

const member = ({ field }: Placed): ReadonlyArray<string> => {
  const optional = "optional" in field && field.optional
  return [
    `  /** ${field.doc} */`,
    `  readonly ${field.name}${optional ? "?" : ""}: ${typeOf(field)}${optional ? " | undefined" : ""}`
  ]
}

/** The statements that write a field; `at` is an expression for the position of the record's first word. */
const write = ({ at, field }: Placed, origin: string): string => {
  const value = `a.${field.name}`
  const place = origin === "" ? `${at}` : `${origin} + ${at}`
  switch (field.type) {
    case "address":
    case "integer":
      return `  w[${place}] = ${value}${field.optional ? " ?? 0" : ""}`
    case "flag":
      return `  w[${place}] = ${value} ? 1 : 0`
    case "kind": {
      const code = `kinds.${field.of}[${value}]`
      return `  w[${place}] = ${field.optional ? `${value} === undefined ? 0 : ${code}` : code}`
    }
    case "float":
      return `  f[${at}] = ${value}`
    case "record":
      return `  write${field.of}(w, ${place}, ${value})`
    case "addresses":
    case "integers":
      return `  for (let i = 0; i < ${value}.length; i++) w[${place} + i] = ${value}[i]!`
    case "floats":
      return `  for (let i = 0; i < ${value}.length; i++) f[${at} + i] = ${value}[i]!`
  }
}

const interfaceOf = ({ base, doc, name, own }: Layout): ReadonlyArray<string> =>
  own.length === 0 && base !== undefined
    ? [`/** ${doc} */`, `export type ${name} = ${base}`]
    : [
        `/** ${doc} */`,
        `export interface ${name}${base === undefined ? "" : ` extends ${base}`} {`,
        ...own.flatMap(member),
        "}"
      ]

const encoder = (layout: Layout, id: number): ReadonlyArray<string> => {
  const floats = layout.fields.some(({ field }) => isFloat(field))
  return [
    ...interfaceOf(layout),
    `/** ${layout.doc} */`,
    `export const ${kernelNames[id]} = (queue: JobQueue, pieces: number, a: ${layout.name}): void => {`,
    `  const { ${floats ? "floats: f, " : ""}integers: w } = queue.slot()`,
    ...layout.fields.map((placed) => write(placed, "")),
    `  queue.submit(${id}, pieces)`,
    "}"
  ]
}

/** Records that are a field of some kernel, and not only the beginning of its arguments. */
const embedded = new Set(
  kernelLayouts.flatMap(({ fields }) => fields.flatMap(({ field }) => (field.type === "record" ? [field.of] : [])))
)

const writer = ({ fields, name }: Layout): ReadonlyArray<string> => [
  `const write${name} = (w: Int32Array, at: number, a: ${name}): void => {`,
  ...fields.map((placed) => write(placed, "at")),
  "}"
]

const places = () =>
  Object.fromEntries(
    kernelLayouts.map(({ fields }, id) => [
      kernelNames[id]!,
      Object.fromEntries(fields.flatMap(({ at, field }) => (isFloat(field) ? [] : [[field.name, at]])))
    ])
  )

/** The text of `generated/Kernels.ts`: the arguments' types, and a function per kernel that posts a job. */
export const typescriptKernels = (): string =>
  [
    "/** Written by build.ts from Signatures.ts: the kernels as functions. */",
    'import { type Kind, kinds } from "../Kinds.ts"',
    'import type { JobQueue } from "../Runtime.ts"',
    "",
    "/** Names of the kernels, by number. */",
    `export const kernelNames: ReadonlyArray<string> = ${JSON.stringify(kernelNames)}`,
    "",
    "/** The digest of the signatures, which the compiled kernels must have too. */",
    `export const signatureDigest = ${digest}`,
    "",
    "/** Where the integer arguments of each kernel are among a job's words, for callers that look at jobs from outside. */",
    `export const argumentPlaces: Readonly<Record<string, Readonly<Record<string, number>>>> = ${JSON.stringify(places())}`,
    ...recordLayouts.flatMap((layout) => [
      ...interfaceOf(layout),
      ...(embedded.has(layout.name) ? writer(layout) : [])
    ]),
    ...kernelLayouts.flatMap(encoder),
    ""
  ].join("\n")
