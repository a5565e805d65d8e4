/** `osnas import-weights` and `osnas export-weights`, and a search with a supernet that was trained elsewhere. */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as TestConsole from "effect/testing/TestConsole"
import { afterAll } from "vitest"
import { fill } from "../../property-tests/testing/Filled.ts"
import * as RealData from "../../tools/RealData.ts"
import * as Engines from "../engine/Engines.ts"
import { sizeOf } from "../engine/Shape.ts"
import * as Checkpoint from "../run/Checkpoint.ts"
import * as TrainingCheckpoint from "../run/TrainingCheckpoint.ts"
import * as MobileFaceNet from "../search-space/MobileFaceNet.ts"
import * as Network from "../search-space/Network.ts"
import * as Presets from "../search-space/Presets.ts"
import * as Sgnas from "../search-space/Sgnas.ts"
import * as Tiny from "../search-space/Tiny.ts"
import * as TorchNames from "../search-space/TorchNames.ts"
import { Disk } from "../support/Disk.ts"
import { osnas } from "./Commands.ts"
import * as ExitCode from "./Exit.ts"
import { Signals } from "./Signals.ts"

const folder = mkdtempSync(join(tmpdir(), "osnas-weights-"))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const invoke = (args: ReadonlyArray<string>) =>
  Command.runWith(osnas, { version: "0.0.0" })(args).pipe(
    Effect.provide(NodeServices.layer),
    Effect.provideService(Signals, Signals.make())
  )

/** Runs a command line in this process and returns what it prints. */
const printed = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const before = (yield* TestConsole.logLines).length
    yield* invoke(args)
    return (yield* TestConsole.logLines).slice(before).map(String).join("\n")
  })

const failure = (...args: ReadonlyArray<string>) =>
  invoke(args).pipe(Effect.sandbox, Effect.flip, Effect.map(ExitCode.of))

const tiny = Result.getOrThrow(
  Tiny.make({ stemStride: 2 }, { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } })
)

/** A file as OSNASLib writes it from within `DataParallel`: trained weights, one tensor in half precision. */
const writeTorch = (file: string, network: Network.Network, form: TorchNames.TorchForm) => {
  const entries = TorchNames.entries(network.blocks, form)
  const ours = Object.fromEntries(
    entries.map(({ ours: { kind, name, shape } }) => {
      const positive = kind === "normVariance" || kind === "normScale"
      return [name, { shape, data: positive ? fill(name, sizeOf(shape), 0.5, 1.5) : fill(name, sizeOf(shape)) }]
    })
  )
  const tensors = new Map<string, Checkpoint.TensorEntry>()
  for (const [name, { data, shape }] of Result.getOrThrow(TorchNames.toTorch(entries, ours))) {
    tensors.set(`module.${name}`, Checkpoint.float32(shape, Float32Array.from(data)))
  }
  for (const name of TorchNames.counterNames(entries)) {
    tensors.set(`module.${name}`, { dtype: "I64", shape: [], data: new Uint8Array(BigInt64Array.of(9n).buffer) })
  }
  writeFileSync(file, Checkpoint.encode({ tensors, metadata: { format: "pt" } }).bytes)
  return tensors
}

const readFile = (file: string) =>
  Effect.flatMap(Disk, (disk) => Checkpoint.read(disk, file)).pipe(Effect.provide(Disk.layer))

/** A search with a supernet on ten images. */
const configuration = (supernet: string) => `
name: imported
engine: { name: simd, threads: 1 }
dataflow: { name: fashion-mnist, trainLimit: 60, testLimit: 20, prefetch: 0 }
searchSpace: { name: tiny }
budget: { max: 2.5e6 }
supernetTraining: { epochs: 1 }
searchStrategy: { name: random, evaluations: 3, generation: 3 }
estimator: { name: supernet, recalibration: 1, recalibrationBatchSize: 16, batchSize: 16 }
retraining: { epochs: 1 }
start: { supernet: ${supernet} }
stopAfter: searching
`

