/**
 * Starts and resumes runs: {@link run} starts one in a new folder, {@link resume} continues one from its folder. Both check
 * all inputs before they write anything; then `MachineHost` runs the phases.
 *
 * The manifest records the identity of a run: configuration, data, search space, engine, seed. It must be the same on
 * resume, except for the options that `Resumption` allows to change.
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

/** Options of both {@link run} and {@link resume}. */
export interface RunOptions extends MachineHost.HostOptions {
  /** The kinds of all options, those of components included; default: those of the sections alone. */
  readonly kinds?: OptionKind.OptionKinds | undefined
  /** SHA-256 of the modules that components are loaded from, by section. */
  readonly modules?: Readonly<Record<string, string>> | undefined
  /** Memory and disk of the machine, for the preflight; default: not examined. */
  readonly machine?: Preflight.Machine | undefined
}

/** Options of {@link run}. */
export interface StartOptions extends RunOptions {
  /** Text of the folder's `config.yaml`; default: the configuration with every default filled in. */
  readonly configText?: string | undefined
  /** Whether to replace a run that is already in the folder; default false. */
  readonly overwrite?: boolean | undefined
  /** The folder that paths under `start` are relative to; default: the working folder. */
  readonly baseFolder?: string | undefined
  /** Informative entries of the manifest: versions, machine. */
  readonly notes?: Readonly<Record<string, Schema.Json>> | undefined
  /** Files to write with the folder, by name: `lookup-table.json`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>> | undefined
}

/** Options of {@link resume}. */
export interface ResumeOptions extends RunOptions {
  /** Text of a changed `config.yaml`; written once the changes are accepted. */
  readonly configText?: string | undefined
}

/** The options that decide the identity of a run. */
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
 * Compares the identity of a run with the present one. Gives the options that changed, and fails if one of them may not
 * change because a recorded result depends on it.
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

/** Fails if the preflight finds an error. */
const examine = (all: Services, { config, machine }: RunOptions): Effect.Effect<void, Finding.PreflightError> => {
  const findings = Preflight.examine({ ...all, config, machine })
  return findings.some(({ severity }) => severity === "error")
    ? Effect.fail(new Finding.PreflightError({ findings }))
    : Effect.void
}

/**
 * Starts a run in a new folder, and runs its phases to the end or to a pause. Writes nothing before all inputs are read
 * and checked.
 */
export const run: (options: StartOptions) => Effect.Effect<MachineHost.RunOutcome, RunError, RunServices> = Effect.fn(
  "Lifecycle.run"
)(function* (options: StartOptions) {
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
}, Effect.scoped)

const everythingRecorded: Resumption.Recorded = { phases: new Set(phases), scored: true }

/** Fails unless configuration, data and engine are those that the run in the folder began with. */
export const checkSame = Effect.fn("Lifecycle.checkSame")(function* (
  options: IdentityOptions
): Effect.fn.Return<void, RunError, RunServices> {
  const all = yield* services
  const began = yield* RunFolder.readManifest(all.disk, path.resolve(options.folder))
  const changed = yield* checkIdentity(all, options, began, everythingRecorded)
  if (changed.length > 0) {
    const differences = changed.map((difference) => ({ ...difference, why: "resume the run to change it" }))
    return yield* new RunMismatch({ folder: options.folder, differences })
  }
})

/** Fails if the estimator now needs a supernet and did not before, or the reverse: the run has decided that already. */
const checkEstimator = (
  { estimator }: Services,
  { folder }: RunOptions,
  { needsSupernet }: AgentInput,
  changed: ReadonlyArray<Identity.Difference>
): Effect.Effect<void, RunMismatch> => {
  if ((estimator.needsSupernet ?? true) === needsSupernet) return Effect.void
  const why = `the run began ${needsSupernet ? "with" : "without"} a supernet that scores candidates`
  const differences = changed
    .filter(({ key }) => key.startsWith("config.estimator."))
    .map((difference) => ({ ...difference, why }))
  return Effect.fail(new RunMismatch({ folder, differences }))
}

const decodeInput = Schema.decodeUnknownEffect(AgentInput)

/** The main agent's input from the manifest, with the last phase of the present configuration. */
const recordedInput = ({ manifest, path }: RunFolder.RunFolderShape, { stopAfter }: RunConfig) =>
  Effect.mapError(decodeInput({ ...manifest.input, stopAfter }), (error) => {
    const reason = `its input is invalid: ${error.message}`
    return new RunFolder.SnapshotError({ file: path(RunFolder.files.manifest), reason })
  })

/** Writes the changed configuration and manifest. Gives the changes by key, for display. */
const recordChanges = Effect.fnUntraced(function* (
  all: Services,
  options: ResumeOptions,
  folder: RunFolder.RunFolderShape,
  input: AgentInput,
  changed: ReadonlyArray<Identity.Difference>
) {
  // The configuration first: after a crash in between, the same change is accepted again.
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
 * Resumes a run from its folder after a pause, a failure or a crash. Its identity must be the same. Options of kind place
 * and performance may differ, and so may options that no recorded result depends on; the manifest lists those under
 * `changes`. Resuming a finished run changes nothing.
 */
export const resume: (options: ResumeOptions) => Effect.Effect<MachineHost.RunOutcome, RunError, RunServices> =
  Effect.fn("Lifecycle.resume")(function* (options: ResumeOptions) {
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
  }, Effect.scoped)
