/**
 * The names of a new component: in configurations, of its file, and as programs import it. Anything but a plain identifier is
 * refused with the reason, so that a name never becomes a path or a broken program.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** An invalid name, and what would be right. */
export class NameError extends Schema.TaggedError<NameError>()("NameError", {
  flag: Schema.String,
  name: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.flag} ${JSON.stringify(this.name)}: ${this.reason}`
  }
}

/** The names of a component. */
export interface Names {
  /** `my-searcher`: the name in configurations, and of its file without the ending. */
  readonly name: string
  /** `MySearcher`: the namespace that tests and programs import it as. */
  readonly identifier: string
}

/** Reserved words of JavaScript and TypeScript, in lower case. */
export const reservedWords: ReadonlySet<string> = new Set(
  `abstract any arguments as async await bigint boolean break case catch class const constructor continue debugger
  declare default delete do else enum eval export extends false finally for from function get global globalthis if
  implements import in infinity instanceof interface let module nan never new null number object of package private
  protected prototype public require return set static string super switch symbol this throw true try type typeof
  undefined unknown var void while with yield`.split(/\s+/)
)

/** Names that Windows keeps for devices, whatever their ending. */
const devices = /^(con|prn|aux|nul|com\d|lpt\d)$/

const longest = 64

/**
 * `MySearcher` for `my-searcher`.
 *
 * **Example** (A name in two words)
 *
 * ```ts
 * import * as Names from "./Names.ts"
 *
 * Names.pascal("my-searcher") // => "MySearcher"
 * Names.pascal("my_nas2") // => "MyNas2"
 * ```
 */
export const pascal = (name: string): string =>
  name
    .split(/[-_]+/)
    .filter((word) => word !== "")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("")

/** Checks a name and the identifier beside it (default: the name in one word, `MySearcher`). */
export const make = (name: string, identifier: string | undefined): Result.Result<Names, NameError> => {
  const refuse = (flag: string, value: string, reason: string) =>
    Result.fail(new NameError({ flag, name: value, reason }))
  if (/[\\/]|\.\./.test(name)) return refuse("--name", name, "it is a path; a name has no slashes and no dots")
  if (!/^[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*$/.test(name)) {
    return refuse(
      "--name",
      name,
      "expected letters and digits, beginning with a letter, words joined by - or _, as my-searcher"
    )
  }
  if (name.length > longest)
    return refuse("--name", name, `it has ${name.length} characters; expected at most ${longest}`)
  if (reservedWords.has(name.toLowerCase())) return refuse("--name", name, "it is a reserved word of the language")
  if (devices.test(name.toLowerCase())) return refuse("--name", name, "Windows reserves that name for a device")
  const chosen = identifier ?? pascal(name)
  if (!/^[A-Z][A-Za-z0-9]*$/.test(chosen)) {
    return refuse("--class", chosen, "expected letters and digits, beginning with a capital letter, as MySearcher")
  }
  if (chosen.length > longest) {
    return refuse("--class", chosen, `it has ${chosen.length} characters; expected at most ${longest}`)
  }
  if (identifier !== undefined && reservedWords.has(chosen.toLowerCase())) {
    return refuse("--class", chosen, "it is a reserved word of the language")
  }
  return Result.succeed({ name, identifier: chosen })
}
