/** Batches of images that stay in their files: decoded, brought to the stored shape, then augmented as images in memory. */

import { join } from "node:path"
import * as Deterministic from "../random/Deterministic.ts"
import * as Draws from "../random/Draws.ts"
import * as BatchPlan from "./BatchPlan.ts"
import type { Batch, BatchRequest } from "./Dataflow.ts"
import * as DecodeImage from "./DecodeImage.ts"
import * as Distortion from "./Distortion.ts"
import type { RawImage } from "./Netpbm.ts"
import * as Resample from "./Resample.ts"

/** A batch, and the files that were replaced because they could not be read. */
export interface FileBatchResult {
  readonly batch: Batch
  readonly skipped: ReadonlyArray<{ readonly file: string; readonly reason: string }>
}

/** The whole image in `width` x `height`, by `fit`. */
export const whole = (image: RawImage, fit: "stretch" | "crop" | "pad", width: number, height: number): Uint8Array => {
  const full = { left: 0, top: 0, width: image.width, height: image.height }
  if (fit === "stretch") return Resample.resize(image, full, width, height)
  const scale =
    fit === "crop"
      ? Math.min(image.width / width, image.height / height)
      : Math.max(image.width / width, image.height / height)
  if (fit === "crop") {
    const box = { width: width * scale, height: height * scale }
    const [left, top] = [(image.width - box.width) / 2, (image.height - box.height) / 2]
    return Resample.resize(image, { left, top, ...box }, width, height)
  }
  const inner = {
    width: Math.min(Math.max(Math.round(image.width / scale), 1), width),
    height: Math.min(Math.max(Math.round(image.height / scale), 1), height)
  }
  const resized = Resample.resize(image, full, inner.width, inner.height)
  const out = new Uint8Array(width * height * image.channels)
  const [left, top] = [(width - inner.width) >> 1, (height - inner.height) >> 1]
  const line = inner.width * image.channels
  for (let y = 0; y < inner.height; y += 1) {
    out.set(resized.subarray(y * line, (y + 1) * line), ((top + y) * width + left) * image.channels)
  }
  return out
}

/**
 * A random part of the image (Szegedy et al. 2015, section 6, as in torchvision): area and aspect ratio are drawn until the
 * part fits, at most ten times; then it is the largest part in the middle with an allowed aspect ratio.
 */
export const randomBox = (
  image: { readonly width: number; readonly height: number },
  view: Extract<BatchPlan.View, { _tag: "RandomResizedCrop" }>,
  key: Draws.Key
): Resample.Box => {
  const [leastArea, mostArea] = view.area
  const [leastRatio, mostRatio] = view.ratio
  const draw = Draws.uniforms(Draws.derive(key, "box"), 40)
  const [logLeast, logMost] = [Deterministic.log(leastRatio), Deterministic.log(mostRatio)]
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const area = image.width * image.height * (leastArea + (mostArea - leastArea) * draw[4 * attempt]!)
    const ratio = Deterministic.exp(logLeast + (logMost - logLeast) * draw[4 * attempt + 1]!)
    const width = Math.round(Deterministic.sqrt(area * ratio))
    const height = Math.round(Deterministic.sqrt(area / ratio))
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue
    const left = Math.floor((image.width - width + 1) * draw[4 * attempt + 2]!)
    const top = Math.floor((image.height - height + 1) * draw[4 * attempt + 3]!)
    return { left, top, width, height }
  }
  const proportions = image.width / image.height
  const width = proportions > mostRatio ? Math.round(image.height * mostRatio) : image.width
  const height = proportions < leastRatio ? Math.round(image.width / leastRatio) : image.height
  return { left: (image.width - width) >> 1, top: (image.height - height) >> 1, width, height }
}

const evaluationBox = (image: RawImage, side: number, width: number, height: number): Resample.Box => {
  const scale = Math.min(image.width, image.height) / side
  const box = { width: width * scale, height: height * scale }
  return { left: (image.width - box.width) / 2, top: (image.height - box.height) / 2, ...box }
}

/** The stored bytes of a decoded image. */
export const view = (
  plan: BatchPlan.BatchPlan,
  how: BatchPlan.View,
  raw: RawImage,
  training: boolean,
  key: Draws.Key
): Uint8Array => {
  const [height, width, channels] = plan.stored
  const image = Resample.withChannels(raw, channels === 1 ? 1 : 3)
  if (how._tag === "Whole") return whole(image, how.fit, width, height)
  if (!training) return Resample.resize(image, evaluationBox(image, how.evaluationSide, width, height), width, height)
  const cropped = Resample.resize(image, randomBox(image, how, key), width, height)
  return how.jitter > 0 ? Distortion.jittered(cropped, channels, how.jitter, key) : cropped
}

/**
 * The batch of a request. Rejects with a `DecodeImage.ImageFailure` for a file that cannot be read, unless the plan skips
 * broken files: in training the next readable image of its label takes its place, otherwise the batch is smaller.
 */
export const batch = async (plan: BatchPlan.BatchPlan, request: BatchRequest): Promise<FileBatchResult> => {
  const { files } = plan
  if (files === null) return { batch: BatchPlan.batch(plan, request), skipped: [] }
  const { indices: all, part } = plan.splits[request.split]
  const { labels } = plan[part]
  const chosen = BatchPlan.indices(plan, request)
  const size = plan.stored[0] * plan.stored[1] * plan.stored[2]
  const pixels = new Uint8Array(chosen.length * size)
  const skipped = new Map<string, string>()
  const gone = new Set<number>()

  const load = async (position: number): Promise<void> => {
    const wanted = chosen[position]!
    const alike = () => {
      const own = all.filter((index) => labels[index] === labels[wanted])
      const at = own.indexOf(wanted)
      return [...own.subarray(at + 1), ...own.subarray(0, at)]
    }
    let candidates: ReadonlyArray<number> = [wanted]
    for (let attempt = 0; attempt < candidates.length; attempt += 1) {
      const index = candidates[attempt]!
      const path = files[part][index]!
      try {
        const raw = await DecodeImage.decodePlanned(files, path)
        const key = Draws.derive(BatchPlan.augmentationKey(plan, request, index, 0), "view")
        pixels.set(view(plan, files.view, raw, request.training, key), position * size)
        return
      } catch (cause) {
        const mayMiss = files.broken === "skip" || (files.broken === "skipUntested" && request.split !== "test")
        if (!(cause instanceof DecodeImage.ImageFailure)) throw cause
        if (!mayMiss) {
          const way = files.broken === "fail" ? ". Set `broken: skip` to continue without it" : ""
          throw new DecodeImage.ImageFailure(cause.file, `${cause.message}${way}`)
        }
        skipped.set(cause.file, cause.message)
        if (attempt === 0 && request.training) candidates = [wanted, ...alike()]
      }
    }
    if (request.training) {
      throw new DecodeImage.ImageFailure(
        join(files.root, files[part][wanted]!),
        "cannot be read, nor can any other image of its label"
      )
    }
    gone.add(position)
  }

  // Four at a time: while one file is read, another is decoded.
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < chosen.length) {
      const position = next
      next += 1
      await load(position)
    }
  }
  await Promise.all(Array.from({ length: 4 }, lane))

  const kept = Array.from(chosen.keys()).filter((position) => !gone.has(position))
  const made = BatchPlan.assemble(
    plan,
    request,
    Uint32Array.from(kept, (position) => chosen[position]!),
    pixels,
    (position) => kept[position]!
  )
  const list = [...skipped].sort(([a], [b]) => (a < b ? -1 : 1)).map(([file, reason]) => ({ file, reason }))
  return { batch: made, skipped: list }
}
