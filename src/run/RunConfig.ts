/**
 * The configuration of a run: one YAML file, decoded here with all defaults. A component is chosen by `name`: one that ships,
 * or the path of a module, `./my-searcher.ts`. The other keys of its section are its options and are decoded by its own
 * Schema.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Phase, phases } from "../../machines/RunState.ts"
import * as OptionKind from "../component/OptionKind.ts"
import { CostMetric } from "../cost/CostModel.ts"
import { EngineMode } from "../engine/Engine.ts"
import { OptimizerConfig } from "../nn/OptimizerConfig.ts"
import { ScheduleConfig } from "../nn/Schedule.ts"
import { Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt } from "../support/Numbers.ts"

export { OptimizerConfig, optimizerSection } from "../nn/OptimizerConfig.ts"
export { ScheduleConfig } from "../nn/Schedule.ts"

/** A component's name and its options, which the component's own Schema decodes later. */
export const ComponentRef = Schema.StructWithRest(
  Schema.Struct({ name: Schema.String.annotate({ description: "A shipped component, or the path of a module" }) }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)
/** A component's name and its undecoded options. */
export type ComponentRef = typeof ComponentRef.Type

/** A training phase: of the supernet, or of the found architecture from scratch. */
export const TrainingConfig = Schema.Struct({
  epochs: PositiveInt,
  batchSize: PositiveInt.pipe(Schema.withDecodingDefaultKey(Effect.succeed(64))),
  accumulate: PositiveInt.annotate({
    description: "Gradient accumulation: compute a batch in this number of parts, to save memory"
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
  optimizer: OptimizerConfig.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  schedule: ScheduleConfig.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  bnMomentum: Fraction.annotate({ description: "Weight of a new batch in the running statistics" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0.1))
  )
})
/** A training phase. */
export type TrainingConfig = typeof TrainingConfig.Type

/** The range of cost that the found architecture must be in. */
export const BudgetConfig = Schema.Struct({
  metric: CostMetric.pipe(Schema.withDecodingDefaultKey(Effect.succeed("flops" as const))),
  min: NonNegative.annotate({ description: "Lowest cost allowed" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  max: Positive.annotate({ description: "Highest cost allowed" }),
  lookupTable: Schema.NullOr(Schema.String)
    .annotate({
      description:
        "A lookup table's file, which may have the latency of another device: read, created if it does not exist, refused if it does not fit the space; null: made for this run",
      ...OptionKind.path
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
})

/** The engine. Every engine has these keys; one from a module may have more options. */
export const EngineConfig = Schema.Struct({
  name: Schema.String.check(
    Schema.isPattern(/^(auto|simd|cpu|tensorflow|tensorflow-gpu|\.{0,2}\/.*|.*\.[cm]?[jt]s)$/, {
      expected: "auto, simd, cpu, tensorflow, tensorflow-gpu, or the path of a module of your own"
    })
  )
    .annotate({
      description:
        "auto (the best available), simd, cpu, tensorflow, tensorflow-gpu, or the path of a module of your own"
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("auto"))),
  mode: EngineMode.annotate(OptionKind.identity).pipe(Schema.withDecodingDefaultKey(Effect.succeed("strict" as const))),
  threads: NonNegativeInt.annotate({ description: "0: all cores" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  )
})

/**
 * The configuration of a run.
 *
 * **Example** (The smallest configuration, and its defaults)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as RunConfig from "./RunConfig.ts"
 *
 * const config = Schema.decodeUnknownSync(RunConfig.RunConfig)({
 *   name: "mine",
 *   dataflow: { name: "fashion-mnist" },
 *   searchSpace: { name: "tiny" },
 *   budget: { max: 2.5e6 },
 *   supernetTraining: { epochs: 4 },
 *   retraining: { epochs: 8, optimizer: { name: "adam", learningRate: 1e-3 } }
 * })
 * config.engine // => { name: "auto", mode: "strict", threads: 0 }
 * Schema.is(RunConfig.EngineConfig)(config.engine) // => true
 * Schema.is(RunConfig.ComponentRef)(config.searchStrategy) // => true
 * Schema.is(RunConfig.BudgetConfig)(config.budget) // => true
 * Schema.is(RunConfig.TrainingConfig)(config.retraining) // => true
 * Schema.is(RunConfig.OptimizerConfig)(config.retraining?.optimizer) // => true
 * Schema.decodeUnknownSync(RunConfig.ScheduleConfig)({}) // => config.retraining?.schedule
 * ```
 */
export const RunConfig = Schema.Struct({
  name: Schema.String.annotate({
    description: "Name of the run, and of its folder under runs/",
    ...OptionKind.source
  }),
  seed: NonNegativeInt.annotate({ description: "Root of all randomness; the same seed gives the same bits" }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  engine: Schema.StructWithRest(EngineConfig, [Schema.Record(Schema.String, Schema.Unknown)])
    .annotate(OptionKind.performance)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  dataflow: ComponentRef,
  searchSpace: ComponentRef,
  criterion: ComponentRef.pipe(Schema.withDecodingDefaultKey(Effect.succeed({ name: "cross-entropy" }))),
  trainingAgent: ComponentRef.pipe(Schema.withDecodingDefaultKey(Effect.succeed({ name: "classification" }))),
  trainingStrategy: ComponentRef.annotate(OptionKind.usedFrom("supernetTraining")).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({ name: "uniform" }))
  ),
  searchStrategy: ComponentRef.annotate(OptionKind.usedFrom("searching")).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({ name: "evolution" }))
  ),
  estimator: ComponentRef.annotate(OptionKind.usedFrom("searching")).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({ name: "supernet" }))
  ),
  budget: BudgetConfig.annotate(OptionKind.usedFrom("searching")),
  supernetTraining: Schema.optionalKey(
    TrainingConfig.annotate({
      description: "Training of the supernet; required if the run has this phase",
      ...OptionKind.usedFrom("supernetTraining")
    })
  ),
  retraining: Schema.optionalKey(
    TrainingConfig.annotate({
      description: "Training of the found architecture from scratch; required if the run has this phase",
      ...OptionKind.usedFrom("retraining")
    })
  ),
  evaluation: Schema.Struct({
    batchSize: PositiveInt.pipe(Schema.withDecodingDefaultKey(Effect.succeed(250)))
  })
    .annotate(OptionKind.usedFrom("evaluating"))
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  start: Schema.Struct({
    supernet: Schema.NullOr(Schema.String)
      .annotate({ description: "A trained supernet (.safetensors): skips supernet training", ...OptionKind.path })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
    architecture: Schema.NullOr(Schema.String)
      .annotate({
        description: "An architecture, `2,0,6,…`, or the name of a published one: skips supernet training and search"
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
    network: Schema.NullOr(Schema.String)
      .annotate({
        description: "The trained network (.safetensors) of start.architecture: the run only evaluates it",
        ...OptionKind.path
      })
      .pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))
  })
    .annotate({ description: "What to start from; earlier phases are skipped" })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  stopAfter: Schema.Literals(["supernetTraining", "searching", "retraining", "evaluating"])
    .annotate({ description: "The last phase to run", ...OptionKind.performance })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("evaluating" as const))),
  checkpoint: Schema.Struct({
    everySteps: NonNegativeInt.annotate({ description: "Also save every N steps within an epoch; 0: never" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(0))
    ),
    everyMinutes: NonNegative.annotate({ description: "Also save every N minutes within an epoch; 0: never" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(5))
    ),
    keep: PositiveInt.annotate({ description: "How many checkpoints to keep" }).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed(2))
    )
  })
    .annotate(OptionKind.performance)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
})
/** The configuration of a run, with all defaults. */
export type RunConfig = typeof RunConfig.Type