describe("weights from PyTorch", () => {
  it.effect(
    "are imported as a supernet, searched, and exported bit for bit",
    () =>
      Effect.gen(function* () {
        const theirs = writeTorch(at("theirs.safetensors"), tiny.supernet, "supernet")
        const text = yield* printed(
          ...["import-weights", at("theirs.safetensors"), "--space", "tiny", "--supernet"],
          ...["--out", at("ours.safetensors")]
        )
        assert.include(text, "the supernet of tiny")
        assert.include(text, "the prefix module. removed")
        assert.include(text, `    supernet: ${at("ours.safetensors")}`)

        writeFileSync(at("search.yaml"), configuration("ours.safetensors"))
        yield* printed("run", at("search.yaml"), "--dir", at("run"), "--json")
        const events = readFileSync(at("run/events.jsonl"), "utf8")
        assert.notInclude(events, '"phase":"supernetTraining"')
        assert.match(events, /"_tag":"PhaseEnded","phase":"searching"/)
        assert.strictEqual(readFileSync(at("run/search.jsonl"), "utf8").trim().split("\n").length, 3)

        // From the run folder, which gives the space, the size and the channels.
        yield* printed("export-weights", at("run"), "--supernet", "--out", at("back.safetensors"))
        const back = yield* readFile(at("back.safetensors"))
        assert.strictEqual(back.tensors.size, theirs.size)
        for (const [name, entry] of theirs) {
          const again = back.tensors.get(name.replace("module.", ""))
          assert.deepStrictEqual(again, entry, name)
        }
      }),
    120_000
  )

  it.effect("are imported as one network, which is evaluated", () =>
    Effect.gen(function* () {
      const arch = "0,1,2,3,4,6"
      writeTorch(at("net.safetensors"), tiny.network([0, 1, 2, 3, 4, 6]), "network")
      const common = ["--space", "tiny"]
      const text = yield* printed(
        ...["import-weights", at("net.safetensors"), ...common, "--arch", arch, "--out", at("ours-net.safetensors")],
        "--json"
      )
      assert.deepInclude(JSON.parse(text), {
        space: "tiny",
        architecture: arch,
        start: { architecture: arch, network: at("ours-net.safetensors") }
      })
      // The metadata of the file replace the flags.
      const exported = yield* printed(
        ...["export-weights", at("ours-net.safetensors"), "--out", at("net-back.safetensors")]
      )
      assert.include(exported, "load_state_dict")
      const back = yield* readFile(at("net-back.safetensors"))
      assert.strictEqual(back.metadata["architecture"], arch)
    })
  )

  it.effect("are read for the space's own image size, with the number of outputs in the file", () =>
    Effect.gen(function* () {
      // No flag gives the length of the embedding or the size of the global convolution.
      const head = { _tag: "Embedding", dimension: 24 } as const
      const space = Result.getOrThrow(MobileFaceNet.make({ stemStride: 2 }, { input: [112, 112, 3], head }))
      const baseline = Presets.find("mobilefacenet-baseline")
      writeTorch(at("face.safetensors"), space.network(baseline?.genotype ?? []), "network")
      const read = (...args: ReadonlyArray<string>) =>
        [
          "import-weights",
          at("face.safetensors"),
          "--space",
          "mobilefacenet",
          "--out",
          at("face-ours"),
          ...args
        ] as const
      const text = yield* printed(...read("--arch", "mobilefacenet-baseline", "--json"))
      assert.strictEqual(JSON.parse(text).architecture, baseline?.genotype.join(","))
      const { tensors } = yield* readFile(at("face-ours"))
      assert.isTrue([...tensors.values()].some(({ shape }) => shape.at(-1) === 24 || shape[0] === 24))
      const { message } = yield* failure(...read("--arch", "mobilefacenet-baseline", "--size", "32", "--force"))
      assert.include(message, "of another shape")
    })
  )

  it.effect("are refused with the reason and what to do, and nothing is written", () =>
    Effect.gen(function* () {
      const file = at("refused.safetensors")
      writeTorch(file, tiny.network([0, 0, 0, 0, 0, 0]), "network")
      writeFileSync(at("old.pth"), Buffer.from("PK\u0003\u0004 the rest of an archive"))
      const out = at("never.safetensors")
      const tell = (...args: ReadonlyArray<string>) => failure("import-weights", ...args, "--out", out)
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [[at("none.safetensors"), "--space", "tiny", "--supernet"], "the file does not exist"],
        [[folder, "--space", "tiny", "--supernet"], "this is a folder"],
        [[at("old.pth"), "--space", "tiny", "--supernet"], "import torch; from safetensors.torch import save_file"],
        [[file, "--space", "tiny"], "expected either --arch with digits"],
        [[file, "--space", "tiny", "--supernet", "--arch", "0"], "expected either --arch with digits"],
        [[file, "--space", "tinny", "--supernet"], "did you mean tiny?"],
        [[file, "--space", "tiny", "--channels", "1", "--arch", "0,0"], "it has 2 positions"],
        [[file, "--space", "fbnet-s", "--arch", "fbnetb"], "no published network has this name; did you mean fbnet-b?"],
        // The name is a valid architecture; the file does not match it.
        [[file, "--space", "fbnet-b", "--arch", "fbnet-b"], "is not the network 0,3,4,"],
        [
          [file, "--space", "tiny", "--channels", "1", "--supernet"],
          "give --arch and its digits in place of --supernet"
        ],
        [
          [file, "--space", "tiny", "--channels", "3", "--arch", "0,0,0,0,0,0"],
          "first_stages.0.conv.weight (the file: [16, 1, 3, 3], here: [16, 3, 3, 3])"
        ],
        [
          [file, "--space", "tiny", "--channels", "1", "--arch", "0,0,0,0,0,0", "--classes", "7"],
          "last_stages.2.weight (the file: [10, 192], here: [7, 192])"
        ]
      ]
      for (const [args, reason] of cases) {
        const { code, message } = yield* tell(...args)
        assert.strictEqual(code, ExitCode.usage, args.join(" "))
        assert.include(message, reason)
      }
      assert.isFalse(existsSync(out))
      writeFileSync(out, "mine")
      const there = yield* tell(file, "--space", "tiny", "--channels", "1", "--arch", "0,0,0,0,0,0")
      assert.include(there.message, "exists already; --force overwrites it")
      assert.strictEqual(readFileSync(out, "utf8"), "mine")
      const foreign = yield* failure("export-weights", file, "--supernet", "--out", at("never-2.safetensors"))
      assert.include(foreign.message, "is not a file of osnas")
      const nothing = yield* failure("export-weights", folder, "--out", at("never-2.safetensors"))
      assert.include(nothing.message, "is not a run folder")
    })
  )
})

