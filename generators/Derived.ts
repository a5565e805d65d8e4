/**
 * Templates that start from a shipped component. A search space that is data is written out as data; for any other component
 * the template wraps the shipped one, and you replace its functions one by one.
 */
import type { ComponentKind } from "../src/component/Component.ts"
import * as FbNet from "../src/search-space/FbNet.ts"
import type { MacroSpec } from "../src/search-space/MacroSpace.ts"
import * as NasBenchMacro from "../src/search-space/NasBenchMacro.ts"
import * as ProxylessNas from "../src/search-space/ProxylessNas.ts"
import * as Spos from "../src/search-space/Spos.ts"
import * as Tiny from "../src/search-space/Tiny.ts"
import { section, type Template } from "./Template.ts"
import * as SearchSpaceTemplate from "./templates/SearchSpace.ts"

/** A shipped component in the public interface: its namespace, and its export there. */
export interface Shipped {
  readonly namespace: string
  readonly member: string
  /** The spec of a search space that is data. */
  readonly macro?: (() => MacroSpec) | undefined
  /** Options in its tests, as code, if the defaults of its kind do not suit it. */
  readonly options?: string | undefined
  /** Data that its tests write, as code that uses `folder`, if it needs data that do not ship. */
  readonly sample?: Sample | undefined
  /** More sections for the configuration of its tests, as code by key. */
  readonly sections?: Readonly<Record<string, string>> | undefined
}

/** Code that writes test data into the new folder `folder`, and the options of a dataflow that reads it. */
interface Sample {
  /** Functions of `node:fs` that it uses. */
  readonly uses: ReadonlyArray<string>
  readonly write: string
  readonly options: string
}

/** Different grey images of 16 x 16 pixels, `each` of them per folder in `groups`. */
const images = (groups: ReadonlyArray<string>, each: number, options: string): Sample => ({
  uses: ["mkdirSync"],
  write: `const groups = ${JSON.stringify(groups).replaceAll(",", ", ")}
groups.forEach((group, place) => {
  mkdirSync(join(folder, group), { recursive: true })
  for (let image = 0; image < ${each}; image += 1) {
    const pixels = Uint8Array.from({ length: 256 }, (_, at) => (at * (image + 3)) % (60 + 30 * place))
    writeFileSync(join(folder, group, \`\${image}.pgm\`), Buffer.concat([Buffer.from("P5 16 16 255\\n"), pixels]))
  }
})`,
  options
})

/** Records of CIFAR's binary files, with the given number of label bytes. */
const records = (labelBytes: 1 | 2): Sample => ({
  uses: [],
  write: `const record = ${3072 + labelBytes}
const byte = (_: unknown, at: number) =>
  at % record < ${labelBytes} ? Math.floor(at / record) % 10 : (at * 7 + (at >> 9)) % 256
writeFileSync(join(folder, "train.bin"), Uint8Array.from({ length: 60 * record }, byte))
writeFileSync(join(folder, "test.bin"), Uint8Array.from({ length: 20 * record }, byte))`,
  options: 'folder, trainFiles: ["train.bin"], testFiles: ["test.bin"], prefetch: 0'
})

const people = images(
  ["anna", "bert", "carl", "dora", "emil", "fred"],
  10,
  'folder, testPeople: ["emil", "fred"], size: 16, channels: 1, supernetFraction: 0.5, prefetch: 0'
)
const gradientBased = { searchStrategy: '{ name: "softmax-differentiable", warmupEpochs: 0 }' }
const faceAgent = { trainingAgent: '{ name: "face-recognition" }' }

const at = (namespace: string, more: Partial<Shipped> = {}): Shipped => ({ namespace, member: "component", ...more })
const stem = { stemStride: 2 } as const

