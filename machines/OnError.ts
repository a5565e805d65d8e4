/** The transition that all states share whose work can fail. */
import { type Failure, toFailure } from "./RunState.ts"

type ErrorArgs = { readonly event: { readonly error: unknown } }

/** Work that failed: record why, and end in the state `failed`. */
export const onError = {
  target: "failed",
  actions: {
    type: "recordFailure",
    params: ({ event }: ErrorArgs): { readonly failure: Failure } => ({ failure: toFailure(event.error) })
  }
} as const
