/**
 * Feeds damaged files to every parser: bytes flipped, cut, doubled, moved, replaced by difficult values, and hand-made traps
 * (bombs, deep nesting, false sizes). The parser must accept the file, or refuse it with a tagged error that names it, quickly
 * and without much memory. Some of the files are real ones.
 *
 * The parsers run in a thread that the main thread watches. An input that takes too long or too much memory is reported, and a
 * new thread continues after it. Prints a JSON object; exits 0 if no parser crashed, hung or used too much memory.
 */
import { existsSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { gzipSync } from "node:zlib"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Header } from "tar"
import { createActor, type Snapshot as XStateSnapshot } from "xstate"
import { agentMachine } from "../../machines/AgentMachine.ts"
import { UsageError } from "../../src/cli/Exit.ts"
import { parseArchitectures } from "../../src/cli/Inspect.ts"
import * as LookupTable from "../../src/cost/LookupTable.ts"
import * as Archive from "../../src/dataflow/Archive.ts"
import * as Cifar from "../../src/dataflow/Cifar.ts"
import * as Cifar10 from "../../src/dataflow/Cifar10.ts"
import * as Cifar100 from "../../src/dataflow/Cifar100.ts"
import { DatasetError } from "../../src/dataflow/Dataflow.ts"
import * as DecodeImage from "../../src/dataflow/DecodeImage.ts"
import * as FashionMnist from "../../src/dataflow/FashionMnist.ts"
import * as Files from "../../src/dataflow/Files.ts"
import * as Idx from "../../src/dataflow/Idx.ts"
import * as VerificationPairs from "../../src/dataflow/VerificationPairs.ts"
import { sizeOf } from "../../src/engine/Shape.ts"
import * as Csv from "../../src/estimator/Csv.ts"
import * as NasBenchMacroTable from "../../src/estimator/NasBenchMacroTable.ts"
import * as Converter from "../../src/osnaslib/Converter.ts"
import { parseNpy } from "../../src/osnaslib/Npy.ts"
import * as Key from "../../src/random/Key.ts"
import * as Checkpoint from "../../src/run/Checkpoint.ts"
import * as ConfigFile from "../../src/run/ConfigFile.ts"
import { read as readJournal } from "../../src/run/Journal.ts"
import * as Load from "../../src/run/Load.ts"
import * as Lock from "../../src/run/Lock.ts"
import * as RunFolder from "../../src/run/RunFolder.ts"
import * as Snapshot from "../../src/run/Snapshot.ts"
import * as TorchState from "../../src/run/TorchState.ts"
import * as MemoryDisk from "../../src/run/testing/MemoryDisk.ts"
import * as SmallRun from "../../src/run/testing/SmallRun.ts"
import * as Trials from "../../src/run/testing/Trials.ts"
import * as Sgnas from "../../src/search-space/Sgnas.ts"
import * as Tiny from "../../src/search-space/Tiny.ts"
import * as TorchNames from "../../src/search-space/TorchNames.ts"
import * as CanonicalJson from "../../src/support/CanonicalJson.ts"
import type { DiskShape } from "../../src/support/Disk.ts"
import * as SafeJson from "../../src/support/SafeJson.ts"
import * as RealData from "../RealData.ts"

/** A parser and valid files for it. */
export interface Fuzzer {
  readonly good: ReadonlyArray<Uint8Array>
  /** Hand-made harmful files; fed unchanged, before the damaged ones. */
  readonly traps?: ReadonlyArray<Uint8Array> | undefined
  /** What the message of a refusal must contain, such as its file. */
  readonly names: RegExp
  /** Fails with a tagged error; anything else is a crash. */
  readonly parse: (bytes: Uint8Array) => Effect.Effect<unknown, unknown>
}

const utf8 = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** A disk whose locks are renewed between any two reads. */
const renewed = (disk: DiskShape): DiskShape => {
  let looks = 0
  return {
    ...disk,
    read: (file, offset, length) =>
      Effect.map(disk.read(file, offset, length), (bytes) =>
        file.includes(Lock.lockName) ? new Uint8Array([...bytes, ++looks % 2 === 0 ? 10 : 32]) : bytes
      )
  }
}

const onDisk = Effect.fnUntraced(function* <A, E>(
  bytes: Uint8Array,
  name: string,
  use: (memory: MemoryDisk.MemoryDisk) => Effect.Effect<A, E>
) {
  const memory = MemoryDisk.make()
  yield* memory.disk.makeFolder("/run")
  const handle = yield* memory.disk.open(`/run/${name}`, "create")
  yield* memory.disk.write(handle, bytes)
  return yield* use(memory)
})

/** Text as PowerShell writes it: UTF-16 with a byte order mark. */
const utf16 = (bytes: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(0xff, 0xfe), Buffer.from(textOf(bytes), "utf16le")])

