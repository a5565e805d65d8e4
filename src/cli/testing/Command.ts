/** The command in a process, for tests. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

/** The file that starts the command. */
export const launcher = fileURLToPath(new URL("../osnas.mjs", import.meta.url))

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Starts the command in a folder; `env` extends the environment of the tests. */
export const start = (
  folder: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, [launcher, ...args], { cwd: folder, env: { ...process.env, ...env } })

/** Waits for the end of a process; calls `heard` with all of stderr whenever it grows. */
export const ended = (
  child: ChildProcessWithoutNullStreams,
  heard: (err: string) => void = () => undefined
): Promise<Ended> =>
  new Promise((done) => {
    let [out, err] = ["", ""]
    child.stdout.on("data", (chunk) => {
      out += chunk
    })
    child.stderr.on("data", (chunk) => {
      err += chunk
      heard(err)
    })
    child.on("close", (code) => done({ code, out, err }))
  })
