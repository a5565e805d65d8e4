/** The machines of a run, as data: for diagrams, tests and hosts of your own. */

export * from "./AgentMachine.ts"
export * as Diagram from "./Diagram.ts"
export * from "./Evaluating.ts"
export * from "./fromEffect.ts"
export * from "./RunState.ts"
export * from "./Searching.ts"
export * from "./Training.ts"
