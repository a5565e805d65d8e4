/** Flags that several commands have, each with what it does there. */
import * as Flag from "effect/cli/Flag"
import * as Schema from "effect/Schema"

/** A whole number from 1. */
export const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))

/** A whole number from 0. */
export const NonNegativeInt = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A switch that is off unless it is given. */
export const given = (name: string, what: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(what), Flag.withDefault(false))

/** `--json`. */
export const json = (what: string) => given("json", what)

/** `--force`. */
export const force = (what: string) => given("force", what)

/** `--set KEY=VALUE`, as often as it is wanted. */
export const set = (what: string) =>
  Flag.String("set").pipe(Flag.withMetavar("KEY=VALUE"), Flag.withDescription(what), Flag.between(0, 1000))

/** `--threads`. */
export const threads = Flag.Int("threads").pipe(
  Flag.withSchema(NonNegativeInt),
  Flag.withDescription("Threads of the engine; 0: all cores; at most 16, or 4 for each core if that is more"),
  Flag.optional
)

/** `--mode`. */
export const mode = Flag.Literals("mode", ["strict", "relaxed"]).pipe(
  Flag.withDescription("strict: the same bits on every machine; relaxed: faster, reproducible on one machine"),
  Flag.optional
)

/** `--max-minutes`. */
export const maxMinutes = Flag.Finite("max-minutes").pipe(
  Flag.withSchema(Schema.Finite.check(Schema.isGreaterThan(0))),
  Flag.withDescription("Pause after so many minutes, as Ctrl-C does; osnas resume goes on"),
  Flag.optional
)
/** What a wrong flag is told, without the words of the library that checked it. */
export const plainErrors = (text: string): string =>
  text.replaceAll("Expected: Schema validation failed: Expected ", "Expected ")
