/**
 * The backward pass of a branch. Let a = act(z) and z = scale y + shift. The job that computes da stores dz = da act'(z) and
 * the sums for the normalisation's gradient; dy = k1 dz + k2 y + k3 is computed where it is packed.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { BackwardMemory } from "../../Autodiff.ts"
import type { SimdBackend } from "../Backend.ts"
import type { Epilogue } from "../generated/Kernels.ts"
import { type Temporary, withTemporaries } from "../Temporaries.ts"
import { backwardDepthwise } from "./Depthwise.ts"
import { inputSource, SAVED_PER_STAGE } from "./Forward.ts"
import { backwardTensor, gradientTensor, planesToNhwc } from "./Nhwc.ts"
import { joinGradients, required } from "./Normalisation.ts"
import { backwardEpilogue, gradientPatchSource, gradientSource, nhwcEpilogue, type StoredStage } from "./Operands.ts"
import { type Branch, inPixels, outPixels, type Plan } from "./Plan.ts"
import { allChannels, type Channels, padded } from "./Planes.ts"
import { backwardProduct, type JointGradient, weightGradient } from "./Products.ts"

/** Inputs and outputs of the backward pass of a branch. */
interface BackwardPass {
  /** The branch's input, and the gradient of its output. */
  readonly x: Channels
  readonly da: Channels
  /** Tensors that the forward pass saved; this branch's begin at `start`. */
  readonly memory: BackwardMemory
  readonly start: number
  /** Destination of the input's gradient, and a tensor to add to it. */
  readonly dx: () => { readonly target: Channels; readonly residual: number | undefined }
}

/** The gradient function of one of a stage's parameters. */
interface ParameterGradient {
  readonly name: "weight" | "bias" | "gamma" | "beta" | "slope"
  readonly stage: number
  readonly gradient: () => tf.Tensor
}

/** The gradient of a stage's raw output and of its vectors. */
interface StageGradient {
  readonly dz: tf.Tensor
  /** The vectors of dy = k1 dz + k2 y + k3. */
  readonly k: tf.Tensor
  readonly dbeta: tf.Tensor
  readonly dgamma: tf.Tensor
  readonly dslope: tf.Tensor | undefined
}

/**
 * The gradients of one branch, each computed on first request, in any order. A stage's y and dz are freed as soon as the
 * gradients of both its weight and its input are computed.
 */
export class BranchBackward {
  readonly #backend: SimdBackend
  readonly #branch: Branch
  readonly #pass: BackwardPass
  readonly #gradients: Array<StageGradient | undefined>
  /** Weight gradients of stages whose job computes both gradients. */
  readonly #jointWeights: Array<tf.Tensor | undefined>
  /** How many of a stage's two gradients are not computed yet. */
  readonly #left: Array<number>
  #inputDone = false

  constructor(backend: SimdBackend, branch: Branch, pass: BackwardPass) {
    this.#backend = backend
    this.#branch = branch
    this.#pass = pass
    this.#gradients = branch.plans.map(() => undefined)
    this.#jointWeights = branch.plans.map(() => undefined)
    this.#left = branch.plans.map(() => 2)
  }

  /** Writes the gradient of the branch's input. */
  input(): void {
    if (this.#inputDone) return
    this.#inputDone = true
    this.#gradientOf(0)
    const { residual, target } = this.#pass.dx()
    const plan = this.#plan(0)
    const epilogue = nhwcEpilogue(target, [plan.stage.inChannels, inPixels(plan), plan.batch], { residual })
    withTemporaries(this.#backend.runtime, (temporary) => this.#through(0, () => epilogue, temporary))
    this.#passed(0)
  }

  /** The gradient functions of the parameters, stage by stage. */
  parameters(): ReadonlyArray<ParameterGradient> {
    const { handOver } = this.#pass.memory
    return this.#branch.plans.flatMap(({ stage: { norm, outChannels } }, stage): ReadonlyArray<ParameterGradient> => {
      const own = () => this.#gradientOf(stage)
      return [
        { name: "weight", stage, gradient: () => this.#weight(stage) },
        { name: "beta", stage, gradient: () => handOver(own().dbeta) },
        { name: "gamma", stage, gradient: () => handOver(own().dgamma) },
        { name: "slope", stage, gradient: () => handOver(required(own().dslope, "slope", stage)) },
        // A normalisation removes any constant, so the gradient of a bias before it is zero.
        { name: "bias", stage, gradient: () => (norm ? tf.zeros([outChannels]) : handOver(own().dbeta)) }
      ]
    })
  }

  #plan(index: number): Plan {
    return this.#branch.plans[index]!
  }