/** Every shipped component that --from takes, by kind and name. */
export const shipped: { readonly [K in ComponentKind]: Readonly<Record<string, Shipped>> } = {
  searchSpace: {
    tiny: at("Tiny", { macro: () => Tiny.macro(stem) }),
    proxylessnas: at("ProxylessNas", { macro: () => ProxylessNas.macro({ ...stem, widths: null }) }),
    "fbnet-s": at("FbNet", {
      member: "componentS",
      macro: () => FbNet.macro("fbnet-s", 1504, { ...stem, channelShuffle: false })
    }),
    "fbnet-l": at("FbNet", {
      member: "componentL",
      macro: () => FbNet.macro("fbnet-l", 1984, { ...stem, channelShuffle: false })
    }),
    spos: at("Spos", { macro: () => Spos.macro({ ...stem, variant: "osnas" }) }),
    mobilefacenet: at("MobileFaceNet"),
    sgnas: at("Sgnas"),
    "nas-bench-macro": at("NasBenchMacro", { macro: () => NasBenchMacro.macro })
  },
  trainingStrategy: {
    uniform: at("Uniform"),
    fair: at("Fair"),
    differentiable: at("DifferentiableTraining", { sections: gradientBased })
  },
  searchStrategy: {
    evolution: at("Evolution"),
    random: at("Random"),
    predictor: at("Predictor"),
    "softmax-differentiable": at("DifferentiableSearch", {
      member: "componentSoftmax",
      options: "{}",
      sections: { trainingStrategy: '{ name: "differentiable" }' }
    }),
    "gumbel-softmax-differentiable": at("DifferentiableSearch", {
      member: "componentGumbel",
      options: "{}",
      sections: { trainingStrategy: '{ name: "differentiable" }' }
    }),
    "architecture-generator": at("ArchitectureGenerator", { options: "{ evaluations: 4, channels: 8, depth: 1 }" })
  },
  criterion: {
    "cross-entropy": at("CrossEntropy"),
    focal: at("Focal"),
    angular: at("Angular"),
    // A wide margin: where a triplet begins to violate it, the loss has a kink and finite differences are not gradients.
    triplet: at("Triplet", { options: "{ margin: 60, normalise: false }" })
  },
  dataflow: {
    "fashion-mnist": at("FashionMnist"),
    cifar10: at("Cifar10", { sample: records(1) }),
    cifar100: at("Cifar100", { sample: records(2) }),
    "image-folder": at("ImageFolder", {
      sample: images(["train/cat", "train/dog", "val/cat", "val/dog"], 12, "folder, size: 16, prefetch: 0")
    }),
    "face-folder": at("FaceFolder", { sample: people, sections: faceAgent })
  },
  trainingAgent: {
    classification: at("Classification"),
    "face-recognition": at("FaceRecognition", {
      options: "{}",
      sample: people,
      sections: { dataflow: `{ name: "face-folder", ${people.options} }` }
    })
  },
  estimator: {
    supernet: at("Supernet"),
    "zero-cost": at("ZeroCost", { options: "{ batchSize: 8 }" }),
    tabular: at("Tabular", { options: "{}", sections: { searchSpace: '{ name: "nas-bench-macro" }' } })
  },
  engine: {}
}

/** Shipped components that --from does not take, and the reason. */
export const notStarted: { readonly [K in ComponentKind]?: Readonly<Record<string, string>> } = {
  searchSpace: { macro: "it is a space written in YAML and has nothing to change: leave --from out" },
  trainingStrategy: {
    "depth-stratified":
      "it trains some options more often than others, which the generated law test refuses: use uniform",
    sandwich: "it trains some options more often than others, which the generated law test refuses: use fair"
  }
}

/** The parts of a wrapped component, by kind. */
interface Contract {
  /** Namespace of the contract, and the name of its service there. */
  readonly service: string
  /** An override without effect, as code. */
  readonly override: string
  /** The check of its laws, as code; `service` is the component. */
  readonly laws: string
  /** Options that keep its tests fast, as code; default none. */
  readonly options?: string | undefined
  /** Further imports of the law test from `osnas`. */
  readonly imports?: ReadonlyArray<string> | undefined
}

