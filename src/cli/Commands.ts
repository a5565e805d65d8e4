/**
 * The commands of `osnas`, in the order of the help. Each has one file in `commands/` with its flags, input type and help, and
 * loads its work only when it is chosen. A new flag is one line in that file.
 */
import * as Command from "effect/cli/Command"
import { bench } from "./commands/Bench.ts"
import { compareRuns } from "./commands/CompareRuns.ts"
import { compareSearchers } from "./commands/CompareSearchers.ts"
import { config } from "./commands/Config.ts"
import { engines } from "./commands/Engines.ts"
import { exportWeights } from "./commands/ExportWeights.ts"
import { generate } from "./commands/Generate.ts"
import { generateArchitectures } from "./commands/GenerateArchitectures.ts"
import { importConfig } from "./commands/ImportConfig.ts"
import { importWeights } from "./commands/ImportWeights.ts"
import { init } from "./commands/Init.ts"
import { inspect } from "./commands/Inspect.ts"
import { inspectData } from "./commands/InspectData.ts"
import { list } from "./commands/List.ts"
import { lookupTable } from "./commands/LookupTable.ts"
import { rank } from "./commands/Rank.ts"
import { report } from "./commands/Report.ts"
import { reproduce } from "./commands/Reproduce.ts"
import { resume } from "./commands/Resume.ts"
import { run } from "./commands/Run.ts"
import { verify } from "./commands/Verify.ts"
import { help as exitCodes } from "./Exit.ts"

/** The whole command line. */
export const osnas = Command.make("osnas").pipe(
  Command.withDescription(
    `One-shot neural architecture search: from one configuration to an evaluated network with its whole history. ${exitCodes}`
  ),
  Command.withExamples([
    { command: "osnas run", description: "A whole search in minutes, on images that ship with osnas" },
    { command: "osnas config > search.yaml && osnas run search.yaml", description: "A search of your own" }
  ]),
  Command.withSubcommands([
    run,
    resume,
    verify,
    inspect,
    inspectData,
    list,
    config,
    report,
    rank,
    engines,
    bench,
    compareSearchers,
    importConfig,
    importWeights,
    exportWeights,
    compareRuns,
    reproduce,
    generateArchitectures,
    lookupTable,
    init,
    generate
  ])
)