/** A configuration whose phases share values by anchors. */
const merging = `
supernetTraining: &training { epochs: 1, optimizer: &sgd { learningRate: 0.1 } }
retraining: { <<: *training, epochs: 2 }
searchStrategy: { <<: [*training, { optimizer: { <<: *sgd, name: adam } }] }
`

/** A real file, or nothing if this machine does not have it. */
const real = (name: string): ReadonlyArray<Uint8Array> => {
  const file = RealData.path(name)
  return existsSync(file) ? [new Uint8Array(readFileSync(file))] : []
}

const root = path.resolve(import.meta.dirname, "../..")

/** A file of the clone. */
const ofClone = (...parts: ReadonlyArray<string>): Uint8Array => new Uint8Array(readFileSync(path.join(root, ...parts)))

/** The first lines of a file. */
const head = (bytes: Uint8Array, lines: number): Uint8Array => utf8(`${textOf(bytes).split("\n", lines).join("\n")}\n`)

const osnaslibSearch = `
agent: { main_agent: CFSearchAgent, training_strategy_agent: FairnessSampler, search_strategy_agent: EvolutionSearcher, search_space_agent: FBNetL, criterion_agent: LabelSmoothingCrossEntropy }
search_utility: { directly_search: true, generation_num: 3, population_num: 20, info_metric: flops, target_hc: 27 }
train: { random_seed: 42, epochs: 10, bn_momentum: 0.05, colour: blue }
dataset: { dataset: cifar10, dataset_path: ./data/, input_size: 32, batch_size: 96, train_portion: 0.7 }
optim: { optimizer: rmsprop, lr: 0.02, weight_decay: 0.00004, momentum: 0.8, scheduler: step, decay_step: 12, decay_ratio: 0.5 }
`
const osnaslibEvaluation = `
agent: { main_agent: CFEvaluateAgent, search_space_agent: FBNetL, criterion_agent: CrossEntropyLoss }
dataset: { dataset: cifar10, dataset_path: ./data/, input_size: 32, batch_size: 128, train_portion: 1 }
optim: { optimizer: sgd, lr: 0.045, scheduler: cosine }
`

/** A .npy file with one row of integers. */
const npy = (type: "i4" | "i8", data: Uint8Array, count = String(data.length / Number(type[1]))): Uint8Array => {
  const header = `{'descr': '<${type}', 'fortran_order': False, 'shape': (${count},), }\n`
  return Buffer.concat([
    Buffer.from("\u0093NUMPY\u0001\u0000", "latin1"),
    Uint8Array.of(header.length & 255, header.length >> 8),
    Buffer.from(header),
    data
  ])
}

const datasetError = (reason: string) => new DatasetError({ dataset: "fuzzed", file: "fuzzed.bin", reason })

const pattern = (length: number, step: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * step) % 251)

/** Records of CIFAR-10 or CIFAR-100: valid labels, arbitrary pixels. */
const cifarRecords = ({ classes, labelBytes }: Cifar.Variant, records: number): Uint8Array => {
  const bytes = pattern(records * (labelBytes + 3072), 7)
  for (let record = 0; record < records; record++) {
    for (let label = 0; label < labelBytes; label++) {
      bytes[record * (labelBytes + 3072) + label] = (record * 3) % Math.min(20, classes.length)
    }
  }
  return bytes
}

const cifar = (variant: Cifar.Variant): Fuzzer => ({
  good: [cifarRecords(variant, 2)],
  names: /fuzzed\.bin/,
  parse: (bytes) => Cifar.parse(variant, [{ file: "fuzzed.bin", bytes }])
})

/** A tar archive of members in memory. */
const tar = (members: ReadonlyArray<readonly [name: string, bytes: Uint8Array, size?: number]>): Uint8Array => {
  const blocks: Array<Uint8Array> = []
  for (const [name, bytes, size] of members) {
    const block = Buffer.alloc(512)
    const header = new Header({ path: name, mode: 0o644, size: size ?? bytes.length, type: "File" })
    header.encode(block, 0)
    blocks.push(block, bytes, new Uint8Array((512 - (bytes.length % 512)) % 512))
  }
  return Buffer.concat([...blocks, new Uint8Array(1024)])
}

const wanted = ["data_batch_1.bin", "test_batch.bin"]
const goodTar = tar([
  ["cifar-10-batches-bin/readme.html", pattern(700, 3)],
  ["cifar-10-batches-bin/data_batch_1.bin", pattern(1500, 5)],
  ["cifar-10-batches-bin/test_batch.bin", pattern(300, 11)]
])
const unpack = (bytes: Uint8Array) =>
  Archive.membersOf("fuzzed", "fuzzed.tar.gz", () => Readable.from([bytes]), wanted, {
    member: 1 << 20,
    total: 1 << 24
  })

