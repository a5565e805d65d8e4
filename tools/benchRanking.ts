/**
 * `npm run bench:ranking`: trains a supernet of NAS-Bench-Macro at three eighths of its width per recipe and seed, ranks
 * architectures with it, and prints one JSON line for each: seconds of training, tau and tau of the top half of the objective
 * and of every baseline. Needs CIFAR-10, and minutes to hours. A run that is done is not repeated: the folder keeps it.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import * as path from "node:path"
import { parseArgs } from "node:util"
import * as Schema from "effect/Schema"
import { Ranking } from "../src/ranking/Ranking.ts"

const optimizer = "supernetTraining.optimizer"
const clipped = [`${optimizer}.nesterov=true`, `${optimizer}.clipNorm=5`]

/** Settings of the example that a recipe replaces. */
export const recipes: Readonly<Record<string, ReadonlyArray<string>>> = {
  plain: ["trainingStrategy={ name: uniform }", `${optimizer}.nesterov=false`, `${optimizer}.clipNorm=null`],
  clipped: ["trainingStrategy={ name: uniform }", ...clipped],
  "depth-stratified": ["trainingStrategy={ name: depth-stratified }", ...clipped],
  sandwich: ["trainingStrategy={ name: sandwich }", ...clipped],
  fair: ["trainingStrategy={ name: fair }", ...clipped]
}

const options = {
  seeds: { type: "string", default: "1" },
  recipes: { type: "string", default: Object.keys(recipes).join(",") },
  epochs: { type: "string", default: "20" },
  sample: { type: "string", default: "150" },
  threads: { type: "string", default: "0" },
  dir: { type: "string", default: "runs/bench-ranking" },
  data: { type: "string", default: "data/cifar10" },
  help: { type: "boolean", default: false }
} as const

const usage = `npm run bench:ranking -- [--seeds N] [--recipes A,B] [--epochs N] [--sample N] [--threads N] [--dir DIR]
  [--data FOLDER]
Recipes: ${Object.keys(recipes).join(", ")}`

const root = path.resolve(import.meta.dirname, "..")

const osnas = (args: ReadonlyArray<string>): string => {
  const file = path.join(root, "src/cli/osnas.mjs")
  const { status, stdout } = spawnSync(process.execPath, [file, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28
  })
  if (status !== 0) throw new Error(`osnas ${args[0]} ended with exit code ${status}`)
  return stdout
}

const Phases = Schema.Struct({
  phases: Schema.Array(Schema.Struct({ phase: Schema.String, seconds: Schema.Finite }))
})
const decodePhases = Schema.decodeUnknownSync(Schema.fromJsonString(Phases))

/** Seconds of the supernet's training, without pauses. */
const trainingSeconds = (folder: string): number | undefined =>
  decodePhases(osnas(["report", folder, "--json"])).phases.find(({ phase }) => phase === "supernetTraining")?.seconds

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Ranking))
const rounded = (value: number | null): number | null => (value === null ? null : Math.round(value * 1e4) / 1e4)

const main = (): void => {
  const { values } = parseArgs({ options })
  if (values.help) return void process.stdout.write(`${usage}\n`)
  const data = path.resolve(values.data)
  for (const recipe of values.recipes.split(",")) {
    const settings = recipes[recipe]
    if (settings === undefined) throw new Error(`no recipe ${recipe}\n${usage}`)
    for (let seed = 1; seed <= Number(values.seeds); seed += 1) {
      const folder = path.join(values.dir, `${recipe}-${values.epochs}-${seed}`)
      const set = [
        ...settings,
        `supernetTraining.epochs=${values.epochs}`,
        `engine.threads=${values.threads}`,
        `dataflow.folder=${data}`
      ]
      const flags = ["--dir", folder, "--seed", String(seed), "--set", "stopAfter=supernetTraining"]
      const example = path.join(root, "examples/nas-bench-macro-narrow.yaml")
      if (existsSync(folder)) osnas(["resume", folder])
      else osnas(["run", example, ...flags, ...set.flatMap((one) => ["--set", one])])
      const ranking = decode(osnas(["rank", folder, "--sample", values.sample, "--threads", values.threads, "--json"]))
      const predictors = Object.fromEntries(
        ranking.predictors.map(({ name, quality: { tau, tauTopHalf } }) => [
          name,
          { tau: rounded(tau.value), topHalf: rounded(tauTopHalf.value) }
        ])
      )
      const line = { recipe, seed, epochs: Number(values.epochs), seconds: trainingSeconds(folder), predictors }
      process.stdout.write(`${JSON.stringify(line)}\n`)
    }
  }
}

if (import.meta.main) main()
