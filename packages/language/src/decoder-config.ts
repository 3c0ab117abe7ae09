/** What `config.json` says about a decoder of the Llama family: what is assumed where it is silent, and what is refused. */
import { type ActivationName, activationNames, type ConfigProblem, parseConfig } from "@waggle/nn";
import { z } from "zod";
import { deviation, flag, limits, positive, show, whole } from "./config-fields.ts";
import type { RopeParameters } from "./rope.ts";
import { gatherRope, ropeSchema } from "./rope-config.ts";

/** As in `config.json`. What is left out has transformers' default; fields that say nothing about the numbers are passed over. */
export interface LlamaConfig {
  readonly vocab_size?: number;
  readonly hidden_size?: number;
  readonly intermediate_size?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  /** Default: as many as num_attention_heads. */
  readonly num_key_value_heads?: number | null;
  /** Default: hidden_size / num_attention_heads. */
  readonly head_dim?: number | null;
  readonly hidden_act?: ActivationName;
  readonly max_position_embeddings?: number;
  readonly rms_norm_eps?: number;
  readonly rope_theta?: number;
  /** As written before transformers 5: `{ type | rope_type, factor, … }`. */
  readonly rope_scaling?: Readonly<Record<string, unknown>> | null;
  /** As written by transformers 5: `{ rope_theta, rope_type, … }`. */
  readonly rope_parameters?: Readonly<Record<string, unknown>> | null;
  /** Biases of q_proj, k_proj, v_proj and o_proj. */
  readonly attention_bias?: boolean;
  readonly mlp_bias?: boolean;
  /** True: lm_head multiplies by the embedding table. */
  readonly tie_word_embeddings?: boolean;
  /** Standard deviation of new weights. Default 0.02. */
  readonly initializer_range?: number;
}

/** The literal type of a config's width where it has one: what makes a wrong composition a compile error. */
export type WidthOf<C> = C extends { readonly hidden_size: infer D extends number } ? D : number;

/** What the relatives of Llama may say besides. */
export interface WindowConfig extends LlamaConfig {
  /** Tokens that a token sees, itself included. null: all before it. */
  readonly sliding_window?: number | null;
  readonly use_sliding_window?: boolean;
}

/** A configuration that has been checked and completed. */
export interface DecoderConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly hidden_act: ActivationName;
  readonly max_position_embeddings: number;
  /** How many positions the rotary scaling makes of them, or a sliding window leaves of them. */
  readonly max_positions: number;
  readonly rms_norm_eps: number;
  readonly rope: RopeParameters;
  /** Biases of q_proj, k_proj and v_proj. */
  readonly attention_bias: boolean;
  readonly attention_output_bias: boolean;
  readonly mlp_bias: boolean;
  readonly tie_word_embeddings: boolean;
  readonly initializer_range: number;
}

/** One family of decoders: what its config.json may leave out, and what it has no say in. */
export interface Family {
  /** The name of its configuration in errors. */
  readonly where: string;
  readonly defaults: WindowConfig;
  readonly fixed: WindowConfig;
}

export const llamaDefaults: WindowConfig = {
  vocab_size: 32_000,
  hidden_size: 4_096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  hidden_act: "silu",
  max_position_embeddings: 2_048,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: false,
  initializer_range: 0.02,
  sliding_window: null,
  use_sliding_window: false,
};

const schema = z
  .object(
    {
      vocab_size: whole("vocab_size"),
      hidden_size: whole("hidden_size"),
      intermediate_size: whole("intermediate_size"),
      num_hidden_layers: whole("num_hidden_layers"),
      num_attention_heads: whole("num_attention_heads"),
      num_key_value_heads: whole("num_key_value_heads").optional(),
      head_dim: whole("head_dim").optional(),
      hidden_act: z.enum(activationNames, { error: ({ input }) => `expected one of ${activationNames.join(", ")}, got ${show(input)}.` }),
      max_position_embeddings: whole("max_position_embeddings"),
      rms_norm_eps: positive,
      rope_parameters: ropeSchema,
      attention_bias: flag,
      mlp_bias: flag,
      tie_word_embeddings: flag,
      initializer_range: deviation,
      sliding_window: whole("max_position_embeddings").nullable(),
      use_sliding_window: flag,
    },
    { error: ({ input }) => `expected an object, the content of a config.json, got ${show(input)}.` },
  )
  .check(
    z.superRefine((value, context) => {
      for (const { field, message } of headProblems(value)) context.addIssue({ code: "custom", path: [field], message });
    }),
  );

/** The configuration, checked whole and completed, or one ConfigError that lists every mistake. */
export function parseDecoderConfig(config: unknown, family: Family): DecoderConfig {
  const whole = gatherRope(completed(config, family));
  const { rope_parameters: rope, use_sliding_window, sliding_window, ...fields } = parseConfig(family.where, schema, whole);
  return {
    ...fields,
    num_key_value_heads: fields.num_key_value_heads ?? fields.num_attention_heads,
    head_dim: fields.head_dim ?? fields.hidden_size / fields.num_attention_heads,
    max_positions: Math.min(
      maxPositions(rope, fields.max_position_embeddings),
      use_sliding_window && sliding_window !== null ? sliding_window : Number.POSITIVE_INFINITY,
    ),
    rope,
    attention_output_bias: fields.attention_bias,
  };
}

/** null means "not given", as everywhere in config.json; but a window of null is no window. */
function completed(config: unknown, { defaults, fixed }: Family): unknown {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return config;
  const given = Object.entries(config).filter(([key, value]) => value !== undefined && (value !== null || key === "sliding_window"));
  return { ...defaults, ...Object.fromEntries(given), ...fixed };
}

interface Heads {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads?: number | undefined;
  readonly head_dim?: number | undefined;
  readonly rope_parameters: RopeParameters;
}

function headProblems({ hidden_size, num_attention_heads, num_key_value_heads, head_dim, rope_parameters }: Heads): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const size = head_dim ?? hidden_size / num_attention_heads;
  if (num_key_value_heads !== undefined && num_attention_heads % num_key_value_heads !== 0) {
    const message = `expected a divisor of the ${num_attention_heads} query heads (num_attention_heads), got ${num_key_value_heads}.`;
    problems.push({ field: "num_key_value_heads", message });
  }
  if (!Number.isInteger(size)) {
    const message = `${num_attention_heads} heads do not divide hidden_size ${hidden_size}; give head_dim if heads have another size.`;
    problems.push({ field: "num_attention_heads", message });
  } else if (size % 2 !== 0 || size > limits.head_dim) {
    const message = `expected an even number up to ${limits.head_dim} (rotary embeddings turn pairs), got ${size}.`;
    problems.push({ field: "head_dim", message });
  } else if (rope_parameters.rope_type === "dynamic" && size === 2) {
    problems.push({ field: "head_dim", message: "dynamic rotary scaling has no formula for heads of 2." });
  }
  return problems;
}

/** As serving engines derive the context from a config: linear and yarn multiply, llama3's field says it already, dynamic has no end. */
function maxPositions(rope: RopeParameters, max_position_embeddings: number): number {
  switch (rope.rope_type) {
    case "default":
    case "llama3":
      return max_position_embeddings;
    case "linear":
      return Math.floor(max_position_embeddings * rope.factor);
    case "yarn":
      return Math.max(max_position_embeddings, Math.floor(rope.original_max_position_embeddings * rope.factor));
    case "dynamic":
      return Number.POSITIVE_INFINITY;
    default:
      return rope satisfies never;
  }
}