/**
 * The section of a training phase. Throws a `RangeError` if the configuration does not have it, which a run checks with
 * {@link lackingSection} before it begins.
 *
 * **Example** (Training of the supernet)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as RunConfig from "./RunConfig.ts"
 *
 * const config = Schema.decodeUnknownSync(RunConfig.RunConfig)({
 *   name: "mine",
 *   dataflow: { name: "fashion-mnist" },
 *   searchSpace: { name: "tiny" },
 *   budget: { max: 2.5e6 },
 *   supernetTraining: { epochs: 4 },
 *   stopAfter: "searching"
 * })
 * RunConfig.trainingOf(config, "supernetTraining").epochs // => 4
 * ```
 */
export const trainingOf = (config: RunConfig, phase: "supernetTraining" | "retraining"): TrainingConfig => {
  const section = config[phase]
  if (section === undefined) throw new RangeError(`the configuration has no section ${phase}`)
  return section
}

/**
 * The first training phase from `first` to `last` whose section is missing; undefined if none is.
 *
 * **Example** (A search alone)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as RunConfig from "./RunConfig.ts"
 *
 * const config = Schema.decodeUnknownSync(RunConfig.RunConfig)({
 *   name: "mine",
 *   dataflow: { name: "fashion-mnist" },
 *   searchSpace: { name: "tiny" },
 *   budget: { max: 2.5e6 },
 *   supernetTraining: { epochs: 4 }
 * })
 * RunConfig.lackingSection(config, "supernetTraining", "searching") // => undefined
 * RunConfig.lackingSection(config, "supernetTraining", "evaluating") // => "retraining"
 * ```
 */
export const lackingSection = (
  config: RunConfig,
  first: Phase,
  last: Phase
): "supernetTraining" | "retraining" | undefined =>
  (["supernetTraining", "retraining"] as const).find(
    (phase) =>
      config[phase] === undefined &&
      phases.indexOf(phase) >= phases.indexOf(first) &&
      phases.indexOf(phase) <= phases.indexOf(last)
  )
