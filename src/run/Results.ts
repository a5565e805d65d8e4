/** Writes and checks the result files: `architecture.json` and `metrics.json`. */
import * as Effect from "effect/Effect"
import type { Results } from "../../machines/RunState.ts"
import type { Budget, CostModelShape } from "../cost/CostModel.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { readText } from "../support/Disk.ts"
import * as SafeJson from "../support/SafeJson.ts"
import * as ResultFiles from "./ResultFiles.ts"
import * as RunFolder from "./RunFolder.ts"
import type { SearchLog } from "./SearchLog.ts"

/** What the files are made from, and where they are written. */
export interface ResultsContext {
  readonly space: SearchSpaceShape
  readonly costs: CostModelShape
  readonly budget: Budget
  readonly folder: Pick<RunFolder.RunFolderShape, "disk" | "path" | "writeJson">
  readonly log: Pick<SearchLog, "digest">
}

type Content = Readonly<Record<string, unknown>>

const filesOf = (
  { budget, costs, log, space }: ResultsContext,
  results: Results
): ReadonlyArray<readonly [name: string, content: Content]> => {
  const count = results.search?.evaluations ?? null
  const searchDigest = count === null ? undefined : log.digest(count)
  const metrics = ResultFiles.metricsOf(space, costs, budget, results, searchDigest)
  if (results.search === null) return [[RunFolder.files.metrics, metrics]]
  const architecture = ResultFiles.architectureOf(space, costs, budget, results.search.architecture)
  return [
    [RunFolder.files.architecture, architecture],
    [RunFolder.files.metrics, metrics]
  ]
}

/** Writes the result files. */
export const write = (context: ResultsContext, results: Results) =>
  Effect.forEach(filesOf(context, results), ([name, content]) => context.folder.writeJson(name, content), {
    discard: true
  })

const checkFile = Effect.fnUntraced(function* ({ folder }: ResultsContext, name: string, content: Content) {
  const expected = JSON.parse(CanonicalJson.stringify(content)) as Content
  const file = folder.path(name)
  const text = yield* readText(folder.disk, file)
  if (text === undefined) {
    if (Object.keys(expected).length > 0) yield* folder.writeJson(name, content)
    return
  }
  const fail = (reason: string) =>
    new RunFolder.SnapshotError({ file, reason: `${reason}; delete it, and \`osnas resume\` writes it again` })
  const parsed = yield* Effect.mapError(Effect.fromResult(SafeJson.parse(text)), fail)
  const found = typeof parsed === "object" && parsed !== null ? (parsed as Content) : {}
  for (const [key, value] of Object.entries(expected)) {
    const is = Object.hasOwn(found, key) ? CanonicalJson.stringify(found[key]) : "nothing"
    if (is !== CanonicalJson.stringify(value)) {
      return yield* fail(`it is damaged: ${key} is not what the run recorded`)
    }
  }
})

/**
 * Fails if a file contradicts the results in the snapshot. It may contain more, after a crash between the file and its
 * snapshot; it is then written again at the end of the phase. A missing file is written.
 */
export const check = (context: ResultsContext, results: Results) =>
  Effect.forEach(filesOf(context, results), ([name, content]) => checkFile(context, name, content), { discard: true })

/** The costs of an architecture, for the event `RunDone`. */
export const costsOf = (
  { budget, costs }: Pick<ResultsContext, "budget" | "costs">,
  genotype: Genotype
): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(ResultFiles.costsOf(costs, budget, genotype)).filter(
      (entry): entry is [string, number] => typeof entry[1] === "number"
    )
  )
