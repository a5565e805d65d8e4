/** Templates of components: pure functions from names to files. */
import type { ComponentKind } from "../src/component/Component.ts"
import type { Names } from "./Names.ts"

/** A file to write: its path, relative to the folder of the components, and its content. */
export interface GeneratedFile {
  readonly path: string
  readonly content: string
}

/** The files of one kind of component. */
export interface Template {
  readonly kind: ComponentKind
  /** Content of the component's module. */
  readonly module: (names: Names) => string
  /** Content of its unit test. */
  readonly test: (names: Names) => string
  /** Content of its law test. */
  readonly laws: (names: Names) => string
  /** The section of a configuration that names it; `path` is the module's, relative to the configuration. */
  readonly yaml: (path: string) => string
}

/** The files of a component. */
export const files = (template: Template, names: Names): ReadonlyArray<GeneratedFile> => [
  { path: `${names.name}.ts`, content: template.module(names) },
  { path: `${names.name}.test.ts`, content: template.test(names) },
  { path: `${names.name}.laws.test.ts`, content: template.laws(names) }
]

/** Identifiers that a file binds at its top level, by imports and declarations. */
export const bindings = (content: string): ReadonlySet<string> => {
  const found = new Set<string>()
  for (const [, namespace] of content.matchAll(/^import (?:type )?\* as (\w+)/gm)) found.add(namespace ?? "")
  for (const [, list = ""] of content.matchAll(/^import (?:type )?\{([^}]*)\}/gm)) {
    for (const entry of list.split(","))
      found.add(
        entry
          .trim()
          .replace(/^type /, "")
          .split(" as ")
          .at(-1) ?? ""
      )
  }
  for (const [, name] of content.matchAll(/^(?:export )?(?:const|type|interface|class|function) (\w+)/gm)) {
    found.add(name ?? "")
  }
  return found
}

/** A section of a configuration that names a component by its module. */
export const section =
  (kind: string, more: ReadonlyArray<string> = []) =>
  (path: string): string =>
    [`${kind}:`, `  name: ${path}`, ...more.map((line) => `  ${line}`)].join("\n")
