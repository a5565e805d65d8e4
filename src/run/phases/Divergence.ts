/** Adds to the error of a diverged phase the command that continues from what the run has found. */
import * as Predicate from "effect/Predicate"
import type { TrainPiece } from "../../../machines/Training.ts"
import * as Advice from "../Advice.ts"
import * as Learner from "../Learner.ts"
import { trainingOf } from "../RunConfig.ts"
import * as Trainer from "../Trainer.ts"
import type { PhaseContext } from "./PhaseContext.ts"

type AdviceContext = Pick<PhaseContext, "config" | "shownFolder"> & {
  readonly services: { readonly space: Pick<PhaseContext["services"]["space"], "format"> }
}

/** The error of a training phase, with advice. */
export const ofTraining = (
  { config, services, shownFolder }: AdviceContext,
  error: Trainer.TrainingDiverged,
  { architecture, phase, position }: TrainPiece
): Trainer.TrainingDiverged => {
  const command = Advice.afterDivergence({
    folder: shownFolder,
    phase,
    recorded: position !== null,
    architecture: architecture === null ? null : services.space.format(architecture),
    key: `${phase}.optimizer.learningRate`,
    learningRate: trainingOf(config, phase).optimizer.learningRate
  })
  return new Trainer.TrainingDiverged({ ...error, command })
}

/** The error of a gradient-based searcher, with advice if it has a learning rate to lower. */
export const ofLearning = (
  { config, shownFolder }: Pick<AdviceContext, "config" | "shownFolder">,
  error: Learner.LearningDiverged,
  where: Pick<Advice.Divergence, "phase" | "recorded">
): Learner.LearningDiverged => {
  const optimizer = config.searchStrategy["optimizer"]
  if (!Predicate.hasProperty(optimizer, "learningRate") || typeof optimizer.learningRate !== "number") return error
  const command = Advice.afterDivergence({
    folder: shownFolder,
    ...where,
    architecture: null,
    key: "searchStrategy.optimizer.learningRate",
    learningRate: optimizer.learningRate
  })
  return new Learner.LearningDiverged({ ...error, command })
}
