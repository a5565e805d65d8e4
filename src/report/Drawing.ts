/** Drawings of the found architecture: the path it takes through the supernet, and its blocks one after the other. */
import { si } from "./Format.ts"
import type { DrawnBlock, FoundArchitecture } from "./ReportData.ts"

/** Colours of the choices, in order; legible on light and dark backgrounds. */
export const palette = [
  "#4269d0",
  "#d69a08",
  "#ee6350",
  "#3ca951",
  "#a463f2",
  "#2d9c8c",
  "#e06a9b",
  "#9c6b4e",
  "#6f97d8",
  "#c05f9d",
  "#7a8b3d",
  "#d98e5f"
] as const

const isSkip = (label: string): boolean => /^(skip|identity|none)$/i.test(label)

/** Every distinct choice label of the searched layers, in order of first occurrence. */
export const choiceLabels = (found: FoundArchitecture): ReadonlyArray<string> => [
  ...new Set(found.layers.flatMap((layer) => layer.choices))
]

/** The colour of a choice: one per label, grey for skips. */
export const colourOf = (labels: ReadonlyArray<string>, label: string): string => {
  if (isSkip(label)) return "var(--skip)"
  const index = labels.filter((other) => !isSkip(other)).indexOf(label)
  return index < 0 ? "var(--fixed)" : palette[index % palette.length]!
}

/** Escapes text for HTML and SVG. */
export const escapeText = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

/** `16x16x40`, or the length of a vector. */
export const shapeText = (shape: ReadonlyArray<number>): string => shape.join("×")

const MAX_COLUMNS = 64

/** The path through the supernet: one column per layer, one row per choice, with the chosen ones filled and connected. */
export const pathSvg = (found: FoundArchitecture): string => {
  const labels = choiceLabels(found)
  const layers = found.layers.slice(0, MAX_COLUMNS)
  if (labels.length > 24 || layers.length === 0) return ""
  const [left, top, row] = [86, 12, 27]
  const column = Math.max(26, Math.min(84, 980 / layers.length))
  const [width, height] = [left + column * layers.length + 12, top + row * labels.length + 34]
  const x = (i: number): number => left + column * (i + 0.5)
  const y = (label: string): number => top + row * (labels.indexOf(label) + 0.5)
  const rows = labels.map(
    (label) =>
      `<text x="${left - 16}" y="${y(label) + 4}" text-anchor="end" class="axis">${escapeText(label)}</text>` +
      `<line x1="${left}" x2="${width - 12}" y1="${y(label)}" y2="${y(label)}" stroke="var(--grid)"/>`
  )
  const dots = layers.map((layer, i) =>
    layer.choices
      .map((label, k) =>
        k === layer.taken
          ? ""
          : `<circle cx="${x(i)}" cy="${y(label)}" r="4" fill="var(--card)" stroke="var(--rule)" stroke-width="1.3"/>`
      )
      .join("")
  )
  const at = layers.map((layer, i) => ({ x: x(i), y: y(layer.choices[layer.taken] ?? "") }))
  const path = at
    .map((p, i) => {
      const before = at[i - 1]
      if (before === undefined) return `M${p.x},${p.y}`
      const bend = column / 2
      return `C${before.x + bend},${before.y} ${p.x - bend},${p.y} ${p.x},${p.y}`
    })
    .join("")
  const taken = layers.map((layer, i) => {
    const label = layer.choices[layer.taken] ?? ""
    return `<circle cx="${x(i)}" cy="${y(label)}" r="8.5" fill="${colourOf(labels, label)}" stroke="var(--card)" stroke-width="2"><title>${escapeText(layer.name)}: ${escapeText(label)}</title></circle>`
  })
  const numbers = layers.map(
    (_, i) => `<text x="${x(i)}" y="${height - 10}" text-anchor="middle" class="axis">${i + 1}</text>`
  )
  return (
    `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="path through the supernet" class="drawing">` +
    `${rows.join("")}${dots.join("")}<path d="${path}" fill="none" stroke="var(--ink)" stroke-opacity=".35" stroke-width="2.2"/>${taken.join("")}${numbers.join("")}</svg>`
  )
}

const HEIGHT = 132

