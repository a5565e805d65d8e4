/**
 * A criterion with weights of its own: cross entropy plus the distance of an output to the centre of its class, the
 * centres trained with the network (Wen et al. 2016, "A Discriminative Feature Learning Approach for Deep Face
 * Recognition"). `node criterion.ts`, in a folder where osnas is installed.
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Criterion, LossOps, MainAgent } from "osnas"

const centreLoss = (weight: number): Criterion.CriterionShape => ({
  name: "centre-loss",
  init: (_key, { classes, outputs }) => ({ centres: tf.zeros([classes, outputs]) }),
  loss: (params, outputs, labels) =>
    tf.tidy(() => {
      const own = tf.gather(params["centres"] as tf.Tensor2D, labels)
      const distance = tf.mean(tf.sum(tf.square(tf.sub(outputs, own)), 1))
      return tf.add(LossOps.softmaxCrossEntropy(outputs, labels), tf.mul(distance, weight))
    })
})

const program = Effect.gen(function* () {
  const agent = yield* MainAgent.make(
    {
      name: "centres",
      dataflow: { name: "fashion-mnist", trainLimit: 600, testLimit: 200 },
      searchSpace: { name: "tiny" },
      budget: { max: 2.5e6 },
      supernetTraining: { epochs: 1, batchSize: 32 },
      searchStrategy: { name: "random", evaluations: 6 },
      retraining: { epochs: 1, batchSize: 32 }
    },
    { criterion: Layer.succeed(Criterion.Criterion, centreLoss(0.01)) }
  )
  const outcome = yield* MainAgent.run(agent, { overwrite: true })
  console.log(outcome._tag, outcome.results.evaluation)
})
await Effect.runPromise(program)
