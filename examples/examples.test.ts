import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Sandbox from "../generators/testing/Sandbox.ts"
import { kinds } from "../src/run/BoundComponent.ts"
import * as Load from "../src/run/Load.ts"
import * as Registry from "../src/run/Registry.ts"
import { withinBudget } from "../src/run/testing/withinBudget.ts"

/** What each program must print. */
const prints: Readonly<Record<string, RegExp>> = {
  "main-agent.ts": /PhaseEnded\nRunDone\nRunStarted[\s\S]*Done \[[\d, \n]+\] \{[\s\S]*top1/,
  "search-space.ts": /(separable k\d|k3 e3|skip)( \| (separable k\d|k3 e3|skip)){2}/,
  "searcher.ts": /layer-by-layer: 9\d\.\d\d % on average\nrandom: 9\d\.\d\d % on average/,
  "criterion.ts": /Done \{[\s\S]*top1/,
  "data.ts": /Done \{[\s\S]*top1/,
  "tabular-search.ts":
    /at most 50M FLOPs: \d+ architectures\n {2}10 evaluations: random 9\d\.\d\d %, evolution 9\d\.\d\d %/,
  "inspector.ts": /searching: "scoring"[\s\S]*agent: "done"/
}
const programs = globSync("*.ts", { cwd: import.meta.dirname }).filter((file) => !file.endsWith(".test.ts"))

describe("every program of examples/ runs as it is", () => {
  let sandbox: Sandbox.Sandbox
  beforeAll(() => {
    sandbox = Sandbox.make()
    for (const file of programs) sandbox.write(file, readFileSync(join(import.meta.dirname, file), "utf8"))
  })
  afterAll(() => sandbox.remove())

  it.each(programs)("%s", { timeout: 180_000 }, async (file) => {
    const { code, output } = await sandbox.start(file)
    if (code !== 0) throw new Error(output)
    const expected = prints[basename(file)]
    expect(expected, "a program without a word on what it prints").toBeDefined()
    expect(output).toMatch(expected ?? /^$/)
  })

  it("has an expectation for every program", () => {
    expect(Object.keys(prints).sort()).toEqual([...programs].sort())
  })
})

const configurations = globSync("**/*.yaml", { cwd: import.meta.dirname }).sort()

describe("every configuration of examples/", () => {
  it.each(configurations)("%s is right, and says how to run it", async (file) => {
    const path = join(import.meta.dirname, file)
    await Effect.runPromise(Load.file(path))
    const parts = file.replaceAll("\\", "/").replace(/\.yaml$/, "")
    expect(readFileSync(path, "utf8")).toContain(`npx osnas run examples/${parts}.yaml`)
  })

  it.each(configurations)("%s has a budget that can be met", async (file) => {
    const loaded = await Effect.runPromise(Load.file(join(import.meta.dirname, file)))
    expect(await Effect.runPromise(withinBudget(loaded))).toBeGreaterThan(0n)
  })

  it("has every component that ships, but for what other examples show", { timeout: 30_000 }, async () => {
    // A space that is data, in docs/components/search-space.md; searches on a table, in tabular-search.ts; recipes that
    // `npm run bench:ranking` compares; a search without a supernet, in docs/ranking.md.
    const elsewhere = ["macro", "tabular", "depth-stratified", "sandwich", "zero-cost"]
    const chosen = new Set<string>()
    for (const file of configurations) {
      const { config } = await Effect.runPromise(Load.file(join(import.meta.dirname, file)))
      for (const kind of kinds) chosen.add(`${kind} ${config[kind].name}`)
    }
    const missing = kinds.flatMap((kind) =>
      Registry.names(kind)
        .filter((name) => !elsewhere.includes(name) && !chosen.has(`${kind} ${name}`))
        .map((name) => `${kind} ${name}`)
    )
    expect(missing).toEqual([])
  })

  it("has one for every file of OSNASLib, and the page of examples names none that is not there", () => {
    const page = readFileSync(join(import.meta.dirname, "../docs/examples.md"), "utf8")
    const named = [...page.matchAll(/^\| `\w+\/\w+\.yml` +\| (?:`([\w-]+\.yaml)`|the end of it)/gm)].map(
      ([, file]) => file
    )
    expect(named).toHaveLength(9)
    for (const file of named) if (file !== undefined) expect(configurations).toContain(join("osnaslib", file))
    const [, components = ""] = page.split("| component ")
    const examples = [...components.matchAll(/`(?:examples\/)?([\w-]+)(?:\.yaml)?`/g)].map(([, name]) => name)
    const known = configurations.map((file) => basename(file, ".yaml"))
    expect(examples.filter((name) => !known.includes(name ?? "") && name !== "semihard")).toEqual([])
  })

  it("runs without its data, as a whole, with --quick", { timeout: 180_000 }, async () => {
    const sandbox = Sandbox.make()
    const example = "evaluate-classification.yaml"
    sandbox.write(example, readFileSync(join(import.meta.dirname, "osnaslib", example), "utf8"))
    const { code, output } = await sandbox.shell(`npx osnas run ${example} --quick`)
    sandbox.remove()
    if (code !== 0) throw new Error(output)
    expect(output).toContain("Dataset cifar100 not found")
    expect(output).toMatch(/Found architecture 2,1,0,1[\s\S]*top1/)
  })
})
