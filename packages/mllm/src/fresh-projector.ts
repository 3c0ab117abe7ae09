/** Parts that begin with fresh weights, whatever a checkpoint holds of them. */
import { ConfigError, initialize, type StateDict } from "@waggle/nn";
import type { Composition } from "./compose.ts";

export function checkParts(parts: readonly string[]): void {
  const unknown = parts.filter((part) => part !== "projector");
  if (unknown.length > 0)
    throw new ConfigError("load", [{ field: "initialize", message: `expected projector, got ${unknown.join(", ")}.` }]);
}

/** The checkpoint with another projector. */
export function withFreshProjector({ source, tensors }: StateDict, { modules }: Composition, seed: number): StateDict {
  initialize(modules.multi_modal_projector, { seed });
  const kept = [...tensors].filter(([key]) => !/^(model\.)?(multi_modal_projector|abstractor)\./.test(key));
  const fresh = Array.from(modules.multi_modal_projector.namedParameters("multi_modal_projector"));
  return { source, tensors: new Map([...kept, ...fresh.flatMap(([path, { source }]) => (source ? [[path, source] as const] : []))]) };
}
