/**
 * The comparisons of OSNASLib's paper (Huang and Chu, "OSNASLib: One-Shot NAS Library", ICCV 2021 workshop on neural
 * architectures) as data: the rows of every table, and the configuration of a row.
 *
 * Protocol: 80 % of the training images, drawn by key, train the supernet; the other 20 % score architectures; the best one
 * under the budget is trained from scratch on all of them and tested once on the official test images. Training has the
 * settings of OSNASLib's configuration files.
 */
import type { Kind } from "../run/BoundComponent.ts"

/** The names of the tables. */
export const tableNames = ["table-2", "table-3", "table-4"] as const
/** A table's name. */
export type TableName = (typeof tableNames)[number]

/** The paper's figures of a row; null if not available. */
export interface PaperFigures {
  readonly flops: number | null
  /** Fraction of 1. */
  readonly score: number | null
  readonly searchSeconds: number | null
}

/** A row of a table: one alternative, with everything else equal. */
export interface TableRow {
  readonly name: string
  /** Components that the row needs besides those of every row. */
  readonly needs: ReadonlyArray<readonly [kind: Kind, name: string]>
  /** The part of the configuration that only this row has. */
  readonly sections: Readonly<Record<string, unknown>>
  readonly paper: PaperFigures
}

/** A table. */
export interface ReproducedTable {
  readonly name: TableName
  readonly title: string
  readonly task: "classification" | "faces"
  /** Title of the first column. */
  readonly compares: string
  readonly rows: ReadonlyArray<TableRow>
}

/** The paper's tables are neither in the repository that it describes nor anywhere accessible to this project. */
const notAtHand: PaperFigures = { flops: null, score: null, searchSeconds: null }

/** Why the cells of the paper are empty. */
export const paperNote =
  "The paper's own figures are not published with OSNASLib and were not available: their cells are left empty."

const space = (name: string, options: Readonly<Record<string, unknown>> = {}): TableRow => ({
  name,
  needs: [["searchSpace", name]],
  sections: { searchSpace: { name, ...options } },
  paper: notAtHand
})

const strategy = (name: string, evaluations?: number, trainingStrategy = "uniform"): TableRow => ({
  name,
  needs: [
    ["searchStrategy", name],
    ["trainingStrategy", trainingStrategy]
  ],
  sections: {
    searchStrategy: { name, ...(evaluations === undefined ? {} : { evaluations }) },
    trainingStrategy: { name: trainingStrategy }
  },
  paper: notAtHand
})

// OSNASLib's spaces have the strides of 32 pixels at every image size. The paper's networks for faces of
// 112 pixels have them, too: 300 million is within their costs (SPOS: 260 to 388 million).
const faceSpaces = ["proxylessnas", "fbnet-l", "spos", "sgnas"].map((name) => space(name, { strides: "small" }))

/** The tables, by name. */
export const tables: Readonly<Record<TableName, ReproducedTable>> = {
  "table-2": {
    name: "table-2",
    title: "Search spaces on CIFAR-100 under 27M FLOPs, evolutionary search",
    task: "classification",
    compares: "search space",
    rows: ["proxylessnas", "fbnet-s", "fbnet-l", "spos", "mobilefacenet", "sgnas", "nas-bench-macro"].map((name) =>
      space(name)
    )
  },
  "table-3": {
    name: "table-3",
    title: "Search strategies on CIFAR-100 under 27M FLOPs, ProxylessNAS",
    task: "classification",
    compares: "search strategy",
    rows: [
      strategy("random", 1000),
      strategy("evolution", 1000),
      strategy("softmax-differentiable", undefined, "differentiable"),
      strategy("gumbel-softmax-differentiable", undefined, "differentiable"),
      strategy("architecture-generator")
    ]
  },
  "table-4": {
    name: "table-4",
    title: "Face recognition under 300M FLOPs: trained on CASIA-WebFace, verified on LFW, evolutionary search",
    task: "faces",
    compares: "search space",
    rows: faceSpaces
  }
}

/** The data of a row. */
export interface DataPlace {
  /** Folder of the data; null: the default folder. */
  readonly folder: string | null
  /** People to verify in a folder with one folder per person, for a quick run without CASIA-WebFace and LFW. */
  readonly testPeople?: ReadonlyArray<string> | undefined
}

/** Where faces are in their folder, as OSNASLib's download script puts them: to train on, to verify, and LFW's list of pairs. */
export const facePlaces = (folder: string) => ({
  folder: `${folder}/train/CASIA-WebFace`,
  testFolder: `${folder}/test/LFW`,
  pairs: `${folder}/test/LFW/pairs.txt`
})

/** Number of seeds per row at full size. */
export const fullSeeds = 3

const sgd = (learningRate: number, weightDecay: number) => ({
  name: "sgd",
  learningRate,
  momentum: 0.9,
  weightDecay
})

const classification = ({ folder }: DataPlace) => ({
  dataflow: { name: "cifar100", folder: folder ?? "data/cifar100", supernetFraction: 0.8 },
  searchSpace: { name: "proxylessnas" },
  criterion: { name: "cross-entropy", labelSmoothing: 0.1 },
  trainingAgent: { name: "classification" },
  budget: { metric: "flops", max: 27e6 },
  supernetTraining: { epochs: 100, batchSize: 128, optimizer: sgd(0.045, 4e-5) },
  retraining: { epochs: 150, batchSize: 128, optimizer: sgd(0.045, 4e-4) }
})

const faces = (quick: boolean, { folder, testPeople }: DataPlace) => ({
  dataflow: {
    name: "face-folder",
    ...(testPeople === undefined ? facePlaces(folder ?? "data/face") : { folder, testPeople }),
    size: quick ? 32 : 112,
    supernetFraction: 0.8
  },
  searchSpace: { name: "proxylessnas" },
  criterion: { name: "angular" },
  trainingAgent: { name: "face-recognition", dimension: 256 },
  // A quick run has images of 32 pixels, so its budget is 300 million times (32 / 112) squared.
  budget: { metric: "flops", max: quick ? 24.5e6 : 300e6 },
  supernetTraining: { epochs: 10, batchSize: 64, optimizer: sgd(0.05, 4e-5) },
  retraining: { epochs: 10, batchSize: 128, optimizer: sgd(0.1, 4e-5) }
})

/**
 * The configuration of a row for one seed.
 *
 * **Example** (The searcher of a row)
 *
 * ```ts
 * import * as Tables from "./Tables.ts"
 *
 * const table = Tables.tables["table-3"]
 * const config = Tables.configOf(table, table.rows[0], 1, false, { folder: null })
 * config["searchStrategy"] // => { name: "random", evaluations: 1000 }
 * ```
 */
export const configOf = (
  table: ReproducedTable,
  row: TableRow,
  seed: number,
  quick: boolean,
  data: DataPlace
): Readonly<Record<string, unknown>> => ({
  name: `${table.name}-${row.name}`,
  seed,
  trainingStrategy: { name: "uniform" },
  searchStrategy: { name: "evolution", evaluations: 1000 },
  ...(table.task === "classification" ? classification(data) : faces(quick, data)),
  ...row.sections
})
