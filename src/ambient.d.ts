/**
 * Names of the browser's that the declarations of tfjs-core, @webgpu/types and effect mention, for TypeScript projects
 * without the library DOM that check declarations too (`skipLibCheck: false`). Types only: nothing here exists at run
 * time. Each has as many members as tell it from the others.
 *
 * Name it in `tsconfig.json`: `"types": ["node", "osnas/ambient"]`. Not beside the library DOM, which has them all.
 */
interface HTMLImageElement {
  readonly naturalWidth: number
}
interface HTMLSourceElement {
  readonly srcset: string
}
interface ImageBitmap {
  readonly width: number
  close(): void
}
interface ImageData {
  readonly data: Uint8ClampedArray
}
interface VideoFrame {
  readonly codedWidth: number
}
interface WebGLTexture {
  readonly WebGLTexture: never
}
interface WebGLContextAttributes {
  readonly antialias?: boolean
}
interface IDBFactory {
  readonly IDBFactory: never
}
interface EventInit {
  bubbles?: boolean
}
type PredefinedColorSpace = "display-p3" | "srgb"
type BufferSource = ArrayBuffer | ArrayBufferView
interface CryptoKey {
  readonly extractable: boolean
}
interface JsonWebKey {
  kty?: string
}
interface Long {
  readonly high: number
  readonly low: number
}
