/** Rules about the options of components that ship, beyond their Schemas, and about these options with other sections. */
import type { OptimizerConfig, RunConfig } from "../run/RunConfig.ts"
import { isRecord } from "../support/Records.ts"
import type { Kind } from "./BoundComponent.ts"
import type * as ConfigFile from "./ConfigFile.ts"
import { count, type Findings, gather, mayHave, type Notes, optimizer, type Path } from "./CrossChecks.ts"

type Options = Readonly<Record<string, unknown>>

/** A rule about a component's decoded options and the other sections of the configuration. */
type ComponentRule = (notes: Notes, options: Options, config: RunConfig) => void

const numberAt = (options: Options, key: string): number | undefined => {
  const value = options[key]
  return typeof value === "number" ? value : undefined
}

const evolution: ComponentRule = (notes, options) => {
  const evaluations = numberAt(options, "evaluations") ?? Number.POSITIVE_INFINITY
  const [initial, offspring, parents] = ["initial", "offspring", "parents"].map((key) => numberAt(options, key))
  const path = (key: string): Path => ["searchStrategy", key]
  if (initial !== undefined && initial >= evaluations) {
    notes.warning(
      path("initial"),
      `got ${initial}, and only ${count(evaluations, "architecture")} are scored (evaluations): all are random, none evolves`
    )
  } else if (offspring !== undefined && initial !== undefined && offspring > evaluations - initial) {
    notes.warning(
      path("offspring"),
      `got ${offspring}, and ${count(evaluations - initial, "evaluation")} are left after the first generation: there is one later generation, of ${evaluations - initial}`
    )
  }
  if (parents !== undefined && parents > evaluations) {
    notes.warning(
      path("parents"),
      `got ${parents}, and only ${count(evaluations, "architecture")} are scored (evaluations): all become parents`
    )
  }
  const crossover = numberAt(options, "crossover") ?? 0
  if (parents === 1 && crossover > 0 && notes.isGiven(path("crossover"), crossover, [])) {
    notes.warning(
      path("crossover"),
      `got ${crossover}, which has no effect: a crossover needs 2 parents, and parents is 1`
    )
  }
}

const differentiable: ComponentRule = (notes, options, config) => {
  const path = (...keys: Path): Path => ["searchStrategy", ...keys]
  const warm = numberAt(options, "warmupEpochs") ?? 0
  const epochs = config.supernetTraining?.epochs
  if (options["learn"] === "training") {
    if (epochs !== undefined && warm >= epochs && mayHave(config, "supernetTraining")) {
      notes.mistake(
        path("warmupEpochs"),
        `got ${warm}; expected less than supernetTraining.epochs, which is ${epochs}: the search would never learn`
      )
    }
    if (notes.isGiven(path("epochs"), options["epochs"], [10])) {
      notes.warning(path("epochs"), `got ${options["epochs"]}, which has no effect with learn: training`)
    }
  } else {
    for (const key of ["warmupEpochs", "everySteps"]) {
      if (notes.isGiven(path(key), options[key], [1])) {
        notes.warning(path(key), `got ${options[key]}, which has no effect with learn: searching`)
      }
    }
  }
  const temperature = options["temperature"]
  const [initial, final] = isRecord(temperature)
    ? [numberAt(temperature, "initial") ?? 0, numberAt(temperature, "final") ?? 0]
    : [0, 0]
  if (final > initial) {
    notes.warning(
      path("temperature", "final"),
      `got ${final}: the temperature rises, from ${initial}; it is meant to fall`
    )
  }
  optimizer(notes, path("optimizer"), options["optimizer"] as OptimizerConfig)
}

const architectureGenerator: ComponentRule = (notes, options, { budget }) => {
  const path = (key: string): Path => ["searchStrategy", key]
  const [lowest, highest] = [numberAt(options, "lowest"), numberAt(options, "highest")]
  if (lowest !== undefined && highest !== undefined && lowest > highest) {
    notes.mistake(path("lowest"), `got ${lowest}; expected at most searchStrategy.highest, which is ${highest}`)
  } else if (lowest !== undefined && lowest > budget.max) {
    notes.warning(path("lowest"), `got ${lowest}: it learns only targets above budget.max, which is ${budget.max}`)
  } else if (highest !== undefined && highest < budget.min) {
    notes.warning(path("highest"), `got ${highest}: it learns only targets below budget.min, which is ${budget.min}`)
  }
  const [first, last] = [numberAt(options, "temperature") ?? 0, numberAt(options, "finalTemperature") ?? 0]
  if (last > first) {
    notes.warning(path("finalTemperature"), `got ${last}: the temperature rises, from ${first}; it is meant to fall`)
  }
  optimizer(notes, path("optimizer"), options["optimizer"] as OptimizerConfig)
}

/** Balanced batches in which there is nothing to compare. */
const balanced = (notes: Notes, options: Options, criterion: string): void => {
  const [people, perIdentity] = [numberAt(options, "peopleLimit"), numberAt(options, "perIdentity") ?? 0]
  if (people === 1 && perIdentity > 0) {
    notes.mistake(
      ["dataflow", "peopleLimit"],
      "got 1; expected 2 or more, because balanced batches (perIdentity) mix people"
    )
  }
  if (perIdentity === 1 && criterion === "triplet") {
    notes.mistake(
      ["dataflow", "perIdentity"],
      "got 1; expected 2 or more, or 0 for shuffled batches: a triplet needs two images of one person, and each batch would have one per person"
    )
  }
}

/** Augmentation that leaves nothing of an image, or sizes that do not fit. */
const images: ComponentRule = (notes, options, { criterion }) => {
  const path = (key: string): Path => ["dataflow", key]
  balanced(notes, options, criterion.name)
  const size = numberAt(options, "size")
  if (size === undefined) return
  const [crop, cutout] = [numberAt(options, "crop") ?? 0, numberAt(options, "cutout") ?? 0]
  if (crop >= size) {
    notes.mistake(
      path("crop"),
      `got ${crop}; expected less than dataflow.size, which is ${size}: a crop could miss the image altogether`
    )
  }
  if (cutout > size) {
    notes.mistake(path("cutout"), `got ${cutout}; expected at most dataflow.size, which is ${size}`)
  } else if (cutout === size) {
    notes.warning(
      path("cutout"),
      `got ${cutout}, the side of the images: the square covers at least a quarter of each image, and up to all of it`
    )
  }
  const side = numberAt(options, "evaluationSide")
  if (side !== undefined && side < size) {
    notes.mistake(path("evaluationSide"), `got ${side}; expected at least dataflow.size, which is ${size}`)
  }
}

const rules: { readonly [K in Kind]?: Readonly<Record<string, ReadonlyArray<ComponentRule>>> } = {
  searchStrategy: {
    evolution: [evolution],
    "softmax-differentiable": [differentiable],
    "gumbel-softmax-differentiable": [differentiable],
    "architecture-generator": [architectureGenerator]
  },
  dataflow: {
    "fashion-mnist": [images],
    cifar10: [images],
    cifar100: [images],
    "image-folder": [images],
    "face-folder": [images]
  }
}

/** Rules about the options of a component that ships. */
export const ofComponent = (
  kind: Kind,
  name: string,
  options: Options,
  config: RunConfig,
  source: ConfigFile.ConfigSource
): Findings =>
  gather(source, (notes) => {
    const found = rules[kind] ?? {}
    for (const rule of Object.hasOwn(found, name) ? (found[name] ?? []) : []) rule(notes, options, config)
  })
