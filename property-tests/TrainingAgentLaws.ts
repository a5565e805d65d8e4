/**
 * Laws of a training agent. Apply them to your own in one line of vitest:
 * `it("is lawful", () => TrainingAgentLaws.check(agent, { dataflow, criterion }))`. A broken law throws an Error that
 * says which. They train a minimal network: the average of the image, and a linear layer.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type { CriterionShape } from "../src/criterion/Criterion.ts"
import type { DataflowShape } from "../src/dataflow/Dataflow.ts"
import { disposeUnsafe, names, type ParameterTree } from "../src/nn/ParameterTree.ts"
import * as Key from "../src/random/Key.ts"
import { classifier, globalAverage, place } from "../src/search-space/blocks/Block.ts"
import * as Network from "../src/search-space/Network.ts"
import type { StepInput, StepResult, TrainingAgentShape } from "../src/training-agent/TrainingAgent.ts"
import { ensureBackend } from "./Reference.ts"

/** Inputs and settings of the check. */
export interface Options {
  /** Data for the agent's task; a few dozen images are enough. */
  readonly dataflow: DataflowShape
  /** A criterion for the agent's task. */
  readonly criterion: CriterionShape
  /** Images of a training step; default 8. */
  readonly batchSize?: number | undefined
  /** Seed of the network and of all draws; default 1. */
  readonly seed?: number | undefined
  /** Whether metrics do not depend on the batch size of the evaluation; default true. */
  readonly batchSizeFree?: boolean | undefined
}

const law = (holds: boolean, name: string, about: string): void => {
  if (!holds) throw new Error(`training agent law broken: ${name}: ${about}`)
}

const scalar = (tensor: tf.Tensor): number => tensor.dataSync()[0] ?? Number.NaN

const squared = (tree: ParameterTree): number =>
  names(tree).reduce((sum, name) => sum + scalar(tf.sum(tf.square(tree[name] as tf.Tensor))), 0)

const dispose = (result: StepResult): void => {
  tf.dispose([result.loss, result.output])
  disposeUnsafe(result.gradients)
  disposeUnsafe(result.criterionGradients)
  for (const { mean, variance } of Object.values(result.statistics)) tf.dispose([mean, variance])
}

const checkStep = (agent: TrainingAgentShape, input: StepInput): void => {
  const before = tf.memory().numTensors
  const result = agent.step(input)
  const loss = scalar(result.loss)
  law(Number.isFinite(loss), "the loss of a step is a finite number", `${loss}`)
  law(names(result.gradients).length > 0, "a step gives gradients", "there are none")
  for (const [name, gradient] of Object.entries(result.gradients)) {
    const shape = input.variables.params[name]?.shape
    law(
      JSON.stringify(gradient.shape) === JSON.stringify(shape),
      "a gradient has the shape of its parameter",
      `${name}: [${gradient.shape}] for [${shape}]`
    )
  }
  tf.tidy(() => {
    // After one small step along the negative gradient, the loss must fall by the step times its squared length.
    const length = squared(result.gradients)
    if (length < 1e-8) return
    const step = 1e-3 / Math.sqrt(length)
    const params = Object.fromEntries(
      Object.entries(input.variables.params).map(([name, value]) => {
        const gradient = result.gradients[name]
        return [name, gradient === undefined ? value : tf.sub(value, tf.mul(gradient, step))]
      })
    )
    const moved = agent.step({ ...input, variables: { ...input.variables, params } })
    const fall = loss - scalar(moved.loss)
    dispose(moved)
    const expected = step * length
    law(
      Math.abs(fall - expected) <= 0.1 * expected + 1e-5 * Math.max(1, Math.abs(loss)),
      "gradients are those of the loss",
      `a step downhill lowered it by ${fall}, and by the gradients' length it should be ${expected}`
    )
  })
  dispose(result)
  const left = tf.memory().numTensors - before
  law(left === 0, "a step leaves only its result behind", `${left} tensors more`)
}

