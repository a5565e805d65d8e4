/** Augmentation of the bytes of an image before it is placed: zoom and colour jitter. */
import * as Draws from "../random/Draws.ts"
import * as Resample from "./Resample.ts"

/**
 * A window of the image, resized to the image. Each side of the window is that of the image times 1 - zoom to 1 + zoom; its
 * centre is moved by up to zoom / 2 of the side. Beyond the border, the window has the colour of the border.
 *
 * **Example** (No zoom, the same bytes)
 *
 * ```ts
 * import * as Key from "../random/Key.ts"
 * import * as Distortion from "./Distortion.ts"
 *
 * const pixels = Uint8Array.of(1, 2, 3, 4)
 * Distortion.zoomed(pixels, [2, 2, 1], 0, Key.make(0)).join() // => "1,2,3,4"
 * ```
 */
export const zoomed = (
  pixels: Uint8Array,
  [height, width, channels]: readonly [height: number, width: number, channels: number],
  zoom: number,
  key: Draws.Key
): Uint8Array => {
  const draw = Draws.uniforms(Draws.derive(key, "zoom"), 4)
  const side = (length: number, which: number) => length * (1 - zoom + 2 * zoom * draw[which]!)
  const box = { width: side(width, 0), height: side(height, 1) }
  const start = (length: number, part: number, which: number) =>
    (length - part) / 2 + length * zoom * (draw[which]! - 0.5)
  const [left, top] = [start(width, box.width, 2), start(height, box.height, 3)]
  return Resample.resize(
    { width, height, channels: channels === 1 ? 1 : 3, pixels },
    { left, top, ...box },
    width,
    height
  )
}

/**
 * Brightness, contrast and saturation, in random order, each times 1 - jitter to 1 + jitter (as torchvision's ColorJitter,
 * without hue).
 */
export const jittered = (pixels: Uint8Array, channels: number, jitter: number, key: Draws.Key): Uint8Array => {
  const own = Draws.derive(key, "jitter")
  const size = pixels.length
  const values = new Float64Array(size)
  for (let at = 0; at < size; at += 1) values[at] = pixels[at]!
  const factor = (which: number) => 1 - jitter + 2 * jitter * Draws.uniform(own, which)
  const grey = (at: number) =>
    channels === 1 ? values[at]! : 0.299 * values[at]! + 0.587 * values[at + 1]! + 0.114 * values[at + 2]!
  const clamp = (value: number) => Math.min(Math.max(value, 0), 255)
  const change = [
    () => {
      const by = factor(0)
      for (let at = 0; at < size; at += 1) values[at] = clamp(by * values[at]!)
    },
    () => {
      const by = factor(1)
      let sum = 0
      for (let at = 0; at < size; at += channels) sum += grey(at)
      const base = (sum / (size / channels)) * (1 - by)
      for (let at = 0; at < size; at += 1) values[at] = clamp(base + by * values[at]!)
    },
    () => {
      if (channels !== 3) return
      const by = factor(2)
      for (let at = 0; at < size; at += 3) {
        const base = grey(at) * (1 - by)
        for (let c = at; c < at + 3; c += 1) values[c] = clamp(base + by * values[c]!)
      }
    }
  ]
  for (const which of Draws.permutation(own, change.length)) change[which]!()
  const out = new Uint8Array(size)
  for (let at = 0; at < size; at += 1) out[at] = values[at]! + 0.5
  return out
}
