/** `vision_config` of a CLIP checkpoint: what may stand in it, what is assumed where it is silent, and what is refused. */
import { type ActivationName, activationNames, parseConfig } from "@waggle/nn";
import { z } from "zod";

/** Sizes beyond these are mistakes or attacks, not models: published ones stay far below. */
export const limits = {
  hidden_size: 16_384,
  intermediate_size: 131_072,
  num_hidden_layers: 512,
  num_attention_heads: 512,
  num_channels: 256,
  image_size: 16_384,
  patch_size: 1_024,
  /** Patches of one picture: the attention over them is quadratic. */
  patches: 65_536,
} as const;

/** As in `config.json`. What is left out has transformers' default; fields that say nothing about the numbers are passed over. */
export interface ClipVisionConfig {
  readonly hidden_size?: number;
  readonly intermediate_size?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  readonly num_channels?: number;
  readonly image_size?: number;
  readonly patch_size?: number;
  readonly hidden_act?: ActivationName;
  readonly layer_norm_eps?: number;
}

export type ClipVision = Required<ClipVisionConfig>;

const defaults: ClipVision = {
  hidden_size: 768,
  intermediate_size: 3_072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  num_channels: 3,
  image_size: 224,
  patch_size: 32,
  hidden_act: "quick_gelu",
  layer_norm_eps: 1e-5,
};

const whole = (field: keyof typeof limits): z.ZodType<number> =>
  z.custom<number>((value) => typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= limits[field], {
    error: ({ input }) => `expected a whole number from 1 to ${limits[field]} (the limit for ${field}), got ${show(input)}.`,
  });

const schema = z
  .object(
    {
      hidden_size: whole("hidden_size"),
      intermediate_size: whole("intermediate_size"),
      num_hidden_layers: whole("num_hidden_layers"),
      num_attention_heads: whole("num_attention_heads"),
      num_channels: whole("num_channels"),
      image_size: whole("image_size"),
      patch_size: whole("patch_size"),
      hidden_act: z.enum(activationNames, { error: ({ input }) => `expected one of ${activationNames.join(", ")}, got ${show(input)}.` }),
      layer_norm_eps: z.custom<number>((value) => typeof value === "number" && value > 0 && Number.isFinite(value), {
        error: ({ input }) => `expected a number above 0, got ${show(input)}.`,
      }),
    },
    { error: ({ input }) => `expected an object, the vision_config of a config.json, got ${show(input)}.` },
  )
  .check(
    z.superRefine(({ hidden_size, num_attention_heads, image_size, patch_size }, context) => {
      const add = (field: string, message: string): void => context.addIssue({ code: "custom", path: [field], message });
      if (hidden_size % num_attention_heads !== 0) {
        add("num_attention_heads", `expected a divisor of hidden_size ${hidden_size}, got ${num_attention_heads}.`);
      }
      if (patch_size > image_size) add("patch_size", `expected at most image_size ${image_size}, got ${patch_size}.`);
      const patches = Math.floor(image_size / patch_size) ** 2;
      if (patches > limits.patches)
        add("image_size", `${patches} patches are above the limit of ${limits.patches}; choose a larger patch_size.`);
    }),
  );

/** The configuration, checked whole and completed, or one ConfigError that lists every mistake. */
export function parseClipVisionConfig(config: unknown): ClipVision {
  return parseConfig("ClipVisionConfig", schema, completed(config));
}

/** null means "not given", as everywhere in config.json. */
function completed(config: unknown): unknown {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return config;
  return { ...defaults, ...Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null && value !== undefined)) };
}

function show(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
