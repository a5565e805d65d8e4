/** `npm run lint`: refuses the phrases of VoiceMarks.ts in comments, strings and Markdown, and says what to write instead. */
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import * as VoiceCheck from "./VoiceCheck.ts"

const root = resolve(import.meta.dirname, "..")
const { faults, files } = VoiceCheck.check(VoiceCheck.filesOf(root), (file) => readFileSync(join(root, file), "utf8"))
for (const fault of faults) console.error(fault)
console.error(
  faults.length === 0
    ? `Voice: ${files} files, no refused phrase.`
    : `Voice: ${faults.length} refused. CONTRIBUTING.md (How we write) says why; a phrase that has to stay goes into the exceptions of tools/VoiceCheck.ts, with a reason.`
)
process.exitCode = faults.length === 0 ? 0 : 1