const yamlTraps: ReadonlyArray<string> = [
  ...[
    "[",
    "{",
    "- ",
    "? ",
    "&a ",
    "*a ",
    '"',
    "[]",
    "]",
    "a: ",
    "\n",
    "#a\n",
    "<<: *a\n",
    '{"a":',
    "[a,",
    "!!a ",
    "%Y\n"
  ].map((unit) => unit.repeat(Math.floor(ConfigFile.maxLength / unit.length))),
  Array.from({ length: 12_000 }, (_, index) => `k${index}: 1`).join("\n"),
  `a: &a 1\n${Array.from({ length: 9000 }, (_, index) => `k${index}: *a`).join("\n")}`,
  `a: &a [1,1,1,1,1,1,1,1,1]\n${[..."bcdefghi"]
    .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[at]}`).join(",")}]`)
    .join("\n")}`,
  `a: &a {x: 1}\n${Array.from({ length: 4000 }, (_, index) => `k${index}:\n  <<: *a`).join("\n")}`,
  `a: &a {x: 1}\n${[..."bcdefghijk"]
    .map((name, at) => `${name}: &${name}\n  <<: [${Array(9).fill(`*${"abcdefghijk"[at]}`).join(",")}]`)
    .join("\n")}`,
  "a: &a\n  x: 1\n  <<: *a",
  "a".repeat(ConfigFile.maxLength + 1)
]

type Drawn = typeof import("sharp").default

/** Small images in the formats of sharp, and harmful images; none if sharp is not installed. */
const drawn = async (): Promise<Pick<Fuzzer, "good" | "traps"> | undefined> => {
  const sharp = await import("sharp").then(
    (module): Drawn => module.default,
    () => undefined
  )
  if (sharp === undefined) return undefined
  const image = () => sharp(Buffer.from(pattern(24 * 16 * 3, 13)), { raw: { width: 24, height: 16, channels: 3 } })
  const good = await Promise.all([
    image().jpeg().toBuffer(),
    image()
      .jpeg({ progressive: true })
      .withExif({ IFD0: { Orientation: "6" } })
      .toBuffer(),
    image().png().toBuffer(),
    image().png({ palette: true }).toBuffer(),
    image().greyscale().png({ progressive: true }).toBuffer(),
    image().webp({ lossless: true }).toBuffer()
  ])
  const create = { width: 8190, height: 8190, channels: 4, background: "#8040c080" } as const
  const bomb = await sharp({ create }).png().toBuffer()
  const beyond = Buffer.from(good[2] ?? [])
  beyond.writeUInt32BE(0x7fffffff, 16)
  beyond.writeUInt32BE(0x7fffffff, 20)
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="100000" height="100000"><rect width="9" height="9"/></svg>'
  return { good, traps: [bomb, beyond, utf8(svg)] }
}

/** Files of the folder of a small run, by name. */
const smallRun = Effect.gen(function* () {
  const memory = MemoryDisk.make()
  yield* Trials.begin(memory.disk, { ...Trials.shortConfig, stopAfter: "searching" })
  const files = memory.files()
  return (name: string) => files.get(`${Trials.folder}/${name}`) ?? new Uint8Array(0)
})