  #saved(index: number, slot: number): tf.Tensor {
    return this.#pass.memory.saved[this.#pass.start + index * SAVED_PER_STAGE + slot]!
  }

  #stage(index: number): StoredStage {
    const y = this.#backend.address(this.#saved(index, 0))
    const vectors = this.#backend.address(this.#saved(index, 1))
    return { plan: this.#plan(index), stored: { y, vectors } }
  }

  #tensor(shape: Array<number>): tf.Tensor {
    return tf.engine().makeTensorFromTensorInfo(this.#backend.allocate(shape), this.#backend)
  }

  #held(shape: Array<number>): tf.Tensor {
    return this.#pass.memory.hold(this.#tensor(shape))
  }

  /** Records that one of a stage's two gradients is computed. */
  #release(index: number): void {
    this.#left[index]!--
    if (this.#left[index] !== 0) return
    this.#saved(index, 0).dispose()
    this.#gradients[index]!.dz.dispose()
  }

  /** Records that the gradient of a stage's input is computed. */
  #passed(index: number): void {
    this.#release(index)
    if (this.#plan(index).joint) this.#release(index)
  }

  /** Joins the partial sums of a stage's dz. */
  #join(index: number, dz: tf.Tensor, partial: number, parts: number): StageGradient {
    const { stage } = this.#plan(index)
    const channels = stage.outChannels
    const gradient: StageGradient = {
      dz,
      k: this.#held([3, padded(channels)]),
      dbeta: this.#held([channels]),
      dgamma: this.#held([channels]),
      dslope: stage.activation === "prelu" ? this.#held([channels]) : undefined
    }
    const address = (tensor: tf.Tensor): number => this.#backend.address(tensor)
    joinGradients(this.#backend.runtime, this.#stage(index), partial, parts, address(this.#saved(index, 3)), {
      dbeta: address(gradient.dbeta),
      dgamma: address(gradient.dgamma),
      dslope: gradient.dslope === undefined ? undefined : address(gradient.dslope),
      k: address(gradient.k)
    })
    return gradient
  }

  /** The gradient of a stage's raw output: from the chain's output, or through the stages after it. */
  #gradientOf(index: number): StageGradient {
    const known = this.#gradients[index]
    if (known !== undefined) return known
    const current = this.#stage(index)
    const { plan } = current
    const size = plan.outRows * padded(plan.stage.outChannels)
    const last = index === this.#branch.plans.length - 1
    if (!last) this.#gradientOf(index + 1)
    const gradient = withTemporaries(this.#backend.runtime, (temporary) => {
      const dz = this.#held([size])
      const out = this.#backend.address(dz)
      if (last) {
        const { partial, parts } = backwardTensor(this.#backend.runtime, current, this.#pass.da, out, temporary)
        return this.#join(index, dz, partial, parts)
      }
      let partial = 0
      const epilogue = (parts: number): Epilogue => {
        partial = temporary(parts * 3 * padded(plan.stage.outChannels))
        return backwardEpilogue(current, out, partial)
      }
      const parts = this.#through(index + 1, epilogue, temporary)
      return this.#join(index, dz, partial, parts)
    })
    this.#gradients[index] = gradient
    if (!last) this.#passed(index + 1)
    return gradient
  }

  /** The operand of a stage, as in the forward pass. */
  #input(index: number, temporary: Temporary) {
    const previous = index === 0 ? undefined : this.#stage(index - 1)
    return inputSource(this.#backend.runtime, this.#plan(index), previous, this.#pass.x, temporary)
  }

  /** Computes the gradient of a stage's input from that of its output, with an epilogue. Returns the partial sums. */
  #through(index: number, epilogue: (parts: number) => Epilogue, temporary: Temporary): number {
    const { runtime } = this.#backend
    const current = this.#stage(index)
    const { plan } = current
    const gradient = this.#gradientOf(index)
    const [dz, k] = [this.#backend.address(gradient.dz), this.#backend.address(gradient.k)]
    const weight = this.#backend.address(this.#saved(index, 2))
    let joint: JointGradient | undefined
    if (plan.joint) {
      const dw = this.#held(this.#branch.params[index]!.weight.shape)
      this.#jointWeights[index] = dw
      joint = { input: this.#input(index, temporary), dw: this.#backend.address(dw) }
      if (plan.kind === "depthwise") {
        const dy = gradientSource(current, dz, k)
        return backwardDepthwise(runtime, plan, dy, joint.input, weight, epilogue, joint.dw, temporary)
      }
    }
    if (plan.kind !== "im2col") {
      return backwardProduct(runtime, plan, gradientSource(current, dz, k), weight, epilogue, joint, temporary)
    }
    const { outChannels } = plan.stage
    const dy = allChannels(temporary(plan.batch * outPixels(plan) * outChannels), outChannels)
    if (plan.stage.norm) gradientTensor(runtime, current, dz, k, dy)
    else planesToNhwc(runtime, plan, dz, dy, temporary)
    return backwardProduct(runtime, plan, gradientPatchSource(plan, dy), weight, epilogue, joint, temporary)
  }

  #weight(index: number): tf.Tensor {
    const current = this.#stage(index)
    const { plan } = current
    if (plan.joint) {
      if (index > 0) this.#gradientOf(index - 1)
      else this.input()
      return this.#pass.memory.handOver(this.#jointWeights[index]!)
    }
    const { dz, k } = this.#gradientOf(index)
    const dw = this.#tensor(this.#branch.params[index]!.weight.shape)
    withTemporaries(this.#backend.runtime, (temporary) => {
      const dy = gradientSource(current, this.#backend.address(dz), this.#backend.address(k))
      const input = this.#input(index, temporary)
      weightGradient(this.#backend.runtime, plan, input, dy, this.#backend.address(dw), temporary)
    })
    this.#release(index)
    return dw
  }
}
