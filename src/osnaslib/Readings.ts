/** How keys of OSNASLib's configurations become values here: the kinds of rows in the table of keys. */

/** A mapping of a configuration. */
export type Mapping = Readonly<Record<string, unknown>>

export const isMapping = (value: unknown): value is Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What an old configuration is for: a search with a supernet, or an evaluation, which trains the found architecture. */
export type Purpose = "search" | "evaluate"

/** Access to an old configuration. */
export interface Old {
  readonly purpose: Purpose
  /** The value of a key such as `train.epochs`; undefined if it is missing, null or empty. */
  readonly get: (key: string) => unknown
  /** The value of a key if it is a finite number. */
  readonly number: (key: string) => number | undefined
  readonly isFace: boolean
  readonly searcher: string
}

/** What a value becomes: values by path here, and a remark. */
export interface Reading {
  readonly set?: ReadonlyArray<readonly [path: string, value: unknown]>
  readonly say?: string
}

/** One key of OSNASLib. */
export interface KeyRow {
  /** `search_utility.target_hc` */
  readonly key: string
  /** The paths here that it decides; empty: it has no equivalent. */
  readonly here: ReadonlyArray<string>
  /** Values and units, or why it has no equivalent. */
  readonly about: string
  /** Names that the key takes, and the names here. */
  readonly names?: Readonly<Record<string, string>>
  /** Default: every path gets the value unchanged; a key without paths is listed with its reason. */
  readonly read?: (value: unknown, old: Old) => Reading
}

export const none = (key: string, about: string): KeyRow => ({ key, here: [], about })

const million = 1e6

/** Rounds away the error of binary fractions in a product of decimals. */
export const tidy = (value: number): number => Number(value.toPrecision(12))

/** Factor from OSNASLib's unit of the metric to ours: FLOPs are in millions there, latency in seconds. */
const metricScale = (old: Old): number => {
  const metric = old.get("search_utility.info_metric")
  return metric === "latency" ? 1000 : metric === "param" ? 1 : million
}

export const onMetric = (old: Old, value: number): number => tidy(value * metricScale(old))

export const asNumber = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value)
    ? value
    : typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))
      ? Number(value)
      : undefined

/** The phases here that the training of an old file becomes. */
export const phases = ({ purpose }: Old): ReadonlyArray<string> =>
  purpose === "search" ? ["supernetTraining", "retraining"] : ["retraining"]

/** A row of both training phases. */
export const training = (
  key: string,
  path: string,
  about: string,
  convert: (value: unknown) => unknown = (x) => x
): KeyRow => ({
  key,
  here: [`supernetTraining.${path}`, `retraining.${path}`],
  about,
  read: (value, old) => ({ set: phases(old).map((phase) => [`${phase}.${path}`, convert(value)] as const) })
})

/** A row whose values are names. */
export const named = (
  key: string,
  path: string,
  names: Readonly<Record<string, string>>,
  about: string,
  also: ReadonlyArray<string> = [],
  more: (value: string, old: Old) => Reading = () => ({})
): KeyRow => ({
  key,
  here: [path, ...also],
  about,
  names,
  read: (value, old) => {
    const name = Object.hasOwn(names, String(value)) ? names[String(value)] : undefined
    if (name === undefined) {
      return {
        say: `${JSON.stringify(value)} is not one of OSNASLib's (${Object.keys(names).join(", ")}), so it is your own; generate its counterpart with osnas generate`
      }
    }
    const { say, set = [] } = more(String(value), old)
    return { set: [[path, name], ...set], ...(say === undefined ? {} : { say }) }
  }
})

export const searchers = {
  RandomSearcher: "random",
  EvolutionSearcher: "evolution",
  DifferentiableSearcher: "softmax-differentiable",
  ArchitectureGeneratorSearcher: "architecture-generator"
}

const isLearning = ({ searcher }: Old): boolean =>
  searcher === "DifferentiableSearcher" || searcher === "ArchitectureGeneratorSearcher"

export const onlyFor = (which: string, searcher: string, set: (value: number, old: Old) => Reading["set"]) =>
  ((value, old) => {
    const number = asNumber(value)
    if (old.searcher !== searcher)
      return { say: `only ${which} reads it, and ${old.searcher || "no search"} is chosen` }
    if (number === undefined) return { say: `${JSON.stringify(value)} is not a number` }
    const readings = set(number, old)
    return readings === undefined ? {} : { set: readings }
  }) satisfies KeyRow["read"]

export const learning = (
  key: string,
  path: string,
  about: string,
  convert: (value: unknown) => unknown = (x) => x
): KeyRow => ({
  key,
  here: [`searchStrategy.${path}`],
  about,
  read: (value, old) =>
    isLearning(old)
      ? { set: [[`searchStrategy.${path}`, convert(value)]] }
      : { say: `only gradient-based searchers read it, and ${old.searcher || "no search"} is chosen` }
})

/** Number of architectures that an evolution scores: the first generation, and the offspring of each later one. */
export const evolutionSize = (old: Old): number => {
  const population = old.number("search_utility.population_num") ?? 50
  const parents = old.number("search_utility.parent_num") ?? 10
  const generations = old.number("search_utility.generation_num") ?? 0
  return population + generations * Math.max(population - parents, 0)
}

const folderIn = (path: unknown, ...parts: ReadonlyArray<string>): string =>
  [
    String(path)
      .replace(/^\.\/(?=.)/, "")
      .replace(/\/+$/, ""),
    ...parts
  ].join("/")

/** The dataset in a folder, with settings that are constants in OSNASLib's code. */
export const dataflowOf = (name: string, old: Old): Reading => {
  const folder = old.get("dataset.dataset_path") ?? "./data/"
  const size = old.number("dataset.input_size")
  switch (name) {
    case "cifar10":
    case "cifar100":
      return {
        set: [
          ["dataflow.folder", folderIn(folder, name)],
          ["dataflow.mean", [0.49139968, 0.48215827, 0.44653124]],
          ["dataflow.std", [0.203, 0.1994, 0.201]]
        ],
        say: "read from the official binary files, not from torchvision's pickles: put the archive there, or add dataflow.download: true. Means and deviations are those of OSNASLib's code"
      }
    case "imagenet":
      return {
        set: [
          ["dataflow.folder", folderIn(folder)],
          ["dataflow.area", [0.2, 1]],
          ...(size === undefined ? [] : ([["dataflow.evaluationSide", size + 32]] as const))
        ],
        say: "its folder val is the test set here (OSNASLib has a third folder, test); architectures are scored on part of the training images"
      }
    default:
      return {
        set: [
          ["dataflow.folder", folderIn(folder, "face/train/CASIA-WebFace")],
          ["dataflow.testFolder", folderIn(folder, "face/test/LFW")],
          ["dataflow.pairs", folderIn(folder, "face/test/LFW/pairs.txt")],
          // OSNASLib draws 32 people per batch of any size.
          ...(name === "face_triplet"
            ? ([
                ["dataflow.perIdentity", Math.max(2, Math.floor((old.number("dataset.batch_size") ?? 64) / 32))]
              ] as const)
            : [])
        ],
        say: "LFW is read as images with pairs.txt, one folder per person; OSNASLib reads arrays of pairs, data.npy and label.npy"
      }
  }
}

export const runFolder = "it is in the run folder (--dir, runs/<name>)"
