/**
 * The layout of tensors inside a chain and at its ends. Inside they are planes: [group of images][vector of 4
 * channels][pixel][image of the group][4 channels], channels and images padded (assembly/rows.ts). At the ends they are NHWC.
 */

export const ceil = (a: number, b: number): number => Math.ceil(a / b)
export const roundUp = (a: number, b: number): number => ceil(a, b) * b
export const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(high, x))

/** Logarithm of the images in a group of planes: eight, or one in batches that would leave most of the eight empty. */
export const groupShift = (batch: number): number => (batch < 5 ? 0 : 3)
/** Images of a group. */
export const groupImages = (batch: number): number => 2 ** groupShift(batch)
/** Groups of a batch. */
export const groupsOf = (batch: number): number => ceil(batch, groupImages(batch))
/** Images of a batch, padded to whole groups. */
export const filledImages = (batch: number): number => groupsOf(batch) * groupImages(batch)
/** Channels of planes, padded to whole vectors. */
export const padded = (channels: number): number => roundUp(channels, 4)

/** Channels of an NHWC tensor: the address of the first, and the strides of pixels and channels in floats. */
export interface Channels {
  readonly address: number
  readonly pixelStride: number
  readonly channelStride: number
}

/** All channels of a tensor. */
export const allChannels = (address: number, channels: number): Channels => ({
  address,
  pixelStride: channels,
  channelStride: 1
})

/** The channels of `whole` from number `from` on, every `channelStride`-th of them. */
export const channelsFrom = (whole: Channels, from: number, channelStride = 1): Channels => ({
  address: whole.address + from * 4,
  pixelStride: whole.pixelStride,
  channelStride
})
