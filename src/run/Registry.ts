/** The components that ship, by kind and name. Each is imported when it is chosen, which keeps commands fast. */
import * as Effect from "effect/Effect"
import { type BoundComponent, bind, type Kind } from "./BoundComponent.ts"

/** Loads a component. */
export type Source<K extends Kind> = () => Promise<BoundComponent<K>>

/** All components that ship. Examples begin with the first of a kind. */
export const shipped: { readonly [K in Kind]: Readonly<Record<string, Source<K>>> } = {
  dataflow: {
    "fashion-mnist": () => import("../dataflow/FashionMnist.ts").then((module) => bind(module.component)),
    cifar10: () => import("../dataflow/Cifar10.ts").then((module) => bind(module.component)),
    "image-folder": () => import("../dataflow/ImageFolder.ts").then((module) => bind(module.component)),
    "face-folder": () => import("../dataflow/FaceFolder.ts").then((module) => bind(module.component)),
    cifar100: () => import("../dataflow/Cifar100.ts").then((module) => bind(module.component))
  },
  searchSpace: {
    tiny: () => import("../search-space/Tiny.ts").then((module) => bind(module.component)),
    proxylessnas: () => import("../search-space/ProxylessNas.ts").then((module) => bind(module.component)),
    "fbnet-s": () => import("../search-space/FbNet.ts").then((module) => bind(module.componentS)),
    "fbnet-l": () => import("../search-space/FbNet.ts").then((module) => bind(module.componentL)),
    spos: () => import("../search-space/Spos.ts").then((module) => bind(module.component)),
    mobilefacenet: () => import("../search-space/MobileFaceNet.ts").then((module) => bind(module.component)),
    sgnas: () => import("../search-space/Sgnas.ts").then((module) => bind(module.component)),
    "nas-bench-macro": () => import("../search-space/NasBenchMacro.ts").then((module) => bind(module.component)),
    macro: () => import("../search-space/MacroSpace.ts").then((module) => bind(module.component))
  },
  criterion: {
    "cross-entropy": () => import("../criterion/CrossEntropy.ts").then((module) => bind(module.component)),
    focal: () => import("../criterion/Focal.ts").then((module) => bind(module.component)),
    angular: () => import("../criterion/Angular.ts").then((module) => bind(module.component)),
    triplet: () => import("../criterion/Triplet.ts").then((module) => bind(module.component))
  },
  trainingAgent: {
    classification: () => import("../training-agent/Classification.ts").then((module) => bind(module.component)),
    "face-recognition": () => import("../training-agent/FaceRecognition.ts").then((module) => bind(module.component))
  },
  trainingStrategy: {
    uniform: () => import("../training-strategy/Uniform.ts").then((module) => bind(module.component)),
    fair: () => import("../training-strategy/Fair.ts").then((module) => bind(module.component)),
    "depth-stratified": () =>
      import("../training-strategy/DepthStratified.ts").then((module) => bind(module.component)),
    sandwich: () => import("../training-strategy/Sandwich.ts").then((module) => bind(module.component)),
    differentiable: () =>
      import("../training-strategy/DifferentiableTraining.ts").then((module) => bind(module.component))
  },
  searchStrategy: {
    predictor: () => import("../search-strategy/Predictor.ts").then((module) => bind(module.component)),
    evolution: () => import("../search-strategy/Evolution.ts").then((module) => bind(module.component)),
    random: () => import("../search-strategy/Random.ts").then((module) => bind(module.component)),
    "softmax-differentiable": () =>
      import("../search-strategy/DifferentiableSearch.ts").then((module) => bind(module.componentSoftmax)),
    "gumbel-softmax-differentiable": () =>
      import("../search-strategy/DifferentiableSearch.ts").then((module) => bind(module.componentGumbel)),
    "architecture-generator": () =>
      import("../search-strategy/ArchitectureGenerator.ts").then((module) => bind(module.component))
  },
  estimator: {
    supernet: () => import("../estimator/Supernet.ts").then((module) => bind(module.component)),
    "zero-cost": () => import("../estimator/ZeroCost.ts").then((module) => bind(module.component)),
    tabular: () => import("../estimator/Tabular.ts").then((module) => bind(module.component))
  }
}

/** Names of the shipped components of a kind. */
export const names = (kind: Kind): ReadonlyArray<string> => Object.keys(shipped[kind])

/** The component of a name; undefined if none has it. */
export const find = <K extends Kind>(kind: K, name: string): Effect.Effect<BoundComponent<K> | undefined> => {
  const sources: Readonly<Record<string, Source<K>>> = shipped[kind]
  const source = Object.hasOwn(sources, name) ? sources[name] : undefined
  return source === undefined ? Effect.succeed(undefined) : Effect.promise(source)
}
