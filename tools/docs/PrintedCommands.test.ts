/** Runs every command that the README and the pages print, or lists the reason why not. */
import { cpSync, globSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Sandbox from "../../generators/testing/Sandbox.ts"

const root = resolve(import.meta.dirname, "../..")

/** Shell lines of a page: its `sh` blocks, and the examples of the command reference. */
const printed = (text: string): ReadonlyArray<string> => {
  const blocks = [...text.matchAll(/^```(?:sh|bash|console)\n([\s\S]*?)^```/gm)].flatMap(([, body = ""]) =>
    body.split("\n")
  )
  const examples = [...text.matchAll(/^EXAMPLES\n([\s\S]*?)^```/gm)].flatMap(([, body = ""]) => body.split("\n"))
  return [...blocks, ...examples]
    .map((line) =>
      line
        .replace(/\s#.*$/, "")
        .replace(/^\$ /, "")
        .trim()
    )
    .filter((line) => /(^|\s)osnas\s/.test(`${line} `))
    .map((line) => line.replaceAll("npx ", ""))
}

/** Commands that are not run here, and the tests that run them instead. */
const elsewhere: ReadonlyArray<readonly [pattern: RegExp, why: string]> = [
  [/^osnas bench --kernels/, "half a minute: KernelBench.test.ts"],
  [/^osnas import-config/, "configurations of OSNASLib: ImportConfig.test.ts"],
  [/^osnas import-weights (net|search_99)\.safetensors/, "weights that PyTorch saved: Weights.test.ts"],
  [/^osnas reproduce (?!.*--list)/, "hours at full size, minutes quick: Reproduce.test.ts"],
  [/faces-orl/, "pictures that do not ship: Faces.test.ts"],
  [/^osnas resume runs\/faces /, "pictures that have moved and do not ship: Resumption.test.ts"],
  [/budget\.lookupTable=phone\.json/, "latencies that a user fills in: LookupTables.test.ts"],
  [/^osnas rank/, "a trained supernet, and truths that a user has: Rank.test.ts"],
  [/^osnas generate-architectures/, "a run whose generator is trained: GenerateArchitectures.test.ts"]
]

/** Edits that make a command fast enough for a test without changing what it does. */
const shortened = (line: string): string =>
  line
    .replaceAll("runs/NAME", "runs/quickstart")
    .replace("runs/quickstart --set retraining.epochs=60", "runs/searched --set retraining.epochs=2")
    .replace(/^(osnas run\b(?!.*--quick).*)$/, "$1 --quick")
    .replace(/^(osnas run\b(?!.*--max-evaluations).*)$/, "$1 --max-evaluations 3")
    .replace(/^(osnas compare-searchers\b.*?)(?: --seeds \d+)?$/, "$1 --seeds 5")
    .replace(/^(osnas init\b(?!.*--no-install).*)$/, "$1 --no-install")
    .replace(/^(osnas bench\b.*)--batch 64(.*)$/, "$1--batch 4 --steps 1$2")

const files = ["README.md", "CONTRIBUTING.md", ...globSync("docs/**/*.md", { cwd: root })].sort()
const commands = [
  ...new Set(
    files.flatMap((file) =>
      printed(readFileSync(join(root, file), "utf8")).flatMap((line) =>
        // Commands after `cd` or `npm` in a chain belong to the project of `osnas init`: Project.test.ts runs them.
        (line.split(/ && (?:cd|npm) /)[0] ?? "").split(" && ")
      )
    )
  )
].filter((line) => line.startsWith("osnas"))

describe("printed commands", () => {
  let sandbox: Sandbox.Sandbox
  beforeAll(async () => {
    sandbox = Sandbox.make()
    cpSync(join(root, "examples"), join(sandbox.folder, "examples"), { recursive: true })
    writeFileSync(join(sandbox.folder, "list.txt"), `${Array.from({ length: 21 }, () => 0).join()}\n`)
    for (const line of [
      "osnas config > search.yaml",
      "osnas run --dir runs/quickstart --set dataflow.trainLimit=200 --set dataflow.testLimit=50 --set supernetTraining.epochs=1 --set retraining.epochs=3 --set searchStrategy.evaluations=4",
      "osnas run --quick --dir runs/cifar100 --set searchSpace.name=proxylessnas --set budget.max=1e9",
      "osnas export-weights runs/cifar100 --supernet --out supernet.safetensors",
      "osnas run --quick --dir runs/searched --set stopAfter=searching",
      "for copy in a-1 a-2 b-1 b-2; do cp -r runs/quickstart runs/$copy; done",
      "osnas generate search-strategy --name my-searcher --dir ."
    ]) {
      const { code, output } = await sandbox.shell(line)
      if (code !== 0) throw new Error(`${line}\n${output}`)
    }
  }, 300_000)
  afterAll(() => sandbox.remove())

  it("are many", () => {
    expect(commands.length).toBeGreaterThan(30)
    for (const [pattern] of elsewhere.slice(0, 1)) expect(commands.some((line) => pattern.test(line))).toBe(true)
  })

  it.each(commands.filter((line) => !elsewhere.some(([pattern]) => pattern.test(line))))(
    "%s",
    { timeout: 120_000 },
    async (line) => {
      const checkpoints = join(sandbox.folder, "runs/quickstart/checkpoints")
      const last = readdirSync(checkpoints)
        .filter((name) => /^retraining-\d+/.test(name))
        .sort()
        .at(-1)
      const short = shortened(line).replace(/checkpoints\/\S+ --steps \d+/, `checkpoints/${last} --steps 5`)
      // Overwrite what earlier commands wrote.
      const again = short
        .replace(/^osnas run .*/, "$& --overwrite")
        .replace(/^osnas (generate|export-weights|import-weights) .*/, "$& --force")
        .replace(/^osnas init (\S+)/, `osnas init $1-${commands.indexOf(line)}`)
      const { code, output } = await sandbox.shell(again)
      if (code !== 0) throw new Error(`${again}: exit ${code}\n${output}`)
      expect(output.length + (again.includes(" > ") ? 1 : 0)).toBeGreaterThan(0)
    }
  )
})
