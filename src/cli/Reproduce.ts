/** `osnas reproduce`: carries out the comparisons of OSNASLib's paper, each run in its own folder. */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as ImageListing from "../dataflow/ImageListing.ts"
import * as Comparison from "../report/Comparison.ts"
import { duration, metric, si } from "../report/Format.ts"
import * as FromFolder from "../report/FromFolder.ts"
import * as TextTable from "../report/TextTable.ts"
import * as Tables from "../reproduce/Tables.ts"
import type { Kind } from "../run/BoundComponent.ts"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Identity from "../run/Identity.ts"
import * as Load from "../run/Load.ts"
import * as Registry from "../run/Registry.ts"
import * as RunFolder from "../run/RunFolder.ts"
import { Disk } from "../support/Disk.ts"
import { closest } from "../support/Suggestion.ts"
import * as CompareRuns from "./CompareRuns.ts"
import type { Input } from "./commands/Reproduce.ts"
import * as DrawnEvents from "./DrawnEvents.ts"
import { RunFailed, RunPaused, UsageError } from "./Exit.ts"
import * as Quick from "./Quick.ts"
import * as Report from "./Report.ts"
import * as Run from "./Run.ts"
import { shownPath } from "./ShownPath.ts"
import * as StandIn from "./StandIn.ts"

/** One run of a table. */
interface Planned {
  readonly row: Tables.TableRow
  readonly seed: number
  readonly folder: string
}

/** How far a run has come. */
type Status = "missing" | "done" | "begun"

/** A row with its completed runs. */
export interface Result {
  readonly row: Tables.TableRow
  readonly runs: ReadonlyArray<Comparison.ComparedRun>
}

const lacking = (row: Tables.TableRow): ReadonlyArray<readonly [Kind, string]> =>
  row.needs.filter(([kind, name]) => !Registry.names(kind).includes(name))

/** The rows of the given names, or all; fails on an unknown name. */
const rowsNamed = (table: Tables.ReproducedTable, names: ReadonlyArray<string>) => {
  const known = table.rows.map(({ name }) => name)
  const wrong = names.find((name) => !known.includes(name))
  if (wrong !== undefined) {
    const near = closest(wrong, known)
    return Effect.fail(
      new UsageError({
        reason: `--row ${wrong}: ${table.name} has no such row${near === undefined ? "" : `; did you mean ${near}?`} (it has ${known.join(", ")})`
      })
    )
  }
  return Effect.succeed(names.length === 0 ? table.rows : table.rows.filter(({ name }) => names.includes(name)))
}

/**
 * Where the data are. Quick face runs also accept any folder with one folder per person, and verify the last quarter of its
 * people.
 */
const placeOf = Effect.fnUntraced(function* (table: Tables.ReproducedTable, input: Input) {
  const folder = Option.getOrNull(input.data)
  if (table.task === "classification" || !input.quick || folder === null) return { folder }
  if (existsSync(Tables.facePlaces(folder).folder)) return { folder }
  const { groups: people } = yield* ImageListing.list("face-folder", folder, { of: "person", option: "folder" })
  if (people.length < 8) {
    return yield* new UsageError({
      reason: `--data ${folder}: it has folders of ${people.length} people; expected at least 8`
    })
  }
  const verified = people.slice(people.length - Math.max(2, people.length >> 2))
  return { folder, testPeople: verified.map(({ name }) => name) }
})

/** Even fewer images than `osnas run --quick`: there are many rows, and some train all options at once. */
const quickLimits = { trainLimit: 160, testLimit: 100 }

/** The configuration of a row with all overrides, and the notice if images that ship replace its data. */
const loadedOf = Effect.fnUntraced(function* (
  table: Tables.ReproducedTable,
  { row, seed }: Pick<Planned, "row" | "seed">,
  place: Tables.DataPlace,
  input: Input
) {
  const config = Tables.configOf(table, row, seed, input.quick, place)
  const source = yield* Effect.fromResult(
    ConfigFile.override(ConfigFile.fromValue(`${table.name}, row ${row.name}`, config), input.set)
  )
  const full = yield* Load.decode(source, process.cwd())
  if (!input.quick) return { loaded: full, standIn: undefined }
  const layOver = (
    onto: ConfigFile.ConfigSource,
    assignments: ReadonlyArray<readonly [path: ReadonlyArray<string>, value: unknown, flag: string]>
  ) => assignments.reduce((inner, [path, value, flag]) => ConfigFile.assign(inner, path, value, flag), onto)
  const absent = StandIn.absent(full)
  const present = absent === undefined ? source : layOver(source, StandIn.assignments(full))
  const withData = yield* Load.decode(present, process.cwd())
  const limits = Object.entries(quickLimits).flatMap(([key, value]) =>
    key in withData.components.dataflow.options ? [[["dataflow", key], value, "--quick"] as const] : []
  )
  const scaled = layOver(present, [...Quick.assignments(withData), ...limits])
  const again = yield* Effect.fromResult(ConfigFile.override(scaled, input.set))
  return {
    loaded: yield* Load.decode(again, process.cwd()),
    standIn: absent === undefined ? undefined : StandIn.notice(absent, full.config.dataflow.name, withData)
  }
})

