#!/usr/bin/env node
// Starts the command line from the sources in a clone, else from the compiled package.
import { existsSync } from "node:fs"
import * as module from "node:module"

const source = new URL("./main.ts", import.meta.url)
const built = new URL("../../dist/src/cli/main.js", import.meta.url)
const start = [source, built].find((url) => existsSync(url))
if (start === undefined) {
  process.stderr.write("osnas is not built: run `npm run build` in its folder\n")
  process.exit(1)
}

// The sources need a Node that strips types. The compiled package runs on Node 20 too, without the relaxed mode.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
const needed = start === source ? [22, 19] : [20, 19]
if (major < needed[0] || (major === needed[0] && minor < needed[1])) {
  process.stderr.write(
    `osnas needs Node ${needed.join(".")} or newer, and this is Node ${process.versions.node} (${process.execPath}).\n` +
      "Install a newer one from https://nodejs.org, or into this folder: npm install node@24 && npx osnas ...\n"
  )
  process.exit(1)
}

// Node 22 strips types, but warns on every start that this is experimental.
const emitWarning = process.emitWarning
process.emitWarning = (warning, ...rest) => {
  if (!/type stripping/i.test(String(warning))) Reflect.apply(emitWarning, process, [warning, ...rest])
}

module.enableCompileCache?.()

// A clone finds real data beside it unless a variable says otherwise; the package does not have this file.
const besideClone = new URL("../../tools/RealData.ts", import.meta.url)
if (start === source && existsSync(besideClone)) (await import(besideClone.href)).provide()

await import(start.href)