const contracts: { readonly [K in Exclude<ComponentKind, "engine">]: Contract } = {
  searchSpace: {
    service: "SearchSpace",
    override: "canonical: (genotype) => base.canonical(genotype)",
    laws: "SearchSpaceLaws.check(service, { runs: 10, networks: 0 })"
  },
  trainingStrategy: {
    service: "TrainingStrategy",
    override: "next: (state) => base.next(state)",
    laws: "TrainingStrategyLaws.check(service, { space, steps: 100 })",
    imports: ["SearchSpace"]
  },
  searchStrategy: {
    service: "SearchStrategy",
    override: "ask: (state) => base.ask(state)",
    laws: "SearchStrategyLaws.check(() => service, { space, feasible, runs: 5 })",
    options: "{ evaluations: 40 }",
    imports: ["SearchSpace", "SearchBudget"]
  },
  criterion: {
    service: "Criterion",
    override: "loss: (params, outputs, labels, key) => base.loss(params, outputs, labels, key)",
    laws: "CriterionLaws.check(service, { outputs: 4, classes: 4 })"
  },
  dataflow: {
    service: "Dataflow",
    override: "batch: (request) => base.batch(request)",
    laws: "DataflowLaws.check(service, { batchSizes: [7, 32], runs: 10 })",
    options: "{ trainLimit: 200, testLimit: 50, prefetch: 0 }"
  },
  trainingAgent: {
    service: "TrainingAgent",
    override: "evaluate: (input) => base.evaluate(input)",
    laws: "TrainingAgentLaws.check(service, { dataflow, criterion })",
    imports: ["Dataflow", "Criterion"]
  },
  estimator: {
    service: "PerformanceEstimator",
    override: "score: (architectures, options) => base.score(architectures, options)",
    laws: "EstimatorLaws.check(service, [space.choices.map(() => 0), space.choices.map(() => 1)], { supernet })",
    options: "{ recalibration: 1, recalibrationBatchSize: 16, batches: 1, batchSize: 16 }",
    imports: ["Key", "Network", "SearchSpace"]
  }
}

/** Lines of the law test that get other services of the run. */
const reads = (kind: Exclude<ComponentKind, "engine">): ReadonlyArray<string> => {
  switch (kind) {
    case "trainingStrategy":
      return ["const space = yield* SearchSpace.SearchSpace"]
    case "searchStrategy":
      return ["const space = yield* SearchSpace.SearchSpace", "const { feasible } = yield* SearchBudget.SearchBudget"]
    case "trainingAgent":
      return ["const dataflow = yield* Dataflow.Dataflow", "const criterion = yield* Criterion.Criterion"]
    case "estimator":
      return [
        "const space = yield* SearchSpace.SearchSpace",
        "const variables = Network.initialise(space.supernet, Key.make(1))",
        'const supernet = { digest: "untrained", variables, criterion: {} }'
      ]
    default:
      return []
  }
}

const list = (names: ReadonlyArray<string>): string => [...new Set(names)].sort().join(", ")

