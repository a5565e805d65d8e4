/**
 * When an option may change in the course of a run. The Schema of an option states it with one of the annotations below; an
 * option without one is part of the run's identity.
 *
 * | kind | meaning | on resume |
 * | --- | --- | --- |
 * | identity | decides the run's results | refused: another value is another run |
 * | place | where something is; what is read there has a digest of its own | may change |
 * | performance | speed, memory, when to save and when to stop; never a result | may change |
 * | later | decides results of a phase that may not have begun | may change before that phase begins |
 *
 * **Example** (Options and their kinds)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as OptionKind from "./OptionKind.ts"
 *
 * const Options = Schema.Struct({
 *   folder: Schema.String.annotate({ description: "Folder of the images", ...OptionKind.path }),
 *   workers: Schema.Int.annotate(OptionKind.performance),
 *   size: Schema.Int,
 *   test: Schema.Struct({ crops: Schema.Int }).annotate(OptionKind.usedFrom("evaluating"))
 * })
 * const kinds = OptionKind.of(Options.ast)
 * kinds.get("folder") // => { kind: "place", isPath: true }
 * kinds.get("workers") // => { kind: "performance" }
 * kinds.get("size") // => { kind: "identity" }
 * kinds.get("test.crops") // => { kind: "later", phase: "evaluating" }
 * ```
 */
import * as SchemaAST from "effect/SchemaAST"
import type { Phase } from "./Phase.ts"

/** When an option may change in the course of a run. */
export type OptionKind =
  | { readonly kind: "identity" }
  | { readonly kind: "place"; readonly isPath: boolean }
  | { readonly kind: "performance" }
  | { readonly kind: "later"; readonly phase: Phase }

const annotation = "osnas/OptionKind"

const annotate = (kind: OptionKind): Readonly<Record<string, OptionKind>> => ({ [annotation]: kind })

const isIdentity: OptionKind = { kind: "identity" }

/** Annotations of an option that decides results; only needed in a section with another annotation. */
export const identity = annotate(isIdentity)

/** Annotations of an option that is the path of a file or folder; null if it is optional and not given. */
export const path = annotate({ kind: "place", isPath: true })

/** Annotations of an option that says where something comes from and is not a path: an address, whether to download. */
export const source = annotate({ kind: "place", isPath: false })

/** Annotations of an option that changes speed and memory, but no result. */
export const performance = annotate({ kind: "performance" })

/** Annotations of an option that nothing uses before a phase begins. */
export const usedFrom = (phase: Phase): Readonly<Record<string, OptionKind>> => annotate({ kind: "later", phase })

const collect = (ast: SchemaAST.AST, at: string, inherited: OptionKind, into: Map<string, OptionKind>): void => {
  const kind = SchemaAST.resolveAt<OptionKind>(annotation)(ast) ?? inherited
  if (ast._tag === "Objects" && ast.propertySignatures.length > 0) {
    for (const { name, type } of ast.propertySignatures) {
      collect(type, at === "" ? String(name) : `${at}.${String(name)}`, kind, into)
    }
  } else into.set(at, kind)
}

/** Kinds of options by dotted path. */
export type OptionKinds = ReadonlyMap<string, OptionKind>

/**
 * The kinds of a struct's options. A nested struct passes its kind to its fields unless they are annotated; `inherited` is the
 * kind of the outer struct.
 */
export const of = (ast: SchemaAST.AST, inherited: OptionKind = isIdentity): OptionKinds => {
  const into = new Map<string, OptionKind>()
  collect(ast, "", inherited, into)
  return into
}

/**
 * The kind of the value at a path, which may be a part of an option: an element of a list, a key of a mapping.
 *
 * **Example** (An element has the kind of its list)
 *
 * ```ts
 * import * as OptionKind from "./OptionKind.ts"
 *
 * const kinds = new Map<string, OptionKind.OptionKind>([["dataflow.folders", { kind: "place", isPath: true }]])
 * OptionKind.at(kinds, "dataflow.folders.0") // => { kind: "place", isPath: true }
 * OptionKind.at(kinds, "seed") // => { kind: "identity" }
 * ```
 */
export const at = (kinds: OptionKinds, path: string): OptionKind => {
  const known = kinds.get(path)
  if (known !== undefined) return known
  const end = path.lastIndexOf(".")
  return end < 0 ? isIdentity : at(kinds, path.slice(0, end))
}
