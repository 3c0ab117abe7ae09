/**
 * No projector: patch features are visual tokens. For vision encoders as wide as the language model.
 *
 *     features  [B, N, C]
 *     forward   [B, N, D]   D = C, unchanged
 *
 * state_dict  nothing
 * reference   haotian-liu/LLaVA `IdentityMap` (mm_projector_type "identity")
 */
import type { Value } from "@waggle/graph";
import { ConfigError, Module } from "@waggle/nn";
import { checkFeatures, type Projector, type ProjectorFactory } from "./projector.ts";

export function identity(): ProjectorFactory {
  return (vision_hidden_size, text_hidden_size) => new IdentityProjector(vision_hidden_size, text_hidden_size);
}

export class IdentityProjector<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;

  constructor(vision_hidden_size: C, text_hidden_size: D) {
    super();
    if ((vision_hidden_size as number) !== text_hidden_size) {
      const message = `expected ${text_hidden_size}, the width of the language model, got ${vision_hidden_size}: nothing stands between them that could change it.`;
      throw new ConfigError("identity", [{ field: "vision_hidden_size", message }]);
    }
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
  }

  tokenCount(patches: number): number {
    return patches;
  }

  forward(features: Value): Value {
    checkFeatures("IdentityProjector", features, this.vision_hidden_size);
    return features;
  }
}
