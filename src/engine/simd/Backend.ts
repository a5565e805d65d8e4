/**
 * The embedded tfjs backend, `osnas-simd`: tensors live in one WebAssembly memory. Kernels of its own are registered by
 * the modules that write them; every other kernel is tfjs-backend-cpu's, reading and writing the same memory, so the
 * whole tfjs API works.
 */
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { makeRuntime, type Runtime, type RuntimeOptions } from "./Runtime.ts"

/** The backend's name in tfjs. */
export const backendName = "osnas-simd"

type Values = tf.backend_util.BackendValues
type NumericArray = Float32Array | Int32Array | Uint8Array

const bytesPerElement = (dtype: tf.DataType): number => (dtype === "bool" ? 1 : 4)

/**
 * A tensor's data. Numbers are in the runtime's memory at `address`; `values` is a view of them, and setting it copies
 * in. Strings stay JavaScript values.
 */
class TensorEntry {
  readonly dtype: tf.DataType
  refCount: number
  address = 0
  length = 0
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo }
  readonly #runtime: Runtime
  #strings: Array<Uint8Array> | undefined
  #view: NumericArray | undefined

  constructor(runtime: Runtime, dtype: tf.DataType, refCount: number) {
    this.#runtime = runtime
    this.dtype = dtype
    this.refCount = refCount
  }

  reserve(length: number): void {
    this.release()
    this.address = this.#runtime.allocator.allocate(length * bytesPerElement(this.dtype))
    this.length = length
  }

  release(): void {
    if (this.address !== 0) this.#runtime.allocator.free(this.address)
    this.address = 0
    this.#view = undefined
    this.#strings = undefined
  }

  get values(): Values | undefined {
    if (this.#strings !== undefined) return this.#strings
    if (this.address === 0) return undefined
    this.#runtime.settle()
    if (this.#view === undefined) {
      const { address, length } = this
      this.#view =
        this.dtype === "float32"
          ? this.#runtime.float32(address, length)
          : this.dtype === "bool"
            ? this.#runtime.uint8(address, length)
            : this.#runtime.int32(address, length)
    }
    return this.#view
  }

  set values(values: Values | undefined) {
    if (values === undefined || values === null) {
      this.release()
    } else if (this.dtype === "string") {
      this.#strings = values as Array<Uint8Array>
    } else {
      const numbers = values as NumericArray
      // Copying a view of this very block onto itself is the only overlap there can be.
      if (this.address === 0 || this.length !== numbers.length) this.reserve(numbers.length)
      const view = this.values as NumericArray
      if (view !== numbers) view.set(numbers)
    }
  }
}

/** The backend. Made and registered by {@link registerSimdBackend}. */
export class SimdBackend extends MathBackendCPU {
  readonly runtime: Runtime
  // Own counter: ids only have to be distinct objects.
  #nextId = 0

  constructor(runtime: Runtime) {
    super()
    this.runtime = runtime
  }

  #entry(dataId: object): TensorEntry {
    return this.data.get(dataId) as unknown as TensorEntry
  }

  #store(dataId: object, entry: TensorEntry): void {
    this.data.set(dataId, entry as unknown as Parameters<typeof this.data.set>[1])
  }

  override write(values: Values, shape: Array<number>, dtype: tf.DataType): object {
    const dataId = { id: this.#nextId++ }
    this.move(dataId, values, shape, dtype, 1)
    return dataId
  }

  override move(dataId: object, values: Values, _shape: Array<number>, dtype: tf.DataType, refCount: number): void {
    const entry = new TensorEntry(this.runtime, dtype, refCount)
    // A complex tensor has no values of its own: `complexTensorInfos` is set next.
    if (dtype !== "complex64") entry.values = values
    this.#store(dataId, entry)
  }

  /** A tensor of undefined content, for kernels to write. Sizes in elements follow from the shape. */
  allocate(shape: Array<number>, dtype: tf.DataType = "float32"): tf.TensorInfo {
    const entry = new TensorEntry(this.runtime, dtype, 1)
    entry.reserve(tf.util.sizeFromShape(shape))
    const dataId = { id: this.#nextId++ }
    this.#store(dataId, entry)
    return { dataId, shape, dtype }
  }

  /** Address of a tensor's numbers. A tensor that another backend holds is moved here first. */
  address(info: tf.TensorInfo): number {
    const entry = this.#entry(info.dataId)
    if (entry.address === 0) throw new Error(`a ${entry.dtype} tensor has no address`)
    return entry.address
  }

  /** The numbers as a view of memory: valid until the tensor is disposed. */
  view(info: tf.TensorInfo): NumericArray {
    return this.#entry(info.dataId).values as NumericArray
  }

  override readSync(dataId: object): Values {
    const entry = this.#entry(dataId)
    if (entry.dtype === "complex64" || entry.dtype === "string") return super.readSync(dataId)
    // A copy: a view would change under its reader once the block is reused.
    const values = entry.values as NumericArray
    const copy =
      entry.dtype === "float32"
        ? new Float32Array(values.length)
        : entry.dtype === "bool"
          ? new Uint8Array(values.length)
          : new Int32Array(values.length)
    copy.set(values)
    return copy
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.data.has(dataId)) return true
    const entry = this.#entry(dataId)
    entry.refCount--
    if (!force && entry.refCount > 0) return false
    if (entry.complexTensorInfos !== undefined) {
      this.disposeData(entry.complexTensorInfos.real.dataId, true)
      this.disposeData(entry.complexTensorInfos.imag.dataId, true)
    }
    entry.release()
    this.data.delete(dataId)
    return true
  }

  override memory() {
    const { inUseBytes, peakBytes } = this.runtime.allocator.usage()
    return { unreliable: false, reasons: [], inUseBytes, peakBytes }
  }

  override dispose(): void {
    void this.runtime.close()
  }
}

/**
 * Makes the backend and registers it, with every kernel of tfjs-backend-cpu that has not been registered for it already.
 * The name may be given for tests that want several side by side.
 */
export const registerSimdBackend = (options: RuntimeOptions, name: string = backendName): SimdBackend => {
  const backend = new SimdBackend(makeRuntime(options))
  tf.registerBackend(name, () => backend, 0)
  const present = new Set(tf.getKernelsForBackend(name).map((kernel) => kernel.kernelName))
  for (const kernel of tf.getKernelsForBackend("cpu")) {
    if (!present.has(kernel.kernelName)) tf.registerKernel({ ...kernel, backendName: name })
  }
  for (const kernel of simdKernels) {
    if (present.has(kernel.kernelName)) continue
    tf.unregisterKernel(kernel.kernelName, name)
    tf.registerKernel({ ...kernel, backendName: name })
  }
  return backend
}

const simdKernels: Array<Omit<tf.KernelConfig, "backendName">> = []

/** Adds a tfjs kernel of our own to those that {@link registerSimdBackend} registers instead of tfjs-backend-cpu's. */
export const addSimdKernel = (kernel: Omit<tf.KernelConfig, "backendName">): void => {
  simdKernels.push(kernel)
}
