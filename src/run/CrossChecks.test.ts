import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ConfigFile from "../run/ConfigFile.ts"
import * as Load from "./Load.ts"

const base = {
  name: "a",
  dataflow: { name: "fashion-mnist" },
  searchSpace: { name: "tiny" },
  budget: { max: 3e6 },
  supernetTraining: { epochs: 10 },
  retraining: { epochs: 20 }
}

type Section = Readonly<Record<string, unknown>>

/** Mistakes and warnings, each as `path: message`. */
const findings = (sections: Section, from = "searchSpace") =>
  Effect.map(Effect.result(Load.decode(ConfigFile.fromValue(from, { ...base, ...sections }), "/nowhere")), (loaded) => {
    const texts = (issues: ReadonlyArray<ConfigFile.ConfigIssue>) =>
      issues.map(({ message, path }) => `${path}: ${message}`)
    return Result.isSuccess(loaded)
      ? { mistakes: [], warnings: texts(loaded.success.warnings) }
      : { mistakes: texts(loaded.failure.issues), warnings: [] }
  })

interface Case {
  readonly name: string
  readonly sections: Section
  readonly mistakes?: ReadonlyArray<string>
  readonly warnings?: ReadonlyArray<string>
}

const both = (section: Section) => ({
  supernetTraining: { epochs: 10, ...section },
  retraining: { epochs: 20, ...section }
})
const optimizer = (config: Section) => ({ retraining: { epochs: 20, optimizer: config } })
const schedule = (config: Section) => ({ retraining: { epochs: 20, schedule: config } })
const search = (name: string, options: Section) => ({
  searchStrategy: { name, ...options },
  trainingStrategy: { name: options["learn"] === "training" ? "differentiable" : "uniform" }
})
const noEffect = (path: string, value: unknown, why: string) => `${path}: got ${value}, which has no effect: ${why}`

