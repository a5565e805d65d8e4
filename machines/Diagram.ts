/** Diagrams of machines in Mermaid's language, which many sites and editors render. */
import type { AnyStateMachine } from "xstate"

const readable = (event: string): string => {
  const done = /^xstate\.done\.actor\.(.+)$/.exec(event)
  if (done !== null) return `${done[1]} done`
  const error = /^xstate\.error\.actor\.(.+)$/.exec(event)
  if (error !== null) return `${error[1]} failed`
  return event === "" ? "always" : event
}

interface Arrow {
  readonly from: string
  readonly to: string
  readonly label: string
}

/** One arrow per pair of states, its labels joined. */
const joined = (arrows: ReadonlyArray<Arrow>): ReadonlyArray<Arrow> => {
  const labels = new Map<string, { readonly arrow: Arrow; readonly texts: Set<string> }>()
  for (const arrow of arrows) {
    const key = `${arrow.from} ${arrow.to}`
    const entry = labels.get(key) ?? { arrow, texts: new Set<string>() }
    entry.texts.add(arrow.label)
    labels.set(key, entry)
  }
  return [...labels.values()].map(({ arrow, texts }) => ({ ...arrow, label: [...texts].join(", ") }))
}

const guardOf = (guard: unknown): string => {
  if (typeof guard === "string") return ` [${guard}]`
  if (typeof guard !== "object" || guard === null || !("type" in guard)) return ""
  const params = "params" in guard && typeof guard.params === "object" && guard.params !== null ? guard.params : {}
  const values = Object.values(params).filter((value) => typeof value === "string")
  return ` [${[String(guard.type), ...values].join(" ")}]`
}

type StateNode = AnyStateMachine["root"]

const arrowsOf = (node: StateNode): ReadonlyArray<Arrow> => [
  ...[...node.transitions.values(), node.always ?? []].flat().flatMap((transition) =>
    // Transitions without a target change no state and are not drawn.
    (transition.target ?? []).map((target) => ({
      from: node.key,
      to: target.key,
      label: `${readable(transition.eventType)}${guardOf(transition.guard)}`
    }))
  ),
  ...Object.values(node.states).flatMap(arrowsOf)
]

/**
 * A machine as a Mermaid state diagram: states, transitions with events and guards, final states.
 *
 * **Example** (The evaluation)
 *
 * ```ts
 * import * as Diagram from "./Diagram.ts"
 * import { evaluatingMachine } from "./Evaluating.ts"
 *
 * Diagram.mermaid(evaluatingMachine).split("\n")[1] // => "  [*] --> evaluating"
 * ```
 */
export const mermaid = (machine: AnyStateMachine): string => {
  const { root } = machine
  const initial = root.initial.target?.[0]?.key
  const lines = ["stateDiagram-v2"]
  if (initial !== undefined) lines.push(`  [*] --> ${initial}`)
  for (const arrow of joined(arrowsOf(root))) lines.push(`  ${arrow.from} --> ${arrow.to}: ${arrow.label}`)
  for (const node of Object.values(root.states)) {
    if (node.type === "final") lines.push(`  ${node.key} --> [*]`)
  }
  return `${lines.join("\n")}\n`
}
