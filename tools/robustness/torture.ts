/**
 * Kills runs and resumes them: `SIGKILL` at random instants of every phase, several times per run, until it ends. Then compares
 * the results with an uninterrupted run. `--config FILE` runs that configuration with the command instead of the small run.
 * `--examples` stops every configuration of `examples/` in each of its phases (`tortureExamples.ts`); `--only PATTERN` selects
 * those whose name contains it, `--skip-verify` leaves out `osnas verify`.
 *
 * Prints a JSON object; exits 0 if every run ended with equal bytes and nothing was left to clean up.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Key from "../../src/random/Key.ts"
import { tortureExamples } from "./tortureExamples.ts"

/** What to kill, and how often. */
export interface TortureOptions {
  /** Total number of kills. */
  readonly kills: number
  /** Most kills per run, which then continues to its end. Default 8. */
  readonly killsPerRun?: number | undefined
  readonly seed: number
  /** A configuration for the command; default: the small run of the tests. */
  readonly config?: string | undefined
  /** Called after every run; default: nothing. */
  readonly onRun?: ((runs: number, kills: number) => void) | undefined
}

/** The results. */
export interface TortureReport {
  readonly kills: number
  /** Kills by phase of the process; `starting` is before the first phase, for instance while it opens the folder. */
  readonly killsByPhase: Readonly<Record<string, number>>
  readonly runs: number
  /** Runs that were killed at least twice. */
  readonly killedTwice: number
  /** Processes started: those killed, and those that reached the end. */
  readonly lives: number
  /** Files that differ from those of the uninterrupted run. */
  readonly different: ReadonlyArray<string>
  /** Processes that ended with an error. */
  readonly failed: ReadonlyArray<string>
  /** Files that a run left behind and should not have. */
  readonly leftovers: ReadonlyArray<string>
}

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.resolve(here, "..", "..")

/** When to kill a process: a time after its start, or after its first event of a phase. */
interface Death {
  readonly phase: string
  readonly delay: number
}

interface Life {
  readonly killed: boolean
  readonly code: number | null
  /** The phase at its end. */
  readonly phase: string
  /** Milliseconds that it spent in each phase. */
  readonly spent: ReadonlyMap<string, number>
  readonly errors: string
}

/** Before the first phase of a process. */
const starting = "starting"
/** The phases to kill a process in, in order. */
const stations = [starting, "supernetTraining", "searching", "retraining", "evaluating"]

/** Runs one process and kills it at the given time; undefined: never. */
const live = (args: ReadonlyArray<string>, death: Death | undefined): Promise<Life> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    alive.add(child)
    const spent = new Map<string, number>()
    let phase = starting
    let since = performance.now()
    let errors = ""
    let killed = false
    let timer: NodeJS.Timeout | undefined
    const enter = (next: string) => {
      const now = performance.now()
      spent.set(phase, (spent.get(phase) ?? 0) + now - since)
      since = now
      phase = next
      if (death === undefined || timer !== undefined || death.phase !== next) return
      timer = setTimeout(() => {
        killed = child.kill("SIGKILL")
      }, death.delay)
    }
    enter(starting)
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      for (const match of text.matchAll(/phase (\w+)|"phase":"(\w+)"/g)) {
        const next = match[1] ?? match[2]
        if (next !== undefined && next !== phase) enter(next)
      }
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-2000)
    })
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      alive.delete(child)
      enter("ended")
      const last = [...spent.keys()].at(-1) ?? starting
      resolve({ killed: killed && signal === "SIGKILL", code, phase: last, spent, errors })
    })
  })

const compared = [
  "metrics.json",
  "architecture.json",
  "search.jsonl",
  "lookup-table.json",
  "network.safetensors",
  "checkpoints/supernet.safetensors"
]

const digests = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    compared.map((name) => {
      const file = path.join(folder, name)
      return [name, existsSync(file) ? createHash("sha256").update(readFileSync(file)).digest("hex") : "missing"]
    })
  )

/** Running processes: none may outlive this one. */
const alive = new Set<ChildProcess>()

