/**
 * Images that stand in for data that are not here, when a run is tried with `--quick`: those that ship with osnas, in the
 * shape of the absent ones. So any configuration can be tried at once, before anything is downloaded.
 */
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import type * as Load from "../run/Load.ts"

const hasContent = (path: string): boolean => {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return false
  return found.isDirectory() ? readdirSync(path).length > 0 : true
}

type Options = Readonly<Record<string, unknown>>

const text = (options: Options, key: string): string | undefined => {
  const value = options[key]
  return typeof value === "string" ? value : undefined
}

/** The places of which a data set needs each; none where it needs none. */
const places: Readonly<Record<string, (options: Options) => ReadonlyArray<string>>> = {
  // What is to be downloaded is no matter of being here.
  cifar10: (options) => (options["download"] === true ? [] : [text(options, "folder") ?? ""]),
  cifar100: (options) => (options["download"] === true ? [] : [text(options, "folder") ?? ""]),
  "image-folder": (options) =>
    ["trainFolder", "testFolder"].map((part) => join(text(options, "folder") ?? "", text(options, part) ?? "")),
  "face-folder": (options) =>
    ["folder", "testFolder"].flatMap((key) => {
      const place = text(options, key)
      return place === undefined ? [] : [place]
    })
}

/** The first place of a configuration's data that is empty or not there; undefined where the data are here. */
export const absent = ({ components, config }: Load.LoadedRun): string | undefined => {
  const needs = Object.hasOwn(places, config.dataflow.name) ? places[config.dataflow.name] : undefined
  return needs?.(components.dataflow.options).find((place) => !existsSync(place) || !hasContent(place))
}

/** The least side the shipped images have. */
const shippedSide = 28
/** How many classes the shipped images have: so many people a balanced batch holds at most. */
const shippedClasses = 10

/** What is laid over the configuration. */
export const assignments = ({
  components,
  config
}: Load.LoadedRun): ReadonlyArray<readonly [path: ReadonlyArray<string>, value: unknown, flag: string]> => {
  const { options } = components.dataflow
  const number = (key: string, otherwise: number): number => {
    const value = options[key]
    return typeof value === "number" ? value : otherwise
  }
  const isFaces = config.dataflow.name === "face-folder"
  const asked = number("perIdentity", 0)
  const people = Math.floor(
    Math.min((config.supernetTraining ?? config.retraining)?.batchSize ?? 32, 32) / Math.max(asked, 1)
  )
  const section = {
    name: "fashion-mnist",
    size: Math.max(shippedSide, number("size", 32)),
    channels: number("channels", 3) === 1 ? 1 : 3,
    supernetFraction: number("supernetFraction", 0.8),
    crop: 0,
    perIdentity: asked > 0 && people > shippedClasses ? 4 : asked,
    verificationPairs: isFaces ? 100 : 0
  }
  return [[["dataflow"], section, "--quick"]]
}

/** The notice for the user, which the manifest repeats. */
export const notice = (place: string, name: string, { components }: Load.LoadedRun): string => {
  const { channels, size } = components.dataflow.options as { readonly channels?: number; readonly size?: number }
  return `the data of ${name} are not here (${place} is missing or empty): --quick takes Fashion-MNIST, which ships with osnas, in their place, at ${size}x${size}x${channels}; its figures say only that all fits together`
}
