/**
 * The embedded tfjs backend, `osnas-simd`: tensors live in one WebAssembly memory. Modules that
 * define kernels register them here; every other kernel is tfjs-backend-cpu's, on the same memory, so the whole tfjs API
 * works.
 */
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { makeRuntime, type Runtime, type RuntimeOptions } from "./Runtime.ts"

/** The backend's name in tfjs. */
export const backendName = "osnas-simd"

type Values = tf.backend_util.BackendValues
type NumericArray = Float32Array | Int32Array | Uint8Array

const bytesPerElement = (dtype: tf.DataType): number => (dtype === "bool" ? 1 : 4)

const viewOf = (runtime: Runtime, dtype: tf.DataType, address: number, length: number): NumericArray =>
  dtype === "float32"
    ? runtime.float32(address, length)
    : dtype === "bool"
      ? runtime.uint8(address, length)
      : runtime.int32(address, length)

/**
 * A tensor's data. Numbers are in the runtime's memory at `address`, in the entry's dtype; `values` is a view of them, and
 * setting it copies. Strings stay JavaScript values.
 *
 * A tensor may have another dtype than its entry: the casts inside tfjs-backend-cpu (from bool to int32, from both to
 * float32) only relabel the data, also those of a tensor that was cast on the `cpu` engine and is used here later.
 * {@link TensorEntry.as} converts the numbers to the dtype of the label.
 */
