/** Reads and checks what a run starts with (an architecture, a supernet, a trained network), before anything is written. */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { AgentInput } from "../../machines/AgentMachine.ts"
import type { Phase } from "../../machines/RunState.ts"
import * as Parameters from "../nn/ParameterTree.ts"
import type * as Network from "../search-space/Network.ts"
import * as Presets from "../search-space/Presets.ts"
import type { Genotype } from "../search-space/SearchSpace.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as Compatibility from "./Compatibility.ts"
import * as ConfigFile from "./ConfigFile.ts"
import * as Provenance from "./Provenance.ts"
import { shapesOf } from "./phases/PhaseContext.ts"
import * as Searching from "./phases/Searching.ts"
import { lackingSection, type RunConfig } from "./RunConfig.ts"
import { RunFailure } from "./RunError.ts"
import * as RunFolder from "./RunFolder.ts"
import type { Services } from "./RunServices.ts"
import * as TrainingCheckpoint from "./TrainingCheckpoint.ts"

/** The first phase of a run. */
const firstPhase = ({ needsSupernet, start: { architecture, network, supernet } }: AgentInput): Phase => {
  if (network !== null) return "evaluating"
  if (architecture !== null) return "retraining"
  return supernet !== null || !needsSupernet ? "searching" : "supernetTraining"
}

/** Fails if a training phase of the run has no section in the configuration. */
export const checkSections = (config: RunConfig, input: AgentInput): Effect.Effect<void, ConfigFile.ConfigError> => {
  const first = firstPhase(input)
  const path = lackingSection(config, first, input.stopAfter)
  if (path === undefined) return Effect.void
  const message = `missing, but required: the run goes from ${first} to ${input.stopAfter}; give ${path}.epochs, as in ${path}: { epochs: 10 }`
  const issues = [{ path, line: null, origin: "", message }]
  return Effect.fail(new ConfigFile.ConfigError({ file: config.name, issues }))
}

interface Given {
  readonly services: Services
  readonly config: RunConfig
  readonly baseFolder: string
  readonly architecture: Genotype | null
}

/** Reads and checks a file of weights. Gives its bytes under the name of the copy in the run's folder. */
const readWeights = Effect.fnUntraced(function* (
  { architecture, baseFolder, config, services }: Given,
  file: string,
  name: string,
  network: Network.Network
) {
  const absolute = path.resolve(baseFolder, file)
  const checkpoint = yield* Checkpoint.read(services.disk, absolute)
  yield* Provenance.check(absolute, checkpoint.metadata, {
    space: services.space,
    section: config.searchSpace,
    architecture: name === RunFolder.files.network ? architecture : null
  })
  const isLearned = services.searchStrategy.gradient?.plan._tag === "WithSupernet" && architecture === null
  if (isLearned && name === RunFolder.files.supernet) yield* Searching.learnedState(services, absolute, checkpoint)
  const { criterion, variables } = yield* TrainingCheckpoint.toWeights(absolute, checkpoint, shapesOf(network))
  for (const tree of [variables.params, variables.stats, criterion]) Parameters.disposeUnsafe(tree)
  const { bytes, digest } = Checkpoint.encode(checkpoint)
  return { ref: { file: name, digest }, files: { [name]: bytes } }
})

/** The main agent's input, and the files to create the run's folder with. */
export const read = Effect.fnUntraced(function* (services: Services, config: RunConfig, baseFolder: string) {
  const { estimator, space } = services
  const { start } = config
  const architecture =
    start.architecture === null ? null : yield* Effect.fromResult(Presets.parse(space, start.architecture))
  if (architecture === null) {
    const unfit = Compatibility.check({ ...services, given: start.supernet !== null })
    if (unfit !== undefined) return yield* unfit
    if (start.network !== null) {
      return yield* new RunFailure({
        tag: "StartError",
        reason: "start.network: the weights of a network need its architecture; give start.architecture as well"
      })
    }
  }
  const given: Given = { services, config, baseFolder, architecture }
  const supernet =
    start.supernet === null
      ? undefined
      : yield* readWeights(given, start.supernet, RunFolder.files.supernet, space.supernet)
  const network =
    start.network === null
      ? undefined
      : yield* readWeights(given, start.network, RunFolder.files.network, space.network(architecture ?? []))
  const input: AgentInput = {
    start: { architecture, supernet: supernet?.ref ?? null, network: network?.ref ?? null },
    needsSupernet: estimator.needsSupernet ?? true,
    stopAfter: config.stopAfter
  }
  yield* checkSections(config, input)
  return { input, files: { ...supernet?.files, ...network?.files } }
})
