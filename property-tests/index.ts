/**
 * Laws of components, published as `osnas/laws`: what every shipped component is held to, for components of your own.
 * Each is a plain function that throws (or rejects) with the law that is broken, so it fits any test runner:
 * `it("is lawful", () => CriterionLaws.check(criterion, { outputs: 4, classes: 4 }))`.
 */
export * as BudgetLaws from "./BudgetLaws.ts"
export * as CriterionLaws from "./CriterionLaws.ts"
export * as DataflowLaws from "./DataflowLaws.ts"
export * as EngineLaws from "./EngineLaws.ts"
export * as EstimatorLaws from "./EstimatorLaws.ts"
export * as MachineLaws from "./MachineLaws.ts"
export * as SearchSpaceLaws from "./SearchSpaceLaws.ts"
export * as SearchStrategyLaws from "./SearchStrategyLaws.ts"
export * as TrainingAgentLaws from "./TrainingAgentLaws.ts"
export * as TrainingStrategyLaws from "./TrainingStrategyLaws.ts"
