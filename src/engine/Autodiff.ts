/**
 * Differentiation, and the sole owner of tfjs's tape. The tape is private state of tfjs's engine: only this module reads or
 * changes it. Other modules call {@link differentiate} for gradients and {@link record} for an operation with a gradient of
 * its own.
 */
import * as tf from "@tensorflow/tfjs-core"
import "./Gradients.ts"

type Tensor = tf.Tensor

/** The parts of a tape node that this module uses. */
interface TapeNode {
  readonly inputs: tf.NamedTensorMap
  readonly saved?: ReadonlyArray<Tensor>
}

/** The part of tfjs's engine that its types leave out. */
interface TapeEngine {
  readonly state: { gradientDepth: number; activeTape: Array<TapeNode> | null | undefined }
  track<T extends Tensor>(tensor: T): T
  runKernelFunc(kernel: {
    readonly forwardFunc: (backend: unknown, save: (tensors: Array<Tensor>) => void) => Array<Tensor>
    readonly backwardsFunc: (dy: Tensor, saved: Array<Tensor>) => Record<string, () => Tensor>
    readonly inputs: tf.NamedTensorMap
    readonly attrs: object
  }): Array<Tensor>
  gradients(
    f: () => Tensor,
    sources: Array<Tensor>,
    dy: undefined,
    allowNoGradients: boolean
  ): { readonly value: Tensor; readonly grads: ReadonlyArray<Tensor | null | undefined> }
}
const engine = (): TapeEngine => tf.engine() as unknown as TapeEngine

/**
 * Frees what an abandoned tape has saved. tfjs does so only if a differentiation succeeds: after an error, most often lack of
 * memory, the activations of the whole step would leak. Does nothing inside another differentiation, which still needs the tape.
 */
const dropTape = (): void => {
  const { state } = engine()
  if (state.gradientDepth > 0 || !state.activeTape) return
  for (const node of state.activeTape) for (const tensor of node.saved ?? []) tensor.dispose()
  state.activeTape = []
}

/** Result of {@link differentiate}. The tensors belong to the caller's scope. */
export interface Differentiated {
  readonly value: Tensor
  /** One entry per source; undefined where the value does not depend on it. */
  readonly gradients: ReadonlyArray<Tensor | undefined>
}

/**
 * The value of `f`, a scalar, and its gradients with respect to `sources`, which `f` must use as they are.
 *
 * tfjs frees what `f` does not return. To keep a tensor, `f` passes it to its argument `keep`: it then belongs to the caller
 * (`tf.keep`). If `f` or the backward pass throws, kept tensors are disposed too, so nothing leaks.
 *
 * **Example** (The gradient of a product, and a factor it does not depend on)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { differentiate } from "./Autodiff.ts"
 *
 * const [a, b, unused] = [tf.scalar(3), tf.scalar(5), tf.scalar(7)]
 * const { gradients, value } = differentiate(() => tf.mul(a, b), [a, b, unused])
 * value.dataSync()[0] // => 15
 * gradients.map((gradient) => gradient?.dataSync()[0]) // => [5, 3, undefined]
 * ```
 */
export const differentiate = (
  f: (keep: <T extends Tensor>(tensor: T) => T) => Tensor,
  sources: ReadonlyArray<Tensor>
): Differentiated => {
  const kept: Array<Tensor> = []
  const keep = <T extends Tensor>(tensor: T): T => {
    kept.push(tf.keep(tensor))
    return tensor
  }
  // tfjs goes through all sources for every input of every operation, but a path of a supernet uses few of its parameters. So
  // sources that are not on the tape are removed once it is complete: tfjs reads the list after it has run the function.
  const wanted = [...sources]
  let places: ReadonlyArray<number> = []
  const forward = (): Tensor => {
    const value = f(keep)
    const used = new Set<number>([value.id])
    for (const node of engine().state.activeTape ?? []) {
      for (const name in node.inputs) used.add(node.inputs[name]!.id)
    }
    places = sources.flatMap((source, place) => (used.has(source.id) ? [place] : []))
    // tfjs refuses an empty list, so the first source stays; it gets no gradient.
    if (places.length === 0) places = [0]
    wanted.splice(0, wanted.length, ...places.map((place) => sources[place]!))
    return value
  }
  try {
    // The scope frees the value if the backward pass throws.
    const run = () => engine().gradients(forward, wanted, undefined, true)
    const { grads, value } = tf.tidy(run as unknown as () => tf.TensorContainer) as unknown as ReturnType<typeof run>
    const gradients = new Array<Tensor | undefined>(sources.length).fill(undefined)
    grads.forEach((gradient, index) => {
      gradients[places[index]!] = gradient ?? undefined
    })
    return { value, gradients }
  } catch (error) {
    for (const tensor of kept) tensor.dispose()
    dropTape()
    throw error
  }
}