/** A template that wraps a shipped component. */
const wrapped = (kind: Exclude<ComponentKind, "engine">, from: string, found: Shipped): Template => {
  const { member, namespace } = found
  const { imports = [], laws, override, service } = contracts[kind]
  const { sample } = found
  const ofSample = kind === "dataflow" && sample !== undefined ? `{ ${sample.options} }` : undefined
  const given = ofSample ?? found.options ?? contracts[kind].options ?? "{}"
  // As the formatter has it: options that do not fit into one line are broken, one per line.
  const options =
    given.length > 60 ? given.replace(/^\{ (.*) \}$/, "{\n  $1\n}").replaceAll(/, (?=\w+:)/g, ",\n  ") : given
  const sections: Readonly<Record<string, string>> = {
    engine: '{ name: "cpu" }',
    dataflow: '{ name: "fashion-mnist", trainLimit: 200, testLimit: 50, prefetch: 0 }',
    searchSpace: '{ name: "tiny" }',
    ...found.sections
  }
  const nodeImports =
    sample === undefined
      ? ""
      : `import { ${["mkdtempSync", "rmSync", "writeFileSync", ...sample.uses].sort().join(", ")} } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
`
  const afterAll = sample === undefined ? "" : "afterAll, "
  const data =
    sample === undefined
      ? ""
      : `/** Some test data. */
const folder = mkdtempSync(join(tmpdir(), "${from}-"))
afterAll(() => rmSync(folder, { recursive: true }))
${sample.write}

`
  const law = /^(\w+)\./.exec(laws)?.[1] ?? ""
  const check = from === "triplet" ? laws.replace("classes: 4 }", "classes: 3, orderFree: false }") : laws
  const agent = (
    identifier: string
  ) => `${data}const options = Schema.decodeUnknownSync(${identifier}.Options)(${options})

/** A run that uses the component. */
const agent = MainAgent.make(
  {
    name: "test",
${Object.entries(sections)
  .map(([key, code]) => `    ${key}: ${code},\n`)
  .join("")}    budget: { max: 1e9 },
    supernetTraining: { epochs: 1 },
    retraining: { epochs: 1 }
  },
  { ${kind}: ${identifier}.component.layer(options) }
)`
  return {
    kind,
    module: ({ name }) => `/**
 * The component \`${name}\`, made from \`${from}\`: replace any of its functions and keep the rest.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ${list(["define", namespace, service])} } from "osnas"

/** Options beside \`name\` in a configuration: those of \`${from}\`. */
export const Options = ${namespace}.${member}.options
/** Options beside \`name\` in a configuration. */
export type Options = typeof Options.Type

/** The shipped component with functions of your own in place of its own. */
export const derive = (base: ${service}.${service}Shape): ${service}.${service}Shape => ({
  ...base,
  name: "${name}",
  ${override}
})

/** The component that configurations name. */
export const component = define({
  kind: "${kind}",
  name: "${name}",
  description: "Made from ${from}",
  options: Options,
  layer: (options: Options) =>
    Layer.effect(${service}.${service}, Effect.map(${service}.${service}, derive)).pipe(
      Layer.provide(${namespace}.${member}.layer(options))
    )
})
`,
    test: ({ identifier, name }) => `${nodeImports}import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ${list(["MainAgent", service])} } from "osnas"
import { ${afterAll}expect, it } from "vitest"
import * as ${identifier} from "./${name}.ts"

${agent(identifier)}

it("is part of a run in place of ${from}", async () => {
  const made = await Effect.runPromise(agent)
  const found = await Effect.runPromise(
    Effect.map(${service}.${service}, (service) => service.name).pipe(Effect.provide(MainAgent.layer(made)))
  )
  expect(found).toBe("${name}")
})
`,
    laws: ({ identifier, name }) => `${nodeImports}import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ${list(["MainAgent", service, ...imports])} } from "osnas"
import { ${law} } from "osnas/laws"
import { ${afterAll}it } from "vitest"
import * as ${identifier} from "./${name}.ts"

${agent(identifier)}

it("obeys the laws of its kind", async () => {
  const made = await Effect.runPromise(agent)
  const program = Effect.gen(function* () {
    const service = yield* ${service}.${service}
${reads(kind)
  .map((line) => `    ${line}\n`)
  .join("")}    yield* Effect.promise(async () => ${check})
  })
  await Effect.runPromise(program.pipe(Effect.provide(MainAgent.layer(made))))
})
`,
    yaml: section(kind)
  }
}

/** The template that starts from a shipped component; undefined if --from does not take the name. */
export const template = (kind: ComponentKind, from: string): Template | undefined => {
  const found = Object.hasOwn(shipped[kind], from) ? shipped[kind][from] : undefined
  if (found === undefined || kind === "engine") return undefined
  return found.macro === undefined ? wrapped(kind, from, found) : SearchSpaceTemplate.template(found.macro(), from)
}
