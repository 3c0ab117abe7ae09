import type { Value } from "@waggle/graph";

/**
 * Where a language model's keys and values live. The model hands over what is new and gets the attention's result; how
 * the past is stored (not at all, in buffers of the caller, shared, quantised) it never learns.
 */
export interface KeyValueCache {
  /** Positions of the new tokens, [B, S] int64, for inputs_embeds [B, S, D]. */
  positions(inputs_embeds: Value): Value;
  /** q [B, Hq, S, D], k and v [B, Hkv, S, D], positions already applied → [B, Hq, S, D]. Hq is a multiple of Hkv. */
  attend(layer: number, q: Value, k: Value, v: Value, options?: AttendOptions): Value;
}

export interface AttendOptions {
  /** Factor on q·k. Default 1 / √D. */
  readonly scale?: number;
}