const cases: ReadonlyArray<Case> = [
  { name: "nothing unusual", sections: {} },
  {
    name: "a warm-up longer than its phase, in both phases",
    sections: both({ schedule: { warmupEpochs: 25 } }),
    mistakes: [
      "supernetTraining.schedule.warmupEpochs: got 25; expected at most supernetTraining.epochs, which is 10: the rate would never reach its peak",
      "retraining.schedule.warmupEpochs: got 25; expected at most retraining.epochs, which is 20: the rate would never reach its peak"
    ]
  },
  {
    name: "a warm-up as long as its phase",
    sections: schedule({ warmupEpochs: 20 }),
    warnings: [
      "retraining.schedule.warmupEpochs: all 20 epochs are warm-up: the rate reaches its peak with the last step"
    ]
  },
  { name: "a warm-up within its phase", sections: schedule({ warmupEpochs: 19.5 }) },
  {
    name: "a step schedule that never steps",
    sections: schedule({ name: "step" }),
    warnings: ["retraining.schedule.stepEpochs: got 30, and the phase has 20 epochs: the rate never decays"]
  },
  {
    name: "a step schedule that never steps after its warm-up",
    sections: schedule({ name: "step", warmupEpochs: 5, stepEpochs: 15 }),
    warnings: [
      "retraining.schedule.stepEpochs: got 15, and the phase has 15 epochs after the warm-up of 5: the rate never decays"
    ]
  },
  { name: "a step schedule that steps", sections: schedule({ name: "step", stepEpochs: 19 }) },
  {
    name: "a decay of 1",
    sections: schedule({ name: "step", stepEpochs: 5, decay: 1 }),
    warnings: ["retraining.schedule.decay: got 1, which has no effect: the rate never decays"]
  },
  {
    name: "a decay of 0",
    sections: schedule({ name: "step", stepEpochs: 5, decay: 0 }),
    warnings: ["retraining.schedule.decay: got 0: after 5 epochs the rate is 0 and nothing is learned"]
  },
  {
    name: "keys of another schedule",
    sections: schedule({ name: "constant", finalFraction: 0.1, stepEpochs: 5, decay: 0.5 }),
    warnings: [
      noEffect("retraining.schedule.finalFraction", 0.1, "schedule constant has no finalFraction"),
      noEffect("retraining.schedule.stepEpochs", 5, "schedule constant has no stepEpochs"),
      noEffect("retraining.schedule.decay", 0.5, "schedule constant has no decay")
    ]
  },
  {
    name: "Nesterov without a momentum",
    sections: optimizer({ nesterov: true, momentum: 0 }),
    mistakes: [
      "retraining.optimizer.nesterov: got true with momentum 0; expected a momentum above 0, or nesterov: false"
    ]
  },
  {
    name: "keys of another optimizer",
    sections: optimizer({ name: "adam", momentum: 0.8, nesterov: true, alpha: 0.5 }),
    warnings: [
      noEffect("retraining.optimizer.momentum", 0.8, "adam has no momentum (sgd and rmsprop have)"),
      noEffect("retraining.optimizer.nesterov", true, "adam has no nesterov (sgd has)"),
      noEffect("retraining.optimizer.alpha", 0.5, "adam has no alpha (rmsprop has)")
    ]
  },
  {
    name: "adam's keys with sgd",
    sections: optimizer({ beta1: 0.8, beta2: 0.99, epsilon: 1e-5 }),
    warnings: [
      noEffect("retraining.optimizer.beta1", 0.8, "sgd has no beta1 (adam has)"),
      noEffect("retraining.optimizer.beta2", 0.99, "sgd has no beta2 (adam has)"),
      noEffect("retraining.optimizer.epsilon", 1e-5, "sgd has no epsilon (adam and rmsprop have)")
    ]
  },
  { name: "defaults written out", sections: optimizer({ name: "adam", momentum: 0.9, alpha: 0.99, nesterov: false }) },
  {
    name: "averages that ignore every gradient",
    sections: optimizer({ name: "adam", beta1: 1, beta2: 1 }),
    mistakes: ["beta1", "beta2"].map(
      (key) =>
        `retraining.optimizer.${key}: got 1; expected less than 1, because at 1 the average ignores every gradient`
    )
  },
  {
    name: "rmsprop that never forgets",
    sections: optimizer({ name: "rmsprop", alpha: 1, momentum: 1 }),
    mistakes: [
      "retraining.optimizer.alpha: got 1; expected less than 1, because at 1 the average ignores every gradient",
      "retraining.optimizer.momentum: got 1; expected less than 1, because at 1 old gradients never fade"
    ]
  },
  {
    name: "decoupled decay of nothing",
    sections: optimizer({ name: "adam", decoupled: true, weightDecay: 0 }),
    warnings: ["retraining.optimizer.decoupled: got true, which has no effect: weightDecay is 0"]
  },
  {
    name: "accumulation that does not divide the batch",
    sections: both({ batchSize: 64, accumulate: 3 }),
    mistakes: ["supernetTraining", "retraining"].map(
      (phase) => `${phase}.accumulate: got 3; expected a divisor of ${phase}.batchSize, which is 64`
    )
  },
  {
    name: "statistics that never move",
    sections: { retraining: { epochs: 20, bnMomentum: 0 } },
    warnings: [
      "retraining.bnMomentum: got 0: the running statistics keep their initial values, and the evaluation uses them"
    ]
  },
  {
    name: "a supernet beside an architecture",
    sections: { start: { supernet: "a.safetensors", architecture: "1,2" } },
    warnings: ["start.supernet: has no effect: start.architecture skips the search, which would use it"]
  },
  {
    name: "evolution that never evolves",
    sections: search("evolution", { evaluations: 50, initial: 50 }),
    warnings: [
      "searchStrategy.initial: got 50, and only 50 architectures are scored (evaluations): all are random, none evolves"
    ]
  },
  {
    name: "evolution with one short generation",
    sections: search("evolution", { evaluations: 50, initial: 40, offspring: 20, parents: 60 }),
    warnings: [
      "searchStrategy.offspring: got 20, and 10 evaluations are left after the first generation: there is one later generation, of 10",
      "searchStrategy.parents: got 60, and only 50 architectures are scored (evaluations): all become parents"
    ]
  },
  {
    name: "crossover of one parent",
    sections: search("evolution", { parents: 1, crossover: 0.7 }),
    warnings: [noEffect("searchStrategy.crossover", 0.7, "a crossover needs 2 parents, and parents is 1")]
  },
  {
    name: "a gradient-based search that never learns",
    sections: search("gumbel-softmax-differentiable", { learn: "training", warmupEpochs: 10 }),
    mistakes: [
      "searchStrategy.warmupEpochs: got 10; expected less than supernetTraining.epochs, which is 10: the search would never learn"
    ]
  },
  {
    name: "a gradient-based search with the other mode's keys, a rising temperature, sgd with adam's keys",
    sections: search("softmax-differentiable", {
      learn: "searching",
      warmupEpochs: 99,
      everySteps: 2,
      temperature: { initial: 1, final: 2 },
      optimizer: { name: "sgd", beta1: 0.7 }
    }),
    warnings: [
      "searchStrategy.warmupEpochs: got 99, which has no effect with learn: searching",
      "searchStrategy.everySteps: got 2, which has no effect with learn: searching",
      "searchStrategy.temperature.final: got 2: the temperature rises, from 1; it is meant to fall",
      noEffect("searchStrategy.optimizer.beta1", 0.7, "sgd has no beta1 (adam has)")
    ]
  },
  {
    name: "epochs of the search with learn: training",
    sections: search("softmax-differentiable", { learn: "training", epochs: 3 }),
    warnings: ["searchStrategy.epochs: got 3, which has no effect with learn: training"]
  },
  {
    name: "targets of the architecture generator in the wrong order",
    sections: search("architecture-generator", { lowest: 4e6, highest: 2e6 }),
    mistakes: ["searchStrategy.lowest: got 4000000; expected at most searchStrategy.highest, which is 2000000"]
  },
  {
    name: "targets of the architecture generator outside the budget, a rising temperature",
    sections: search("architecture-generator", { lowest: 4e6, temperature: 1, finalTemperature: 2 }),
    warnings: [
      "searchStrategy.lowest: got 4000000: it learns only targets above budget.max, which is 3000000",
      "searchStrategy.finalTemperature: got 2: the temperature rises, from 1; it is meant to fall"
    ]
  },
  {
    name: "images cropped and cut out to nothing",
    sections: { dataflow: { name: "fashion-mnist", size: 28, crop: 28, cutout: 29 } },
    mistakes: [
      "dataflow.crop: got 28; expected less than dataflow.size, which is 28: a crop could miss the image altogether",
      "dataflow.cutout: got 29; expected at most dataflow.size, which is 28"
    ]
  },
  {
    name: "a square as large as the image",
    sections: { dataflow: { name: "fashion-mnist", cutout: 28 } },
    warnings: [
      "dataflow.cutout: got 28, the side of the images: the square covers at least a quarter of each image, and up to all of it"
    ]
  },
  {
    name: "evaluation images smaller than their crop",
    sections: { dataflow: { name: "image-folder", folder: "x", size: 64, evaluationSide: 48 } },
    mistakes: ["dataflow.evaluationSide: got 48; expected at least dataflow.size, which is 64"]
  },
  {
    name: "balanced batches of one person",
    sections: { dataflow: { name: "face-folder", folder: "x", perIdentity: 2, peopleLimit: 1 } },
    mistakes: ["dataflow.peopleLimit: got 1; expected 2 or more, because balanced batches (perIdentity) mix people"]
  },
  ...[{ name: "face-folder", folder: "x" }, { name: "fashion-mnist" }].map((dataflow) => ({
    name: `triplets of ${dataflow.name} with one image of each person`,
    sections: { dataflow: { ...dataflow, perIdentity: 1 }, criterion: { name: "triplet" } },
    mistakes: [
      "dataflow.perIdentity: got 1; expected 2 or more, or 0 for shuffled batches: a triplet needs two images of one person, and each batch would have one per person"
    ]
  })),
  ...[0, 2].map((perIdentity) => ({
    name: `triplets with perIdentity ${perIdentity}`,
    sections: { dataflow: { name: "face-folder", folder: "x", perIdentity }, criterion: { name: "triplet" } }
  })),
  {
    name: "one image of each person with a criterion that classifies",
    sections: { dataflow: { name: "face-folder", folder: "x", perIdentity: 1 } }
  }
]

