/** The engine of a configuration: one that ships, by its name, or one from a module, by its path. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Engine, EngineName } from "../engine/Engine.ts"
import * as Engines from "../engine/Engines.ts"
import type { RunConfig } from "../run/RunConfig.ts"
import type { ComponentFailure } from "./BoundComponent.ts"
import * as Load from "./Load.ts"
import * as UserModule from "./UserModule.ts"

/** The Layer of a configuration's engine. The path of a module is relative to `folder`. */
export const layer = ({ engine }: Pick<RunConfig, "engine">, folder: string): Layer.Layer<Engine, ComponentFailure> => {
  const { mode, name, threads } = engine
  if (!UserModule.isPath(name)) return Engines.layer(name as "auto" | EngineName, { mode, threads })
  return Layer.unwrap(
    Effect.gen(function* () {
      const component = yield* UserModule.load("engine", name, folder)
      return (yield* Effect.fromResult(component.choose(Load.engineOptions(engine, component)))).layer
    })
  )
}
