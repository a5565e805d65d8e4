/** The tables of OSNASLib's keys as the documentation shows them. */
import { differences, keys } from "../../src/osnaslib/Keys.ts"

const cell = (text: string): string => text.replaceAll("|", "\\|")

/** The table of all keys, for the documentation. */
export const keysTable = (): string => {
  const rows = keys.map(({ about, here, key, names }) => {
    const pairs = Object.entries(names ?? {}).map(([old, name]) => `\`${old}\`: \`${name}\``)
    const text = [about, pairs.join(", ")].filter((part) => part !== "").join("; ")
    const paths = here.map((path) => `\`${path}\``).join(", ")
    return `| \`${key}\` | ${paths === "" ? "–" : paths} | ${cell(text)} |`
  })
  return ["| in OSNASLib | here | |", "| --- | --- | --- |", ...rows].join("\n")
}

/** The table of defaults that differ, for the documentation. */
export const differencesTable = (): string =>
  [
    "| default here | | in OSNASLib |",
    "| --- | --- | --- |",
    ...differences.map(({ here, path, there }) => `| \`${path}\` | \`${JSON.stringify(here)}\` | ${cell(there)} |`)
  ].join("\n")