const peer = RealData.peer("networks.py")
const python = process.env["OSNAS_PYTHON"] ?? "python3"
const hasTorch =
  RealData.has(peer, "Weights.test.ts, OSNASLib's networks", "OSNAS_PEER") &&
  spawnSync(python, ["-c", "import safetensors.torch"]).status === 0

describe.skipIf(!hasTorch)("a supernet of OSNASLib (skipped without the peer and a Python with torch)", () => {
  it.effect(
    "gives the same outputs here as in PyTorch",
    () =>
      Effect.gen(function* () {
        const script = `
import sys
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import save_file
from networks import build_supernet
torch.manual_seed(5)
net = build_supernet("sgnas", 7, 32)
for m in net.modules():
    if isinstance(m, torch.nn.BatchNorm2d):
        m.running_mean.normal_(0, 0.1); m.running_var.uniform_(0.5, 1.5); m.num_batches_tracked.fill_(3)
net.set_forward_state("single")
net.set_activate_architecture(torch.tensor([0, 1, 2, 3, 0, 1] * 21))
net.eval()
x = torch.randn(2, 3, 32, 32)
with torch.no_grad():
    y = net(x).reshape(2, -1)
save_file(net.state_dict(), sys.argv[2])
save_file({"x": x, "y": y}, sys.argv[3])
`
        execFileSync(python, ["-c", script, resolve(peer, ".."), at("peer.safetensors"), at("arrays.safetensors")])
        yield* printed(
          ...[
            "import-weights",
            at("peer.safetensors"),
            "--space",
            "sgnas",
            "--supernet",
            "--out",
            at("sgnas.safetensors")
          ]
        )
        yield* printed("export-weights", at("sgnas.safetensors"), "--out", at("peer-back.safetensors"))
        const [before, back] = [yield* readFile(at("peer.safetensors")), yield* readFile(at("peer-back.safetensors"))]
        assert.strictEqual(Checkpoint.digestOf(back.tensors), Checkpoint.digestOf(before.tensors))

        const space = Result.getOrThrow(
          Sgnas.make({ stemStride: 2, minimum: 1 }, { input: [32, 32, 3], head: { _tag: "Classifier", classes: 7 } })
        )
        const shapes = new Map(Network.parameterSpecs(space.supernet).map(({ name, shape }) => [name, shape]))
        const ours = yield* readFile(at("sgnas.safetensors"))
        const { variables } = yield* TrainingCheckpoint.toWeights("sgnas", ours, shapes)
        const arrays = yield* readFile(at("arrays.safetensors"))
        const values = (name: string) => Checkpoint.toFloat32(arrays.tensors.get(name)!)
        const path = space.network(space.canonical(Array.from({ length: 21 }, () => [0, 1, 2, 3, 0, 1]).flat()))
        const logits = tf.tidy(() => {
          const images = tf.transpose(tf.tensor4d(values("x"), [2, 3, 32, 32]), [0, 2, 3, 1])
          return Network.apply(path, variables, images, "eval").output.dataSync()
        })
        const expected = values("y")
        const square = (numbers: Iterable<number>) => [...numbers].reduce((sum, value) => sum + value * value, 0)
        const error = Math.sqrt(square(expected.map((value, i) => value - logits[i]!)) / square(expected))
        assert.isBelow(error, 1e-5)
      }).pipe(Effect.provide(Engines.layer("simd", { mode: "strict", threads: 1 })), Effect.scoped),
    180_000
  )
})