/** The parsers of the project, with valid files: of a small run, real and hand-made ones. */
export const fuzzers: Effect.Effect<Readonly<Record<string, Fuzzer>>, unknown> = Effect.gen(function* () {
  const file = yield* smallRun
  const snapshot = JSON.parse(textOf(file("snapshot.json"))) as { readonly snapshot: unknown }
  const examples = ["quickstart.yaml", "cifar100.yaml"].map((name) => ofClone("examples", name))
  const images = yield* Effect.promise(drawn)
  const sgnas = yield* Effect.fromResult(
    Sgnas.make(Schema.decodeUnknownSync(Sgnas.Options)({}), {
      input: [32, 32, 3],
      head: { _tag: "Classifier", classes: 10 }
    })
  )
  const architecture = sgnas.format(sgnas.choices.map(() => 0))
  const small = yield* Effect.fromResult(
    Tiny.make({ stemStride: 2 }, { input: [8, 8, 1], head: { _tag: "Classifier", classes: 2 } })
  )
  const torchEntries = TorchNames.entries(small.network([6, 6, 6, 6, 6, 6]).blocks, "network")
  const torchTensors = new Map(
    torchEntries.map((entry) => {
      const shape = TorchNames.theirWholeShape([entry])
      const count = sizeOf(shape)
      return [entry.theirs, Checkpoint.float32(shape, new Float32Array(count).fill(0.5))] as const
    })
  )
  const idxFile = (bytes: Uint8Array) =>
    Effect.fromResult(Result.mapError(Idx.parse(bytes, bytes[3] === 1 ? 1 : 3), datasetError))
  const deepJson = [utf8("[".repeat(1 << 20)), utf8('{"a":'.repeat(1 << 18)), utf8(`[${"1,".repeat(1 << 20)}1]`)]
  const all: Record<string, Fuzzer> = {
    checkpoint: {
      good: [file("checkpoints/supernet.safetensors")],
      names: /^checkpoint fuzzed\.bin/,
      traps: [
        new Uint8Array(64).fill(0xff),
        ...['{"a":{"dtype":"F32","shape":[1e9,1e9],"data_offsets":[0,4]}}', "[".repeat(1 << 20)].map((header) => {
          const bytes = new Uint8Array(8 + header.length + 4)
          new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true)
          bytes.set(utf8(header), 8)
          return bytes
        })
      ],
      parse: (bytes) => Checkpoint.decode(bytes, "fuzzed.bin")
    },
    journal: {
      good: [file("search.jsonl"), file("events.jsonl")],
      names: /^\/run\/search\.jsonl, line \d+/,
      parse: (bytes) => onDisk(bytes, "search.jsonl", ({ disk }) => readJournal(disk, "/run/search.jsonl"))
    },
    "snapshot file": {
      good: [file("snapshot.json")],
      names: /^\/run\/snapshot\.json/,
      traps: deepJson,
      parse: (bytes) => onDisk(bytes, "snapshot.json", ({ disk }) => RunFolder.readSnapshot(disk, "/run"))
    },
    snapshot: {
      // Like a file whose digest was forged to match.
      good: [utf8(CanonicalJson.stringify(snapshot.snapshot))],
      names: /^fuzzed\.bin/,
      traps: deepJson,
      parse: Effect.fnUntraced(function* (bytes: Uint8Array) {
        const fail = (reason: string) => new RunFolder.SnapshotError({ file: "fuzzed.bin", reason })
        const value = yield* Effect.mapError(Effect.fromResult(SafeJson.parse(textOf(bytes))), fail)
        yield* Effect.mapError(Snapshot.check(value), (error) => fail(error.message))
        const input = {
          start: { supernet: null, architecture: null, network: null },
          needsSupernet: true,
          stopAfter: "searching" as const
        }
        createActor(agentMachine, { input, snapshot: value as XStateSnapshot<unknown> }).getSnapshot()
      })
    },
    manifest: {
      good: [file("manifest.json")],
      names: /^\/run\/manifest\.json/,
      traps: deepJson,
      parse: (bytes) => onDisk(bytes, "manifest.json", ({ disk }) => RunFolder.readManifest(disk, "/run"))
    },
    lock: {
      good: [
        utf8(
          CanonicalJson.pretty({
            beat: "000000000007",
            pid: 2 ** 31 - 2,
            host: "elsewhere",
            place: "here",
            started: "12",
            since: 5
          })
        )
      ],
      names: /\/run/,
      parse: (bytes) =>
        onDisk(bytes, `${Lock.lockName}-${2 ** 31 - 2}-1`, ({ disk }) =>
          Effect.scoped(
            // The owner of the lock renews it: it changes from one read to the next.
            Effect.updateService(Lock.acquire(renewed(disk), "/run"), Lock.Surroundings, (here) => ({
              ...here,
              staleMillis: 0,
              pollMillis: 0
            }))
          )
        )
    },
    configuration: {
      good: [file("config.yaml"), ...examples, ...examples.slice(0, 2).map(utf16), utf8(merging)],
      names: /^fuzzed\.yaml: /,
      traps: yamlTraps.map(utf8),
      parse: (bytes) => Effect.fromResult(ConfigFile.fromBytes("fuzzed.yaml", bytes))
    },
    "configuration, its keys": {
      good: examples,
      names: /^fuzzed\.yaml: /,
      traps: [utf8(Array.from({ length: 4000 }, (_, index) => `k${index}: 1`).join("\n"))],
      parse: Effect.fnUntraced(function* (bytes: Uint8Array) {
        const source = yield* Effect.fromResult(ConfigFile.fromBytes("fuzzed.yaml", bytes))
        return yield* Load.decode(source, "/nowhere")
      })
    },
    "OSNASLib's configuration": {
      good: [osnaslibSearch, osnaslibEvaluation].map(utf8),
      names: /^fuzzed\.yaml: /,
      traps: yamlTraps.map(utf8),
      parse: Effect.fnUntraced(function* (bytes: Uint8Array) {
        const { value } = yield* Effect.fromResult(ConfigFile.fromBytes("fuzzed.yaml", bytes))
        if (!Converter.isOsnaslib(value)) return yield* new UsageError({ reason: "fuzzed.yaml: none of OSNASLib's" })
        const { config } = Converter.convert(value, { name: "fuzzed" })
        return yield* Load.decode(ConfigFile.fromValue("fuzzed.yaml", config), "/nowhere")
      })
    },
    "numpy's digits": {
      good: [
        npy("i8", Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)),
        npy("i4", Uint8Array.of(3, 0, 0, 0))
      ],
      names: /^fuzzed\.npy: /,
      traps: [
        npy("i8", new Uint8Array(0), "9".repeat(300)),
        Buffer.from("\u0093NUMPY", "latin1"),
        Buffer.from("\u0093NUMPY\u0002\u0000", "latin1")
      ],
      parse: (bytes) => {
        const digits = parseNpy(bytes)
        return digits === undefined
          ? Effect.fail(new UsageError({ reason: "fuzzed.npy: no row of whole numbers" }))
          : Effect.succeed(digits)
      }
    },
    "PyTorch's weights": {
      good: [Checkpoint.encode({ tensors: torchTensors, metadata: {} }).bytes],
      names: /fuzzed\.bin/,
      parse: Effect.fnUntraced(function* (bytes: Uint8Array) {
        const { tensors } = yield* Checkpoint.decode(bytes, "fuzzed.bin")
        return yield* Effect.fromResult(
          TorchState.fromTorch("fuzzed.bin", "a network of tiny", torchEntries, "network", tensors)
        )
      })
    },
    "--set": {
      good: ["budget.max=27e6", "searchSpace.first=[{a: 1}, {b: [2, x]}]", 'name="a b"'].map(utf8),
      names: /^fuzzed\.yaml: /,
      traps: yamlTraps.map((text) => utf8(`a.b=${text}`)),
      parse: (bytes) =>
        Effect.fromResult(ConfigFile.override(ConfigFile.fromValue("fuzzed.yaml", { a: 1 }), [textOf(bytes)]))
    },
    "lookup table": {
      good: [LookupTable.encode, LookupTable.encodeEditable].map((encode) =>
        utf8(encode(LookupTable.fromSpace(SmallRun.space)))
      ),
      names: /^lookup table fuzzed\.bin/,
      traps: deepJson,
      parse: (bytes) => Effect.fromResult(LookupTable.decode(textOf(bytes), "fuzzed.bin"))
    },
    idx: {
      good: [Idx.format([4, 5, 5], pattern(100, 7))],
      names: /fuzzed\.bin/,
      traps: [Idx.format([0xffffffff, 0xffffffff, 0xffffffff], new Uint8Array(8))],
      parse: idxFile
    },
    "idx, gzip": {
      good: [
        new Uint8Array(gzipSync(Idx.format([4, 5, 5], pattern(100, 7)))),
        ofClone("src/dataflow/data/fashion-mnist-mini", `${FashionMnist.files.test.labels}.gz`)
      ],
      names: /fuzzed\.bin/,
      traps: [new Uint8Array(gzipSync(new Uint8Array(1 << 27)))],
      parse: (bytes) => Effect.flatMap(Files.inflate("fuzzed", "fuzzed.bin", bytes, 1 << 24), idxFile)
    },
    "CIFAR-10": cifar(Cifar10.variant),
    "CIFAR-100": cifar(Cifar100.variant),
    "archive, gzip": {
      good: [new Uint8Array(gzipSync(goodTar))],
      names: /fuzzed\.tar\.gz/,
      traps: [
        tar([["data_batch_1.bin", new Uint8Array(0), 8 ** 11 - 1]]),
        tar([["data_batch_1.bin", new Uint8Array(0), 2 ** 52]]),
        tar([
          ["../../../data_batch_1.bin", pattern(9, 1)],
          ["/etc/data_batch_1.bin", pattern(9, 1)]
        ]),
        new Uint8Array(1 << 27),
        gzipSync(gzipSync(new Uint8Array(1 << 27))),
        gzipSync(new Uint8Array(1 << 27))
      ].map((bytes) => new Uint8Array(gzipSync(bytes))),
      parse: unpack
    },
    "archive, tar": {
      good: [goodTar],
      names: /fuzzed\.tar\.gz/,
      parse: (bytes) => unpack(gzipSync(bytes, { level: 1 }))
    },
    "image, PGM and PPM": {
      good: [
        utf8("P5\n# a comment\n6 4\n255\nabcdefghijklmnopqrstuvwx"),
        utf8("P6 2 4 100\nabcdefghijklmnopqrstuvwx"),
        ...real("orl_faces/s1/1.pgm")
      ],
      names: /fuzzed\.pgm/,
      traps: ["P5 99999 99999 255 ", "P6 8192 8192 255\n", "P5 999999999 1 255\n", `P5 #${"a".repeat(1 << 20)}`].map(
        utf8
      ),
      parse: (bytes) => decodeImage("fuzzed.pgm", bytes)
    },
    ...(images === undefined
      ? {}
      : {
          "image, JPEG, PNG and WebP": {
            ...images,
            names: /fuzzed\.jpg/,
            parse: (bytes: Uint8Array) => decodeImage("fuzzed.jpg", bytes)
          }
        }),
    "pairs list": {
      good: [
        utf8(
          "2\t2\nAnn\t1\t2\nBob\t1\t3\nAnn\t1\tBob\t3\nEve\t4\tBob\t1\nAnn\t1\t2\nBob\t1\t3\nAnn\t1\tBob\t3\nEve\t4\tBob\t1\n"
        )
      ],
      names: /fuzzed\.bin.*line \d+/,
      traps: [utf8("10000000 10000000\n"), utf8(" ".repeat(1 << 20)), utf8("1 1\n".repeat(1 << 18))],
      parse: (bytes) => Effect.fromResult(Result.mapError(VerificationPairs.parseLfw(textOf(bytes)), datasetError))
    },
    architecture: {
      good: [utf8(architecture)],
      names: /^architecture /,
      traps: [utf8(`0${" ".repeat(1 << 20)}0`), utf8("0,".repeat(1 << 20)), utf8("9".repeat(1 << 20))],
      parse: (bytes) => Effect.fromResult(sgnas.parse(textOf(bytes)))
    },
    "list of architectures": {
      good: [utf8("# some\n0,1,2,0\n\n1 1 1 1\n2,2,2,2\n")],
      names: /^--archs fuzzed\.txt, line \d+/,
      traps: [utf8("\n".repeat(1 << 20)), utf8(`0${" ".repeat(1 << 20)}0`)],
      parse: (bytes) => Effect.fromResult(parseArchitectures(textOf(bytes), "fuzzed.txt", SmallRun.space))
    },
    "table, CSV": {
      good: [
        ...real("nas-tables/nas-bench-201.csv").map((bytes) => head(bytes, 12)),
        utf8("arch,c10_val_12ep,more\n000000,1,x\n000001,2.5,y\n")
      ],
      names: /fuzzed\.csv: line \d+/,
      traps: [
        utf8(",".repeat(1 << 20)),
        utf8("\n".repeat(1 << 20)),
        utf8(`arch,c10_val_12ep${",x".repeat(1 << 18)}\n${",".repeat(1 << 18)}`)
      ],
      parse: (bytes) => {
        const options = { table: "fuzzed", file: "fuzzed.csv", key: "arch", columns: ["c10_val_12ep"] }
        return Effect.fromResult(Csv.parse(textOf(bytes), options))
      }
    },
    "table, whole": {
      good: [ofClone("src/estimator/data/nas-bench-macro.csv")],
      names: /fuzzed\.csv/,
      parse: (bytes) => Effect.fromResult(NasBenchMacroTable.parse(textOf(bytes), "fuzzed.csv"))
    }
  }
  return all
})

