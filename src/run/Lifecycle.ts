/**
 * The life of a run: {@link run} begins one in a new folder, {@link resume} continues one where its folder says it
 * stopped. Both check everything they are given before they write anything, then let `MachineHost` go through the phases.
 *
 * The manifest records what a run is made of: configuration, data, search space, engine, seed. A resumed run must be made
 * of the same; `Resumption` decides which options may change.
 */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Yaml from "yaml"
import { AgentInput } from "../../machines/AgentMachine.ts"
import { phases } from "../../machines/RunState.ts"
import * as Finding from "../component/Finding.ts"
import * as OptionKind from "../component/OptionKind.ts"
import * as Compatibility from "./Compatibility.ts"
import * as Identity from "./Identity.ts"
import * as MachineHost from "./MachineHost.ts"
import * as Preflight from "./Preflight.ts"
import * as Resumption from "./Resumption.ts"
import { RunConfig } from "./RunConfig.ts"
import { type RunError, RunMismatch } from "./RunError.ts"
import * as RunFolder from "./RunFolder.ts"
import { type RunServices, type Services, services } from "./RunServices.ts"
import * as Start from "./Start.ts"

/** What both {@link run} and {@link resume} take. */
export interface RunOptions extends MachineHost.HostOptions {
  /** The kinds of the configuration's options, the components' own included; default: those of its sections alone. */
  readonly kinds?: OptionKind.OptionKinds | undefined
  /** SHA-256 of the modules that components are loaded from, by section. */
  readonly modules?: Readonly<Record<string, string>> | undefined
  /** What the machine has, for the examination before the first step; default: not examined. */
  readonly machine?: Preflight.Machine | undefined
}

