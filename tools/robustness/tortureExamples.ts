/**
 * Stops every configuration of `examples/` in every phase of its run: with a pause by SIGINT or SIGTERM, a second signal, or
 * `SIGKILL`, each at a random instant of the phase. Resumes it from another working folder, and moves the run folder after the
 * first stop. Compares the result byte for byte with an uninterrupted run, and verifies it. Examples on folders of images also
 * run on real files; further cases have user modules, tables and weights by relative paths, lists of pairs, and archives.
 */
import { type ChildProcess, spawn } from "node:child_process"
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import * as Cifar10 from "../../src/dataflow/Cifar10.ts"
import * as Cifar100 from "../../src/dataflow/Cifar100.ts"
import * as Key from "../../src/random/Key.ts"
import * as Load from "../../src/run/Load.ts"
import * as Differences from "../../src/run/testing/Differences.ts"
import * as MadeData from "../../src/run/testing/MadeData.ts"
import { type StopAt, variable } from "./stopAt.ts"

/** What to stop, and how. */
export interface Options {
  readonly seed: number
  /** Only cases whose name contains this; default: all. */
  readonly only?: string | undefined
  /** Leaves out `osnas verify`, which takes as long as the run. Default false. */
  readonly skipVerify?: boolean | undefined
  /** Called for every process; default: nothing. */
  readonly onProgress?: ((line: string) => void) | undefined
}

/** The results. */
export interface Report {
  /** Files of `examples/`. */
  readonly examples: number
  /** Runs that were stopped: the examples, those on folders of real files, and further cases. */
  readonly cases: number
  readonly stops: number
  readonly stopsByPhase: Readonly<Record<string, number>>
  readonly stopsBySignal: Readonly<Record<string, number>>
  /** Processes that resumed a run. */
  readonly resumed: number
  readonly verified: number
  /** Files that differ from those of the uninterrupted run, by case. */
  readonly different: ReadonlyArray<string>
  /** Processes that ended with an error. */
  readonly failed: ReadonlyArray<string>
  /** Files that a run left behind and should not have. */
  readonly leftovers: ReadonlyArray<string>
}

interface Case {
  readonly name: string
  /** Path of the configuration, relative to `cwd`. */
  readonly config: string
  readonly cwd: string
  readonly flags: ReadonlyArray<string>
  /** Leaves the run folder in place; default: it is moved after the first stop. */
  readonly stays?: boolean | undefined
}

const root = path.resolve(import.meta.dirname, "..", "..")
const command = path.join(root, "src", "cli", "osnas.mjs")
const preload = pathToFileURL(path.join(import.meta.dirname, "stopAt.ts")).href
const phases = ["supernetTraining", "searching", "retraining", "evaluating"] as const
type Phase = (typeof phases)[number]

/** How a process is stopped: by one of two requests to pause, by a second request, or by a kill. */
const kinds: ReadonlyArray<ReadonlyArray<NodeJS.Signals>> = [
  ["SIGINT"],
  ["SIGTERM"],
  ["SIGKILL"],
  ["SIGINT", "SIGTERM"]
]

interface Life {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly errors: string
}

/** Running processes: none may outlive this one. */
const alive = new Set<ChildProcess>()

const live = (args: ReadonlyArray<string>, cwd: string, stop?: StopAt): Promise<Life> =>
  new Promise((resolve) => {
    const env = { ...process.env, ...(stop === undefined ? {} : { [variable]: JSON.stringify(stop) }) }
    const before = stop === undefined ? [] : ["--import", preload]
    const child = spawn(process.execPath, [...before, command, ...args, "--json"], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"]
    })
    alive.add(child)
    let [out, errors] = ["", ""]
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-2000)
    })
    child.on("close", (code, signal) => {
      alive.delete(child)
      resolve({ code, signal, out, errors })
    })
  })

/** A phase of the uninterrupted run: events between its first and last, and its duration in milliseconds. */
interface Went {
  readonly events: number
  readonly took: number
}