const decodeImage = (file: string, bytes: Uint8Array) =>
  Effect.tryPromise({
    try: () => DecodeImage.decodeBytes(file, bytes),
    // As the dataflows do: any other failure than that of an image is a crash.
    catch: (cause) =>
      cause instanceof DecodeImage.ImageFailure
        ? new DatasetError({ dataset: "fuzzed", file: cause.file, reason: cause.message })
        : cause
  })

/** Values that are difficult for parsers. */
const tokens: ReadonlyArray<Uint8Array> = [
  ...["{", "}", "[", "]", '"', ":", ",", "null", "-1", "1e309", "9007199254740993", "0x10", "NaN", "__proto__"],
  ...["constructor", "&a", "*a", "!!js/function", "<<", "\\u0000", "\ud800", "%", "\n", "\t", "- ", "? "],
  "[".repeat(3000),
  '{"a":'.repeat(3000),
  "a".repeat(70_000)
]
  .map(utf8)
  .concat([new Uint8Array(8).fill(0xff), new Uint8Array(8), Uint8Array.of(0xef, 0xbb, 0xbf), Uint8Array.of(0xc3, 0x28)])

/** One damaged copy of a file. */
export const mutate = (good: Uint8Array, key: Key.Key): Uint8Array => {
  // Not `slice`, which shares the bytes of a Buffer.
  let bytes = Uint8Array.from(good)
  const rounds = 1 + Key.integer(key, 3, 0)
  for (let round = 0; round < rounds; round++) {
    const draw = Key.derive(key, round)
    const at = Key.integer(draw, bytes.length + 1, 1)
    const length = Key.integer(draw, 1 + Math.min(64, bytes.length - at), 2)
    const splice = (from: number, to: number, into: Uint8Array) => {
      const out = new Uint8Array(from + into.length + bytes.length - to)
      out.set(bytes.subarray(0, from))
      out.set(into, from)
      out.set(bytes.subarray(to), from + into.length)
      bytes = out
    }
    switch (Key.integer(draw, 7, 0)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << Key.integer(draw, 8, 3))
        break
      case 1:
        if (at < bytes.length) bytes[at] = Key.integer(draw, 256, 3)
        break
      case 2:
        bytes = bytes.slice(0, at)
        break
      case 3:
        splice(at, at + length, new Uint8Array(0))
        break
      case 4:
        splice(at, at, bytes.slice(at, at + length))
        break
      case 5:
        splice(at, at, tokens[Key.integer(draw, tokens.length, 3)] as Uint8Array)
        break
      default:
        splice(at, Math.min(bytes.length, at + length), tokens[Key.integer(draw, tokens.length, 3)] as Uint8Array)
    }
  }
  return bytes
}

