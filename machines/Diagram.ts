/** Pictures of machines, made from the machines: text in Mermaid's language, which many sites and editors draw. */
import { toDirectedGraph } from "xstate/graph"

type Graph = ReturnType<typeof toDirectedGraph>

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

/** The one arrow of each pair of states, its labels joined. */
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

const arrowsOf = (graph: Graph): ReadonlyArray<Arrow> => [
  ...graph.edges.flatMap((edge) => {
    const from = edge.source.key
    const to = edge.target.key
    // Events that change no state are not drawn.
    if (edge.source === edge.target && edge.transition.target === undefined) return []
    return [{ from, to, label: `${readable(edge.label.text)}${guardOf(edge.transition.guard)}` }]
  }),
  ...graph.children.flatMap(arrowsOf)
]

/**
 * A machine as a Mermaid state diagram: its states, the arrows between them with events and guards, its ends.
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
export const mermaid = (machine: Parameters<typeof toDirectedGraph>[0]): string => {
  const graph = toDirectedGraph(machine)
  const root = graph.stateNode
  const initial = root.initial.target?.[0]?.key
  const lines = ["stateDiagram-v2"]
  if (initial !== undefined) lines.push(`  [*] --> ${initial}`)
  for (const arrow of joined(arrowsOf(graph))) lines.push(`  ${arrow.from} --> ${arrow.to}: ${arrow.label}`)
  for (const node of Object.values(root.states)) {
    if (node.type === "final") lines.push(`  ${node.key} --> [*]`)
  }
  return `${lines.join("\n")}\n`
}
