/** The checks that config fields share: each says what it expected, what it got, and which limit it hit. */
import { z } from "zod";

/** Sizes beyond these are mistakes or attacks, not models: published ones stay far below. */
export const limits = {
  hidden_size: 65_536,
  intermediate_size: 262_144,
  num_hidden_layers: 1_024,
  num_attention_heads: 1_024,
  num_key_value_heads: 1_024,
  head_dim: 4_096,
  vocab_size: 4_194_304,
  max_position_embeddings: 33_554_432,
} as const;

export function whole(field: keyof typeof limits): z.ZodType<number> {
  const limit = limits[field];
  return z.custom<number>((value) => typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= limit, {
    error: ({ input }) => `expected a whole number from 1 to ${limit} (the limit for ${field}), got ${show(input)}.`,
  });
}

export const positive: z.ZodType<number> = z.custom<number>((value) => typeof value === "number" && value > 0 && Number.isFinite(value), {
  error: ({ input }) => `expected a number above 0, got ${show(input)}.`,
});

/** Only new weights depend on it, so no file is refused for it: 0 is read as the default, as transformers reads it. */
export const deviation: z.ZodType<number> = z
  .custom<number>((value) => typeof value === "number" && value >= 0 && Number.isFinite(value), {
    error: ({ input }) => `expected a number of at least 0, got ${show(input)}.`,
  })
  .transform((value) => value || 0.02);

export const flag: z.ZodType<boolean> = z.boolean({ error: ({ input }) => `expected true or false, got ${show(input)}.` });

/** A value as an error message shows it: short, and on one line. */
export function show(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