/** The result of fuzzing one parser. */
export interface FuzzReport {
  readonly inputs: number
  readonly taken: number
  readonly refused: number
  /** Inputs that were neither accepted nor refused: their number (traps come first), and what happened. */
  readonly crashes: ReadonlyArray<string>
  /** Processor time of the slowest input, in milliseconds. */
  readonly slowestMillis: number
}

/** Processor time after which an input counts as having hung its parser, in milliseconds. */
export const mostMillis = 5000
/** Most memory that the parsers may use in total, in MiB. */
export const mostMebibytes = 1024

/** The first input to feed, and a callback before each input. */
export interface Watch {
  readonly from?: number | undefined
  readonly before?: ((index: number) => void) | undefined
}

/** Feeds the traps and then `inputs` damaged files to a parser. */
export const fuzz = async (
  { good, names, parse, traps = [] }: Fuzzer,
  inputs: number,
  key: Key.Key,
  { before, from = 0 }: Watch = {}
): Promise<FuzzReport> => {
  let [taken, refused, slowestMillis] = [0, 0, 0]
  const crashes: Array<string> = []
  for (let index = from; index < traps.length + inputs; index++) {
    const chosen = good[index % good.length] as Uint8Array
    const bytes = traps[index] ?? mutate(chosen, Key.derive(key, index - traps.length))
    before?.(index)
    const began = process.cpuUsage()
    const exit = await Effect.runPromiseExit(Effect.suspend(() => parse(bytes)))
    const spent = process.cpuUsage(began)
    const millis = (spent.user + spent.system) / 1000
    slowestMillis = Math.max(slowestMillis, millis)
    if (millis > mostMillis) crashes.push(`${index}: took ${Math.round(millis)} ms`)
    if (Exit.isSuccess(exit)) {
      taken += 1
      continue
    }
    const error = Cause.squash(exit.cause)
    const tagged = !Cause.hasDies(exit.cause) && error instanceof Error && "_tag" in error
    if (!tagged) crashes.push(`${index}: ${String(error).slice(0, 200)}`)
    else if (!names.test(error.message))
      crashes.push(`${index}: does not name the file: ${error.message.slice(0, 200)}`)
    else refused += 1
  }
  return { inputs: traps.length + inputs - from, taken, refused, crashes, slowestMillis: Math.round(slowestMillis) }
}

