/** The rotary part of `config.json`, in both spellings, as one checked object. */
import { z } from "zod";
import { flag, positive, show, whole } from "./config-fields.ts";
import type { RopeParameters } from "./rope.ts";

const kinds = ["default", "linear", "dynamic", "llama3", "yarn"] as const;

const common = {
  rope_theta: positive,
  partial_rotary_factor: z
    .literal(1, { error: ({ input }) => `only 1 (the whole head is rotated) is supported, got ${show(input)}.` })
    .nullish(),
};
const optional = positive.nullish().transform((value) => value ?? undefined);
const trained = { original_max_position_embeddings: whole("max_position_embeddings") };

export const ropeSchema: z.ZodType<RopeParameters> = z.discriminatedUnion(
  "rope_type",
  [
    z.object({ ...common, rope_type: z.literal("default") }),
    z.object({ ...common, rope_type: z.literal("linear"), factor: positive }),
    z.object({ ...common, rope_type: z.literal("dynamic"), factor: positive }),
    z.object({
      ...common,
      ...trained,
      rope_type: z.literal("llama3"),
      factor: positive,
      low_freq_factor: positive,
      high_freq_factor: positive,
    }),
    z.object({
      ...common,
      ...trained,
      rope_type: z.literal("yarn"),
      factor: positive,
      attention_factor: optional,
      beta_fast: positive.nullish().transform((value) => value ?? 32),
      beta_slow: positive.nullish().transform((value) => value ?? 1),
      mscale: optional,
      mscale_all_dim: optional,
      truncate: flag.nullish().transform((value) => value ?? true),
    }),
  ],
  {
    error: ({ input, code }) =>
      code === "invalid_union" ? `expected one of ${kinds.join(", ")}, got ${show(isRecord(input) ? input.rope_type : input)}.` : undefined,
  },
);

/**
 * The config with everything rotary gathered in `rope_parameters`, as transformers 5 writes it. Before, `rope_theta`
 * stood beside `rope_scaling: { type | rope_type, … }`; where both are there, `rope_scaling` counts, as in transformers.
 */
export function gatherRope(config: unknown): unknown {
  if (!isRecord(config)) return config;
  const given = config.rope_scaling ?? config.rope_parameters ?? {};
  if (!isRecord(given)) return { ...config, rope_parameters: given };
  const { max_position_embeddings, original_max_position_embeddings, partial_rotary_factor } = config;
  const trained = original_max_position_embeddings ?? given.original_max_position_embeddings ?? max_position_embeddings;
  const rope_type = given.rope_type ?? given.type ?? "default";
  const stretch = rope_type === "yarn" ? { factor: given.factor ?? Number(max_position_embeddings) / Number(trained) } : {};
  const rope_parameters = {
    partial_rotary_factor,
    ...given,
    ...stretch,
    rope_type,
    rope_theta: given.rope_theta ?? config.rope_theta,
    original_max_position_embeddings: trained,
  };
  return { ...config, rope_parameters };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
