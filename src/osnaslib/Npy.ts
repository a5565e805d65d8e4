/** Reads .npy files of numpy in which OSNASLib keeps architectures. */

const numpyMagic = "\u0093NUMPY"

/**
 * The architecture in a .npy file (`searched_model_architecture.npy`): one dimension of integers of four or eight bytes.
 * Undefined for any other content.
 */
export const parseNpy = (bytes: Uint8Array): ReadonlyArray<number> | undefined => {
  const text = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString("latin1")
  if (text(0, 6) !== numpyMagic || bytes.length < 12) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isFirst = bytes[6] === 1
  const length = isFirst ? view.getUint16(8, true) : view.getUint32(8, true)
  const start = (isFirst ? 10 : 12) + length
  const header = text(isFirst ? 10 : 12, start)
  const type = /'descr': '<i([48])'/.exec(header)?.[1]
  const count = /'shape': \((\d+),?\)/.exec(header)?.[1]
  if (type === undefined || count === undefined || bytes.length < start + Number(type) * Number(count)) return undefined
  return Array.from({ length: Number(count) }, (_, i) =>
    type === "4" ? view.getInt32(start + 4 * i, true) : Number(view.getBigInt64(start + 8 * i, true))
  )
}
