/** How a key of OSNASLib's configurations becomes values here: the kinds of rows that the table of keys is made of. */

/** A mapping of a configuration. */
export type Mapping = Readonly<Record<string, unknown>>

export const isMapping = (value: unknown): value is Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What an old configuration is for: search (with a supernet), or evaluation (training of what was found). */
export type Purpose = "search" | "evaluate"

/** An old configuration, as its keys are read. */
export interface Old {
  readonly purpose: Purpose
  /** The value of `train.epochs`; undefined where it is missing, null or an empty text. */
  readonly get: (key: string) => unknown
  /** A finite number of that key. */
  readonly number: (key: string) => number | undefined
  readonly isFace: boolean
  readonly searcher: string
}

/** What a value becomes: values by path here, and what is to be said about it. */
export interface Reading {
  readonly set?: ReadonlyArray<readonly [path: string, value: unknown]>
  readonly say?: string
}

/** One key of OSNASLib. */
export interface KeyRow {
  /** `search_utility.target_hc` */
  readonly key: string
  /** The paths here that it decides; empty: nothing here corresponds. */
  readonly here: ReadonlyArray<string>
  /** Values and units; or why nothing corresponds. */
  readonly about: string
  /** Names that are values of the key, and theirs here. */
  readonly names?: Readonly<Record<string, string>>
  /** Default: every path here gets the value as it is, and a key without paths is told with its reason. */
  readonly read?: (value: unknown, old: Old) => Reading
}

export const none = (key: string, about: string): KeyRow => ({ key, here: [], about })

const million = 1e6

/** A product of decimals without the tail that binary fractions leave. */
export const tidy = (value: number): number => Number(value.toPrecision(12))

/** Numbers a metric is told in there, in units of here: FLOPs and their budget in millions, latency in seconds. */
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

/** The phase that an old file's training is here. */
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
        say: `${JSON.stringify(value)} is none of OSNASLib's own (${Object.keys(names).join(", ")}): a component of yours; osnas generate makes its counterpart`
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
    if (number === undefined) return { say: `${JSON.stringify(value)} is no number` }
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
      : { say: `only searchers that learn read it, and ${old.searcher || "no search"} is chosen` }
})

/** How many candidates an evolution scores in all: the first generation, then the offspring of each. */
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

/** Which data set a folder holds, and what of its treatment was written in the code. */
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
        say: "its folder val is the test set here (OSNASLib has a third folder, test); candidates are scored on a part of the training images"
      }
    default:
      return {
        set: [
          ["dataflow.folder", folderIn(folder, "face/train/CASIA-WebFace")],
          ["dataflow.testFolder", folderIn(folder, "face/test/LFW")],
          ["dataflow.pairs", folderIn(folder, "face/test/LFW/pairs.txt")],
          // OSNASLib draws 32 people a batch, whatever its size.
          ...(name === "face_triplet"
            ? ([
                ["dataflow.perIdentity", Math.max(2, Math.floor((old.number("dataset.batch_size") ?? 64) / 32))]
              ] as const)
            : [])
        ],
        say: "LFW is read as images with pairs.txt, one folder a person; OSNASLib reads arrays of pairs, data.npy and label.npy"
      }
  }
}

export const runFolder = "a run keeps it in its folder (--dir, runs/<name>)"