interface Order {
  readonly fuzz: true
  readonly runs: number
  readonly seed: number
  readonly only: string | undefined
  /** The parser and input to start with. */
  readonly parser: number
  readonly input: number
  /** The current parser and input, for the main thread; -1: none. */
  readonly at: Int32Array<SharedArrayBuffer>
}

interface Done {
  readonly parser: number
  readonly name: string
  readonly report: FuzzReport | undefined
}

/** In the worker thread: runs one parser after the other. */
const work = async ({ at, input, only, parser, runs, seed }: Order): Promise<void> => {
  const key = Key.derive(Key.make(seed), "fuzz")
  const chosen = Object.entries(await Effect.runPromise(fuzzers)).filter(
    ([name]) => only === undefined || name === only
  )
  for (const [index, [name, fuzzer]] of chosen.entries()) {
    if (index < parser) continue
    parentPort?.postMessage({ parser: index, name, report: undefined } satisfies Done)
    const from = index === parser ? input : 0
    const before = (number: number) => {
      Atomics.store(at, 1, number)
      Atomics.store(at, 0, index)
    }
    const report = await fuzz(fuzzer, runs, Key.derive(key, name), { from, before })
    Atomics.store(at, 0, -1)
    parentPort?.postMessage({ parser: index, name, report } satisfies Done)
  }
}

interface Watched extends FuzzReport {
  /** Peak growth of the process's memory while this parser worked, in MiB. */
  readonly grownMiB: number
}

const add = (a: Watched | undefined, b: FuzzReport, grownMiB: number): Watched => ({
  inputs: (a?.inputs ?? 0) + b.inputs,
  taken: (a?.taken ?? 0) + b.taken,
  refused: (a?.refused ?? 0) + b.refused,
  crashes: [...(a?.crashes ?? []), ...b.crashes],
  slowestMillis: Math.max(a?.slowestMillis ?? 0, b.slowestMillis),
  grownMiB: Math.max(a?.grownMiB ?? 0, grownMiB)
})

