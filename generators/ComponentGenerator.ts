/**
 * Generates the files of a component from its kind and names. Pure: the caller writes the files.
 *
 * The generated files bind names of their own. An identifier that they use already is refused, so that generated files always
 * compile.
 */
import * as Result from "effect/Result"
import type { ComponentKind } from "../src/component/Component.ts"
import { closest } from "../src/support/Suggestion.ts"
import * as Derived from "./Derived.ts"
import { type KindName, kinds } from "./Kinds.ts"
import * as Names from "./Names.ts"
import * as Template from "./Template.ts"
import * as Criterion from "./templates/Criterion.ts"
import * as Dataflow from "./templates/Dataflow.ts"
import * as Engine from "./templates/Engine.ts"
import * as Estimator from "./templates/Estimator.ts"
import * as SearchSpace from "./templates/SearchSpace.ts"
import * as SearchStrategy from "./templates/SearchStrategy.ts"
import * as TrainingAgent from "./templates/TrainingAgent.ts"
import * as TrainingStrategy from "./templates/TrainingStrategy.ts"

const minimal: { readonly [K in ComponentKind]: Template.Template } = {
  searchSpace: SearchSpace.template(SearchSpace.minimal, undefined),
  trainingStrategy: TrainingStrategy.template,
  searchStrategy: SearchStrategy.template,
  criterion: Criterion.template,
  dataflow: Dataflow.template,
  trainingAgent: TrainingAgent.template,
  estimator: Estimator.template,
  engine: Engine.template
}

export { descriptions, type KindName, kindNames, kinds } from "./Kinds.ts"

/** What to generate. */
export interface Request {
  readonly kind: KindName
  readonly name: string
  /** The namespace that tests import the component as; default: made from the name. */
  readonly identifier?: string | undefined
  /** A shipped component to start from; default: a minimal one. */
  readonly from?: string | undefined
}

/** The generated files. */
export interface Generated {
  readonly names: Names.Names
  /** Paths relative to the folder of the components. The first is the component's module. */
  readonly files: ReadonlyArray<Template.GeneratedFile>
  /** The section of a configuration that names it; `path` is the module's, relative to the configuration. */
  readonly yaml: (path: string) => string
}

/** Shipped components of a kind that --from takes. */
export const starts = (kind: KindName): ReadonlyArray<string> => Object.keys(Derived.shipped[kinds[kind]])

const templateOf = ({ from, kind }: Request): Result.Result<Template.Template, Names.NameError> => {
  if (from === undefined) return Result.succeed(minimal[kinds[kind]])
  const found = Derived.template(kinds[kind], from)
  if (found !== undefined) return Result.succeed(found)
  const known = starts(kind)
  const why = Object.hasOwn(Derived.notStarted[kinds[kind]] ?? {}, from)
    ? Derived.notStarted[kinds[kind]]?.[from]
    : undefined
  const guess = closest(from, known)
  const reason =
    why !== undefined
      ? why
      : known.length === 0
        ? `--from does not take a shipped ${kind}`
        : `there is no ${kind} of that name to start from${guess === undefined ? "" : `; did you mean ${guess}?`} (there are ${known.join(", ")})`
  return Result.fail(new Names.NameError({ flag: "--from", name: from, reason }))
}

/** A name that no component has: files generated with it show which names the template itself binds. */
const nobody: Names.Names = { name: "nobody", identifier: "Nobody0" }

/**
 * Generates the files of a component.
 *
 * **Example** (A searcher's files)
 *
 * ```ts
 * import * as Result from "effect/Result"
 * import * as ComponentGenerator from "./ComponentGenerator.ts"
 *
 * const made = Result.getOrThrow(ComponentGenerator.generate({ kind: "search-strategy", name: "my-searcher" }))
 * made.files.map((file) => file.path) // => ["my-searcher.ts", "my-searcher.test.ts", "my-searcher.laws.test.ts"]
 * made.names.identifier // => "MySearcher"
 * ```
 */
export const generate = (request: Request): Result.Result<Generated, Names.NameError> =>
  Result.gen(function* () {
    const template = yield* templateOf(request)
    const names = yield* Names.make(request.name, request.identifier)
    const bound = new Set(Template.files(template, nobody).flatMap((file) => [...Template.bindings(file.content)]))
    if (bound.has(names.identifier)) {
      return yield* Result.fail(
        new Names.NameError({
          flag: "--class",
          name: names.identifier,
          reason: "the generated files use that name already; choose another with --class"
        })
      )
    }
    return { names, files: Template.files(template, names), yaml: template.yaml }
  })
