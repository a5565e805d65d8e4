/**
 * Configurations of OSNASLib, key by key: what each is called here, or why nothing here corresponds. One table is both
 * what `osnas import-config` goes by and what the documentation shows, so the two cannot disagree.
 */

import { imageNetSide } from "../search-space/MacroSpace.ts"

/** A mapping of a configuration. */
type Mapping = Readonly<Record<string, unknown>>

const isMapping = (value: unknown): value is Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What an old configuration is for: search (with a supernet), or evaluation (training of what was found). */
export type Purpose = "search" | "evaluate"

/** An old configuration, as its keys are read. */
interface Old {
  readonly purpose: Purpose
  /** The value of `train.epochs`; undefined where it is missing, null or an empty text. */
  readonly get: (key: string) => unknown
  /** A finite number of that key. */
  readonly number: (key: string) => number | undefined
  readonly isFace: boolean
  readonly searcher: string
}

/** What a value becomes: values by path here, and what is to be said about it. */
interface Reading {
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

const none = (key: string, about: string): KeyRow => ({ key, here: [], about })

const million = 1e6

/** A product of decimals without the tail that binary fractions leave. */
const tidy = (value: number): number => Number(value.toPrecision(12))

/** Numbers a metric is told in there, in units of here: FLOPs and their budget in millions, latency in seconds. */
const metricScale = (old: Old): number => {
  const metric = old.get("search_utility.info_metric")
  return metric === "latency" ? 1000 : metric === "param" ? 1 : million
}

const onMetric = (old: Old, value: number): number => tidy(value * metricScale(old))

const asNumber = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value)
    ? value
    : typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))
      ? Number(value)
      : undefined

/** The phase that an old file's training is here. */
const phases = ({ purpose }: Old): ReadonlyArray<string> =>
  purpose === "search" ? ["supernetTraining", "retraining"] : ["retraining"]

