/**
 * The layers of the house, lowest first: a file imports from its own layer and from those before it in this list. An
 * import that goes the other way, or sideways into another component's alternatives, fails `npm run lint` with both files
 * named.
 */
const components = "search-space|training-strategy|search-strategy|criterion|dataflow|training-agent|cost|estimator"

const layers = [
  ["support", "^src/support/"],
  ["random", "^src/random/"],
  ["engine", "^src/engine/"],
  ["nn", "^src/nn/"],
  ["component", "^src/component/"],
  ["components", `^src/(${components})/`],
  ["machines", "^machines/"],
  ["run", "^src/run/"],
  ["ranking", "^src/ranking/"],
  ["report", "^src/(report|reproduce)/"],
  ["agent", "^src/(MainAgent|index)\\.ts$"],
  ["generators", "^generators/"],
  ["cli", "^src/cli/"],
  ["property-tests", "^property-tests/"],
  ["tools", "^tools/"]
]

/** What a component folder shows to the others: contracts, and what follows from a contract alone. */
const contracts = [
  "search-space/(SearchSpace|Network)",
  "training-strategy/TrainingStrategy",
  "search-strategy/(SearchStrategy|Distribution)",
  "criterion/Criterion",
  "dataflow/(Dataflow|VerificationPairs)",
  "training-agent/TrainingAgent",
  "cost/(CostModel|SearchBudget|FeasibleSet|LayerOptions)",
  "estimator/PerformanceEstimator"
]

const tests = "(\\.test\\.ts$|\\.test-data\\.ts$|/testing/)"

const upward = layers.slice(0, -1).map(([name, path], index) => ({
  name: `${name}-imports-upward`,
  comment: `${name} imports only from ${layers
    .slice(0, index + 1)
    .map(([lower]) => lower)
    .join(", ")}`,
  severity: "error",
  from: { path, pathNot: tests },
  to: { path: layers.slice(index + 1).map(([, higher]) => higher) }
}))

// noDefaultExport is off here: the tool asks for one.
export default {
  forbidden: [
    ...upward,
    {
      name: "component-imports-sideways",
      comment: "A component knows the contracts of others, never their alternatives",
      severity: "error",
      // A table is about one space, which it names.
      from: { path: `^src/(${components})/`, pathNot: [tests, "estimator/NasBenchMacroTable\\.ts$"] },
      to: {
        path: `^src/(${components})/`,
        pathNot: ["^src/$1/", `^src/(${contracts.join("|")})\\.ts$`]
      }
    },
    {
      name: "circle",
      comment: "Files that import each other's values can only be understood together",
      severity: "error",
      from: { pathNot: tests },
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } }
    }
  ],
  options: {
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(dist|runs)/|src/engine/simd/assembly/" },
    enhancedResolveOptions: { extensions: [".ts", ".mjs", ".js"] }
  }
}