/**
 * Runs a differentiation inside a gradient function. tfjs keeps a single tape and drops it when any differentiation ends; this
 * function restores the outer one.
 *
 * **Example** (The outer tape survives)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { differentiate, nested } from "./Autodiff.ts"
 *
 * const x = tf.scalar(3)
 * const cube = tf.customGrad((given) => ({
 *   value: tf.pow(given as tf.Tensor, 3),
 *   gradFunc: (dy) => nested(() => tf.mul(dy, differentiate(() => tf.pow(x, 3), [x]).gradients[0]!))
 * }))
 * differentiate(() => tf.mul(cube(x), x), [x]).gradients[0]!.dataSync()[0] // => 108
 * ```
 */
export const nested = <A>(compute: () => A): A => {
  const { state } = engine()
  const { activeTape } = state
  try {
    return compute()
  } finally {
    state.activeTape = activeTape
  }
}

/**
 * Whether a differentiation is running, so that operations need gradients.
 *
 * **Example** (Inside and outside)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { differentiate, isDifferentiating } from "./Autodiff.ts"
 *
 * const x = tf.scalar(1)
 * let inside = false
 * differentiate(() => {
 *   inside = isDifferentiating()
 *   return tf.square(x)
 * }, [x])
 * inside // => true
 * isDifferentiating() // => false
 * ```
 */
export const isDifferentiating = (): boolean => engine().state.gradientDepth > 0

/** Tensors of a backward pass that outlive one of its gradient functions. */
export interface BackwardMemory {
  /** Tensors that the forward pass saved, in order; freed with the tape. */
  readonly saved: ReadonlyArray<Tensor>
  /** Keeps a tensor until the tape is freed, or until `handOver`. */
  readonly hold: <T extends Tensor>(tensor: T) => T
  /** Releases a held tensor, so that the running gradient function can return it. */
  readonly handOver: <T extends Tensor>(tensor: T) => T
}

/** An operation recorded as one node of the tape. */
export interface Operation {
  /** Tensors that may get gradients. tfjs asks for their gradients in this order. */
  readonly inputs: tf.NamedTensorMap
  /** Computes the output. Call `save` last: tensors saved before a failure would leak. */
  readonly forward: (save: (tensors: Array<Tensor>) => void) => Tensor
  /** Gradient functions by input; tfjs calls those it needs. */
  readonly backward: (dy: Tensor, memory: BackwardMemory) => Record<string, () => Tensor>
}

/**
 * Runs an operation and records it. Unlike with `tf.customGrad`, the operation learns which gradients are needed, and in which order.
 *
 * **Example** (A product whose second gradient is not needed)
 *
 * ```ts
 * import "@tensorflow/tfjs-backend-cpu"
 * import * as tf from "@tensorflow/tfjs-core"
 * import { differentiate, record } from "./Autodiff.ts"
 *
 * const [a, b] = [tf.scalar(3), tf.scalar(5)]
 * const asked: Array<string> = []
 * const product = () =>
 *   record({
 *     inputs: { a, b },
 *     forward: (save) => {
 *       const out = tf.mul(a, b)
 *       save([b])
 *       return out
 *     },
 *     backward: (dy, { saved }) => ({
 *       a: () => {
 *         asked.push("a")
 *         return tf.mul(dy, saved[0]!)
 *       },
 *       b: () => {
 *         asked.push("b")
 *         return tf.mul(dy, a)
 *       }
 *     })
 *   })
 * differentiate(product, [a]).gradients[0]!.dataSync()[0] // => 5
 * asked // => ["a"]
 * ```
 */
export const record = ({ backward, forward, inputs }: Operation): Tensor => {
  const [output] = engine().runKernelFunc({
    inputs,
    attrs: {},
    forwardFunc: (_, save) => [forward(save)],
    backwardsFunc: (dy, saved) =>
      backward(dy, {
        saved,
        hold: (tensor) => {
          // Kept and disposed together with what the tape has saved.
          saved.push(tf.keep(tensor))
          return tensor
        },
        handOver: (tensor) => {
          saved.splice(saved.lastIndexOf(tensor), 1)
          tensor.kept = false
          return engine().track(tensor)
        }
      })
  })
  return output!
}