const phasesOf = (out: string): ReadonlyMap<Phase, Went> => {
  const went = new Map<Phase, Went>()
  let began: { readonly phase: Phase; readonly time: number; readonly at: number } | undefined
  for (const [at, line] of out.split("\n").entries()) {
    if (!line.startsWith("{")) continue
    const { _tag, phase, time } = JSON.parse(line) as { _tag: string; phase: Phase; time: number }
    if (_tag === "PhaseStarted") began = { phase, time, at }
    if (_tag === "PhaseEnded" && began !== undefined) {
      went.set(began.phase, { events: at - began.at, took: time - began.time })
    }
  }
  return went
}

/** An instant of a phase: after one of its events, before the next. */
const instant = (
  key: Key.Key,
  phase: Phase,
  { events, took }: Went,
  signals: ReadonlyArray<NodeJS.Signals>
): StopAt => {
  // Evaluation is a single piece of work: a request can only stop it at its beginning.
  const isRequest = signals.length === 1 && signals[0] !== "SIGKILL"
  if (phase === "evaluating" && isRequest) return { phase, event: 0, delay: 0, signals }
  const event = Key.integer(Key.derive(key, "event"), events)
  const isExact = Key.integer(Key.derive(key, "exact"), 3) === 0
  return { phase, event, delay: isExact ? 0 : (Key.uniform(Key.derive(key, "delay")) * took) / events, signals }
}

/** A name of a run that is also a valid folder name. */
const folderName = (name: string): string => name.replaceAll(/[^\w.-]+/g, "-")

const small = `
seed: 5
searchSpace: { name: tiny, stemStride: 2 }
supernetTraining: { epochs: 2, batchSize: 16, optimizer: { learningRate: 0.05 } }
retraining: { epochs: 2, batchSize: 16, optimizer: { learningRate: 0.05 } }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 16, batches: 1, batchSize: 12 }
`