/** Milliseconds after which an input that uses no processor time is given up: it waits forever. */
const mostWaiting = 120_000

/** In the main thread: watches the worker, terminates it if an input exceeds the bounds, and starts the next one. */
const watch = async (
  runs: number,
  seed: number,
  only: string | undefined
): Promise<Readonly<Record<string, Watched>>> => {
  const at = new Int32Array(new SharedArrayBuffer(8))
  const reports: Record<string, Watched> = {}
  let [parser, input, base] = [0, 0, 0]
  for (let over = false; !over; ) {
    Atomics.store(at, 0, -1)
    const order: Order = { fuzz: true, runs, seed, only, parser, input, at }
    const worker = new Worker(fileURLToPath(import.meta.url), {
      workerData: order,
      resourceLimits: { maxOldGenerationSizeMb: mostMebibytes }
    })
    let name = ""
    let crash: string | undefined
    let grown = 0
    let [seenParser, seenInput, since, cpu] = [-1, -1, 0, process.cpuUsage()]
    const look = () => {
      if (base === 0 || Atomics.load(at, 0) < 0) return
      const mebibytes = Math.round((process.memoryUsage.rss() - base) / 2 ** 20)
      grown = Math.max(grown, mebibytes)
      const [nowParser, nowInput] = [Atomics.load(at, 0), Atomics.load(at, 1)]
      if (nowParser !== seenParser || nowInput !== seenInput) {
        ;[seenParser, seenInput, since, cpu] = [nowParser, nowInput, performance.now(), process.cpuUsage()]
      }
      const spent = process.cpuUsage(cpu)
      const millis = (spent.user + spent.system) / 1000
      if (mebibytes > mostMebibytes) crash = `${nowInput}: took ${mebibytes} MiB`
      else if (millis > 2 * mostMillis) crash = `${nowInput}: not done after ${Math.round(millis)} ms`
      else if (performance.now() - since > mostWaiting) crash = `${nowInput}: waits forever`
      if (crash !== undefined) void worker.terminate()
    }
    const timer = setInterval(look, 20)
    const talk = setInterval(() => {
      if (Atomics.load(at, 0) >= 0) process.stderr.write(`${name}: input ${Atomics.load(at, 1)}\n`)
    }, 5000)
    worker.on("message", (done: Done) => {
      ;({ name, parser } = done)
      if (done.report === undefined) {
        base = process.memoryUsage.rss()
        return
      }
      reports[name] = add(reports[name], done.report, grown)
      process.stderr.write(`${name}: ${JSON.stringify(reports[name])}\n`)
      grown = 0
      parser += 1
      input = 0
    })
    worker.on("error", (error) => {
      crash ??= `${Atomics.load(at, 1)}: ${String(error).slice(0, 200)}`
    })
    await new Promise<void>((resolve) => worker.on("exit", () => resolve()))
    clearInterval(timer)
    clearInterval(talk)
    over = crash === undefined
    if (crash === undefined) continue
    if (base === 0) throw new Error(`the fuzzers do not start: ${crash}`)
    // The results of the terminated thread for this parser are lost: only the crash is counted.
    const lost: FuzzReport = { inputs: 1, taken: 0, refused: 0, crashes: [crash], slowestMillis: 0 }
    reports[name] = add(reports[name], lost, grown)
    input = Atomics.load(at, 1) + 1
    process.stderr.write(`${name}: ${crash}\n`)
  }
  return reports
}

if (import.meta.main && isMainThread) {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "10000" },
      seed: { type: "string", default: "1" },
      only: { type: "string" }
    }
  })
  const parsers = await watch(Number.parseInt(values.runs, 10), Number.parseInt(values.seed, 10), values.only)
  const all = Object.values(parsers)
  const sum = (of: (report: Watched) => number) => all.reduce((total, report) => total + of(report), 0)
  const crashes = sum((report) => report.crashes.length)
  const totals = {
    parsers,
    inputs: sum(({ inputs }) => inputs),
    taken: sum(({ taken }) => taken),
    refused: sum(({ refused }) => refused),
    crashes,
    slowestMillis: Math.max(0, ...all.map(({ slowestMillis }) => slowestMillis)),
    grownMiB: Math.max(0, ...all.map(({ grownMiB }) => grownMiB)),
    bounds: { millis: mostMillis, mebibytes: mostMebibytes }
  }
  process.stdout.write(`${JSON.stringify(totals)}\n`)
  process.exitCode = crashes > 0 || all.length === 0 ? 1 : 0
} else if (!isMainThread && (workerData as Order | null)?.fuzz === true) await work(workerData as Order)