describe("values that do not go together", () => {
  for (const { mistakes = [], name, sections, warnings = [] } of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* findings(sections), { mistakes, warnings })
      })
    )
  }

  it.effect("warnings have lines and are in the order of the file", () =>
    Effect.gen(function* () {
      const text =
        "name: a\nretraining:\n  epochs: 2\n  schedule:\n    name: step\nsupernetTraining: { epochs: 2, optimizer: { name: adam, momentum: 0.5 } }\ndataflow: { name: fashion-mnist }\nsearchSpace: { name: tiny }\nbudget: { max: 3e6 }\n"
      const loaded = yield* Load.decode(Result.getOrThrow(ConfigFile.parse("a.yaml", text)), "/nowhere")
      assert.deepStrictEqual(
        loaded.warnings.map(({ line, path }) => [line, path]),
        [
          [4, "retraining.schedule.stepEpochs"],
          [6, "supernetTraining.optimizer.momentum"]
        ]
      )
    })
  )

  it.effect("a configuration with all defaults written out has no warnings", () =>
    Effect.gen(function* () {
      const filled = yield* Load.decode(ConfigFile.fromValue("a", base), "/nowhere")
      assert.deepStrictEqual(yield* findings(filled.config as unknown as Section), { mistakes: [], warnings: [] })
    })
  )
})