/** How far the run in a folder has come; fails if it has another configuration. */
const statusOf = Effect.fnUntraced(function* (folder: string, wanted: Load.LoadedRun) {
  if (!existsSync(join(folder, RunFolder.files.manifest))) return "missing" satisfies Status as Status
  const { data, loaded } = yield* FromFolder.readRun(resolve(folder))
  const [has, asks] = [loaded, wanted].map(({ config, kinds }) => Identity.ofConfig(config, kinds))
  const differing = Identity.differences(has!, asks!)
  if (differing.length > 0) {
    const changes = differing.slice(0, 3).map(({ is, key, was }) => `${key} is ${was}, asked for ${is}`)
    return yield* new UsageError({
      reason: `${folder} contains a run of another configuration: ${changes.join("; ")}. Choose another --dir, or remove the folder`
    })
  }
  return (data.status === "done" ? "done" : "begun") satisfies Status as Status
})

// ---------------------------------------------------------------------------------------------------------------------
// The table

const headlineOf = (table: Tables.ReproducedTable): string => (table.task === "classification" ? "top1" : "accuracy")

/** The cells of the table, header first, with the paper's figures next to ours; unknown ones are empty. */
export const cells = (
  table: Tables.ReproducedTable,
  results: ReadonlyArray<Result>
): ReadonlyArray<ReadonlyArray<string>> => {
  const headline = headlineOf(table)
  const title = headline === "top1" ? "top-1" : headline
  const maybe = (value: number | null, show: (value: number) => string) => (value === null ? "" : show(value))
  const score = (value: number) => metric(headline, value)
  return [
    [
      ...[table.compares, "seeds", "FLOPs", title, "search time", "architectures"],
      ...["FLOPs", title, "search time"].map((name) => `paper: ${name}`)
    ],
    ...results.map(({ row, runs }) => [
      row.name,
      String(runs.length),
      Comparison.statisticText(Comparison.statistic(runs.map(({ flops }) => flops)), si),
      Comparison.statisticText(Comparison.statistic(runs.map((run) => run.score)), score),
      Comparison.statisticText(Comparison.statistic(runs.map(({ searchSeconds }) => searchSeconds)), duration),
      runs[0] === undefined ? "" : Comparison.sizeText(runs[0].space.size),
      maybe(row.paper.flops, si),
      maybe(row.paper.score, score),
      maybe(row.paper.searchSeconds, duration)
    ])
  ]
}

/** Says whose faces the figures are about, for quick runs on a folder that is not the paper's. */
const facesNote = ({ folder, testPeople }: Tables.DataPlace): ReadonlyArray<string> =>
  testPeople === undefined
    ? []
    : [`The faces are those of ${folder}: its last ${testPeople.length} people are verified, the others train.`]

const noteLines = (
  input: Input,
  place: Tables.DataPlace,
  standIn: string | undefined,
  missing: ReadonlyArray<string>
): ReadonlyArray<string> => [
  ...(input.quick
    ? ["QUICK: a smoke test of every row on a few images; its figures mean nothing and compare with nothing."]
    : ["Mean ± deviation over seeds; search time includes supernet training and search, on this machine."]),
  ...facesNote(place),
  ...(standIn === undefined ? [] : [`${standIn}.`]),
  ...(input.set.length > 0 ? [`Not the paper's protocol: ${input.set.join(", ")}.`] : []),
  ...missing,
  Tables.paperNote
]

const jsonOf = (
  table: Tables.ReproducedTable,
  input: Input,
  results: ReadonlyArray<Result>,
  failed: ReadonlyArray<string>,
  standIn: string | undefined
) => ({
  table: table.name,
  title: table.title,
  quick: input.quick,
  set: input.set,
  standIn: standIn ?? null,
  note: Tables.paperNote,
  failed,
  rows: results.map(({ row, runs }) => ({
    row: row.name,
    architectures: runs[0]?.space.size ?? null,
    flops: Comparison.statistic(runs.map(({ flops }) => flops)),
    params: Comparison.statistic(runs.map(({ params }) => params)),
    [headlineOf(table)]: Comparison.statistic(runs.map(({ score }) => score)),
    searchSeconds: Comparison.statistic(runs.map(({ searchSeconds }) => searchSeconds)),
    paper: row.paper,
    runs: runs.map(({ settings: _, ...run }) => run)
  }))
})

// ---------------------------------------------------------------------------------------------------------------------

/** Failures that concern only their row; any other failure ends the command. */
const rowFailures: ReadonlySet<string> = new Set([
  "TrainingDiverged",
  "BudgetInfeasible",
  "EstimationError",
  "RunFailure"
])

const say = (line: string) => Effect.sync(() => process.stderr.write(`${line}\n`))

