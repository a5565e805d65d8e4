/**
 * Feeds damaged files to everything that parses one: bytes flipped, cut, doubled, moved, replaced by what parsers stumble
 * over. Whatever comes, it must be taken or refused with a tagged error, soon, and without much memory.
 *
 * Prints a JSON object; exits 0 if nothing crashed, hung or grew.
 */
import { parseArgs } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { createActor, type Snapshot as XStateSnapshot } from "xstate"
import { agentMachine } from "../../../machines/MainAgent.ts"
import * as LookupTable from "../../cost/LookupTable.ts"
import * as Idx from "../../dataflow/Idx.ts"
import * as Key from "../../random/Key.ts"
import * as CanonicalJson from "../CanonicalJson.ts"
import * as Checkpoint from "../Checkpoint.ts"
import * as ConfigFile from "../ConfigFile.ts"
import { JournalError, read as readJournal } from "../Journal.ts"
import * as RunFolder from "../RunFolder.ts"
import * as Snapshot from "../Snapshot.ts"
import * as MemoryDisk from "./MemoryDisk.ts"
import * as SmallRun from "./SmallRun.ts"
import * as Trials from "./Trials.ts"

/** A parser and a good file for it. */
export interface Fuzzer {
  readonly good: Uint8Array
  /** Fails with a tagged error; anything else is a crash. */
  readonly parse: (bytes: Uint8Array) => Effect.Effect<unknown, unknown>
}

const utf8 = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const onDisk = <A, E>(bytes: Uint8Array, name: string, use: (memory: MemoryDisk.MemoryDisk) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const memory = MemoryDisk.make()
    yield* memory.disk.makeFolder("/run")
    const handle = yield* memory.disk.open(`/run/${name}`, "create")
    yield* memory.disk.write(handle, bytes)
    return yield* use(memory)
  })

/** The parsers of the project, with files of a small run as good ones. */
export const fuzzers: Effect.Effect<Readonly<Record<string, Fuzzer>>, unknown> = Effect.gen(function* () {
  const memory = MemoryDisk.make()
  yield* Trials.begin(memory.disk, { ...Trials.shortConfig, stopAfter: "searching" })
  const files = memory.files()
  const file = (name: string) => files.get(`${Trials.folder}/${name}`) ?? new Uint8Array(0)
  const snapshot = JSON.parse(textOf(file("snapshot.json"))) as { readonly snapshot: unknown }
  return {
    checkpoint: { good: file("checkpoints/supernet.safetensors"), parse: (bytes) => Checkpoint.decode(bytes, "x") },
    journal: {
      good: file("search.jsonl"),
      parse: (bytes) => onDisk(bytes, "search.jsonl", ({ disk }) => readJournal(disk, "/run/search.jsonl"))
    },
    "snapshot file": {
      good: file("snapshot.json"),
      parse: (bytes) => onDisk(bytes, "snapshot.json", ({ disk }) => RunFolder.readSnapshot(disk, "/run"))
    },
    snapshot: {
      // As one whose digest was made to fit.
      good: utf8(CanonicalJson.stringify(snapshot.snapshot)),
      parse: (bytes) =>
        Effect.gen(function* () {
          const text = textOf(bytes)
          const value = yield* Effect.try({
            try: (): unknown => JSON.parse(text),
            catch: () => new JournalError({ file: "x", line: 1, reason: "no JSON" })
          })
          yield* Effect.mapError(
            Snapshot.check(value),
            (error) => new RunFolder.SnapshotError({ file: "x", reason: error.message })
          )
          const input = {
            start: { supernet: null, architecture: null, network: null },
            needsSupernet: true,
            stopAfter: "searching" as const
          }
          createActor(agentMachine, { input, snapshot: value as XStateSnapshot<unknown> }).getSnapshot()
        })
    },
    manifest: {
      good: file("manifest.json"),
      parse: (bytes) => onDisk(bytes, "manifest.json", ({ disk }) => RunFolder.readManifest(disk, "/run"))
    },
    configuration: {
      good: file("config.yaml"),
      parse: (bytes) => Effect.fromResult(ConfigFile.parse("x", textOf(bytes)))
    },
    "lookup table": {
      good: utf8(LookupTable.encode(LookupTable.fromSpace(SmallRun.space))),
      parse: (bytes) => Effect.fromResult(LookupTable.decode(textOf(bytes), "x"))
    },
    idx: {
      good: Idx.format([4, 5, 5], new Uint8Array(100).fill(7)),
      parse: (bytes) =>
        Effect.fromResult(
          Result.mapError(Idx.parse(bytes, 3), (reason) => new RunFolder.SnapshotError({ file: "x", reason }))
        )
    }
  }
})