/** Height of a block in the drawing: logarithmic in its channels. */
const heightOf = (block: DrawnBlock, most: number): number => {
  const channels = block.output.at(-1) ?? 1
  return 30 + (HEIGHT - 30) * (Math.log2(1 + channels) / Math.log2(1 + most))
}

/** The network as a row of blocks, coloured by choice, their height by channels; labels show where the image shrinks. */
export const networkSvg = (found: FoundArchitecture): string => {
  const labels = choiceLabels(found)
  const perRow = 16
  const rows = Math.ceil(found.blocks.length / perRow)
  const step = 68
  const [width, rowHeight] = [step * Math.min(perRow, found.blocks.length), HEIGHT + 62]
  const most = Math.max(...found.blocks.map((block) => block.output.at(-1) ?? 1))
  const parts: Array<string> = []
  let side: number | undefined
  found.blocks.forEach((block, i) => {
    const [row, column] = [Math.floor(i / perRow), i % perRow]
    const cx = step * (column + 0.5)
    const middle = row * rowHeight + 18 + HEIGHT / 2
    const h = heightOf(block, most)
    const w = Math.min(step - 14, 52)
    const skip = isSkip(block.label)
    const colour = block.choice === null ? "var(--fixed)" : colourOf(labels, block.label)
    if (column > 0) {
      parts.push(
        `<line x1="${cx - step + w / 2 + 2}" x2="${cx - w / 2 - 2}" y1="${middle}" y2="${middle}" stroke="var(--rule)" stroke-width="1.5"/>`
      )
    }
    const title = `<title>${escapeText(block.name)}: ${escapeText(block.label)}, ${shapeText(block.output)}, ${si(block.macs)} MACs, ${si(block.params)} parameters</title>`
    parts.push(
      skip
        ? `<rect x="${cx - w / 2}" y="${middle - h / 2}" width="${w}" height="${h}" rx="7" fill="none" stroke="var(--skip)" stroke-dasharray="4 4" stroke-width="1.5">${title}</rect>`
        : `<rect x="${cx - w / 2}" y="${middle - h / 2}" width="${w}" height="${h}" rx="7" fill="${colour}">${title}</rect>`
    )
    const lines = block.label.split(" ").slice(0, 3)
    lines.forEach((line, k) => {
      const y = middle + 4 + (k - (lines.length - 1) / 2) * 13
      const ink = skip ? "var(--muted)" : block.choice === null ? "var(--ink)" : "#fff"
      parts.push(
        `<text x="${cx}" y="${y}" text-anchor="middle" class="block" fill="${ink}">${escapeText(line.slice(0, 8))}</text>`
      )
    })
    parts.push(
      `<text x="${cx}" y="${middle + HEIGHT / 2 + 16}" text-anchor="middle" class="axis">${block.output.at(-1) ?? ""}</text>`
    )
    const here = block.output.length === 3 ? block.output[0] : 1
    if (here !== side) {
      const text = block.output.length === 3 ? `${block.output[0]}×${block.output[1]}` : "vector"
      parts.push(
        `<text x="${cx}" y="${middle - HEIGHT / 2 - 6}" text-anchor="middle" class="axis strong">${text}</text>`
      )
    }
    side = here
  })
  const height = rows * rowHeight
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="the found network" class="drawing">${parts.join("")}</svg>`
}

/**
 * The architecture as text: one line per block with its label, output shape and cost, at most `width` characters wide.
 */
export const networkText = (found: FoundArchitecture, width = 100): string => {
  const labelWidth = Math.max(...found.blocks.map((b) => b.label.length), 5)
  const nameWidth = Math.max(...found.blocks.map((b) => b.name.length), 4)
  const shapeWidth = Math.max(...found.blocks.map((b) => shapeText(b.output).length), 6)
  const most = Math.max(...found.blocks.map((b) => b.macs), 1)
  const barWidth = Math.max(4, Math.min(30, width - nameWidth - labelWidth - shapeWidth - 22))
  return found.blocks
    .map((block) => {
      const filled = Math.round((barWidth * block.macs) / most)
      const bar = block.macs === 0 ? "·" : "█".repeat(Math.max(1, filled))
      return `  ${block.name.padEnd(nameWidth)}  ${block.label.padEnd(labelWidth)}  ${shapeText(block.output).padStart(shapeWidth)}  ${si(block.macs).padStart(7)}  ${bar}`
    })
    .join("\n")
}
