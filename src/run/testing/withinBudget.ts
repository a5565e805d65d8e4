/** Checks a configuration's budget without its data, for tests of configurations whose data do not ship. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LookupTable from "../../cost/LookupTable.ts"
import * as SearchBudget from "../../cost/SearchBudget.ts"
import { type Head, TaskInterface } from "../../search-space/SearchSpace.ts"
import type { LoadedRun } from "../Load.ts"
import { runKey } from "../RunLayers.ts"

/** Number of architectures within a configuration's budget, for its size of images and a hundred classes. */
export const withinBudget = ({ components, config }: LoadedRun) => {
  const { channels = 3, size = 32 } = components.dataflow.options as { channels?: number; size?: number }
  const { dimension } = components.trainingAgent.options as { dimension?: number }
  const head: Head = dimension === undefined ? { _tag: "Classifier", classes: 100 } : { _tag: "Embedding", dimension }
  const layers = SearchBudget.layer(config.budget).pipe(
    Layer.provideMerge(LookupTable.layerCounted),
    Layer.provideMerge(components.searchSpace.layer),
    Layer.provide(Layer.succeed(TaskInterface, TaskInterface.of({ input: [size, size, channels], head }))),
    Layer.provide(runKey(config))
  )
  return Effect.map(SearchBudget.SearchBudget, ({ feasible }) => feasible.count).pipe(Effect.provide(layers))
}