/** What a new run takes. */
export interface StartOptions extends RunOptions {
  /** Text of the folder's `config.yaml`; default: the configuration with every default filled in. */
  readonly configText?: string | undefined
  /** Replaces a run that is in the folder already; default false. */
  readonly overwrite?: boolean | undefined
  /** What paths under `start` are relative to; default: the working folder. */
  readonly baseFolder?: string | undefined
  /** For people, into the manifest: versions, machine. */
  readonly notes?: Readonly<Record<string, Schema.Json>> | undefined
  /** Files to be written with the folder, by name: `lookup-table.json`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>> | undefined
}

/** What resuming a run takes. */
export interface ResumeOptions extends RunOptions {
  /** Text of `config.yaml` where the configuration is not the folder's own; written when the changes are accepted. */
  readonly configText?: string | undefined
}

/** What identifies a run. */
export type IdentityOptions = Pick<RunOptions, "config" | "folder" | "kinds" | "modules">

const sectionKinds = OptionKind.of(RunConfig.ast)

const manifestOf = (
  { dataflow, engine, estimator, space }: Services,
  { config, kinds = sectionKinds, modules = {} }: IdentityOptions,
  input: AgentInput | undefined,
  notes: Readonly<Record<string, Schema.Json>>
): RunFolder.Manifest => ({
  identity: {
    format: 1,
    seed: config.seed,
    keys: "threefry-2x32",
    config: Identity.ofConfig(config, kinds),
    ...(Object.keys(modules).length === 0 ? {} : { modules }),
    dataset: {
      name: dataflow.name,
      digest: dataflow.digest,
      ...(dataflow.listingDigest === undefined ? {} : { listing: dataflow.listingDigest })
    },
    space: { name: space.name, size: space.size.toString() },
    engine: { name: engine.name, version: engine.version, mode: engine.mode },
    ...(estimator.digest === undefined ? {} : { estimator: { name: estimator.name, digest: estimator.digest } })
  },
  input: input === undefined ? {} : { start: input.start, needsSupernet: input.needsSupernet },
  notes: { threads: engine.threads, ...notes },
  changes: []
})

/**
 * Fails where a run's folder began with something else than what is given now, unless it is an option that nothing
 * recorded has used yet; gives the options that have changed.
 */
const checkIdentity = (
  all: Services,
  options: IdentityOptions,
  began: RunFolder.Manifest,
  recorded: Resumption.Recorded
): Effect.Effect<ReadonlyArray<Identity.Difference>, RunMismatch> => {
  const now = manifestOf(all, options, undefined, {})
  const { accepted, refused } = Resumption.judge(began.identity, now.identity, {
    kinds: options.kinds ?? sectionKinds,
    recorded,
    learnsWithSupernet: all.searchStrategy.gradient?.plan._tag === "WithSupernet"
  })
  const { folder } = options
  return refused.length === 0
    ? Effect.succeed(accepted)
    : Effect.fail(new RunMismatch({ folder, differences: refused }))
}

/** Fails where the run would fail later, or mean nothing. */
const examine = (all: Services, { config, machine }: RunOptions): Effect.Effect<void, Finding.PreflightError> => {
  const findings = Preflight.examine({ ...all, config, machine })
  return findings.some(({ severity }) => severity === "error")
    ? Effect.fail(new Finding.PreflightError({ findings }))
    : Effect.void
}

/**
 * Begins a run in a new folder and goes through its phases to the end, or to a pause. Nothing is written before
 * everything the run is given has been read and checked.
 */
export const run = (options: StartOptions): Effect.Effect<MachineHost.RunOutcome, RunError, RunServices> =>
  Effect.scoped(
    Effect.gen(function* () {
      const all = yield* services
      const { config } = options
      const { files, input } = yield* Start.read(all, config, options.baseFolder ?? ".")
      yield* examine(all, options)
      const folder = yield* RunFolder.create({
        folder: options.folder,
        config: options.configText ?? Yaml.stringify(config),
        manifest: manifestOf(all, options, input, options.notes ?? {}),
        files: { ...options.files, ...files },
        overwrite: options.overwrite
      })
      return yield* MachineHost.drive(all, options, folder, { input, snapshot: null, changes: [] })
    })
  )

const everythingRecorded: Resumption.Recorded = { phases: new Set(phases), scored: true }

/**
 * Fails where what a run's folder began with is not what is given now: another configuration, other data, another engine.
 */
export const checkSame = (options: IdentityOptions): Effect.Effect<void, RunError, RunServices> =>
  Effect.gen(function* () {
    const all = yield* services
    const began = yield* RunFolder.readManifest(all.disk, path.resolve(options.folder))
    const changed = yield* checkIdentity(all, options, began, everythingRecorded)
    if (changed.length > 0) {
      const differences = changed.map((difference) => ({ ...difference, why: "resume the run to change it" }))
      return yield* new RunMismatch({ folder: options.folder, differences })
    }
  })

/** Fails where the estimator's need of a supernet has changed: whether one is trained was decided when the run began. */
const checkEstimator = (
  { estimator }: Services,
  { folder }: RunOptions,
  { needsSupernet }: AgentInput,
  changed: ReadonlyArray<Identity.Difference>
): Effect.Effect<void, RunMismatch> => {
  if ((estimator.needsSupernet ?? true) === needsSupernet) return Effect.void
  const why = `the run began ${needsSupernet ? "with" : "without"} a supernet to score by`
  const differences = changed
    .filter(({ key }) => key.startsWith("config.estimator."))
    .map((difference) => ({ ...difference, why }))
  return Effect.fail(new RunMismatch({ folder, differences }))
}

const decodeInput = Schema.decodeUnknownEffect(AgentInput)

/** The main agent's input as the manifest records it, to the end that is wanted now. */
const recordedInput = ({ manifest, path }: RunFolder.RunFolderShape, { stopAfter }: RunConfig) =>
  Effect.mapError(decodeInput({ ...manifest.input, stopAfter }), (error) => {
    const reason = `its input is not what a run is given: ${error.message}`
    return new RunFolder.SnapshotError({ file: path(RunFolder.files.manifest), reason })
  })

/** Writes the configuration and the manifest of a run whose options have changed; gives the changes as they are shown. */
const recordChanges = Effect.fnUntraced(function* (
  all: Services,
  options: ResumeOptions,
  folder: RunFolder.RunFolderShape,
  input: AgentInput,
  changed: ReadonlyArray<Identity.Difference>
) {
  // The configuration goes first: a crash in between leaves a change that is accepted again.
  if (options.configText !== undefined) yield* folder.writeText(RunFolder.files.config, options.configText)
  const changes = changed.map(({ is, key, was }) => ({ key: key.replace(/^config\./, ""), was, is }))
  if (changes.length > 0) {
    const { identity } = manifestOf(all, options, input, {})
    const { manifest } = folder
    yield* folder.saveManifest({ ...manifest, identity, changes: [...manifest.changes, ...changes] })
  }
  return changes
})

/**
 * Resumes a run where its folder says it stopped: after a pause, a failure, a crash. What the run is made of must be what
 * it began with. Places and options of performance may differ, and so may options that nothing recorded has used yet,
 * which the manifest then lists under `changes`. A run that is done stays done.
 */
export const resume = (options: ResumeOptions): Effect.Effect<MachineHost.RunOutcome, RunError, RunServices> =>
  Effect.scoped(
    Effect.gen(function* () {
      const all = yield* services
      const folder = yield* RunFolder.open(options.folder)
      const snapshot = yield* folder.loadSnapshot
      const input = yield* recordedInput(folder, options.config)
      yield* Start.checkSections(options.config, input)
      const recorded = Resumption.recordedIn(snapshot, folder.search.lines.length)
      const changed = yield* checkIdentity(all, options, folder.manifest, recorded)
      yield* checkEstimator(all, options, input, changed)
      if (changed.some(({ key }) => /^config\.(searchStrategy|trainingStrategy)\./.test(key))) {
        const unfit = Compatibility.check({ ...all, given: input.start.supernet !== null })
        if (unfit !== undefined) return yield* unfit
      }
      yield* examine(all, options)
      const changes = yield* recordChanges(all, options, folder, input, changed)
      return yield* MachineHost.drive(all, options, folder, { input, snapshot, changes })
    })
  )