/** What parsers stumble over. */
const tokens: ReadonlyArray<Uint8Array> = [
  ...["{", "}", "[", "]", '"', ":", ",", "null", "-1", "1e309", "9007199254740993", "0x10", "NaN", "__proto__"],
  ...["constructor", "&a", "*a", "!!js/function", "<<", "\\u0000", "\ud800", "%", "\n", "\t", "- ", "? "],
  "[".repeat(3000),
  '{"a":'.repeat(3000),
  "a".repeat(70_000)
]
  .map(utf8)
  .concat([new Uint8Array(8).fill(0xff), new Uint8Array(8), Uint8Array.of(0xef, 0xbb, 0xbf), Uint8Array.of(0xc3, 0x28)])

/** One damaged copy of a file. */
export const mutate = (good: Uint8Array, key: Key.Key): Uint8Array => {
  let bytes = good.slice()
  const rounds = 1 + Key.integer(key, 3, 0)
  for (let round = 0; round < rounds; round++) {
    const draw = Key.derive(key, round)
    const at = Key.integer(draw, bytes.length + 1, 1)
    const length = Key.integer(draw, 1 + Math.min(64, bytes.length - at), 2)
    const splice = (from: number, to: number, into: Uint8Array) => {
      const out = new Uint8Array(from + into.length + bytes.length - to)
      out.set(bytes.subarray(0, from))
      out.set(into, from)
      out.set(bytes.subarray(to), from + into.length)
      bytes = out
    }
    switch (Key.integer(draw, 7, 0)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << Key.integer(draw, 8, 3))
        break
      case 1:
        if (at < bytes.length) bytes[at] = Key.integer(draw, 256, 3)
        break
      case 2:
        bytes = bytes.slice(0, at)
        break
      case 3:
        splice(at, at + length, new Uint8Array(0))
        break
      case 4:
        splice(at, at, bytes.slice(at, at + length))
        break
      case 5:
        splice(at, at, tokens[Key.integer(draw, tokens.length, 3)] as Uint8Array)
        break
      default:
        splice(at, Math.min(bytes.length, at + length), tokens[Key.integer(draw, tokens.length, 3)] as Uint8Array)
    }
  }
  return bytes
}

/** What came of fuzzing one parser. */
export interface FuzzReport {
  readonly inputs: number
  readonly taken: number
  readonly refused: number
  /** Inputs that did anything but be taken or refused, by their number: what happened. */
  readonly crashes: ReadonlyArray<string>
  readonly slowestMillis: number
}

/** Milliseconds after which an input counts as having hung its parser. */
const patience = 5000

/** Feeds so many damaged files to a parser. */
export const fuzz = ({ good, parse }: Fuzzer, inputs: number, key: Key.Key): FuzzReport => {
  let [taken, refused, slowestMillis] = [0, 0, 0]
  const crashes: Array<string> = []
  for (let index = 0; index < inputs; index++) {
    const bytes = mutate(good, Key.derive(key, index))
    const began = performance.now()
    const exit = Effect.runSyncExit(Effect.suspend(() => parse(bytes)))
    const millis = performance.now() - began
    slowestMillis = Math.max(slowestMillis, millis)
    if (millis > patience) crashes.push(`${index}: took ${Math.round(millis)} ms`)
    if (Exit.isSuccess(exit)) taken += 1
    else {
      const error = Cause.squash(exit.cause)
      const tagged = !Cause.hasDies(exit.cause) && error instanceof Error && "_tag" in error && error.message !== ""
      if (tagged) refused += 1
      else crashes.push(`${index}: ${String(error).slice(0, 200)}`)
    }
  }
  return { inputs, taken, refused, crashes, slowestMillis: Math.round(slowestMillis) }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { runs: { type: "string", default: "10000" }, seed: { type: "string", default: "1" } }
  })
  const root = Key.derive(Key.make(Number.parseInt(values.seed, 10)), "fuzz")
  const before = process.memoryUsage().rss
  const reports: Record<string, FuzzReport> = {}
  for (const [name, fuzzer] of Object.entries(await Effect.runPromise(fuzzers))) {
    reports[name] = fuzz(fuzzer, Number.parseInt(values.runs, 10), Key.derive(root, name))
    process.stderr.write(`${name}: ${JSON.stringify(reports[name])}\n`)
  }
  const grownMiB = Math.round((process.resourceUsage().maxRSS * 1024 - before) / 2 ** 20)
  process.stdout.write(`${JSON.stringify({ parsers: reports, grownMiB })}\n`)
  const bad = Object.values(reports).some(({ crashes }) => crashes.length > 0) || grownMiB > 1024
  process.exitCode = bad ? 1 : 0
}