/** A small project: images, and configurations with relative paths. */
const project = async (home: string, images: MadeData.Images): Promise<ReadonlyArray<Case>> => {
  const folder = path.join(home, "project")
  const write = (name: string, text: string) => {
    const file = path.join(folder, name)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  const random = pathToFileURL(path.join(root, "src", "search-strategy", "Random.ts")).href
  const search = "searchStrategy: { name: random, evaluations: 6, generation: 2 }"
  const fashion = "dataflow: { name: fashion-mnist, trainLimit: 80, testLimit: 30 }"
  write("configs/parts/my-searcher.ts", `export { component } from ${JSON.stringify(random)}\n`)
  const mine = "searchStrategy: { name: ./parts/my-searcher.ts, evaluations: 6, generation: 2 }"
  const budget = "budget: { max: 1.5e6, lookupTable: tables/small.json }"
  write("configs/tables/.keep", "")
  write("configs/module.yaml", `name: module\n${small}${fashion}\n${mine}\n${budget}\n`)
  const first = await live(["run", "configs/module.yaml", "--dir", "given"], folder)
  if (first.code !== 0) throw new Error(`a run to take a supernet from failed: ${first.errors}`)
  const start = "start: { supernet: ../given/checkpoints/supernet.safetensors }"
  write("configs/start.yaml", `name: start\n${small}${fashion}\n${search}\n${budget}\n${start}\n`)
  const faces = { each: 8, ending: "pgm" } as const
  await MadeData.faceFolder(path.join(folder, "data/train"), images, { ...faces, first: 0, people: 12 })
  await MadeData.faceFolder(path.join(folder, "data/test"), images, { ...faces, first: 12, people: 6 })
  write("lists/pairs.txt", MadeData.pairsList(12, 6, 3))
  write(
    "configs/pairs.yaml",
    `name: pairs
${small}
dataflow:
  name: face-folder
  folder: data/train
  testFolder: data/test
  pairs: lists/pairs.txt
  size: 28
  channels: 1
trainingAgent: { name: face-recognition, dimension: 16 }
criterion: { name: angular }
budget: { max: 1.5e6 }
${search}
`
  )
  const cases: Array<Case> = ["module", "start", "pairs"].map((name) => ({
    name: `project/${name}`,
    config: `configs/${name}.yaml`,
    cwd: folder,
    flags: []
  }))
  cases.push({ name: "project/module that stays", config: "configs/module.yaml", cwd: folder, flags: [], stays: true })
  write("tables/macro.csv", readFileSync(path.join(root, "src", "estimator", "data", "nas-bench-macro.csv"), "utf8"))
  const table = "estimator: { name: tabular, table: nas-bench-macro, file: tables/macro.csv }"
  const colour = "dataflow: { name: fashion-mnist, size: 32, channels: 3, trainLimit: 48, testLimit: 20 }"
  const macro = small
    .replace(/^searchSpace.*$/m, "searchSpace: { name: nas-bench-macro }")
    .replace(/^estimator.*$/m, table)
  write("configs/tabular.yaml", `name: tabular\n${macro}${colour}\nbudget: { max: 50e6 }\n${search}\n`)
  cases.push({ name: "project/tabular", config: "configs/tabular.yaml", cwd: folder, flags: [] })
  for (const variant of [Cifar10.variant, Cifar100.variant]) {
    const archive = await MadeData.cifarArchive(path.join(folder, "archives"), variant, images, { train: 12, test: 4 })
    const { name } = variant
    const data = `dataflow: { name: ${name}, folder: ${path.relative(folder, archive)}, checksum: null }`
    write(`configs/${name}.yaml`, `name: ${name}\n${small}${data}\nbudget: { max: 4e6 }\n${search}\n`)
    cases.push({ name: `project/${name}`, config: `configs/${name}.yaml`, cwd: folder, flags: [] })
  }
  return cases
}

/** Folders of real files that replace those of an example, by its dataflow. */
const onFolders = async (home: string, images: MadeData.Images, given: Case): Promise<Case | undefined> => {
  const { config } = await Effect.runPromise(Load.file(given.config))
  const made = path.join(home, "data")
  const flags = (sets: ReadonlyArray<string>) => [...given.flags, ...sets.flatMap((set) => ["--set", set])]
  const ending = (await MadeData.hasPng()) ? "png" : "pgm"
  if (config.dataflow.name === "image-folder") {
    const folder = path.join(made, "imagenet")
    if (!existsSync(folder)) await MadeData.imageFolder(folder, images, { classes: 5, ending, test: 10, train: 20 })
    return { ...given, name: `${given.name} on folders`, flags: flags([`dataflow.folder=${folder}`]) }
  }
  if (config.dataflow.name === "face-folder") {
    const [train, test] = [path.join(made, "people"), path.join(made, "others")]
    if (!existsSync(train)) {
      await MadeData.faceFolder(train, images, { each: 8, ending, first: 0, people: 20 })
      await MadeData.faceFolder(test, images, { each: 8, ending, first: 20, people: 10 })
    }
    // A few steps on few made-up people diverge at the published learning rate.
    const clipped = "retraining.optimizer.clipNorm=1"
    const sets = [`dataflow.folder=${train}`, `dataflow.testFolder=${test}`, clipped]
    const named = ["people", "testPeople"].filter((key) => config.dataflow[key] !== null)
    return {
      ...given,
      name: `${given.name} on folders`,
      flags: flags([...sets, ...named.map((key) => `dataflow.${key}=null`)])
    }
  }
  return undefined
}

const minutes = (ms: number): string => (ms < 90_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`)

/** Stops, resumes and compares all cases. */
export const tortureExamples = async (options: Options): Promise<Report> => {
  const home = mkdtempSync(path.join(tmpdir(), "osnas-torture-"))
  const clean = () => {
    for (const child of alive) child.kill("SIGKILL")
    rmSync(home, { recursive: true, force: true })
  }
  process.once("exit", clean)
  const tell = options.onProgress ?? (() => undefined)
  const stopsByPhase: Record<string, number> = Object.fromEntries(phases.map((phase) => [phase, 0]))
  const stopsBySignal: Record<string, number> = Object.fromEntries(kinds.map((signals) => [signals.join("+"), 0]))
  const different: Array<string> = []
  const failed: Array<string> = []
  const leftovers: Array<string> = []
  let [stops, resumed, verified] = [0, 0, 0]

  const trial = async (given: Case, at: number, say: (what: string) => void): Promise<void> => {
    const key = Key.derive(Key.make(options.seed), "torture examples", given.name)
    const base = path.join(home, folderName(given.name))
    const elsewhere = path.join(home, "elsewhere", "deep")
    mkdirSync(elsewhere, { recursive: true })
    mkdirSync(base)
    const fail = (what: string, { code, errors, signal }: Life) =>
      failed.push(`${given.name}: ${what}: ${signal ?? `exit code ${code}`}: ${errors.trim()}`)
    const begin = (folder: string, stop?: StopAt) =>
      live(["run", given.config, "--dir", path.relative(given.cwd, folder), ...given.flags], given.cwd, stop)

    const untouched = path.join(base, "untouched")
    const whole = await begin(untouched)
    if (whole.code !== 0) return void fail("the undisturbed run", whole)
    say("undisturbed")

    let folder = path.join(base, "stopped")
    const kept = path.join(base, "kept")
    const went = [...phasesOf(whole.out)]
    /** One process: the first begins the run, the others resume it from another folder. */
    const next = async (stop?: StopAt): Promise<Life> => {
      if (!existsSync(path.join(folder, "manifest.json"))) return begin(folder, stop)
      resumed += 1
      return live(["resume", path.relative(elsewhere, folder)], elsewhere, stop)
    }
    for (const [index, [phase, how]] of went.entries()) {
      const signals = kinds[(at + index) % kinds.length] ?? ["SIGKILL"]
      const aimed = instant(Key.derive(key, phase), phase, how, signals)
      // If a request came too late, the phase is repeated and must not end by itself.
      for (const stop of [aimed, { phase, event: 0, delay: 0, signals: ["SIGKILL"] } as const]) {
        rmSync(kept, { recursive: true, force: true })
        if (existsSync(folder)) cpSync(folder, kept, { recursive: true })
        const life = await next(stop)
        if (life.signal === "SIGKILL" || life.code === 130) {
          const named = stop.signals.join("+")
          stops += 1
          stopsByPhase[phase] = (stopsByPhase[phase] ?? 0) + 1
          stopsBySignal[named] = (stopsBySignal[named] ?? 0) + 1
          say(`stopped in ${phase} by ${named}, ${stop.delay.toFixed(1)} ms after event ${stop.event} of ${how.events}`)
          break
        }
        if (life.code !== 0) return void fail(`on its way to be stopped in ${phase}`, life)
        if (stop !== aimed) return void fail(`${phase} could not be stopped`, life)
        rmSync(folder, { recursive: true, force: true })
        if (existsSync(kept)) renameSync(kept, folder)
      }
      if (index === 0 && given.stays !== true) {
        const moved = path.join(base, "moved", "away")
        mkdirSync(path.dirname(moved))
        renameSync(folder, moved)
        folder = moved
      }
    }
    const last = await next()
    if (last.code !== 0) return void fail("its last life", last)
    for (const name of Differences.between(untouched, folder)) different.push(`${given.name}: ${name}`)
    for (const file of Differences.leftovers(folder)) leftovers.push(`${given.name}: ${file}`)
    say("compared")
    if (options.skipVerify === true) return
    const verification = await live(["verify", path.relative(elsewhere, folder)], elsewhere)
    if (verification.code === 0) verified += 1
    else fail("osnas verify", verification)
    say("verified")
  }

  try {
    const examples = globSync("examples/**/*.yaml", { cwd: root }).sort()
    const images = await MadeData.shipped()
    const wanted = ({ name }: Case) => name.includes(options.only ?? "")
    const asTheyAre = examples.map(
      (file): Case => ({
        name: file.replaceAll("\\", "/").replace(/^examples\/(.*)\.yaml$/, "$1"),
        config: path.join(root, file),
        cwd: root,
        flags: ["--quick"]
      })
    )
    const onReal: Array<Case> = []
    for (const given of asTheyAre) {
      const real = await onFolders(home, images, given)
      if (real !== undefined) onReal.push(real)
    }
    const cases = [...asTheyAre, ...onReal, ...(await project(home, images))].filter(wanted)
    const began = performance.now()
    for (const [at, given] of cases.entries()) {
      const say = (what: string) => {
        const elapsed = performance.now() - began
        const left = at === 0 ? "" : `; about ${minutes((elapsed / at) * (cases.length - at))} left`
        tell(`[${at + 1}/${cases.length}] ${given.name}: ${what}${left}`)
      }
      await trial(given, at, say)
      rmSync(path.join(home, folderName(given.name)), { recursive: true, force: true })
    }
    return {
      examples: examples.length,
      cases: cases.length,
      stops,
      stopsByPhase,
      stopsBySignal,
      resumed,
      verified,
      different,
      failed,
      leftovers
    }
  } finally {
    clean()
    process.off("exit", clean)
  }
}
