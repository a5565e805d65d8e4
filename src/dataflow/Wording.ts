/** Counts and lists of names in messages. */

const plurals: Readonly<Record<string, string>> = { class: "classes", person: "people" }

/**
 * A count and its noun.
 *
 * **Example** (Plurals)
 *
 * ```ts
 * import { counted } from "./Wording.ts"
 *
 * counted(1, "person") // => "1 person"
 * counted(5000, "person") // => "5,000 people"
 * ```
 */
export const counted = (count: number, noun: string): string =>
  `${String(count).replace(/\B(?=(\d{3})+$)/g, ",")} ${count === 1 ? noun : (plurals[noun] ?? `${noun}s`)}`

/**
 * The first names of a list, with `…` if there are more. Names with blanks or control characters are quoted.
 *
 * **Example** (Two of three)
 *
 * ```ts
 * import { some } from "./Wording.ts"
 *
 * some(["a", "b c", "d"], 2) // => 'a, "b c", …'
 * ```
 */
export const some = (names: ReadonlyArray<string>, most = 3): string => {
  const shown = names
    .slice(0, most)
    .map((name) => (/^[\x21-\x7e\u00a1-\uffff]+$/.test(name) ? name : JSON.stringify(name)))
  return shown.join(", ") + (names.length > most ? ", …" : "")
}
