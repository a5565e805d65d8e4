/**
 * The public interface of osnas. Every module is one namespace, named after the thing it holds:
 *
 * - *contracts*, what a component is: `SearchSpace`, `TrainingStrategy`, `SearchStrategy`, `Criterion`, `Dataflow`,
 *   `TrainingAgent`, `PerformanceEstimator`, `Engine`;
 * - `define`, which makes a component that a configuration can name, and what components are built with;
 * - the *alternatives* that ship, each with its `Options`, its `make` and its `component`;
 * - `MainAgent`, which runs it all.
 *
 * Laws to hold a component of your own to are in `osnas/laws`, the machines in `osnas/machines`.
 */

// ---------------------------------------------------------------------------------------------------------------------
// Contracts

export { type Component, type ComponentKind, define } from "./component/Component.ts"
export * as CostModel from "./cost/CostModel.ts"
export * as FeasibleSet from "./cost/FeasibleSet.ts"
export * as LayerOptions from "./cost/LayerOptions.ts"
export * as SearchBudget from "./cost/SearchBudget.ts"
export * as Criterion from "./criterion/Criterion.ts"
export * as Dataflow from "./dataflow/Dataflow.ts"
export * as Engine from "./engine/Engine.ts"
export * as PerformanceEstimator from "./estimator/PerformanceEstimator.ts"
export * as SearchSpace from "./search-space/SearchSpace.ts"
export * as SearchStrategy from "./search-strategy/SearchStrategy.ts"
export * as TrainingAgent from "./training-agent/TrainingAgent.ts"
export * as TrainingStrategy from "./training-strategy/TrainingStrategy.ts"

// ---------------------------------------------------------------------------------------------------------------------
// What components are made of

export * as LookupTable from "./cost/LookupTable.ts"
export * as BatchPlan from "./dataflow/BatchPlan.ts"
export * as InMemory from "./dataflow/InMemory.ts"
export * as Backends from "./engine/Backends.ts"
export * as Engines from "./engine/Engines.ts"
export * as LossOps from "./engine/LossOps.ts"
export * as Operation from "./nn/Operation.ts"
export * as Operations from "./nn/operations/Operations.ts"
export * as ParameterTree from "./nn/ParameterTree.ts"
export * as Key from "./random/Key.ts"
export * as RunKey from "./random/RunKey.ts"
export * as Block from "./search-space/blocks/Block.ts"
export * as MacroSpace from "./search-space/MacroSpace.ts"
export * as Network from "./search-space/Network.ts"
export * as Distribution from "./search-strategy/Distribution.ts"
export * as SearchProgress from "./search-strategy/SearchProgress.ts"
export * as GradientStep from "./training-agent/GradientStep.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Alternatives that ship

export * as Angular from "./criterion/Angular.ts"
export * as CrossEntropy from "./criterion/CrossEntropy.ts"
export * as Focal from "./criterion/Focal.ts"
export * as Triplet from "./criterion/Triplet.ts"
export * as Cifar10 from "./dataflow/Cifar10.ts"
export * as Cifar100 from "./dataflow/Cifar100.ts"
export * as FaceFolder from "./dataflow/FaceFolder.ts"
export * as FashionMnist from "./dataflow/FashionMnist.ts"
export * as ImageFolder from "./dataflow/ImageFolder.ts"
export * as NasBench201Table from "./estimator/NasBench201Table.ts"
export * as NasBenchMacroTable from "./estimator/NasBenchMacroTable.ts"
export * as SearcherComparison from "./estimator/SearcherComparison.ts"
export * as Supernet from "./estimator/Supernet.ts"
export * as Tabular from "./estimator/Tabular.ts"
export * as TabularSpace from "./estimator/TabularSpace.ts"
export * as ZeroCost from "./estimator/ZeroCost.ts"
export * as FbNet from "./search-space/FbNet.ts"
export * as MobileFaceNet from "./search-space/MobileFaceNet.ts"
export * as NasBenchMacro from "./search-space/NasBenchMacro.ts"
export * as ProxylessNas from "./search-space/ProxylessNas.ts"
export * as Sgnas from "./search-space/Sgnas.ts"
export * as Spos from "./search-space/Spos.ts"
export * as Tiny from "./search-space/Tiny.ts"
export * as ArchitectureGenerator from "./search-strategy/ArchitectureGenerator.ts"
export * as DifferentiableSearch from "./search-strategy/DifferentiableSearch.ts"
export * as Evolution from "./search-strategy/Evolution.ts"
export * as Predictor from "./search-strategy/Predictor.ts"
export * as Random from "./search-strategy/Random.ts"
export * as Classification from "./training-agent/Classification.ts"
export * as FaceRecognition from "./training-agent/FaceRecognition.ts"
export * as DepthStratified from "./training-strategy/DepthStratified.ts"
export * as DifferentiableTraining from "./training-strategy/DifferentiableTraining.ts"
export * as Fair from "./training-strategy/Fair.ts"
export * as Sandwich from "./training-strategy/Sandwich.ts"
export * as Uniform from "./training-strategy/Uniform.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Running

export * as MainAgent from "./MainAgent.ts"
export * as RunConfig from "./run/RunConfig.ts"
export * as RunEvents from "./run/RunEvents.ts"
