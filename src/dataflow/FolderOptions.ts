/** Options that the dataflows over image folders share. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as OptionKind from "../component/OptionKind.ts"

/** With `check: auto`, up to this many validation and test images are decoded at the start: about 15 s on two cores. */
export const mostDecoded = 5000

/** What happens if an image cannot be read. */
export const brokenOption = (description: string) =>
  Schema.Literals(["fail", "skip"])
    // Without a broken image both values give the same bits, so it may change when a run resumes.
    .annotate({ description, ...OptionKind.performance })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("fail" as const)))

/** How thoroughly images are checked at the start; the description explains `headers` and `decode`. */
export const checkOption = (description: string) =>
  Schema.Literals(["auto", "none", "headers", "decode"])
    .annotate({
      description: `${description}; auto: decode up to ${mostDecoded}, else headers`,
      ...OptionKind.performance
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("auto" as const)))

/** Batches and threads that work ahead. */
export const workerOptions = {
  prefetch: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 64 }))
    .annotate({
      description: "Batches prepared ahead in worker threads; 0: each is made when it is needed",
      ...OptionKind.performance
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(4))),
  workers: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))
    .annotate({ description: "Worker threads", ...OptionKind.performance })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(2)))
}
