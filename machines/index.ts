/** The machines of a run, as data: for diagrams, tests and hosts of one's own. */
export * as Diagram from "./Diagram.ts"
export * from "./Evaluating.ts"
export * from "./fromEffect.ts"
export * from "./MainAgent.ts"
export * from "./RunState.ts"
export * from "./Searching.ts"
export * from "./Training.ts"
