/**
 * How the stored bytes of an image become its part of a batch: distorted, cropped, mirrored, normalised and blanked, as
 * drawn by a key, or centred and normalised without one.
 */
import { type ImageShape, sizeOf } from "../engine/Shape.ts"
import * as Draws from "../random/Draws.ts"
import * as Distortion from "./Distortion.ts"

/** What training does to an image. Sizes in pixels of the result; 0 disables a part. */
export interface Augmentation {
  /** Random crop from the image with this many black pixels added on every side. */
  readonly crop: number
  /** Mirror left and right with probability one half. */
  readonly flip: boolean
  /**
   * Side of a square set to the mean colour. Its centre is anywhere in the image; the part outside is clipped (DeVries and
   * Taylor: "Improved regularization of convolutional neural networks with cutout", 2017).
   */
  readonly cutout: number
  /** A window of 1 - zoom to 1 + zoom of the image, off-centre at random (`Distortion.zoomed`). Default 0. */
  readonly zoom?: number | undefined
  /** Brightness and contrast by a factor of 1 - jitter to 1 + jitter (`Distortion.jittered`). Default 0. */
  readonly jitter?: number | undefined
}

/** What images are stored as, what they become, and what training does in between. */
export interface ImagePipeline {
  /** Shape of an image as stored. */
  readonly stored: ImageShape
  /** Shape of an image in a batch: at least as large, the same channels. The stored image is centred on black. */
  readonly image: ImageShape
  /** `table[256 * channel + byte]` is the normalised value. */
  readonly table: Float32Array
  readonly augmentation: Augmentation
}

/**
 * The table of normalised values as float32: `(byte / 255 - mean) / std` at `256 * channel + byte`.
 *
 * **Example** (Black and white)
 *
 * ```ts
 * import * as Augmentation from "./Augmentation.ts"
 *
 * Augmentation.normalisation([0.5], [0.5])[255] // => 1
 * ```
 */
export const normalisation = (mean: ReadonlyArray<number>, std: ReadonlyArray<number>): Float32Array => {
  const table = new Float32Array(256 * mean.length)
  mean.forEach((centre, channel) => {
    for (let byte = 0; byte < 256; byte += 1) {
      table[256 * channel + byte] = (byte / 255 - centre) / std[channel]!
    }
  })
  return table
}

/** Where an image is placed, and what is blanked. */
interface Placement {
  readonly flip: boolean
  readonly top: number
  readonly left: number
  /** Square to be blanked, by its corner; no square if its side is 0. */
  readonly cut: { readonly top: number; readonly left: number; readonly side: number }
}

/** The placement that a key draws; without a key the image is centred. */
const placement = ({ augmentation, image, stored }: ImagePipeline, key: Draws.Key | undefined): Placement => {
  const [height, width] = image
  const top = (height - stored[0]) >> 1
  const left = (width - stored[1]) >> 1
  if (key === undefined) return { flip: false, top, left, cut: { top: 0, left: 0, side: 0 } }
  const { crop, cutout, flip } = augmentation
  const half = cutout >> 1
  return {
    flip: flip && Draws.integer(key, 2, 0) === 1,
    top: top + crop - (crop > 0 ? Draws.integer(key, 2 * crop + 1, 1) : 0),
    left: left + crop - (crop > 0 ? Draws.integer(key, 2 * crop + 1, 2) : 0),
    cut: {
      top: cutout > 0 ? Draws.integer(key, height, 3) - half : 0,
      left: cutout > 0 ? Draws.integer(key, width, 4) - half : 0,
      side: cutout
    }
  }
}

/** Writes the image `stored` of `pixels` into `out` from `at` on: black around it, then mirrored, then blanked. */
const place = (
  pipeline: ImagePipeline,
  out: Float32Array,
  at: number,
  pixels: Uint8Array,
  stored: number,
  how: Placement
) => {
  const [height, width, channels] = pipeline.image
  const [storedHeight, storedWidth] = pipeline.stored
  const { table } = pipeline
  const base = stored * storedHeight * storedWidth * channels
  let write = at
  for (let y = 0; y < height; y += 1) {
    const row = y - how.top
    const inside = row >= 0 && row < storedHeight
    for (let x = 0; x < width; x += 1) {
      const column = (how.flip ? width - 1 - x : x) - how.left
      if (inside && column >= 0 && column < storedWidth) {
        const read = base + (row * storedWidth + column) * channels
        for (let c = 0; c < channels; c += 1) out[write + c] = table[256 * c + pixels[read + c]!]!
      } else {
        for (let c = 0; c < channels; c += 1) out[write + c] = table[256 * c]!
      }
      write += channels
    }
  }
  const { cut } = how
  for (let y = Math.max(cut.top, 0); y < Math.min(cut.top + cut.side, height); y += 1) {
    const from = Math.max(cut.left, 0)
    const to = Math.min(cut.left + cut.side, width)
    // 0 is the mean colour after normalisation.
    if (to > from) out.fill(0, at + (y * width + from) * channels, at + (y * width + to) * channels)
  }
}

/**
 * Writes an image of a batch into `out` from `at` on. Its bytes are image `stored` of `pixels`; `key` draws its
 * augmentation, undefined outside training.
 */
export const write = (
  pipeline: ImagePipeline,
  out: Float32Array,
  at: number,
  pixels: Uint8Array,
  stored: number,
  key: Draws.Key | undefined
): void => {
  const how = placement(pipeline, key)
  const { jitter = 0, zoom = 0 } = pipeline.augmentation
  if (key === undefined || (jitter === 0 && zoom === 0)) {
    place(pipeline, out, at, pixels, stored, how)
    return
  }
  const length = sizeOf(pipeline.stored)
  const own = pixels.subarray(stored * length, (stored + 1) * length)
  const moved = zoom === 0 ? own : Distortion.zoomed(own, pipeline.stored, zoom, key)
  const distorted = jitter === 0 ? moved : Distortion.jittered(moved, pipeline.stored[2], jitter, key)
  place(pipeline, out, at, distorted, 0, how)
}
