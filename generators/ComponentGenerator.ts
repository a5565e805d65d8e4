/**
 * The generator: from a kind and names to the files of a component. Pure; who calls it writes the files.
 *
 * A template may bind names of its own in the files it makes. An identifier that meant something there already is
 * refused, so that what is made always compiles.
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

/** What is asked of the generator. */
export interface Request {
  readonly kind: KindName
  readonly name: string
  /** The namespace that tests import the component as; default: the name in one word. */
  readonly identifier?: string | undefined
  /** A shipped component to start from; default: a minimal one. */
  readonly from?: string | undefined
}

/** What it gives. */
export interface Generated {
  readonly names: Names.Names
  /** Paths relative to where components live. The first is the component's module. */
  readonly files: ReadonlyArray<Template.GeneratedFile>
  /** How a configuration names it; `path` is the module's, from there. */
  readonly yaml: (path: string) => string
}

/** Shipped components of a kind that can be started from. */
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
        ? `no shipped ${kind} can be started from`
        : `no ${kind} of that name can be started from${guess === undefined ? "" : `; did you mean ${guess}?`} (there are ${known.join(", ")})`
  return Result.fail(new Names.NameError({ flag: "--from", name: from, reason }))
}

/** The name that no component has: files made with it show what a template itself binds. */
const nobody: Names.Names = { name: "nobody", identifier: "Nobody0" }

/**
 * Makes the files of a component.
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
          reason: "the files that are made use that name already; choose another with --class"
        })
      )
    }
    return { names, files: Template.files(template, names), yaml: template.yaml }
  })
