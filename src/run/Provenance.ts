/**
 * What a file of weights records about its network, and a check that it is the network that uses them. Two spaces that differ
 * in a stride, or two architectures of one space, may have weights of the same names and shapes; scores with the wrong ones
 * mean nothing.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { blocksDigest } from "../cost/LookupTable.ts"
import type { Genotype, SearchSpaceShape } from "../search-space/SearchSpace.ts"
import * as CanonicalJson from "../support/CanonicalJson.ts"
import * as SafeJson from "../support/SafeJson.ts"
import { CheckpointError } from "./Checkpoint.ts"
import * as Identity from "./Identity.ts"

/** The network that weights belong to: a search space with its options, and an architecture or the supernet. */
export interface Owner {
  readonly space: SearchSpaceShape
  /** The configuration's section `searchSpace`. */
  readonly section: Readonly<Record<string, unknown>>
  /** Null: the supernet. */
  readonly architecture: Genotype | null
}

/**
 * The metadata of a file of weights.
 *
 * **Example** (Of a supernet)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import * as Tiny from "../search-space/Tiny.ts"
 * import * as Provenance from "./Provenance.ts"
 *
 * const owner = (stemStride: 1 | 2): Provenance.Owner => ({
 *   space: Result.getOrThrow(Tiny.make({ stemStride }, { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } })),
 *   section: { name: "tiny", stemStride },
 *   architecture: null
 * })
 * const metadata = Provenance.metadata(owner(2))
 * metadata["space"] // => "tiny"
 * Effect.runSync(Provenance.check("a.safetensors", metadata, owner(2))) // => undefined
 * const error = Effect.runSync(Effect.flip(Provenance.check("a.safetensors", metadata, owner(1))))
 * error.reason // => "it was trained in search space tiny with stemStride 2, and searchSpace.stemStride is 1"
 * ```
 */
export const metadata = ({ architecture, section, space }: Owner): Readonly<Record<string, string>> => ({
  space: space.name,
  searchSpace: CanonicalJson.stringify(optionsOf(section)),
  blocks: blocksDigest(space),
  ...(architecture === null ? {} : { architecture: space.format(architecture) })
})

/** Without the name: for a module it is a path, which may differ for the same space. */
const optionsOf = ({ name: _, ...options }: Owner["section"]) => options

const decodeSection = Schema.decodeUnknownOption(Schema.Record(Schema.String, Schema.Json))

const differing = (recorded: string | undefined, section: Owner["section"]): string => {
  const parsed = Result.getSuccess(SafeJson.parse(recorded ?? ""))
  const was = parsed._tag === "Some" ? decodeSection(parsed.value) : parsed
  if (was._tag === "None") return ""
  const now = JSON.parse(CanonicalJson.stringify(optionsOf(section))) as Schema.Json
  const differences = Identity.differences(was.value, now)
  const before = differences.map(({ key, was }) => `${key} ${was}`).join(", ")
  const after = differences.map(({ is, key }) => `searchSpace.${key} is ${is}`).join(", ")
  return differences.length === 0 ? "" : ` with ${before}, and ${after}`
}

/** Fails if a file of weights belongs to another network. A file without this record, as from PyTorch, is accepted. */
export const check = (
  file: string,
  found: Readonly<Record<string, string>>,
  owner: Owner
): Effect.Effect<void, CheckpointError> => {
  const fail = (reason: string) => Effect.fail(new CheckpointError({ file, tensor: null, reason }))
  const { architecture, section, space } = owner
  const { blocks, searchSpace, space: name } = found
  if (name !== undefined && name !== space.name) {
    return fail(`it was trained in search space ${name}, and searchSpace is ${space.name}`)
  }
  if (blocks !== undefined && blocks !== blocksDigest(space)) {
    const options = differing(searchSpace, section)
    return fail(
      `it was trained in search space ${space.name}${options === "" ? ", which then had other blocks" : options}`
    )
  }
  const of = found["architecture"]
  if (architecture !== null && of !== undefined && of !== space.format(architecture)) {
    return fail(`it has the weights of architecture ${of}; expected those of ${space.format(architecture)}`)
  }
  return Effect.void
}