/** Kills, resumes and compares runs. */
export const torture = async (options: TortureOptions): Promise<TortureReport> => {
  const home = mkdtempSync(path.join(tmpdir(), "osnas-torture-"))
  const clean = () => {
    for (const child of alive) child.kill("SIGKILL")
    rmSync(home, { recursive: true, force: true })
  }
  process.once("exit", clean)
  const key = Key.derive(Key.make(options.seed), "torture")
  const small = path.join(here, "tortureChild.ts")
  const command = path.join(root, "src", "cli", "osnas.mjs")
  const { config } = options
  const argsFor = (folder: string): ReadonlyArray<string> =>
    config === undefined
      ? [small, folder, String(options.seed)]
      : existsSync(path.join(folder, "manifest.json"))
        ? [command, "resume", folder, "--json"]
        : [command, "run", config, "--dir", folder, "--seed", String(options.seed), "--json"]

  const killsByPhase: Record<string, number> = Object.fromEntries(stations.map((station) => [station, 0]))
  const different: Array<string> = []
  const failed: Array<string> = []
  const leftovers: Array<string> = []
  let [kills, runs, lives, killedTwice] = [0, 0, 0, 0]
  try {
    const untouched = path.join(home, "untouched")
    const first = await live(argsFor(untouched), undefined)
    if (first.code !== 0) throw new Error(`the uninterrupted run failed: ${first.errors}`)
    const expected = digests(untouched)
    /** A random instant of the remaining phase with the fewest kills. */
    const deathAfter = (reached: string): Death => {
      const ahead = stations.filter(
        (station) => station === starting || stations.indexOf(station) >= stations.indexOf(reached)
      )
      const fewest = Math.min(...ahead.map((station) => killsByPhase[station] ?? 0))
      const possible = ahead.filter((station) => killsByPhase[station] === fewest)
      const phase = possible[Key.integer(key, possible.length, 2 * lives)] ?? starting
      return { phase, delay: Key.uniform(key, 2 * lives + 1) * (first.spent.get(phase) ?? 0) }
    }
    while (kills < options.kills) {
      const folder = path.join(home, `run-${runs}`)
      const most = 1 + Key.integer(Key.derive(key, "most"), options.killsPerRun ?? 8, runs)
      let killsHere = 0
      let reached = starting
      for (let done = false; !done; ) {
        const death = kills < options.kills && killsHere < most ? deathAfter(reached) : undefined
        const life = await live(argsFor(folder), death)
        lives += 1
        if (life.phase !== starting) reached = life.phase
        if (life.killed) {
          kills += 1
          killsHere += 1
          killsByPhase[life.phase] = (killsByPhase[life.phase] ?? 0) + 1
        } else {
          done = true
          if (life.code !== 0) failed.push(`run ${runs}, life ${lives}: ${life.errors}`)
        }
      }
      if (killsHere > 1) killedTwice += 1
      const got = digests(folder)
      for (const name of compared) if (got[name] !== expected[name]) different.push(`run ${runs}: ${name}`)
      for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        if (/\.part$|run\.lock/.test(file)) leftovers.push(`run ${runs}: ${file}`)
      }
      rmSync(folder, { recursive: true })
      runs += 1
      options.onRun?.(runs, kills)
    }
    for (const name of readdirSync(home)) if (name !== "untouched") leftovers.push(name)
    return { kills, killsByPhase, runs, killedTwice, lives, different, failed, leftovers }
  } finally {
    clean()
    process.off("exit", clean)
  }
}

if (import.meta.main) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      config: { type: "string" },
      examples: { type: "boolean", default: false },
      only: { type: "string" },
      "skip-verify": { type: "boolean", default: false }
    }
  })
  const seed = Number.parseInt(values.seed, 10)
  const report = values.examples
    ? await tortureExamples({
        seed,
        only: values.only,
        skipVerify: values["skip-verify"],
        onProgress: (line) => process.stderr.write(`${line}\n`)
      })
    : await torture({
        kills: Number.parseInt(values.kills, 10),
        seed,
        config: values.config === undefined ? undefined : path.resolve(values.config),
        onRun: (runs, kills) => process.stderr.write(`${runs} runs, ${kills} kills\n`)
      })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  process.exitCode = report.different.length + report.failed.length + report.leftovers.length === 0 ? 0 : 1
}
