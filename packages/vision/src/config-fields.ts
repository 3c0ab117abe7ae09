/** The checks that vision configs share: each says what it expected, what it got, and which limit it hit. */
import { type ActivationName, activationNames, type ConfigProblem } from "@waggle/nn";
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

export function whole(field: keyof typeof limits): z.ZodType<number> {
  return z.custom<number>((value) => typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= limits[field], {
    error: ({ input }) => `expected a whole number from 1 to ${limits[field]} (the limit for ${field}), got ${show(input)}.`,
  });
}

export const positive: z.ZodType<number> = z.custom<number>((value) => typeof value === "number" && value > 0 && Number.isFinite(value), {
  error: ({ input }) => `expected a number above 0, got ${show(input)}.`,
});

/** Only new weights depend on it. */
export const notNegative: z.ZodType<number> = z.custom<number>(
  (value) => typeof value === "number" && value >= 0 && Number.isFinite(value),
  {
    error: ({ input }) => `expected a number of at least 0, got ${show(input)}.`,
  },
);

export const flag: z.ZodType<boolean> = z.boolean({ error: ({ input }) => `expected true or false, got ${show(input)}.` });

export const activationField: z.ZodType<ActivationName> = z.enum(activationNames, {
  error: ({ input }) => `expected one of ${activationNames.join(", ")}, got ${show(input)}.`,
});

/** What the whole must be. */
export const visionObject = {
  error: ({ input }: { readonly input?: unknown }): string => `expected an object, the vision_config of a config.json, got ${show(input)}.`,
};

/** null means "not given", as everywhere in config.json. */
export function completed(config: unknown, defaults: object): unknown {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return config;
  return { ...defaults, ...Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null && value !== undefined)) };
}

/** Sizes that do not go together. */
export function sizeProblems(sizes: {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly image_size: number;
  readonly patch_size: number;
}): ConfigProblem[] {
  const { hidden_size, num_attention_heads, image_size, patch_size } = sizes;
  const problems: ConfigProblem[] = [];
  const add = (field: string, message: string): unknown => problems.push({ field, message });
  if (hidden_size % num_attention_heads !== 0) {
    add("num_attention_heads", `expected a divisor of hidden_size ${hidden_size}, got ${num_attention_heads}.`);
  }
  if (patch_size > image_size) add("patch_size", `expected at most image_size ${image_size}, got ${patch_size}.`);
  const patches = Math.floor(image_size / patch_size) ** 2;
  if (patches > limits.patches)
    add("image_size", `${patches} patches are above the limit of ${limits.patches}; choose a larger patch_size.`);
  return problems;
}

export function show(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