/** A row of both training phases. */
const training = (
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
const named = (
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

const searchers = {
  RandomSearcher: "random",
  EvolutionSearcher: "evolution",
  DifferentiableSearcher: "softmax-differentiable",
  ArchitectureGeneratorSearcher: "architecture-generator"
}

const isLearning = ({ searcher }: Old): boolean =>
  searcher === "DifferentiableSearcher" || searcher === "ArchitectureGeneratorSearcher"

const onlyFor = (which: string, searcher: string, set: (value: number, old: Old) => Reading["set"]) =>
  ((value, old) => {
    const number = asNumber(value)
    if (old.searcher !== searcher)
      return { say: `only ${which} reads it, and ${old.searcher || "no search"} is chosen` }
    if (number === undefined) return { say: `${JSON.stringify(value)} is no number` }
    const readings = set(number, old)
    return readings === undefined ? {} : { set: readings }
  }) satisfies KeyRow["read"]

const learning = (
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
const evolutionSize = (old: Old): number => {
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
const dataflowOf = (name: string, old: Old): Reading => {
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

const runFolder = "a run keeps it in its folder (--dir, runs/<name>)"

/** All keys that OSNASLib's code or configurations know, in the order of its files. */
export const keys: ReadonlyArray<KeyRow> = [
  {
    key: "agent.main_agent",
    here: ["trainingAgent.name", "stopAfter", "start.architecture"],
    about: "the task; the search agents end after the search, the evaluate agents begin with an architecture",
    names: {
      CFSearchAgent: "classification",
      CFEvaluateAgent: "classification",
      FRSearchAgent: "face-recognition",
      FREvaluateAgent: "face-recognition"
    },
    read: (value, { purpose }) => {
      const task = /^CF(Search|Evaluate)Agent$/.test(String(value))
        ? "classification"
        : /^FR(Search|Evaluate)Agent$/.test(String(value))
          ? "face-recognition"
          : undefined
      if (task === undefined)
        return {
          say: `${JSON.stringify(value)} is an agent of yours; osnas generate training-agent makes its counterpart`
        }
      return {
        set: [["trainingAgent.name", task], ...(purpose === "search" ? ([["stopAfter", "searching"]] as const) : [])]
      }
    }
  },
  named(
    "agent.training_strategy_agent",
    "trainingStrategy.name",
    { UniformSampler: "uniform", FairnessSampler: "fair", DifferentiableSampler: "differentiable" },
    "which paths a step trains; `fair` with `update: step` is OSNASLib's variant, `cycle` the published one",
    ["trainingStrategy.update"],
    (value) => (value === "FairnessSampler" ? { set: [["trainingStrategy.update", "step"]] } : {})
  ),
  named(
    "agent.search_strategy_agent",
    "searchStrategy.name",
    searchers,
    "who looks for the architecture; what OSNASLib has in its code is written out",
    ["mutation", "learn", "warmupEpochs", "batchSize", "cost.form"].map((name) => `searchStrategy.${name}`),
    (value, old) =>
      value === "EvolutionSearcher"
        ? { set: [["searchStrategy.mutation", 0.1]] }
        : value === "DifferentiableSearcher"
          ? {
              set: [
                ["searchStrategy.learn", "training"],
                ["searchStrategy.warmupEpochs", 0],
                ["searchStrategy.batchSize", old.number("dataset.batch_size") ?? 64],
                ["searchStrategy.cost.form", "squared"]
              ]
            }
          : value === "ArchitectureGeneratorSearcher"
            ? { set: [["searchStrategy.batchSize", old.number("dataset.batch_size") ?? 64]] }
            : {}
  ),
  named(
    "agent.search_space_agent",
    "searchSpace.name",
    {
      ProxylessNAS: "proxylessnas",
      FBNetS: "fbnet-s",
      FBNetL: "fbnet-l",
      SPOS: "spos",
      MobileFaceNet: "mobilefacenet",
      SGNAS: "sgnas"
    },
    "the candidate networks; OSNASLib has the same strides for every size of image, kept by `searchSpace.strides`",
    ["searchSpace.strides"],
    (value, old) => {
      const strides = value === "MobileFaceNet" ? "large" : "small"
      const size = old.number("dataset.input_size") ?? 32
      // Its 7x7 convolution is padded in OSNASLib, and covers the whole image here, as published: no weights differ.
      if (strides === (size >= imageNetSide ? "large" : "small")) return {}
      return {
        set: [["searchSpace.strides", strides]],
        say: `at ${size} pixels the space here has other strides than OSNASLib, which has the same for every size; searchSpace.strides keeps OSNASLib's, and with them the costs and the meaning of its weights. Without it the image is halved once ${strides === "small" ? "more early on, as published" : "less"}`
      }
    }
  ),
  named(
    "agent.criterion_agent",
    "criterion.name",
    {
      LabelSmoothingCrossEntropy: "cross-entropy",
      CrossEntropyLoss: "cross-entropy",
      FocalLoss: "focal",
      OnlineTripletLoss: "triplet",
      FaceCELoss: "angular"
    },
    "the loss; label smoothing is 0.1 in OSNASLib's code and `criterion.labelSmoothing` here",
    ["labelSmoothing", "negatives", "normalise"].map((name) => `criterion.${name}`),
    (value, old) => {
      if (value === "LabelSmoothingCrossEntropy") return { set: [["criterion.labelSmoothing", 0.1]] }
      if (value === "CrossEntropyLoss") return { set: [["criterion.labelSmoothing", 0]] }
      if (value === "OnlineTripletLoss") {
        return {
          set: [
            ["criterion.negatives", "random-hard"],
            ["criterion.normalise", old.get("criterion.normalize") === true]
          ]
        }
      }
      return {}
    }
  ),
  {
    key: "agent.hc_criterion_agent",
    here: ["searchStrategy.cost.form"],
    about:
      "`MSELoss`: the squared distance of the cost from the target, which is `squared` here; the generator has no other",
    read: (value, old) =>
      value !== "MSELoss"
        ? { say: `${JSON.stringify(value)}: the cost terms here are those of searchStrategy.cost.form` }
        : old.searcher === "DifferentiableSearcher"
          ? { set: [["searchStrategy.cost.form", "squared"]] }
          : {}
  },

  {
    key: "search_utility.directly_search",
    here: ["start.supernet"],
    about: "true: no training of the supernet; its weights come from the file of `experiment_path.resume_path`",
    read: () => ({})
  },
  {
    key: "search_utility.random_iteration",
    here: ["searchStrategy.evaluations"],
    about: "architectures that a random search scores",
    read: onlyFor("RandomSearcher", "RandomSearcher", (value) => [["searchStrategy.evaluations", Math.max(1, value)]])
  },
  {
    key: "search_utility.generation_num",
    here: ["searchStrategy.evaluations"],
    about:
      "generations of the evolution; here all its candidates are counted: population + generations × (population − parents)",
    read: (value, old) =>
      old.searcher === "EvolutionSearcher" && asNumber(value) === 0
        ? {
            set: [["searchStrategy.evaluations", evolutionSize(old)]],
            say: "0 generations: the best of a random population, and no evolution at all; more searchStrategy.evaluations make it one"
          }
        : onlyFor("EvolutionSearcher", "EvolutionSearcher", () => [["searchStrategy.evaluations", evolutionSize(old)]])(
            value,
            old
          )
  },
  {
    key: "search_utility.population_num",
    here: ["searchStrategy.initial", "searchStrategy.offspring"],
    about: "the first generation; later ones have as many less the parents",
    read: onlyFor("EvolutionSearcher", "EvolutionSearcher", (value, old) => [
      ["searchStrategy.initial", value],
      ["searchStrategy.offspring", Math.max(1, value - (old.number("search_utility.parent_num") ?? 10))]
    ])
  },
  {
    key: "search_utility.parent_num",
    here: ["searchStrategy.parents"],
    about: "how many of the best become parents",
    read: onlyFor("EvolutionSearcher", "EvolutionSearcher", (value) => [["searchStrategy.parents", value]])
  },
  named(
    "search_utility.info_metric",
    "budget.metric",
    { flops: "flops", param: "params", latency: "latency" },
    "what is budgeted; FLOPs are multiply-accumulates in both",
    [],
    (value) =>
      value === "latency"
        ? {
            say: "latency is measured anew, on this machine and engine, in milliseconds (there: seconds of one cold forward pass)"
          }
        : {}
  ),
  {
    key: "search_utility.target_hc",
    here: ["budget.max", "budget.min"],
    about:
      "the budget: millions of FLOPs there, single ones here (`300e6`); evolution there also asks for no less than the target less 20 units",
    read: (value, old) => {
      const target = asNumber(value)
      if (target === undefined) return { say: `${JSON.stringify(value)} is no number` }
      const least = old.searcher === "EvolutionSearcher" ? Math.max(0, target - 20) : 0
      return {
        set: [
          ["budget.max", onMetric(old, target)],
          ...(least > 0 ? ([["budget.min", onMetric(old, least)]] as const) : [])
        ]
      }
    }
  },
  {
    key: "search_utility.lowest_hardware_constraint",
    here: ["searchStrategy.lowest"],
    about: "least target the generator learns, in the unit of `target_hc`",
    read: onlyFor("ArchitectureGeneratorSearcher", "ArchitectureGeneratorSearcher", (value, old) => [
      ["searchStrategy.lowest", onMetric(old, value)]
    ])
  },
  {
    key: "search_utility.highest_hardware_constraint",
    here: ["searchStrategy.highest"],
    about: "largest target the generator learns, in the unit of `target_hc`",
    read: onlyFor("ArchitectureGeneratorSearcher", "ArchitectureGeneratorSearcher", (value, old) => [
      ["searchStrategy.highest", onMetric(old, value)]
    ])
  },
  {
    key: "search_utility.prior_pool_size",
    here: ["searchStrategy.priors"],
    about: "architectures in the generator's prior pool",
    read: onlyFor("ArchitectureGeneratorSearcher", "ArchitectureGeneratorSearcher", (value) => [
      ["searchStrategy.priors", value]
    ])
  },

  {
    key: "generator.hc_dim",
    here: ["searchStrategy.targetPlanes"],
    about: "planes that encode the target cost",
    read: onlyFor("ArchitectureGeneratorSearcher", "ArchitectureGeneratorSearcher", (value) => [
      ["searchStrategy.targetPlanes", value]
    ])
  },
  {
    key: "generator.tau_decay",
    here: ["searchStrategy.temperature", "searchStrategy.finalTemperature"],
    about:
      "the temperature begins with 5 and is multiplied by it after every epoch; here first and last temperature are given",
    read: onlyFor("ArchitectureGeneratorSearcher", "ArchitectureGeneratorSearcher", (value, old) => {
      const epochs = old.number("generator.epochs") ?? 20
      return [
        ["searchStrategy.temperature", 5],
        ["searchStrategy.finalTemperature", Number((5 * value ** Math.max(epochs - 1, 0)).toPrecision(4))]
      ]
    })
  },
  {
    key: "generator.epochs",
    here: ["searchStrategy.epochs"],
    about: "passes of the generator over the validation images",
    read: onlyFor("ArchitectureGeneratorSearcher", "ArchitectureGeneratorSearcher", (value) => [
      ["searchStrategy.epochs", value]
    ])
  },

  {
    key: "train.resume",
    here: ["start.supernet"],
    about:
      "true, in a search: go on from the weights of `experiment_path.resume_path`; a run of its own goes on by `osnas resume DIR`",
    read: (value, old) =>
      value === true && old.purpose === "evaluate"
        ? { say: "a run that stopped goes on by osnas resume DIR; trained weights are evaluated with start.network" }
        : {}
  },
  {
    key: "train.random_seed",
    here: ["seed"],
    about: "decides every bit here; null there: no seed, 0 here",
    read: (value) => ({ set: [["seed", Math.abs(Math.trunc(asNumber(value) ?? 0))]] })
  },
  {
    key: "train.device",
    here: ["engine.name"],
    about: "`cuda` and `cpu` become `auto`: the best engine that is present",
    read: () => ({ set: [["engine.name", "auto"]] })
  },
  none("train.ngpu", "one run works on one engine, with as many threads as there are cores (`engine.threads`)"),
  {
    ...training("train.epochs", "epochs", "supernet training and retraining have their own"),
    read: (value, old) => {
      const epochs = asNumber(value) ?? 1
      const set = phases(old).map((phase) => [`${phase}.epochs`, Math.max(1, epochs)] as const)
      return epochs < 1
        ? { set, say: `${epochs} epochs: no training; 1 stands here, and start.supernet skips it` }
        : { set }
    }
  },
  none(
    "train.bn_track_running_stats",
    "statistics are always tracked, and gathered anew for every candidate (`estimator.recalibration`; 0 takes the supernet's)"
  ),
  training("train.bn_momentum", "bnMomentum", "weight of a new batch in the running statistics"),

  {
    key: "criterion.normalize",
    here: ["trainingAgent.normalise", "criterion.normalise"],
    about: "unit embeddings when pairs are verified; the triplet loss can have them too",
    read: (value, { isFace }) =>
      isFace ? { set: [["trainingAgent.normalise", value === true]] } : { say: "only face recognition reads it" }
  },
  none(
    "criterion.embedding_channels",
    "the length of an embedding is said once, in `trainingAgent.dimension` (`dataset.classes`)"
  ),
  none("criterion.training_classes", "identities are counted in the data"),
  {
    key: "criterion.margin",
    here: ["criterion.margin"],
    about: "margin of the triplet loss; FaceCELoss has none",
    read: (value, old) =>
      old.get("agent.criterion_agent") === "OnlineTripletLoss"
        ? { set: [["criterion.margin", value]] }
        : { say: `only OnlineTripletLoss reads it, and ${old.get("agent.criterion_agent")} is chosen` }
  },
  ...(["alpha", "gamma"] as const).map(
    (name): KeyRow => ({
      key: `criterion.${name}`,
      here: [`criterion.${name}`],
      about: "of the focal loss",
      read: (value, old) =>
        old.get("agent.criterion_agent") === "FocalLoss"
          ? { set: [[`criterion.${name}`, value]] }
          : { say: `only FocalLoss reads it, and ${old.get("agent.criterion_agent")} is chosen` }
    })
  ),
  none("criterion.hc_weight", "OSNASLib does not read it; the weight of the cost is `arch_optim.a_hc_weight`"),

  named(
    "dataset.dataset",
    "dataflow.name",
    {
      cifar10: "cifar10",
      cifar100: "cifar100",
      imagenet: "image-folder",
      face_triplet: "face-folder",
      face_angular: "face-folder"
    },
    "what OSNASLib has in its code is written out; `face_triplet` draws balanced batches of 32 people",
    ["folder", "testFolder", "pairs", "perIdentity", "mean", "std", "area", "evaluationSide"].map(
      (name) => `dataflow.${name}`
    ),
    dataflowOf
  ),
  {
    key: "dataset.dataset_path",
    here: ["dataflow.folder", "dataflow.testFolder", "dataflow.pairs"],
    about: "the folder of all data there, of the one data set here",
    read: () => ({})
  },
  {
    key: "dataset.classes",
    here: ["trainingAgent.dimension"],
    about: "faces: length of the embedding; classes are counted in the data",
    read: (value, { isFace }) => (isFace ? { set: [["trainingAgent.dimension", value]] } : {})
  },
  { key: "dataset.input_size", here: ["dataflow.size"], about: "side of the images in pixels" },
  training("dataset.batch_size", "batchSize", "images a step"),
  {
    key: "dataset.num_workers",
    here: ["dataflow.workers", "dataflow.prefetch"],
    about: "worker threads of folders of images; data sets in memory have one; 0: none ahead",
    read: (value, old) => {
      const workers = asNumber(value) ?? 0
      if (workers <= 0) return { set: [["dataflow.prefetch", 0]] }
      return String(old.get("dataset.dataset")).startsWith("cifar")
        ? {}
        : { set: [["dataflow.workers", Math.min(workers, 64)]] }
    }
  },
  {
    key: "dataset.train_portion",
    here: ["dataflow.supernetFraction"],
    about:
      "share of the training images that trains the supernet, drawn by key and of every class alike; 1, in evaluation: all, as here",
    read: (value) => {
      const portion = asNumber(value)
      return portion !== undefined && portion > 0 && portion < 1
        ? { set: [["dataflow.supernetFraction", portion]] }
        : {}
    }
  },

  training("optim.optimizer", "optimizer.name", "`sgd`, `adam`, `rmsprop` in both"),
  training("optim.lr", "optimizer.learningRate", ""),
  training("optim.weight_decay", "optimizer.weightDecay", "", (value) => asNumber(value) ?? value),
  training("optim.momentum", "optimizer.momentum", ""),
  training("optim.alpha", "optimizer.alpha", "of rmsprop"),
  {
    ...training("optim.beta", "optimizer.beta1", "the first of Adam's two"),
    read: (value, old) =>
      old.get("optim.optimizer") === "adam"
        ? { set: phases(old).map((phase) => [`${phase}.optimizer.beta1`, value] as const) }
        : {}
  },
  training("optim.scheduler", "schedule.name", "`cosine`, `step` in both"),
  training("optim.decay_step", "schedule.stepEpochs", "epochs between two decays of `step`"),
  training("optim.decay_ratio", "schedule.decay", "factor of a decay of `step`"),

  {
    key: "arch_optim.a_hc_weight",
    here: ["searchStrategy.cost.weight", "searchStrategy.costWeight"],
    about:
      "weight of the squared distance from the target: in squared millions there; here of the distance over the target, or, for the generator, over its range of targets",
    read: (value, old) => {
      const weight = asNumber(value)
      if (weight === undefined) return {}
      if (old.searcher === "DifferentiableSearcher") {
        const target = old.number("search_utility.target_hc") ?? 1
        return { set: [["searchStrategy.cost.weight", tidy(weight * target ** 2)]] }
      }
      if (old.searcher === "ArchitectureGeneratorSearcher") {
        const lowest = old.number("search_utility.lowest_hardware_constraint") ?? 0
        const highest = old.number("search_utility.highest_hardware_constraint") ?? lowest + 1
        return { set: [["searchStrategy.costWeight", tidy(weight * (highest - lowest) ** 2)]] }
      }
      return { say: `only searchers that learn read it, and ${old.searcher || "no search"} is chosen` }
    }
  },
  none("arch_optim.hc_weight", "OSNASLib does not read it; the weight of the cost is `arch_optim.a_hc_weight`"),
  learning("arch_optim.a_optimizer", "optimizer.name", "of the architecture's parameters, or of the generator"),
  learning("arch_optim.a_lr", "optimizer.learningRate", ""),
  learning("arch_optim.a_weight_decay", "optimizer.weightDecay", ""),
  learning("arch_optim.a_momentum", "optimizer.momentum", ""),
  learning("arch_optim.a_alpha", "optimizer.alpha", "of rmsprop"),
  learning("arch_optim.a_beta", "optimizer.beta1", "the first of Adam's two"),

  none("logs_path.logger_path", runFolder),
  none("logs_path.writer_path", `${runFolder}: \`events.jsonl\`, \`report.html\``),

  {
    key: "experiment_path.resume_path",
    here: ["start.supernet"],
    about: "with `search_utility.directly_search`: the trained supernet, brought here by `osnas import-weights`",
    read: (value, old) => {
      if (old.purpose !== "search" || old.get("search_utility.directly_search") !== true) return {}
      const path = String(value).replace(/\.(pt|pth)$/, "")
      return {
        set: [["start.supernet", `${path}.safetensors`]],
        say: `write ${value} as safetensors, then: osnas import-weights FILE --space NAME --supernet --out ${path}.safetensors`
      }
    }
  },
  none("experiment_path.checkpoint_root_path", `${runFolder}: \`checkpoints/\``),
  none(
    "experiment_path.best_checkpoint_path",
    `${runFolder}: \`network.safetensors\`; the last epoch counts, not the one that was best on the test images`
  ),
  none(
    "experiment_path.lookup_table_path",
    `${runFolder}: \`lookup-table.json\`, made anew (\`budget.lookupTable\` names one of ours)`
  ),
  {
    key: "experiment_path.searched_model_path",
    here: ["start.architecture"],
    about: "evaluation begins with the architecture of this file; here with its digits",
    read: (value, { purpose }) =>
      purpose === "evaluate" ? { say: `give the digits of ${value} with --arch (or that file itself)` } : {}
  },
  ...[
    "best_loss_generator_checkpoint_path",
    "best_acc_generator_checkpoint_path",
    "final_generator_checkpoint_path",
    "generator_evaluate_path"
  ].map((name) => none(`experiment_path.${name}`, `${runFolder}: the trained generator and its figures`))
]

const byKey: ReadonlyMap<string, KeyRow> = new Map(keys.map((row) => [row.key, row]))

/** A default of ours that is not what OSNASLib does. */
export interface Difference {
  readonly path: string
  readonly here: unknown
  readonly there: string
}

/** Defaults that a converted configuration leaves as they are here, though OSNASLib does otherwise. */
export const differences: ReadonlyArray<Difference> = [
  {
    path: "estimator.recalibration",
    here: 4,
    there: "0: candidates are scored with the supernet's statistics, which all paths share"
  },
  { path: "estimator.batchSize", here: 250, there: "dataset.batch_size" },
  {
    path: "searchStrategy.crossover",
    here: 0.5,
    there: "every offspring of the evolution is crossed over and then mutated, and drawn again until its cost fits"
  },
  { path: "evaluation.batchSize", here: 250, there: "dataset.batch_size" },
  { path: "checkpoint.keep", here: 2, there: "a checkpoint of every epoch" }
]

/** Something to know about a converted configuration. */
export interface Note {
  readonly kind: "nothing here" | "remark" | "unknown" | "conflict" | "different default"
  readonly key: string
  readonly text: string
}

/** A converted configuration and what is to be said about it. */
export interface Conversion {
  readonly config: Mapping
  readonly notes: ReadonlyArray<Note>
}

const order = [
  "name",
  "seed",
  "engine",
  "dataflow",
  "searchSpace",
  "budget",
  "criterion",
  "trainingAgent",
  "trainingStrategy",
  "supernetTraining",
  "searchStrategy",
  "estimator",
  "retraining",
  "start",
  "stopAfter"
]

const place = (into: Record<string, unknown>, path: string, value: unknown): void => {
  const [head = "", ...rest] = path.split(".")
  if (rest.length === 0) {
    into[head] = value
    return
  }
  const inner = into[head]
  const next: Record<string, unknown> = isMapping(inner) ? { ...inner } : {}
  place(next, rest.join("."), value)
  into[head] = next
}

/** Every key of two levels, and those that are not. */
const leaves = (config: Mapping): ReadonlyArray<readonly [key: string, value: unknown]> =>
  Object.entries(config).flatMap(
    ([section, value]): ReadonlyArray<readonly [string, unknown]> =>
      isMapping(value)
        ? Object.entries(value).map(([key, inner]) => [`${section}.${key}`, inner] as const)
        : value === null
          ? []
          : [[section, value] as const]
  )

const isGiven = (value: unknown): boolean => value !== null && value !== undefined && value !== ""

/** What a file is for, by its main agent. */
export const purposeOf = (config: Mapping): Purpose => {
  const agent = isMapping(config["agent"]) ? config["agent"]["main_agent"] : undefined
  return /Evaluate/.test(String(agent)) ? "evaluate" : "search"
}

/** Whether a mapping is a configuration of OSNASLib: it names a main agent. */
export const isOsnaslib = (config: Mapping): boolean =>
  isMapping(config["agent"]) && typeof config["agent"]["main_agent"] === "string"

/** The text that stands for an architecture that was not given; a run refuses it. */
export const architectureMissing = "to be filled in: its digits, like 2,0,6"

interface Read {
  readonly values: ReadonlyMap<string, unknown>
  readonly notes: ReadonlyArray<Note>
}

const readFile = (config: Mapping): Read => {
  const given = new Map(leaves(config))
  const get = (key: string): unknown => (isGiven(given.get(key)) ? given.get(key) : undefined)
  const old: Old = {
    purpose: purposeOf(config),
    get,
    number: (key) => asNumber(get(key)),
    isFace: String(get("agent.main_agent")).startsWith("FR"),
    searcher: String(get("agent.search_strategy_agent") ?? "")
  }
  const values = new Map<string, unknown>()
  const notes: Array<Note> = []
  // In the order of the table, whatever the file's: what follows from several keys is then the same.
  for (const { about, here, key, read } of keys) {
    const value = get(key)
    if (value === undefined) continue
    if (here.length === 0) {
      notes.push({ kind: "nothing here", key, text: about })
      continue
    }
    const plain = (): Reading => ({ set: here.map((path) => [path, value] as const) })
    const { say, set = [] } = read === undefined ? plain() : read(value, old)
    for (const [path, converted] of set) values.set(path, converted)
    if (say !== undefined) notes.push({ kind: set.length === 0 ? "nothing here" : "remark", key, text: say })
  }
  for (const [key, value] of given) {
    if (!byKey.has(key) && isGiven(value))
      notes.push({ kind: "unknown", key, text: "OSNASLib itself does not know it" })
  }
  return { values, notes }
}

/** What comes beside the old file. */
export interface ConvertOptions {
  /** Name of the run. */
  readonly name: string
  /** OSNASLib's other file, for evaluation: its training becomes the retraining. */
  readonly evaluate?: Mapping | undefined
  /** Digits of the architecture that an evaluation begins with. */
  readonly architecture?: string | undefined
}

/**
 * A configuration of OSNASLib as one of ours.
 *
 * **Example** (A budget)
 * ```ts
 * import { convert } from "./Osnaslib.ts"
 * const old = { agent: { main_agent: "CFSearchAgent", search_space_agent: "FBNetS" }, search_utility: { target_hc: 27 } }
 * convert(old, { name: "old" }).config["budget"] // => { max: 27000000 }
 * ```
 */
export const convert = (old: Mapping, options: ConvertOptions): Conversion => {
  const search = readFile(old)
  const values = new Map(search.values)
  const notes = [...search.notes]
  const purpose = purposeOf(old)
  if (options.evaluate !== undefined) {
    const second = readFile(options.evaluate)
    for (const [path, value] of second.values) {
      const known = values.get(path)
      if (path.startsWith("retraining.") || known === undefined) values.set(path, value)
      else if (JSON.stringify(known) !== JSON.stringify(value)) {
        const text = `${JSON.stringify(value)} in the file for evaluation; ${JSON.stringify(known)} of the search is kept`
        notes.push({ kind: "conflict", key: path, text })
      }
    }
    const seen = new Set(notes.map(({ key, text }) => `${key} ${text}`))
    const obsolete = "experiment_path.searched_model_path"
    notes.push(...second.notes.filter(({ key, text }) => key !== obsolete && !seen.has(`${key} ${text}`)))
    values.delete("stopAfter")
  } else if (purpose === "search") {
    const text = "as the supernet's training; OSNASLib has a file of its own for it: give it with --evaluate"
    notes.push({ kind: "remark", key: "retraining", text })
  }
  if (purpose === "evaluate") {
    values.set("start.architecture", options.architecture ?? architectureMissing)
    if (!values.has("budget.max")) values.set("budget.max", 1e12)
    if (!values.has("supernetTraining.epochs")) values.set("supernetTraining.epochs", 1)
    notes.push({
      kind: "remark",
      key: "budget",
      text: "evaluation has none; it must be named, and no architecture is above 1e12"
    })
  }
  // What has no default here, and may be missing there.
  for (const [path, value] of [
    ["budget.max", 1e12],
    ["supernetTraining.epochs", 1],
    ["retraining.epochs", 1]
  ] as const) {
    if (values.has(path)) continue
    values.set(path, value)
    notes.push({ kind: "remark", key: path, text: `the old file does not say it; ${value} stands here` })
  }

  const config: Record<string, unknown> = { name: options.name }
  const rank = (path: string): number => {
    const at = order.indexOf(path.split(".")[0]!)
    return at < 0 ? order.length : at
  }
  const isName = (path: string): number => (path.endsWith(".name") && path.split(".").length === 2 ? 0 : 1)
  for (const [path, value] of [...values].sort(([a], [b]) => rank(a) - rank(b) || isName(a) - isName(b))) {
    place(config, path, value)
  }
  const evolves = isMapping(config["searchStrategy"]) && config["searchStrategy"]["name"] === "evolution"
  for (const { here, path, there } of differences) {
    if (values.has(path) || (path === "searchStrategy.crossover" && !evolves)) continue
    notes.push({ kind: "different default", key: path, text: `${JSON.stringify(here)} here; in OSNASLib ${there}` })
  }
  return { config, notes }
}

const cell = (text: string): string => text.replaceAll("|", "\\|")

/** The table of all keys, for the documentation. */
export const markdown = (): string => {
  const rows = keys.map(({ about, here, key, names }) => {
    const pairs = Object.entries(names ?? {}).map(([old, name]) => `\`${old}\`: \`${name}\``)
    const text = [about, pairs.join(", ")].filter((part) => part !== "").join("; ")
    const paths = here.map((path) => `\`${path}\``).join(", ")
    return `| \`${key}\` | ${paths === "" ? "–" : paths} | ${cell(text)} |`
  })
  return ["| in OSNASLib | here | |", "| --- | --- | --- |", ...rows].join("\n")
}

/** The table of defaults that differ, for the documentation. */
export const differencesMarkdown = (): string =>
  [
    "| default here | | in OSNASLib |",
    "| --- | --- | --- |",
    ...differences.map(({ here, path, there }) => `| \`${path}\` | \`${JSON.stringify(here)}\` | ${cell(there)} |`)
  ].join("\n")

const numpyMagic = "\u0093NUMPY"

/**
 * The architecture of a file that numpy wrote (`searched_model_architecture.npy`): one dimension of whole numbers, of
 * four or eight bytes. Undefined where it is none.
 */
export const parseNpy = (bytes: Uint8Array): ReadonlyArray<number> | undefined => {
  const text = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString("latin1")
  if (text(0, 6) !== numpyMagic || bytes.length < 12) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isFirst = bytes[6] === 1
  const length = isFirst ? view.getUint16(8, true) : view.getUint32(8, true)
  const start = (isFirst ? 10 : 12) + length
  const header = text(isFirst ? 10 : 12, start)
  const type = /'descr': '<i([48])'/.exec(header)?.[1]
  const count = /'shape': \((\d+),?\)/.exec(header)?.[1]
  if (type === undefined || count === undefined || bytes.length < start + Number(type) * Number(count)) return undefined
  return Array.from({ length: Number(count) }, (_, i) =>
    type === "4" ? view.getInt32(start + 4 * i, true) : Number(view.getBigInt64(start + 8 * i, true))
  )
}
