import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SearchSpace } from "../search-space/SearchSpace.ts"
import * as Tiny from "../search-space/Tiny.ts"
import type { Budget } from "./CostModel.ts"
import * as LookupTable from "./LookupTable.ts"
import * as SearchBudget from "./SearchBudget.ts"

const space = Result.getOrThrow(
  Tiny.make({ stemStride: 2 }, { input: [28, 28, 1], head: { _tag: "Classifier", classes: 10 } })
)
const count = (budget: Budget) =>
  Effect.map(SearchBudget.SearchBudget, ({ feasible }) => feasible.count).pipe(
    Effect.provide(
      SearchBudget.layer(budget).pipe(
        Layer.provide(LookupTable.layerCounted),
        Layer.provide(Layer.succeed(SearchSpace, space))
      )
    ),
    Effect.result
  )

it.effect("is the set of architectures within it, or fails with the reason why there is none", () =>
  Effect.gen(function* () {
    expect(Result.getOrThrow(yield* count({ metric: "params", min: 0, max: 1e9 }))).toBe(117649n)
    const refused = yield* count({ metric: "flops", min: 0, max: 1000 })
    expect(Result.isFailure(refused) && refused.failure.message).toMatch(
      /^no architecture of tiny has flops between 0 and 1000: the smallest has \d+, the largest \d+$/
    )
  })
)
