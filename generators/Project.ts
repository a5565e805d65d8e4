/** The files of a new project that searches with one component of its own. Pure. */
import * as Result from "effect/Result"
import * as ComponentGenerator from "./ComponentGenerator.ts"
import type { NameError } from "./Names.ts"
import type { GeneratedFile } from "./Template.ts"

/** What a project is generated from. */
export interface ProjectRequest {
  /** Name of the package. */
  readonly name: string
  /** The kind of its component. */
  readonly kind: ComponentGenerator.KindName
  /** Where npm finds osnas: a version, or `file:…`. */
  readonly osnas: string
  /** Versions of the packages that osnas was tested with, by package. */
  readonly versions: Readonly<Record<string, string>>
}

/** Packages that a component imports besides osnas. */
const dependencies = ["@tensorflow/tfjs-backend-cpu", "@tensorflow/tfjs-core", "effect"]

/** Packages for types and tests. */
const devDependencies = ["@types/node", "fast-check", "node", "typescript", "vitest"]

/** All packages whose versions a project needs. */
export const packages: ReadonlyArray<string> = [...dependencies, ...devDependencies]

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** A name that npm accepts, made from the name of a folder. */
export const packageName = (folder: string): string => {
  const plain = folder
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "")
  return plain === "" ? "search" : plain
}

const packageJson = ({ name, osnas, versions }: ProjectRequest): string => {
  const pick = (names: ReadonlyArray<string>) => Object.fromEntries(names.map((key) => [key, versions[key] ?? "*"]))
  const sorted = Object.entries({ ...pick(dependencies), osnas }).sort(([a], [b]) => (a < b ? -1 : 1))
  return json({
    name,
    private: true,
    type: "module",
    scripts: {
      test: "vitest run",
      types: "tsc",
      search: "osnas run search.yaml"
    },
    dependencies: Object.fromEntries(sorted),
    devDependencies: pick(devDependencies)
  })
}

/** The compiler settings of osnas itself. */
export const tsconfig = {
  compilerOptions: {
    target: "ES2024",
    module: "NodeNext",
    moduleResolution: "NodeNext",
    lib: ["ES2024", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    noPropertyAccessFromIndexSignature: true,
    noFallthroughCasesInSwitch: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    allowImportingTsExtensions: true,
    isolatedModules: true,
    skipLibCheck: true,
    noEmit: true
  },
  include: ["src"]
}

/** The sections of the configuration, in the order in which a run uses them. */
const sections: Readonly<Record<string, string>> = {
  dataflow: `# A balanced subset of Fashion-MNIST that ships with osnas: 28 x 28 pixels, grey, ten classes of clothes.
dataflow:
  name: fashion-mnist
  trainLimit: 2000
  testLimit: 500`,
  searchSpace: `# Six layers, each an inverted residual or a skip.
searchSpace:
  name: tiny`,
  budget: `# At most this many multiply-accumulates.
budget:
  metric: flops
  max: 2.5e6`,
  criterion: "criterion:\n  name: cross-entropy",
  trainingAgent: "trainingAgent:\n  name: classification",
  trainingStrategy: "trainingStrategy:\n  name: uniform",
  supernetTraining: `supernetTraining:
  epochs: 2
  batchSize: 64
  optimizer:
    learningRate: 0.1`,
  searchStrategy: "searchStrategy:\n  name: evolution\n  evaluations: 40",
  estimator: "estimator:\n  name: supernet",
  retraining: `retraining:
  epochs: 2
  batchSize: 64
  optimizer:
    learningRate: 0.1`
}

const configuration = ({ kind, name }: ProjectRequest, section: string): string => {
  const own = ComponentGenerator.kinds[kind]
  const parts = { ...sections, [own]: `# A component of this project.\n${section}` }
  return `# A search: osnas run search.yaml
name: ${name}
seed: 1

${Object.values(parts).join("\n\n")}
`
}

const readme = ({ kind, name }: ProjectRequest, component: string): string => `# ${name}

A neural architecture search with its own component: the ${kind.replaceAll("-", " ")} in \`src/${component}.ts\` decides ${ComponentGenerator.descriptions[kind]}.

    npm test                             # its unit tests, and the laws of its kind
    npm run types                        # the strict type check
    npx osnas run search.yaml --quick    # a smoke test
    npx osnas run search.yaml            # the search; its folder is runs/${name}

\`search.yaml\` names the component by its path. \`npx osnas config search.yaml\` prints the configuration with every default
filled in; \`npx osnas generate --list\` lists what else you can generate.
`

/**
 * The files of a project, paths relative to its folder.
 *
 * **Example** (The first files)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Project from "./Project.ts"
 *
 * const files = Project.files({ name: "demo", kind: "criterion", osnas: "0.1.0", versions: {} })
 * Result.getOrThrow(files).map((file) => file.path).slice(0, 3) // => ["package.json", "tsconfig.json", "search.yaml"]
 * ```
 */
export const files = (request: ProjectRequest): Result.Result<ReadonlyArray<GeneratedFile>, NameError> => {
  const component = `my-${request.kind}`
  return Result.map(ComponentGenerator.generate({ kind: request.kind, name: component }), (generated) => [
    { path: "package.json", content: packageJson(request) },
    { path: "tsconfig.json", content: json(tsconfig) },
    { path: "search.yaml", content: configuration(request, generated.yaml(`./src/${component}.ts`)) },
    { path: "README.md", content: readme(request, component) },
    { path: ".gitignore", content: "node_modules/\nruns/\n" },
    ...generated.files.map(({ content, path }) => ({ path: `src/${path}`, content }))
  ])
}
