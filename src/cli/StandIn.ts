/**
 * Replacement for a missing dataset under `--quick`: the images that ship with osnas, in the shape of the missing ones. So you
 * can try any configuration before you download anything.
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

/** The paths that a dataset needs, all of them. */
const places: Readonly<Record<string, (options: Options) => ReadonlyArray<string>>> = {
  // A dataset that osnas downloads is not missing.
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

/** The first path of the configuration's data that is missing or empty; undefined if all are there. */
export const absent = ({ components, config }: Load.LoadedRun): string | undefined => {
  const needs = Object.hasOwn(places, config.dataflow.name) ? places[config.dataflow.name] : undefined
  return needs?.(components.dataflow.options).find((place) => !existsSync(place) || !hasContent(place))
}

/** Side of the shipped images in pixels. */
const shippedSide = 28
/** Number of classes of the shipped images, and so the most people in a balanced batch. */
const shippedClasses = 10

/** The values laid over the configuration. */
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

/** The notice for the user; the manifest records it. */
export const notice = (place: string, name: string, { components }: Load.LoadedRun): string => {
  const { channels, size } = components.dataflow.options as { readonly channels?: number; readonly size?: number }
  return `Dataset ${name} not found (${place} is missing or empty): --quick uses Fashion-MNIST, which ships with osnas, at ${size}x${size}x${channels}; results are a smoke test only`
}
