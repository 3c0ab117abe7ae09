/** What `config.json` says about an OPT decoder: what is assumed where it is silent, and what is refused. */
import { type ActivationName, activationNames, type ConfigProblem, parseConfig } from "@waggle/nn";
import { z } from "zod";
import { deviation, flag, limits, show, whole } from "./config-fields.ts";

/** As in `config.json`. What is left out has transformers' default; fields that say nothing about the numbers are passed over. */
export interface OptConfig {
  readonly vocab_size?: number;
  readonly hidden_size?: number;
  readonly ffn_dim?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  readonly max_position_embeddings?: number;
  /** Width of the embeddings, where it is not hidden_size: projected in before the first layer, and out after the last. */
  readonly word_embed_proj_dim?: number | null;
  readonly activation_function?: ActivationName;
  /** True: norms before each half of a layer and one at the end; false: norms after each half. */
  readonly do_layer_norm_before?: boolean;
  /** No norm at the end, as in checkpoints of before transformers 4.20.1. */
  readonly _remove_final_layer_norm?: boolean;
  readonly enable_bias?: boolean;
  /** False: norms without weights. */
  readonly layer_norm_elementwise_affine?: boolean;
  readonly tie_word_embeddings?: boolean;
  /** Standard deviation of new weights. Default 0.02. */
  readonly init_std?: number;
}

/** The literal type of the embeddings' width where the config has one. */
export type OptWidthOf<C> = C extends { readonly word_embed_proj_dim: infer P extends number }
  ? P
  : C extends { readonly hidden_size: infer D extends number; readonly word_embed_proj_dim?: null | undefined }
    ? D
    : number;

export type OptDecoder = { readonly [F in keyof OptConfig]-?: NonNullable<OptConfig[F]> };

const defaults = {
  vocab_size: 50_272,
  hidden_size: 768,
  ffn_dim: 3_072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  max_position_embeddings: 2_048,
  activation_function: "relu",
  do_layer_norm_before: true,
  _remove_final_layer_norm: false,
  enable_bias: true,
  layer_norm_elementwise_affine: true,
  tie_word_embeddings: true,
  init_std: 0.02,
};

const schema = z
  .object(
    {
      vocab_size: whole("vocab_size"),
      hidden_size: whole("hidden_size"),
      ffn_dim: whole("intermediate_size"),
      num_hidden_layers: whole("num_hidden_layers"),
      num_attention_heads: whole("num_attention_heads"),
      max_position_embeddings: whole("max_position_embeddings"),
      word_embed_proj_dim: whole("hidden_size").optional(),
      activation_function: z.enum(activationNames, {
        error: ({ input }) => `expected one of ${activationNames.join(", ")}, got ${show(input)}.`,
      }),
      do_layer_norm_before: flag,
      _remove_final_layer_norm: flag,
      enable_bias: flag,
      layer_norm_elementwise_affine: flag,
      tie_word_embeddings: flag,
      init_std: deviation,
    },
    { error: ({ input }) => `expected an object, the content of a config.json, got ${show(input)}.` },
  )
  .check(
    z.superRefine((value, context) => {
      for (const { field, message } of headProblems(value)) context.addIssue({ code: "custom", path: [field], message });
    }),
  );

/** The configuration, checked whole and completed, or one ConfigError that lists every mistake. */
export function parseOptConfig(config: unknown): OptDecoder {
  const { word_embed_proj_dim, ...fields } = parseConfig("OptConfig", schema, completed(config));
  return { ...fields, word_embed_proj_dim: word_embed_proj_dim ?? fields.hidden_size };
}

/** null means "not given", as everywhere in config.json. */
function completed(config: unknown): unknown {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return config;
  return { ...defaults, ...Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null && value !== undefined)) };
}

function headProblems({ hidden_size, num_attention_heads }: { hidden_size: number; num_attention_heads: number }): ConfigProblem[] {
  const size = hidden_size / num_attention_heads;
  if (Number.isInteger(size) && size <= limits.head_dim) return [];
  const message = `expected a divisor of hidden_size ${hidden_size} that leaves heads of at most ${limits.head_dim}, got ${num_attention_heads}.`;
  return [{ field: "num_attention_heads", message }];
}
