/** Flags that several commands have. */
import * as Flag from "effect/cli/Flag"
import { NonNegativeInt, Positive, PositiveInt } from "../support/Numbers.ts"

/** A flag that takes an integer of at least 1. */
export const count = (name: string, what: string) =>
  Flag.Int(name).pipe(Flag.withSchema(PositiveInt), Flag.withDescription(what))

/** A switch that is off unless it is given. */
export const given = (name: string, what: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(what), Flag.withDefault(false))

/** `--json`. */
export const json = (what: string) => given("json", what)

/** `--force`. */
export const force = (what: string) => given("force", what)

/** `--set KEY=VALUE`, any number of times. */
export const set = (what: string) =>
  Flag.String("set").pipe(Flag.withMetavar("KEY=VALUE"), Flag.withDescription(what), Flag.between(0, 1000))

/** `--threads`. */
export const threads = Flag.Int("threads").pipe(
  Flag.withSchema(NonNegativeInt),
  Flag.withDescription("Threads of the engine; 0: all cores; at most 16, or 4 per core if that is more"),
  Flag.optional
)

/** `--table`: a tabular benchmark. */
export const table = (what: string) =>
  Flag.Literals("table", ["nas-bench-macro", "nas-bench-201"]).pipe(Flag.withDescription(what))

/** `--file`: that of a table. */
export const tableFile = Flag.String("file").pipe(
  Flag.withMetavar("FILE"),
  Flag.withDescription("The table's file"),
  Flag.optional
)

/** `--data-set`: which of the tables of NAS-Bench-201. */
export const dataSet = Flag.Literals("data-set", ["c10", "c100", "in16"]).pipe(
  Flag.withDescription("nas-bench-201: CIFAR-10, CIFAR-100 or ImageNet16-120"),
  Flag.withDefault("c10")
)

/** `--size`. */
export const size = (what = "Side of the images in pixels") => count("size", what)

/** `--classes`. */
export const classes = (what = "Classes of the classifier") => count("classes", what)

/** `--channels`. */
export const channels = (what = "Channels of the images") => count("channels", what)

/** `--stem-stride`. */
export const stemStride = count("stem-stride", "Stride of the first convolution, where the space has that option").pipe(
  Flag.optional
)

/** `--engine`. */
export const engine = (what: string) =>
  Flag.Literals("engine", ["auto", "simd", "cpu", "tensorflow", "tensorflow-gpu"]).pipe(Flag.withDescription(what))

/** `--mode`. */
export const mode = Flag.Literals("mode", ["strict", "relaxed"]).pipe(
  Flag.withDescription("strict: the same bits on every machine; relaxed: faster, reproducible on one machine"),
  Flag.optional
)

/** `--max-minutes`. */
export const maxMinutes = Flag.Finite("max-minutes").pipe(
  Flag.withSchema(Positive),
  Flag.withDescription("Pause after this many minutes, as Ctrl-C does; continue with osnas resume"),
  Flag.optional
)

/** Messages about wrong flags, without the preamble of the library that checked them. */
export const plainErrors = (text: string): string =>
  text.replaceAll("Expected: Schema validation failed: Expected ", "Expected ")
