/** The tensor engine that laws run on where no other is current: tfjs's reference in plain JavaScript. */
import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { registerGradients } from "../src/engine/Gradients.ts"

/** Starts the reference if no backend is current. */
export const ensureBackend = async (): Promise<void> => {
  registerGradients()
  if (tf.getBackend() === undefined) await tf.setBackend("cpu")
  // Else its first tensor prints an advertisement.
  if (tf.getBackend() === "cpu") (tf.backend() as unknown as { firstUse: boolean }).firstUse = false
}
