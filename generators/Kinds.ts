/** The kinds of components, as the command line writes them. */
import type { ComponentKind } from "../src/component/Component.ts"

/** Kinds as the command line writes them. */
export const kinds = {
  "search-space": "searchSpace",
  "training-strategy": "trainingStrategy",
  "search-strategy": "searchStrategy",
  criterion: "criterion",
  dataflow: "dataflow",
  "training-agent": "trainingAgent",
  estimator: "estimator",
  engine: "engine"
} as const satisfies Readonly<Record<string, ComponentKind>>
/** A kind as the command line writes it. */
export type KindName = keyof typeof kinds

/** Kinds as the command line writes them, in the order they are listed. */
export const kindNames = Object.keys(kinds) as ReadonlyArray<KindName>

/** What each kind of component decides, in one line. */
export const descriptions: Readonly<Record<KindName, string>> = {
  "search-space": "the set of architectures, and how its supernet and networks are built",
  "training-strategy": "which paths of the supernet a training step trains",
  "search-strategy": "which architectures to evaluate, and which one is the best under the budget",
  criterion: "the loss",
  dataflow: "images in, batches out",
  "training-agent": "the task: its training step and its metrics",
  estimator: "how an architecture is scored",
  engine: "how tensors are computed"
}
