/**
 * Components of your own: a configuration names the path of a module (`name: ./my-searcher.ts`), and the module exports a
 * component definition as `component`.
 *
 * Whatever goes wrong in such a module before the run begins is a `ComponentLoadError` that names it: the import, the
 * definition, and also an exception while its Layer is built.
 */
import { existsSync, statSync } from "node:fs"
import { resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Component } from "../component/Component.ts"
import * as ThrownIn from "../component/ThrownIn.ts"
import {
  type AnyKind,
  type BoundComponent,
  bind,
  type Chosen,
  type ComponentFailure,
  type ServiceOf
} from "./BoundComponent.ts"
import * as Versions from "./Versions.ts"

/** A component that cannot be loaded: which one, and why. */
export class ComponentLoadError extends Schema.TaggedError<ComponentLoadError>()("ComponentLoadError", {
  kind: Schema.String,
  name: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** Whether a component's name is the path of a module. */
export const isPath = (name: string): boolean =>
  /^(\.{1,2}[\\/]|[\\/]|[A-Za-z]:[\\/]|file:)/.test(name) || /\.[cm]?[jt]s$/.test(name)

/** The absolute path of a module that a configuration in `folder` names. */
export const pathOf = (name: string, folder: string): string =>
  name.startsWith("file:") ? fileURLToPath(name) : resolve(folder, name)

const isFailure = (error: unknown): error is ComponentFailure =>
  Predicate.hasProperty(error, "_tag") && Predicate.hasProperty(error, "message") && typeof error.message === "string"

/** A chosen component whose Layer fails, instead of dying, with the name of the module that threw while it was built. */
const guarded = <K extends AnyKind>(chosen: Chosen<K>, path: string): Chosen<K> => ({
  ...chosen,
  layer: Layer.catchCause(chosen.layer, (cause): Layer.Layer<ServiceOf[K], ComponentFailure> => {
    const error = Cause.squash(cause)
    if (Cause.hasInterruptsOnly(cause) || (!Cause.hasDies(cause) && isFailure(error))) {
      return Layer.effectContext(Effect.failCause(cause))
    }
    const what = error instanceof Error ? error.message : String(error)
    const reason = `the module failed while its component was built: ${what} (in ${ThrownIn.module(error) ?? path})`
    return Layer.effectContext(Effect.fail(new ComponentLoadError({ kind: chosen.kind, name: chosen.name, reason })))
  })
})

/** What a module must export, in one line. */
const example = (kind: AnyKind): string =>
  `a module exports \`const component = define({ kind: "${kind}", name, description, options, layer })\``

/** What is wrong with the definition that a module exports. */
const definitionFault = (value: unknown, kind: AnyKind): string | undefined => {
  if (!Predicate.hasProperty(value, "kind") || typeof value.kind !== "string") {
    return `its export \`component\` is not a component definition; ${example(kind)}`
  }
  if (value.kind !== kind) return `its component is a ${value.kind}; expected a ${kind}`
  if (!Predicate.hasProperty(value, "options") || !Schema.isSchema(value.options)) {
    return `its component has no Schema as \`options\`; ${example(kind)}`
  }
  if (!Predicate.hasProperty(value, "layer") || typeof value.layer !== "function") {
    return `its component has no function \`layer\`; ${example(kind)}`
  }
  return undefined
}

/** Loads a component from a module. A relative `name` is relative to `folder`. */
export const load = Effect.fn("UserModule.load")(function* <K extends AnyKind>(kind: K, name: string, folder: string) {
  const path = pathOf(name, folder)
  const fail = (reason: string) => new ComponentLoadError({ kind, name, reason })
  if (!existsSync(path)) {
    return yield* fail(
      `the module ${name} does not exist (looked for ${path}; paths are relative to the configuration)`
    )
  }
  if (!statSync(path).isFile()) return yield* fail(`${name} is a folder; expected the file of a module`)
  const module = yield* Effect.tryPromise({
    try: () => import(pathToFileURL(path).href) as Promise<Readonly<Record<string, unknown>>>,
    catch: (error) => {
      const message = error instanceof Error ? error.message : String(error)
      const advice = Versions.advice(path, message)
      return fail(`the module ${name} cannot be loaded: ${message}${advice === undefined ? "" : `; ${advice}`}`)
    }
  })
  if (!Object.hasOwn(module, "component")) {
    const exported = Object.keys(module)
    const has = exported.length === 0 ? "nothing" : exported.join(", ")
    return yield* fail(`the module ${name} exports no \`component\` (it exports ${has}); ${example(kind)}`)
  }
  const wrong = definitionFault(module["component"], kind)
  if (wrong !== undefined) {
    const advice = Versions.advice(path, "")
    return yield* fail(`the module ${name}: ${wrong}${advice === undefined ? "" : `; ${advice}`}`)
  }
  // The kind was checked above; the other types of a module loaded by path cannot be.
  const component = module["component"] as Component<K, ServiceOf[K], unknown>
  const bound = bind({ ...component, layer: (options) => Layer.suspend(() => component.layer(options)) })
  return {
    ...bound,
    choose: (options) => Result.map(bound.choose(options), (chosen) => guarded(chosen, path))
  } as BoundComponent<K>
})
