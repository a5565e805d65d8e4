import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { beforeAll, expect, test } from "vitest"
import * as Key from "../random/Key.ts"
import { distillationLoss } from "./Distillation.ts"

beforeAll(async () => {
  await tf.setBackend("cpu")
})

const values = (name: string) =>
  Array.from({ length: 12 }, (_, i) => 4 * Key.uniform(Key.derive(Key.make(3), name, i)) - 2)
const softmax = (row: ReadonlyArray<number>) => {
  const exponentials = row.map(Math.exp)
  const sum = exponentials.reduce((a, b) => a + b)
  return exponentials.map((value) => value / sum)
}
const rows = (flat: ReadonlyArray<number>) => [0, 4, 8].map((from) => flat.slice(from, from + 4))
/** In float64, by the definition. */
const expected = (teacher: ReadonlyArray<number>, student: ReadonlyArray<number>): number => {
  const [targets, outputs] = [rows(teacher).map(softmax), rows(student).map(softmax)]
  const each = targets.map((target, i) => -target.reduce((sum, p, k) => sum + p * Math.log(outputs[i]![k]!), 0))
  return each.reduce((a, b) => a + b) / each.length
}

test("is the cross entropy to the teacher's softmax, with the gradient of the student alone", () => {
  const [teacher, student] = [values("teacher"), values("student")]
  const before = tf.memory().numTensors
  tf.tidy(() => {
    const shape: [number, number] = [3, 4]
    const [t, s] = [tf.tensor2d(teacher, shape), tf.tensor2d(student, shape)]
    expect(distillationLoss(t, s).dataSync()[0]).toBeCloseTo(expected(teacher, student), 5)
    const gradient = tf
      .grad((x) => distillationLoss(t, x as tf.Tensor2D))(s)
      .dataSync()
    for (const [i, value] of gradient.entries()) {
      const moved = (by: number) => expected(teacher, student.with(i, student[i]! + by))
      expect(value).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 5)
    }
  })
  expect(tf.memory().numTensors).toBe(before)
})

test("is least where student and teacher agree", () => {
  const [teacher, student] = [values("teacher"), values("student")]
  tf.tidy(() => {
    const t = tf.tensor2d(teacher, [3, 4])
    const at = (outputs: ReadonlyArray<number>) => distillationLoss(t, tf.tensor2d([...outputs], [3, 4])).dataSync()[0]!
    expect(at(teacher)).toBeLessThan(at(student))
  })
})
