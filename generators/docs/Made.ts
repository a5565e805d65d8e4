/**
 * The parts of the documentation that are made from the program: state diagrams from the machines, contracts and programs
 * from their source, modules from the generator. A page marks such a part by
 * `<!-- made: WHAT -->` and `<!-- /made -->`; what stands between is replaced.
 */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Result from "effect/Result"
import * as Yaml from "yaml"
import * as Machines from "../../machines/index.ts"
import * as Osnaslib from "../../src/cli/Osnaslib.ts"
import { defaultNames } from "../../src/component/Load.ts"
import { si } from "../../src/report/Format.ts"
import * as Generator from "../Generator.ts"

const fenced = (language: string, text: string): string => `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``

const machines = {
  agentMachine: Machines.agentMachine,
  trainingMachine: Machines.trainingMachine,
  searchingMachine: Machines.searchingMachine
} as const

/** An exported interface with its documentation, as it stands in its source. */
const contract = (source: string, name: string): string => {
  const start = source.indexOf(`export interface ${name} `)
  if (start < 0) throw new RangeError(`there is no interface ${name}`)
  const documented = source.lastIndexOf("/**", start)
  return source.slice(documented, source.indexOf("\n}\n", start) + 2)
}

const generated = (kind: string): Generator.Generated =>
  Result.getOrThrow(Generator.generate({ kind: kind as Generator.KindName, name: `my-${kind}` }))

/** What a configuration of examples/ chooses: the names of its components, and its budget. */
const exampleRow = (folder: string, file: string): ReadonlyArray<string> => {
  const config: Readonly<Record<string, Readonly<Record<string, unknown>>>> = Yaml.parse(
    readFileSync(join(folder, file), "utf8")
  )
  const name = (kind: keyof typeof defaultNames): string => String(config[kind]?.["name"] ?? defaultNames[kind])
  const { max } = config["budget"] ?? {}
  return [
    `[${file}](../examples/${file})`,
    name("searchSpace"),
    config["start"]?.["architecture"] === undefined
      ? `${name("trainingStrategy")}, ${name("searchStrategy")}`
      : "none: an architecture that is given",
    name("criterion"),
    name("dataflow"),
    config["start"]?.["architecture"] === undefined ? si(Number(max)) : ""
  ]
}

/** The configurations of examples/ as a table. */
const examples = (root: string): string => {
  const folder = join(root, "examples")
  const files = globSync("**/*.yaml", { cwd: folder }).map((file) => file.replaceAll("\\", "/"))
  const byDepth = (file: string): number => file.split("/").length
  const sorted = files.sort((a, b) => byDepth(a) - byDepth(b) || (a < b ? -1 : 1))
  const rows = [
    ["configuration", "search space", "training, search", "criterion", "dataflow", "MACs"],
    ["---", "---", "---", "---", "---", "---:"],
    ...sorted.map((file) => exampleRow(folder, file))
  ]
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n")
}

/** The text of a part; `root` is the repository. */
export const part = (root: string, what: string): string => {
  const [kind, first = "", second = ""] = what.split(" ")
  switch (kind) {
    case "machine":
      return fenced("mermaid", Machines.Diagram.mermaid(machines[first as keyof typeof machines]))
    case "contract":
      return fenced("ts", contract(readFileSync(join(root, first), "utf8"), second))
    case "program":
      return fenced("ts", readFileSync(join(root, "examples", first), "utf8"))
    case "template":
      return fenced("ts", generated(first).files[0]?.content ?? "")
    case "yaml":
      return fenced("yaml", generated(first).yaml(`./src/my-${first}.ts`))
    case "osnaslib":
      return first === "keys" ? Osnaslib.markdown() : Osnaslib.differencesMarkdown()
    case "examples":
      return examples(root)
    default:
      throw new RangeError(`nobody knows how to make "${what}"`)
  }
}

/** A page with all its made parts as they are now. */
export const refresh = (root: string, page: string): string =>
  page.replaceAll(
    /<!-- made: (.*?) -->\n[\s\S]*?<!-- \/made -->/g,
    (_, what: string) => `<!-- made: ${what} -->\n${part(root, what)}\n<!-- /made -->`
  )