/**
 * Checks all laws; rejects with the first broken one. Laws: the head has outputs; gradients have the shapes of
 * their parameters and are those of the loss; no tensor leaks; an evaluation has `loss`, the headline and the metric of the
 * objective, all finite, deterministic and independent of the batch size.
 *
 * **Example** (Classification of the images that ship)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as CrossEntropy from "../src/criterion/CrossEntropy.ts"
 * import * as FashionMnist from "../src/dataflow/FashionMnist.ts"
 * import * as InMemory from "../src/dataflow/InMemory.ts"
 * import * as Key from "../src/random/Key.ts"
 * import * as Classification from "../src/training-agent/Classification.ts"
 * import * as TrainingAgentLaws from "./TrainingAgentLaws.ts"
 *
 * const options = Schema.decodeUnknownSync(FashionMnist.Options)({ trainLimit: 60, testLimit: 20, prefetch: 0 })
 * const data = await Effect.runPromise(FashionMnist.load(null))
 * const dataflow = await Effect.runPromise(Effect.scoped(InMemory.make(data, options, Key.make(1))))
 * const criterion = CrossEntropy.make({ labelSmoothing: 0 })
 * await TrainingAgentLaws.check(Classification.agent, { dataflow, criterion })
 * ```
 */
export const check = async (agent: TrainingAgentShape, options: Options): Promise<void> => {
  await ensureBackend()
  const { criterion, dataflow } = options
  const batchSize = options.batchSize ?? 8
  const key = Key.make(options.seed ?? 1)
  const head = agent.head(dataflow)
  const outputs = head._tag === "Classifier" ? head.classes : head.dimension
  law(Number.isInteger(outputs) && outputs > 0, "a head has outputs", JSON.stringify(head))
  const channels = dataflow.image[2]
  const network: Network.Network = {
    input: dataflow.image,
    blocks: [
      { name: "average", block: place(globalAverage, channels, channels, 1) },
      { name: "linear", block: place(classifier, channels, outputs, 1) }
    ]
  }
  const variables = Network.initialise(network, Key.derive(key, "network"))
  const criterionParams = criterion.init(Key.derive(key, "criterion"), { outputs, classes: dataflow.classes.length })
  const batch = await Effect.runPromise(
    dataflow.batch({ split: "supernet", epoch: 0, step: 0, batchSize, training: true })
  )
  const images = tf.tensor4d(batch.images, [batch.size, ...dataflow.image])
  const labels = tf.tensor1d(batch.labels, "int32")
  try {
    checkStep(agent, {
      forward: (given, input, mode) => Network.apply(network, given, input, mode),
      variables,
      criterion,
      criterionParams,
      images,
      labels,
      key: Key.derive(key, "step")
    })
    const evaluate = (size: number) =>
      Effect.runPromise(
        agent.evaluate({
          infer: (input) => Network.apply(network, variables, input, "eval").output as tf.Tensor2D,
          criterion,
          criterionParams,
          dataflow,
          split: "validation",
          batchSize: size,
          batches: undefined,
          key: Key.derive(key, "evaluate")
        })
      )
    const before = tf.memory().numTensors
    const metrics = await evaluate(batchSize)
    law(
      tf.memory().numTensors === before,
      "an evaluation leaves no tensor behind",
      `${tf.memory().numTensors - before}`
    )
    for (const name of ["loss", agent.headline, agent.objective.metric]) {
      law(Number.isFinite(metrics[name]), "an evaluation has its metrics", `${name} is ${metrics[name]}`)
    }
    law(
      JSON.stringify(await evaluate(batchSize)) === JSON.stringify(metrics),
      "the same network always measures the same",
      JSON.stringify(metrics)
    )
    if (options.batchSizeFree ?? true) {
      const other = await evaluate(batchSize - 1)
      for (const [name, value] of Object.entries(metrics)) {
        law(
          Math.abs((other[name] ?? Number.NaN) - value) <= 1e-4 * Math.max(1, Math.abs(value)),
          "metrics do not depend on the batch size",
          `${name}: ${value} in batches of ${batchSize}, ${other[name]} in batches of ${batchSize - 1}`
        )
      }
    }
  } finally {
    tf.dispose([images, labels])
    disposeUnsafe(variables.params)
    disposeUnsafe(variables.stats)
    disposeUnsafe(criterionParams)
  }
}
