/**
 * When an option may change in the course of a run. Every option's Schema can say so with one of the annotations below;
 * an option without one is part of the run's identity.
 *
 * | kind | meaning | on resume |
 * | --- | --- | --- |
 * | identity | decides the run's results | refused: another value is another run |
 * | place | where something is; what is read there has a digest of its own | may change |
 * | performance | how fast and with how much memory, never the result | may change |
 * | later | identity of a phase that may not have begun | may change before that phase begins |
 *
 * **Example** (Options that say what they are)
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
import type { Phase } from "../../machines/RunState.ts"

/** When an option may change in the course of a run. */
export type OptionKind =
  | { readonly kind: "identity" }
  | { readonly kind: "place"; readonly isPath: boolean }
  | { readonly kind: "performance" }
  | { readonly kind: "later"; readonly phase: Phase }

const annotation = "osnas/OptionKind"

const annotate = (kind: OptionKind): Readonly<Record<string, OptionKind>> => ({ [annotation]: kind })

/** Annotations of an option that is the path of a file or folder; null where it is optional. */
export const path = annotate({ kind: "place", isPath: true })

/** Annotations of an option that says where something comes from and is no path: an address, whether to download. */
export const source = annotate({ kind: "place", isPath: false })

/** Annotations of an option that changes speed and memory, but no result. */
export const performance = annotate({ kind: "performance" })

/** Annotations of an option that nothing uses before a phase begins. */
export const usedFrom = (phase: Phase): Readonly<Record<string, OptionKind>> => annotate({ kind: "later", phase })

const identity: OptionKind = { kind: "identity" }

const collect = (ast: SchemaAST.AST, at: string, inherited: OptionKind, into: Map<string, OptionKind>): void => {
  const kind = SchemaAST.resolveAt<OptionKind>(annotation)(ast) ?? inherited
  if (ast._tag === "Objects" && ast.propertySignatures.length > 0) {
    for (const { name, type } of ast.propertySignatures) {
      collect(type, at === "" ? String(name) : `${at}.${String(name)}`, kind, into)
    }
  } else into.set(at, kind)
}

/** The kinds of a struct's options by dotted path; a nested struct's kind is that of its fields unless they say otherwise. */
export const of = (ast: SchemaAST.AST): ReadonlyMap<string, OptionKind> => {
  const into = new Map<string, OptionKind>()
  collect(ast, "", identity, into)
  return into
}
