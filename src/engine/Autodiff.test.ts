import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { beforeAll, describe, expect, it } from "vitest"
import { differentiate, isDifferentiating, nested, record } from "./Autodiff.ts"

beforeAll(() => tf.setBackend("cpu"))

const numberOf = (tensor: tf.Tensor | undefined): number | undefined => tensor?.dataSync()[0]

describe("differentiate", () => {
  it("returns a gradient for each source that the value depends on, in the order of the sources", () => {
    tf.tidy(() => {
      const [unused, a, alsoUnused, b] = [1, 2, 3, 4].map((value) => tf.scalar(value))
      const f = () => tf.add(tf.mul(a!, tf.square(b!)), a!)
      const { gradients, value } = differentiate(f, [unused!, a!, alsoUnused!, b!])
      expect(numberOf(value)).toBe(34)
      expect(gradients.map(numberOf)).toEqual([undefined, 17, undefined, 16])
    })
  })

  it("differentiates a value that is itself a source, and one that depends on no source", () => {
    tf.tidy(() => {
      const [x, y] = [tf.scalar(2), tf.scalar(3)]
      expect(differentiate(() => y, [x, y]).gradients.map(numberOf)).toEqual([undefined, 1])
      expect(differentiate(() => tf.scalar(1), [x, y]).gradients).toEqual([undefined, undefined])
    })
  })

  it("leaves the value, the gradients and kept tensors, and nothing else", () => {
    const x = tf.scalar(3)
    const before = tf.memory().numTensors
    let kept: tf.Tensor | undefined
    const { gradients, value } = differentiate(
      (keep) => {
        kept = keep(tf.square(x))
        return tf.mul(tf.sin(x), kept)
      },
      [x]
    )
    expect(tf.memory().numTensors - before).toBe(3)
    expect(numberOf(kept)).toBe(9)
    for (const tensor of [...gradients, value, kept, x]) tensor?.dispose()
  })

  it.each(["forward", "backward"])("leaves nothing if the %s pass throws", (pass) => {
    const x = tf.scalar(3)
    const before = tf.memory().numTensors
    const square = tf.customGrad((given) => ({ value: tf.square(given as tf.Tensor), gradFunc: fail }))
    const f = (keep: <T extends tf.Tensor>(tensor: T) => T): tf.Tensor => {
      const value = square(tf.mul(x, keep(tf.exp(x))))
      return pass === "forward" ? fail() : value
    }
    expect(() => differentiate(f, [x])).toThrow("on purpose")
    expect(tf.memory().numTensors).toBe(before)
    // The tape is usable again.
    expect(tf.tidy(() => numberOf(differentiate(() => tf.square(x), [x]).gradients[0]))).toBe(6)
    x.dispose()
  })
})

const fail = (): never => {
  throw new Error("on purpose")
}

describe("nested", () => {
  it("keeps the outer tape, whether the inner differentiation succeeds or fails", () => {
    for (const fails of [false, true]) {
      const gradient = tf.tidy(() => {
        const x = tf.scalar(2)
        const square = tf.customGrad((given) => ({
          value: tf.square(given as tf.Tensor),
          gradFunc: (dy) => {
            try {
              const inner = nested(() => differentiate(() => (fails ? fail() : tf.square(x)), [x]))
              return tf.mul(dy, inner.gradients[0]!)
            } catch {
              return tf.mul(dy, tf.mul(x, 2))
            }
          }
        }))
        return numberOf(differentiate(() => tf.mul(square(tf.mul(x, 1)), x), [x]).gradients[0])
      })
      expect(gradient).toBe(12)
    }
  })
})

describe("record", () => {
  it("requests only needed gradients, in the order of the inputs, and frees held tensors", () => {
    const [a, b] = [tf.scalar(3), tf.scalar(5)]
    const asked: Array<string> = []
    const product = () =>
      record({
        inputs: { b, a },
        forward: (save) => {
          const out = tf.mul(a, b)
          save([a, b])
          return out
        },
        backward: (dy, { handOver, hold, saved }) => {
          const db = hold(tf.mul(dy, saved[0]!))
          hold(tf.scalar(0))
          return {
            a: () => {
              asked.push("a")
              return tf.mul(dy, saved[1]!)
            },
            b: () => {
              asked.push("b")
              return handOver(db)
            }
          }
        }
      })
    const before = tf.memory().numTensors
    const found = tf.tidy(() => {
      expect(isDifferentiating()).toBe(false)
      const one = differentiate(product, [a]).gradients.map(numberOf)
      const both = differentiate(product, [a, b]).gradients.map(numberOf)
      return [one, both] as unknown as tf.TensorContainer
    })
    expect(found).toEqual([[5], [5, 3]])
    expect(asked).toEqual(["a", "b", "a"])
    expect(tf.memory().numTensors).toBe(before)
    a.dispose()
    b.dispose()
  })
})
