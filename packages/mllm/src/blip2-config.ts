/** `config.json` of a BLIP-2 checkpoint in the Hugging Face layout. */
import { ConfigError, parseConfig } from "@waggle/nn";
import type { QFormerOptions } from "@waggle/projectors";
import { z } from "zod";

type Fields = Readonly<Record<string, unknown>>;

export interface Blip2Config {
  readonly model_type: "blip-2";
  /** What `eva` of @waggle/vision reads. */
  readonly vision: Fields;
  readonly qformer: QFormerOptions;
  /** What `opt` of @waggle/language reads. */
  readonly text: { readonly model_type: "opt"; readonly config: Fields };
  /** The id that stands at a picture's positions; null where the file is older than that id. */
  readonly image_token_id: number | null;
}

const part = z.record(z.string(), z.unknown()).nullish();
const schema = z.looseObject({
  vision_config: part,
  qformer_config: z
    .looseObject({
      hidden_size: z.int(),
      num_hidden_layers: z.int(),
      num_attention_heads: z.int(),
      intermediate_size: z.int(),
      cross_attention_frequency: z.int(),
      layer_norm_eps: z.number().positive(),
      hidden_act: z.literal("gelu", { error: "expected gelu, the only one that a Q-Former was published with." }),
      use_qformer_text_input: z.literal(false, { error: "a Q-Former that reads the prompt (InstructBLIP) is not supported." }),
    })
    .partial()
    .nullish(),
  text_config: part,
  num_query_tokens: z.int().default(32),
  image_token_index: z.int().min(0).nullish(),
  image_token_id: z.int().min(0).nullish(),
});

/** Reads a parsed config.json; `file` is what errors call it. */
export function readBlip2Config(json: unknown, file: string): Blip2Config {
  const { vision_config, qformer_config, text_config, num_query_tokens, ...config } = parseConfig(file, schema, json);
  const model_type = text_config?.model_type ?? "opt";
  if (model_type !== "opt") {
    throw new ConfigError(file, [
      { field: "text_config.model_type", message: `${JSON.stringify(model_type)} is not supported. Supported: opt.` },
    ]);
  }
  const { cross_attention_frequency, hidden_act, use_qformer_text_input, ...sizes } = qformer_config ?? {};
  const names = ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_norm_eps"] as const;
  const given = Object.fromEntries(names.flatMap((name) => (sizes[name] === undefined ? [] : [[name, sizes[name]]])));
  return {
    model_type: "blip-2",
    vision: vision_config ?? {},
    qformer: {
      ...given,
      tokens: num_query_tokens,
      ...(cross_attention_frequency !== undefined && { cross_attention_freq: cross_attention_frequency }),
    },
    text: { model_type, config: text_config ?? {} },
    image_token_id: config.image_token_id ?? config.image_token_index ?? null,
  };
}