/** Runs the command. */
export const run = Effect.fn("Reproduce.run")(function* (input: Input) {
  const table = Tables.tables[input.table]
  const wanted = yield* rowsNamed(table, input.row)
  const seeds = Option.getOrElse(input.seeds, () => (input.quick ? 1 : Tables.fullSeeds))
  const base = join(input.dir, input.quick ? `${table.name}-quick` : table.name)
  const rows = wanted.filter((row) => lacking(row).length === 0)
  const missing = wanted
    .filter((row) => lacking(row).length > 0)
    .map(
      (row) =>
        `${row.name} is left out: this version has no ${lacking(row)
          .map((need) => need.join(" "))
          .join(", ")}.`
    )
  const planned: ReadonlyArray<Planned> = rows.flatMap((row) =>
    Array.from({ length: seeds }, (_, at) => ({ row, seed: at + 1, folder: join(base, row.name, `seed-${at + 1}`) }))
  )
  const place: Tables.DataPlace = input.list ? { folder: null } : yield* placeOf(table, input)

  if (input.list) {
    const listed = yield* Effect.forEach(
      planned,
      Effect.fnUntraced(function* ({ folder, row, seed }) {
        const begun = existsSync(join(folder, RunFolder.files.manifest))
        const status = begun ? (yield* FromFolder.readRun(resolve(folder))).data.status : "not begun"
        return { row: row.name, seed, status, folder: shownPath(folder) }
      })
    ).pipe(Effect.provide(Disk.layer))
    if (input.json)
      return yield* Console.log(JSON.stringify({ table: table.name, title: table.title, runs: listed, missing }))
    const lines = listed.map(({ folder, row, seed, status }) => [row, String(seed), status, folder])
    yield* Console.log(`${table.title}\n`)
    yield* Console.log(TextTable.format([["row", "seed", "status", "folder"], ...lines]))
    for (const line of missing) yield* Console.log(line)
    return
  }

  // Check all rows before the first run starts.
  const work = yield* Effect.forEach(
    planned,
    Effect.fnUntraced(function* (one) {
      const { loaded, standIn } = yield* loadedOf(table, one, place, input)
      return { ...one, loaded, standIn, status: yield* statusOf(one.folder, loaded) }
    })
  ).pipe(Effect.provide(Disk.layer))

  const todo = work.filter(({ status }) => status !== "done")
  const standIn = work[0]?.standIn
  const noted = standIn === undefined ? {} : { notes: { standIn } }
  const failed: Array<string> = []
  let spent = 0
  for (const [at, { folder, loaded, row, seed, status }] of todo.entries()) {
    const left = at === 0 ? "" : `, about ${duration((spent / at) * (todo.length - at))} left`
    const label = `${row.name}, seed ${seed}`
    yield* say(`[${at + 1}/${todo.length}] ${label}${status === "begun" ? " resumed" : ""}${left}`)
    const began = yield* Clock.currentTimeMillis
    const events = Layer.merge(DrawnEvents.layer(false, `${label}: `), Disk.layer)
    const ran =
      status === "begun"
        ? Run.resumeFolder({ dir: folder, set: [], threads: Option.none(), maxMinutes: Option.none() })
        : Run.begin(loaded, { folder, tableFolder: process.cwd(), overwrite: false, ...noted })
    const outcome = yield* Effect.result(Effect.provide(ran, events))
    spent += ((yield* Clock.currentTimeMillis) - began) / 1000
    if (outcome._tag === "Failure") {
      const tag = Predicate.hasProperty(outcome.failure, "_tag") ? String(outcome.failure._tag) : ""
      if (!rowFailures.has(tag)) return yield* Effect.fail(outcome.failure)
      failed.push(`${label}: ${outcome.failure.message}`)
      yield* say(`  failed: ${outcome.failure.message}`)
      continue
    }
    if (outcome.success._tag === "Paused") {
      yield* say("Repeat the command to continue.")
      return yield* new RunPaused({ folder: shownPath(folder) })
    }
    yield* Report.write(outcome.success.folder).pipe(Effect.provide(Disk.layer))
  }

  const program = Effect.gen(function* () {
    const runs = yield* Effect.forEach(
      planned.filter(({ folder }) => existsSync(join(folder, RunFolder.files.manifest))),
      ({ folder, row }) => Effect.map(CompareRuns.read(folder), (one) => ({ row, one }))
    )
    const results: ReadonlyArray<Result> = rows.map((row) => ({
      row,
      runs: runs.filter((each) => each.row === row && each.one.status === "done").map((each) => each.one)
    }))
    const notes = noteLines(input, place, standIn, missing)
    const grid = cells(table, results)
    const page = `# ${table.title}\n\n${Comparison.markdownTable(grid)}\n\n${notes.map((line) => `- ${line}`).join("\n")}\n`
    if (input.json) yield* Console.log(JSON.stringify(jsonOf(table, input, results, failed, standIn)))
    else yield* Console.log(`${table.title}\n\n${TextTable.format(grid)}\n\n${notes.join("\n")}`)
    const file = shownPath(join(base, "table.md"))
    yield* Report.writeBeside(file, page, "make its folder writable and repeat the command")
    if (!input.json) yield* Console.log(`Runs: ${shownPath(base)}; the table as Markdown: ${file}`)
  })
  yield* program.pipe(Effect.provide(Disk.layer))
  if (failed.length > 0) {
    return yield* new RunFailed({ reason: `${failed.length} of ${todo.length} runs failed:\n${failed.join("\n")}` })
  }
})
