/**
 * Makes `src/estimator/data/nas-bench-macro.csv` from the published table:
 * `node tools/makeNasBenchMacroTable.ts nas-bench-macro_cifar10.json`.
 * Keeps the three test accuracies of every architecture, in percent, in lexicographic order of the architectures;
 * parameters and FLOPs follow from the search space.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const [file = ""] = process.argv.slice(2)
const table = JSON.parse(readFileSync(file, "utf8")) as Readonly<
  Record<string, { readonly test_acc: ReadonlyArray<number> }>
>
const rows = Object.keys(table)
  .sort()
  .map((architecture) => [architecture, ...table[architecture]!.test_acc.map((accuracy) => accuracy.toFixed(2))].join())
const text = `${["architecture,test1,test2,test3", ...rows].join("\n")}\n`
writeFileSync(fileURLToPath(new URL("../src/estimator/data/nas-bench-macro.csv", import.meta.url)), text)
