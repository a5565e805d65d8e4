/** `osnas rank`: how well a trained supernet orders architectures. */
import { existsSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as FeasibleSet from "../cost/FeasibleSet.ts"
import { PerformanceEstimator, type TrainedSupernet } from "../estimator/PerformanceEstimator.ts"
import * as Tabular from "../estimator/Tabular.ts"
import * as ZeroCost from "../estimator/ZeroCost.ts"
import { disposeUnsafe } from "../nn/ParameterTree.ts"
import * as Key from "../random/Key.ts"
import * as Baselines from "../ranking/Baselines.ts"
import * as Ranking from "../ranking/Ranking.ts"
import * as ScoreLog from "../ranking/ScoreLog.ts"
import * as TrainedTruth from "../ranking/TrainedTruth.ts"
import * as Truth from "../ranking/Truth.ts"
import * as RankingPage from "../report/RankingPage.ts"
import * as RankingText from "../report/RankingText.ts"
import * as Checkpoint from "../run/Checkpoint.ts"
import * as Identity from "../run/Identity.ts"
import * as Load from "../run/Load.ts"
import { shapesOf } from "../run/phases/PhaseContext.ts"
import * as RunFolder from "../run/RunFolder.ts"
import * as RunLayers from "../run/RunLayers.ts"
import { type Services, services } from "../run/RunServices.ts"
import * as Snapshot from "../run/Snapshot.ts"
import * as TrainingCheckpoint from "../run/TrainingCheckpoint.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import type { Score } from "../search-strategy/SearchStrategy.ts"
import { drawManyUnseen } from "../search-strategy/Unseen.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import { Disk, writeTextAtomic } from "../support/Disk.ts"
import { readText } from "../support/TextFile.ts"
import type { Input } from "./commands/Rank.ts"
import * as DrawnEvents from "./DrawnEvents.ts"
import { RunPaused, UsageError } from "./Exit.ts"
import * as OutputFile from "./OutputFile.ts"
import { writeBeside } from "./Report.ts"
import { engineOf, ofFolder, pauseOnSignal } from "./Run.ts"
import * as WorkProgress from "./WorkProgress.ts"

/** A run or a configuration with weights, as the flags name it. */
interface Source {
  readonly loaded: Load.LoadedRun
  readonly layers: ReturnType<typeof RunLayers.layers>
  /** The weights; undefined: the run's own. */
  readonly supernet: string | undefined
  /** The run's folder, where it is one. */
  readonly run: string | undefined
  /** Where results are kept. */
  readonly folder: string
}

const sourceOf = Effect.fnUntraced(function* (input: Input) {
  const { dir, run, supernet, threads } = input
  const isFolder = existsSync(run) && statSync(run).isDirectory()
  if (isFolder) {
    if (Option.isSome(supernet)) {
      return yield* new UsageError({ reason: "--supernet goes with a configuration; a run has a supernet of its own" })
    }
    const { layers, loaded } = yield* ofFolder(run, threads, input.set)
    const folder = Option.getOrElse(dir, () => join(run, RunFolder.files.rankingFolder))
    return { loaded, layers, supernet: undefined, run: resolve(run), folder } satisfies Source
  }
  if (Option.isNone(supernet)) {
    return yield* new UsageError({
      reason: existsSync(run)
        ? `${run} is a file: give the folder of a run, or add --supernet FILE to rank with weights of your own`
        : `there is no folder ${run}; give the folder of a run whose supernet is trained`
    })
  }
  const flags = Option.match(threads, {
    onNone: () => [],
    onSome: (count) => [[["engine", "threads"], count, "--threads"] as const]
  })
  const loaded = yield* Load.file(run, { set: input.set, flags })
  const layers = RunLayers.layers(loaded.config, loaded.components, engineOf(loaded), {})
  const folder = Option.getOrElse(dir, () => join("runs", `${loaded.config.name}-ranking`))
  return { loaded, layers, supernet: resolve(supernet.value), run: undefined, folder } satisfies Source
})

/** The file of the supernet's weights and the digest it must have, if the run has recorded one. */
const weightsFile = Effect.fnUntraced(function* (disk: Services["disk"], { run, supernet }: Source) {
  if (supernet !== undefined || run === undefined) return { file: supernet ?? "", digest: undefined }
  const snapshot = yield* RunFolder.readSnapshot(disk, run)
  const found = Snapshot.checkpointsIn(snapshot).find(({ file }) => file === RunFolder.files.supernet)
  if (found === undefined) {
    return yield* new UsageError({
      reason: `${run}: its supernet is not trained yet; finish it with \`osnas resume ${run}\`, or name weights with --supernet`
    })
  }
  return { file: join(run, found.file), digest: found.digest }
})

/** The trained supernet, whose tensors are disposed with the scope; undefined where the estimator needs none. */
const supernetOf = Effect.fnUntraced(function* ({ disk, estimator, space }: Services, source: Source) {
  if (estimator.needsSupernet === false) return undefined
  const { digest, file } = yield* weightsFile(disk, source)
  const checkpoint = yield* Checkpoint.read(disk, file, digest)
  const read = TrainingCheckpoint.toWeights(file, checkpoint, shapesOf(space.supernet))
  const weights = yield* Effect.acquireRelease(read, ({ criterion, variables }) =>
    Effect.sync(() => [variables.params, variables.stats, criterion].forEach(disposeUnsafe))
  )
  return { digest: digest ?? Checkpoint.encode(checkpoint).digest, ...weights } satisfies TrainedSupernet
})

/** The truth that the flags name; undefined: it is trained. */
const truthOf = Effect.fnUntraced(function* (input: Input, { space }: Services) {
  const { dataSet, file, table, train, truth } = input
  const named = [table, truth, train].filter((flag) => Option.isSome<unknown>(flag)).length
  if (named > 1) return yield* new UsageError({ reason: "--table, --truth and --train exclude each other" })
  if (Option.isSome(train)) return undefined
  if (Option.isSome(truth)) {
    const text = yield* Effect.mapError(
      Effect.fromResult(readText(truth.value, "a CSV file of accuracies", 1 << 30)),
      (reason) => new UsageError({ reason: `--truth ${truth.value}: ${reason}` })
    )
    return yield* Effect.fromResult(Truth.ofCsv(text, truth.value, space))
  }
  const name = Option.getOrElse(table, () => space.name)
  if (!Schema.is(Tabular.TableName)(name)) {
    return yield* new UsageError({
      reason: `no published accuracies of ${space.name}: give --truth FILE.csv, or --train N to train N architectures`
    })
  }
  if (name !== space.name) {
    return yield* new UsageError({
      reason: `--table ${name} is about search space ${name}, and this one is ${space.name}`
    })
  }
  return Truth.ofTable(yield* Effect.fromResult(Tabular.load({ table: name, file: Option.getOrNull(file), dataSet })))
})

/** The architectures to rank: drawn from the whole space, or from those of the truth where it is a list. */
const drawn = Effect.fnUntraced(function* (
  { costs, space }: Services,
  truth: Truth.Truth | undefined,
  count: number,
  seed: number
) {
  const key = Key.derive(Key.make(seed), "rank")
  if (truth?.architectures !== undefined) {
    const { architectures } = truth
    return [...Key.permutation(key, architectures.length)].slice(0, count).map((index) => architectures[index]!)
  }
  const budget = { metric: "flops", min: 0, max: Number.MAX_SAFE_INTEGER } as const
  const all = yield* Effect.fromResult(FeasibleSet.make(space, costs.entries("flops"), budget))
  return drawManyUnseen(all, key, count, new Set(), space.canonical)
})

/** The accuracy in percent of what an evaluation gives. */
const percentOf = (metrics: Readonly<Record<string, number>>, headline: string): number =>
  (metrics[headline] ?? 0) * 100

/** Where networks are trained for the truth: beside a run, since no run may be inside another. */
const networksFolder = ({ folder, run }: Source, epochs: number): string =>
  resolve(run === undefined ? folder : `${run}-networks`, `${epochs}-epochs`)

/** Trains every architecture alone, resumable; the first Ctrl-C pauses. */
const trained = Effect.fnUntraced(function* (
  source: Source,
  input: Input,
  all: Services,
  architectures: ReadonlyArray<Genotype>
) {
  const { retraining } = source.loaded.config
  if (retraining === undefined) {
    return yield* new UsageError({
      reason: "--train: the configuration has no section `retraining`, which says how an architecture is trained"
    })
  }
  const epochs = Option.getOrElse(input.epochs, () => retraining.epochs)
  const warmupEpochs = (retraining.schedule.warmupEpochs / retraining.epochs) * epochs
  const schedule = { ...retraining.schedule, warmupEpochs }
  const config = { ...source.loaded.config, retraining: { ...retraining, epochs, schedule } }
  const pause = yield* pauseOnSignal
  const accuracies = new Map<string, number>()
  for (const [index, genotype] of architectures.entries()) {
    const options = {
      config,
      kinds: source.loaded.kinds,
      modules: Load.moduleDigests(source.loaded),
      folder: networksFolder(source, epochs),
      pause
    }
    const metrics = yield* TrainedTruth.train(options, genotype).pipe(
      Effect.provide(DrawnEvents.layer(false, `[${index + 1}/${architectures.length}] `))
    )
    if (metrics === undefined) return yield* new RunPaused({ folder: source.folder })
    accuracies.set(all.space.format(genotype), percentOf(metrics, all.agent.headline))
  }
  const content = Object.fromEntries(accuracies)
  return {
    name: `trained alone for ${epochs} epochs, test ${all.agent.headline}`,
    accuracy: (genotype) => accuracies.get(all.space.format(genotype)),
    noise: 0,
    digest: CanonicalJson.digest(content)
  } satisfies Truth.Truth
})

/** The predictions of a score by name, larger for better; the one that a search minimises comes first. */
const predictionsOf = ({ agent }: Services) => {
  const { metric } = agent.objective
  return {
    names: metric === agent.headline ? [metric] : [metric, agent.headline],
    of: ({ metrics, objective }: Score) => ({
      [metric]: -objective,
      ...(metrics[agent.headline] === undefined ? {} : { [agent.headline]: metrics[agent.headline]! })
    })
  }
}

/** The sections of a configuration that decide a score. */
const scoringSections = ["seed", "criterion", "estimator", "searchSpace", "trainingAgent"]

/** Everything that decides a score beside the weights; options of performance, such as memory, do not. */
const identityOf = ({ dataflow, engine }: Services, { loaded: { config, kinds } }: Source): Schema.Json => {
  const identity = Identity.ofConfig(config, kinds) as Readonly<Record<string, Schema.Json>>
  const sections = Object.fromEntries(scoringSections.map((name) => [name, identity[name] ?? null]))
  return { ...sections, data: dataflow.digest, engine: [engine.name, engine.version, engine.mode] }
}

/** Shows the progress of a stage of scoring. */
type Show = (stage: string) => Parameters<ScoreLog.ScoreLog["score"]>[2]

/** Scores of the zero-cost proxies by name, for each architecture. */
const proxyScores = Effect.fnUntraced(function* (
  { space }: Services,
  { config }: Load.LoadedRun,
  log: ScoreLog.ScoreLog,
  identity: Schema.Json,
  architectures: ReadonlyArray<Genotype>,
  show: Show
) {
  const scores = architectures.map((): Record<string, number> => ({}))
  // A batch size that the data is known to allow.
  const batchSize = (config.supernetTraining ?? config.retraining)?.batchSize ?? 64
  for (const proxy of ZeroCost.proxies) {
    const estimator = yield* Effect.provide(PerformanceEstimator, ZeroCost.layer({ proxy, batchSize }))
    const setup = { space, estimator, supernet: undefined, identity: { of: identity, proxy, batchSize } }
    for (const [index, score] of (yield* log.score(setup, architectures, show(`Scoring by ${proxy}`))).entries()) {
      scores[index]![proxy] = -score.objective
    }
  }
  return scores
})

const rankAll = Effect.fnUntraced(function* (input: Input, source: Source) {
  const all = yield* services
  const { costs, disk, estimator, space } = all
  const given = yield* truthOf(input, all)
  const count = Option.getOrElse(input.train, () => input.sample)
  const sample = yield* drawn(all, given, count, input.seed)
  const supernet = yield* supernetOf(all, source)
  yield* disk.makeFolder(resolve(source.folder))
  const truth = given ?? (yield* trained(source, input, all, sample))
  const architectures = sample.filter((genotype) => truth.accuracy(genotype) !== undefined)
  if (architectures.length < 2) {
    return yield* new UsageError({ reason: `${truth.name}: it knows fewer than two of the architectures drawn` })
  }
  const log = yield* ScoreLog.open(disk, join(resolve(source.folder), RunFolder.files.rankingScores))
  const identity = identityOf(all, source)
  const { clear, report } = yield* WorkProgress.make
  yield* Effect.addFinalizer(() => Effect.sync(clear))
  const show: Show = (stage) => (known, before) => report(stage, known, architectures.length, before)
  const proxies = yield* proxyScores(all, source.loaded, log, identity, architectures, show)
  const setup = { space, estimator, supernet, identity }
  const scores = yield* log.score(setup, architectures, show("Scoring by the supernet"))
  const predictions = predictionsOf(all)
  const rows = architectures.map((genotype, index) => ({
    architecture: space.format(genotype),
    truth: truth.accuracy(genotype)!,
    baselines: Baselines.of(space, costs, genotype),
    scores: { ...predictions.of(scores[index]!), ...proxies[index]! }
  }))
  return Ranking.make({
    name: source.loaded.config.name,
    space: space.name,
    size: space.size.toString(),
    supernet: supernet?.digest ?? null,
    truth: { name: truth.name, noise: truth.noise, digest: truth.digest },
    seed: input.seed,
    predictions: predictions.names.filter((name) => rows.every((row) => name in row.scores)),
    zeroCost: ZeroCost.proxies,
    rows
  })
})

/** Writes `ranking.json` and the picture. */
const write = Effect.fnUntraced(function* (input: Input, folder: string, ranking: Ranking.Ranking) {
  const disk = yield* Disk
  yield* writeTextAtomic(disk, join(resolve(folder), RunFolder.files.ranking), CanonicalJson.pretty(ranking))
  if (Option.isNone(input.picture)) return
  const svg = yield* Effect.promise(() => RankingPage.picture(ranking))
  yield* writeBeside(input.picture.value, svg, "write the picture to another place: --picture FILE")
})

/** Runs the command. */
export const run = Effect.fn("Rank.run")(
  function* (input: Input) {
    if (Option.isSome(input.epochs) && Option.isNone(input.train)) {
      return yield* new UsageError({
        reason: "--epochs goes with --train: it says how long each architecture is trained"
      })
    }
    if (Option.isSome(input.picture)) yield* OutputFile.refuse("--picture", input.picture.value)
    const source = yield* sourceOf(input)
    const fault = OutputFile.folderFault(source.folder)
    if (fault !== undefined) return yield* new UsageError({ reason: `--dir ${source.folder}: ${fault}` })
    const ranking = yield* Effect.scoped(rankAll(input, source)).pipe(Effect.provide(source.layers))
    yield* write(input, source.folder, ranking)
    yield* Console.log(input.json ? JSON.stringify(ranking) : RankingText.text(ranking))
  },
  Effect.provide(Layer.merge(DrawnEvents.layer(false), Disk.layer))
)
