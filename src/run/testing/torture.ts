/**
 * Kills runs and takes them up again: `SIGKILL` at random instants, several times a run, until it ends; then compares all
 * that must not depend on it with a run that nobody killed. `--config FILE` tortures that configuration through the
 * command instead of the small run.
 *
 * Prints a JSON object; exits 0 if every run ended with equal bytes and nothing was left to clean up.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Key from "../../random/Key.ts"

/** What to torture, and how much. */
export interface TortureOptions {
  /** Kills in all. */
  readonly kills: number
  readonly seed: number
  /** A configuration for the command; default: the small run of the tests. */
  readonly config?: string | undefined
  /** Called after every run; default: nothing. */
  readonly onRun?: ((runs: number, kills: number) => void) | undefined
}

/** What came of it. */
export interface TortureReport {
  readonly kills: number
  readonly killsByPhase: Readonly<Record<string, number>>
  readonly runs: number
  /** Lives that were begun: those killed, and those that reached the end. */
  readonly lives: number
  /** Runs whose end differs from the undisturbed one: file by file. */
  readonly different: ReadonlyArray<string>
  /** Lives that ended with an error of their own. */
  readonly failed: ReadonlyArray<string>
  /** Files that a run left behind and should not have. */
  readonly leftovers: ReadonlyArray<string>
}

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.resolve(here, "..", "..", "..")

interface Life {
  readonly killed: boolean
  readonly code: number | null
  readonly phase: string
  readonly millis: number
  readonly errors: string
}

/** One process, killed `delay` milliseconds after it first tells of a phase; undefined: never. */
const live = (args: ReadonlyArray<string>, delay: number | undefined): Promise<Life> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    let phase = "starting"
    let errors = ""
    let begun: number | undefined
    let killed = false
    let timer: NodeJS.Timeout | undefined
    const hear = (text: string) => {
      for (const match of text.matchAll(/phase (\w+)|"phase":"(\w+)"/g)) {
        phase = match[1] ?? match[2] ?? phase
        if (begun !== undefined) continue
        begun = performance.now()
        if (delay !== undefined) {
          timer = setTimeout(() => {
            killed = child.kill("SIGKILL")
          }, delay)
        }
      }
    }
    child.stdout.setEncoding("utf8").on("data", hear)
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-2000)
    })
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      const millis = begun === undefined ? 0 : performance.now() - begun
      resolve({ killed: killed && signal === "SIGKILL", code, phase, millis, errors })
    })
  })

const compared = [
  "metrics.json",
  "architecture.json",
  "search.jsonl",
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

/** Tortures. */
export const torture = async (options: TortureOptions): Promise<TortureReport> => {
  const home = mkdtempSync(path.join(tmpdir(), "osnas-torture-"))
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

  const killsByPhase: Record<string, number> = {}
  const different: Array<string> = []
  const failed: Array<string> = []
  const leftovers: Array<string> = []
  let [kills, runs, lives] = [0, 0, 0]
  try {
    const untouched = path.join(home, "untouched")
    const first = await live(argsFor(untouched), undefined)
    if (first.code !== 0) throw new Error(`the undisturbed run failed: ${first.errors}`)
    const expected = digests(untouched)
    while (kills < options.kills) {
      const folder = path.join(home, `run-${runs}`)
      for (let done = false; !done; ) {
        // From nothing to half of what the whole run takes: some lives get nowhere, most get on.
        const delay = kills < options.kills ? Key.uniform(key, lives) * first.millis * 0.5 : undefined
        const life = await live(argsFor(folder), delay)
        lives += 1
        if (life.killed) {
          kills += 1
          killsByPhase[life.phase] = (killsByPhase[life.phase] ?? 0) + 1
        } else {
          done = true
          if (life.code !== 0) failed.push(`run ${runs}, life ${lives}: ${life.errors}`)
        }
      }
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
    return { kills, killsByPhase, runs, lives, different, failed, leftovers }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      config: { type: "string" }
    }
  })
  const report = await torture({
    kills: Number.parseInt(values.kills, 10),
    seed: Number.parseInt(values.seed, 10),
    config: values.config === undefined ? undefined : path.resolve(values.config),
    onRun: (runs, kills) => process.stderr.write(`${runs} runs, ${kills} kills\n`)
  })
  process.stdout.write(`${JSON.stringify(report)}\n`)
  process.exitCode = report.different.length + report.failed.length + report.leftovers.length === 0 ? 0 : 1
}