class TensorEntry {
  readonly dtype: tf.DataType
  refCount: number
  address = 0
  length = 0
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo }
  readonly #runtime: Runtime
  readonly #free: (address: number) => void
  #strings: Array<Uint8Array> | undefined
  #view: NumericArray | undefined
  /** The numbers in other dtypes, converted on first use. */
  #converted: Map<tf.DataType, number> | undefined

  constructor(runtime: Runtime, free: (address: number) => void, dtype: tf.DataType, refCount: number) {
    this.#runtime = runtime
    this.#free = free
    this.dtype = dtype
    this.refCount = refCount
  }

  reserve(length: number): void {
    this.release()
    this.address = this.#runtime.allocator.allocate(length * bytesPerElement(this.dtype))
    this.length = length
  }

  release(): void {
    if (this.address !== 0) this.#free(this.address)
    this.address = 0
    this.#view = undefined
    this.#strings = undefined
    this.#dropConverted()
  }

  #dropConverted(): void {
    if (this.#converted === undefined) return
    for (const address of this.#converted.values()) this.#free(address)
    this.#converted = undefined
  }

  /** Address of the numbers in a dtype: converted once, freed with the entry. 0 if there are no numbers. */
  as(dtype: tf.DataType): number {
    if (dtype === this.dtype || this.address === 0) return this.address
    const known = this.#converted?.get(dtype)
    if (known !== undefined) return known
    if (dtype !== "float32" && dtype !== "int32" && dtype !== "bool") {
      throw new Error(`a ${this.dtype} tensor cannot be read as ${dtype}`)
    }
    const address = this.#runtime.allocator.allocate(this.length * bytesPerElement(dtype))
    viewOf(this.#runtime, dtype, address, this.length).set(this.values as NumericArray)
    this.#converted ??= new Map()
    this.#converted.set(dtype, address)
    return address
  }

  get values(): Values | undefined {
    if (this.#strings !== undefined) return this.#strings
    if (this.address === 0) return undefined
    this.#runtime.settle()
    this.#view ??= viewOf(this.#runtime, this.dtype, this.address, this.length)
    return this.#view
  }

  set values(values: Values | undefined) {
    if (values === undefined || values === null) {
      this.release()
    } else if (this.dtype === "string") {
      this.#strings = values as Array<Uint8Array>
    } else {
      const numbers = values as NumericArray
      // The only possible overlap is a view of this very block.
      if (this.address === 0 || this.length !== numbers.length) this.reserve(numbers.length)
      this.#dropConverted()
      const view = this.values as NumericArray
      if (view !== numbers) view.set(numbers)
    }
  }
}

/** A borrowed kernel so far: entries it made, and blocks to free when it ends. */
interface Loan {
  readonly made: Array<object>
  readonly freed: Array<number>
}

type Infos = tf.TensorInfo | Array<tf.TensorInfo>

/** The backend. Made and registered by {@link registerSimdBackend}. */
export class SimdBackend extends MathBackendCPU {
  readonly runtime: Runtime
  // Ids only have to be distinct objects.
  #nextId = 0
  #loan: Loan | undefined

  constructor(runtime: Runtime) {
    super()
    this.runtime = runtime
  }

  #entry(dataId: object): TensorEntry {
    return this.data.get(dataId) as unknown as TensorEntry
  }

  #store(dataId: object, entry: TensorEntry): void {
    this.data.set(dataId, entry as unknown as Parameters<typeof this.data.set>[1])
    this.#loan?.made.push(dataId)
  }

  readonly #free = (address: number): void => {
    if (this.#loan === undefined) this.runtime.allocator.free(address)
    else this.#loan.freed.push(address)
  }

  /**
   * Runs a kernel written for tfjs-backend-cpu, where garbage collection frees an array. Here an array is a view of
   * memory, so blocks are freed only when the kernel ends: some kernels (the Fourier transforms) read tensors that they
   * have disposed. If a kernel throws, everything it made is freed. A result whose data have another dtype than its label
   * (the indices of MaxPoolWithArgmax) gets data of its own.
   */
  borrow<A extends Infos | undefined>(kernel: () => A): A {
    const outer = this.#loan
    const loan: Loan = { made: [], freed: [] }
    this.#loan = loan
    try {
      const out = kernel()
      if (out === undefined) return out
      return (Array.isArray(out) ? out.map((info) => this.#ofOneType(info)) : this.#ofOneType(out)) as A
    } catch (error) {
      for (const dataId of loan.made) if (this.data.has(dataId)) this.disposeData(dataId, true)
      throw error
    } finally {
      this.#loan = outer
      for (const address of loan.freed) this.#free(address)
      outer?.made.push(...loan.made)
    }
  }

  #ofOneType(info: tf.TensorInfo): tf.TensorInfo {
    const entry = this.#entry(info.dataId)
    if (entry.dtype === info.dtype || entry.address === 0) return info
    const own = this.allocate([...info.shape], info.dtype)
    this.view(own).set(this.view(info))
    this.disposeData(info.dataId)
    return own
  }

  override write(values: Values, shape: Array<number>, dtype: tf.DataType): object {
    const dataId = { id: this.#nextId++ }
    this.move(dataId, values, shape, dtype, 1)
    return dataId
  }

  override move(dataId: object, values: Values, shape: Array<number>, dtype: tf.DataType, refCount: number): void {
    const entry = new TensorEntry(this.runtime, this.#free, dtype, refCount)
    // A complex tensor has no values of its own: its kernel sets `complexTensorInfos` next. One from another backend
    // passes its real and imaginary parts.
    if (dtype !== "complex64") entry.values = values
    else if (values !== undefined && values !== null) {
      const part = (offset: 0 | 1): tf.TensorInfo => {
        const pairs = values as Float32Array
        const numbers = Float32Array.from({ length: pairs.length / 2 }, (_, i) => pairs[2 * i + offset]!)
        return this.makeTensorInfo(shape, "float32", numbers)
      }
      entry.complexTensorInfos = { real: part(0), imag: part(1) }
    }
    this.#store(dataId, entry)
  }

  /** A tensor with undefined content, for a kernel to write. */
  allocate(shape: Array<number>, dtype: tf.DataType = "float32"): tf.TensorInfo {
    const entry = new TensorEntry(this.runtime, this.#free, dtype, 1)
    entry.reserve(tf.util.sizeFromShape(shape))
    const dataId = { id: this.#nextId++ }
    this.#store(dataId, entry)
    return { dataId, shape, dtype }
  }

  /** Address of a tensor's numbers, in its dtype. A tensor of another backend is moved here first. */
  address(info: tf.TensorInfo): number {
    const entry = this.#entry(info.dataId)
    if (entry.address === 0) throw new Error(`a ${entry.dtype} tensor has no address`)
    return entry.as(info.dtype)
  }

  /** A view of the numbers, in the tensor's dtype: valid until the tensor is disposed. */
  view(info: tf.TensorInfo): NumericArray {
    const entry = this.#entry(info.dataId)
    if (entry.dtype === info.dtype || entry.address === 0) return entry.values as NumericArray
    return viewOf(this.runtime, info.dtype, entry.as(info.dtype), entry.length)
  }

  override readSync(dataId: object): Values {
    const entry = this.#entry(dataId)
    if (entry.dtype === "complex64" || entry.dtype === "string") return super.readSync(dataId)
    // A copy: a view would change once the block is reused.
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

const borrowed = new WeakMap<tf.KernelFunc, tf.KernelFunc>()

/** The kernel of tfjs-backend-cpu that a registered kernel runs unchanged; undefined for our own kernels. */
export const borrowedFrom = (kernelFunc: tf.KernelFunc): tf.KernelFunc | undefined => borrowed.get(kernelFunc)

/**
 * Makes the backend and registers it, with our own kernels and every other kernel of tfjs-backend-cpu. Tests that need
 * several backends side by side give a name.
 */
export const registerSimdBackend = (options: RuntimeOptions, name: string = backendName): SimdBackend => {
  const backend = new SimdBackend(makeRuntime(options))
  tf.registerBackend(name, () => backend, 0)
  const present = new Set(tf.getKernelsForBackend(name).map((kernel) => kernel.kernelName))
  for (const kernel of tf.getKernelsForBackend("cpu")) {
    if (present.has(kernel.kernelName)) continue
    // Use the backend of the call: kernels outlive the backend that they were registered with.
    const kernelFunc: tf.KernelFunc = (params) =>
      (params.backend as SimdBackend).borrow(() => kernel.kernelFunc(params))
    borrowed.set(kernelFunc, kernel.kernelFunc)
    tf.registerKernel({ ...kernel, kernelFunc, backendName: name })
  }
  for (const kernel of simdKernels) {
    if (present.has(kernel.kernelName)) continue
    tf.unregisterKernel(kernel.kernelName, name)
    tf.registerKernel({ ...kernel, backendName: name })
  }
  return backend
}

const simdKernels: Array<Omit<tf.KernelConfig, "backendName">> = []

/** Adds one of our own kernels, which {@link registerSimdBackend} registers instead of tfjs-backend-cpu's. */
export const addSimdKernel = (kernel: Omit<tf.KernelConfig, "backendName">): void => {
  simdKernels.push(kernel)
}
