/**
 * The keys of OSNASLib's configurations: their equivalents here, or why there is none. `osnas import-config` and the
 * documentation use the same table, so they cannot disagree.
 */
import { imageNetSide } from "../search-space/MacroSpace.ts"
import {
  asNumber,
  dataflowOf,
  evolutionSize,
  type KeyRow,
  learning,
  named,
  none,
  onlyFor,
  onMetric,
  phases,
  runFolder,
  searchers,
  tidy,
  training
} from "./Readings.ts"

/** All keys in OSNASLib's code or configurations, in the order of its files. */
export const keys: ReadonlyArray<KeyRow> = [
  {
    key: "agent.main_agent",
    here: ["trainingAgent.name", "stopAfter", "start.architecture"],
    about: "the task; search agents end after the search, evaluate agents begin with an architecture",
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
          say: `${JSON.stringify(value)} is an agent of your own; generate its counterpart with osnas generate training-agent`
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
    "the search strategy; constants of OSNASLib's code are written out",
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
    "the search space; OSNASLib has the same strides for every image size, kept by `searchSpace.strides`",
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
      "`MSELoss`: the squared distance of the cost from the target, which is `squared` here; the generator has no other form",
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
    about: "true: the supernet is not trained; its weights are those of `experiment_path.resume_path`",
    read: () => ({})
  },
  {
    key: "search_utility.random_iteration",
    here: ["searchStrategy.evaluations"],
    about: "number of architectures that a random search scores",
    read: onlyFor("RandomSearcher", "RandomSearcher", (value) => [["searchStrategy.evaluations", Math.max(1, value)]])
  },
  {
    key: "search_utility.generation_num",
    here: ["searchStrategy.evaluations"],
    about:
      "generations of the evolution; here the number of all architectures: population + generations × (population − parents)",
    read: (value, old) =>
      old.searcher === "EvolutionSearcher" && asNumber(value) === 0
        ? {
            set: [["searchStrategy.evaluations", evolutionSize(old)]],
            say: "0 generations: the best of a random population, without evolution; increase searchStrategy.evaluations to evolve it"
          }
        : onlyFor("EvolutionSearcher", "EvolutionSearcher", () => [["searchStrategy.evaluations", evolutionSize(old)]])(
            value,
            old
          )
  },
  {
    key: "search_utility.population_num",
    here: ["searchStrategy.initial", "searchStrategy.offspring"],
    about: "size of the first generation; later ones have that number less the parents",
    read: onlyFor("EvolutionSearcher", "EvolutionSearcher", (value, old) => [
      ["searchStrategy.initial", value],
      ["searchStrategy.offspring", Math.max(1, value - (old.number("search_utility.parent_num") ?? 10))]
    ])
  },
  {
    key: "search_utility.parent_num",
    here: ["searchStrategy.parents"],
    about: "number of the best that become parents",
    read: onlyFor("EvolutionSearcher", "EvolutionSearcher", (value) => [["searchStrategy.parents", value]])
  },
  named(
    "search_utility.info_metric",
    "budget.metric",
    { flops: "flops", param: "params", latency: "latency" },
    "the cost under the budget; FLOPs are multiply-accumulates in both",
    [],
    (value) =>
      value === "latency"
        ? {
            say: "latency is measured again, on this machine and engine, in milliseconds (OSNASLib: seconds of one cold forward pass)"
          }
        : {}
  ),
  {
    key: "search_utility.target_hc",
    here: ["budget.max", "budget.min"],
    about:
      "the budget: in millions of FLOPs there, in FLOPs here (`300e6`); evolution there also requires at least the target less 20 units",
    read: (value, old) => {
      const target = asNumber(value)
      if (target === undefined) return { say: `${JSON.stringify(value)} is not a number` }
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
    about: "smallest target that the generator learns, in the unit of `target_hc`",
    read: onlyFor("ArchitectureGeneratorSearcher", "ArchitectureGeneratorSearcher", (value, old) => [
      ["searchStrategy.lowest", onMetric(old, value)]
    ])
  },
  {
    key: "search_utility.highest_hardware_constraint",
    here: ["searchStrategy.highest"],
    about: "largest target that the generator learns, in the unit of `target_hc`",
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
    about: "factor of the temperature per epoch, from 5; here the first and the last temperature",
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
      "true, in a search: start from the weights of `experiment_path.resume_path`; to resume a run here: `osnas resume DIR`",
    read: (value, old) =>
      value === true && old.purpose === "evaluate"
        ? { say: "resume a stopped run with osnas resume DIR; evaluate trained weights with start.network" }
        : {}
  },
  {
    key: "train.random_seed",
    here: ["seed"],
    about: "decides every bit here; null there (no seed) is 0 here",
    read: (value) => ({ set: [["seed", Math.abs(Math.trunc(asNumber(value) ?? 0))]] })
  },
  {
    key: "train.device",
    here: ["engine.name"],
    about: "`cuda` and `cpu` become `auto`: the best engine that is installed",
    read: () => ({ set: [["engine.name", "auto"]] })
  },
  none("train.ngpu", "a run uses one engine, with one thread per core by default (`engine.threads`)"),
  {
    ...training("train.epochs", "epochs", "supernet training and retraining each have their own"),
    read: (value, old) => {
      const epochs = asNumber(value) ?? 1
      const set = phases(old).map((phase) => [`${phase}.epochs`, Math.max(1, epochs)] as const)
      return epochs < 1
        ? { set, say: `${epochs} epochs mean no training; set to 1 here, and start.supernet skips it` }
        : { set }
    }
  },
  none(
    "train.bn_track_running_stats",
    "statistics are always tracked, and recalibrated for every architecture (`estimator.recalibration`; 0 uses the supernet's)"
  ),
  training("train.bn_momentum", "bnMomentum", "weight of a new batch in the running statistics"),

  {
    key: "criterion.normalize",
    here: ["trainingAgent.normalise", "criterion.normalise"],
    about: "unit embeddings when pairs are verified; the triplet loss has its own option",
    read: (value, { isFace }) =>
      isFace ? { set: [["trainingAgent.normalise", value === true]] } : { say: "only face recognition reads it" }
  },
  none(
    "criterion.embedding_channels",
    "`trainingAgent.dimension` (`dataset.classes`) sets the length of the embedding"
  ),
  none("criterion.training_classes", "the number of identities comes from the data"),
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
    "the dataset; constants of OSNASLib's code are written out; `face_triplet` draws balanced batches of 32 people",
    ["folder", "testFolder", "pairs", "perIdentity", "mean", "std", "area", "evaluationSide"].map(
      (name) => `dataflow.${name}`
    ),
    dataflowOf
  ),
  {
    key: "dataset.dataset_path",
    here: ["dataflow.folder", "dataflow.testFolder", "dataflow.pairs"],
    about: "the folder of all datasets there, of one dataset here",
    read: () => ({})
  },
  {
    key: "dataset.classes",
    here: ["trainingAgent.dimension"],
    about: "for faces the length of the embedding; the number of classes comes from the data",
    read: (value, { isFace }) => (isFace ? { set: [["trainingAgent.dimension", value]] } : {})
  },
  { key: "dataset.input_size", here: ["dataflow.size"], about: "side of the images in pixels" },
  training("dataset.batch_size", "batchSize", "images per step"),
  {
    key: "dataset.num_workers",
    here: ["dataflow.workers", "dataflow.prefetch"],
    about: "worker threads for folders of images; datasets in memory have one; 0: no prefetch",
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
      "fraction of the training images that trains the supernet, drawn by key from every class alike; 1, in evaluation: all, as here",
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
      "weight of the squared distance from the target: in squared millions there; here relative to the target, or, for the generator, to its range of targets",
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
      return { say: `only gradient-based searchers read it, and ${old.searcher || "no search"} is chosen` }
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
    about: "with `search_utility.directly_search`: the trained supernet, imported by `osnas import-weights`",
    read: (value, old) => {
      if (old.purpose !== "search" || old.get("search_utility.directly_search") !== true) return {}
      const path = String(value).replace(/\.(pt|pth)$/, "")
      return {
        set: [["start.supernet", `${path}.safetensors`]],
        say: `save ${value} as safetensors, then: osnas import-weights FILE --space NAME --supernet --out ${path}.safetensors`
      }
    }
  },
  none("experiment_path.checkpoint_root_path", `${runFolder}: \`checkpoints/\``),
  none(
    "experiment_path.best_checkpoint_path",
    `${runFolder}: \`network.safetensors\`; that of the last epoch, not of the best on the test images`
  ),
  none(
    "experiment_path.lookup_table_path",
    `${runFolder}: \`lookup-table.json\`, rebuilt (\`budget.lookupTable\` names a file to use instead)`
  ),
  {
    key: "experiment_path.searched_model_path",
    here: ["start.architecture"],
    about: "file of the architecture to evaluate; here its digits",
    read: (value, { purpose }) =>
      purpose === "evaluate" ? { say: `pass the digits of ${value}, or the file itself, with --arch` } : {}
  },
  ...[
    "best_loss_generator_checkpoint_path",
    "best_acc_generator_checkpoint_path",
    "final_generator_checkpoint_path",
    "generator_evaluate_path"
  ].map((name) => none(`experiment_path.${name}`, `${runFolder}: the trained generator and its figures`))
]

/** A default here that differs from OSNASLib. */
export interface Difference {
  readonly path: string
  readonly here: unknown
  readonly there: string
}

/** Defaults that a converted configuration keeps although OSNASLib differs. */
export const differences: ReadonlyArray<Difference> = [
  {
    path: "estimator.recalibration",
    here: 4,
    there: "0: architectures are scored with the supernet's statistics, which all paths share"
  },
  { path: "estimator.batchSize", here: 250, there: "dataset.batch_size" },
  {
    path: "searchStrategy.crossover",
    here: 0.5,
    there: "every offspring of the evolution is crossed over and then mutated, and drawn again until its cost fits"
  },
  { path: "evaluation.batchSize", here: 250, there: "dataset.batch_size" },
  { path: "checkpoint.keep", here: 2, there: "a checkpoint per epoch" }
]
