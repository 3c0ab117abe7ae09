/**
 * `config.json` of a Honeybee in both spellings: as the released checkpoints have it (December 2023), and as the code of
 * May 2024 writes it.
 *
 *     December 2023                     May 2024
 *     model_type "mllm"                 model_type ""
 *     visual_projector_config           projector_config
 *     num_query_tokens                  projector_config.num_query_tokens
 *                                       vision_config.image_mean, image_std
 *
 * reference  kakaobrain/honeybee `HoneybeeConfig.from_dict`
 */
import { ConfigError, type ConfigProblem, parseConfig } from "@waggle/nn";
import { cAbstractor, dAbstractor, honeybeeMlp, type ProjectorFactory, resampler } from "@waggle/projectors";
import { z } from "zod";

type Fields = Readonly<Record<string, unknown>>;
type Channels = readonly [number, number, number];

export interface HoneybeeConfig {
  readonly model_type: "honeybee";
  /** What `clip` of @waggle/vision reads. */
  readonly vision: Fields;
  /** Which hidden state of the vision encoder the projector sees. */
  readonly feature_layer_index: number;
  readonly projector: ProjectorFactory;
  readonly text: { readonly model_type: "llama"; readonly config: Fields };
  /** Where the configuration names them; else CLIP's. */
  readonly pictures: { readonly mean?: Channels; readonly std?: Channels };
  /** Hub id of the tokenizer: released folders hold none. */
  readonly tokenizer: string | null;
}

const channels = z.tuple([z.number(), z.number(), z.number()]).nullish();
const size = z.int().nullish();
const flag = z.union([z.boolean(), z.literal([0, 1])]).nullish();

const projector = z.looseObject({
  projector_type: z.enum(["mlp", "resampler", "c-abs", "d-abs"]),
  feature_layer_index: z.union([z.int(), z.array(z.int())], {
    error: "expected the index of a hidden state of the vision encoder (released models: -2).",
  }),
  num_query_tokens: size,
  num_queries: size,
  num_eos_tokens: size,
  pos_emb: flag,
  prenorm: flag,
  depth: size,
  mlp_depth: size,
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  intermediate_size: size,
  layer_norm_eps: z.number().positive().nullish(),
  d_model: size,
  decoder_layers: size,
  decoder_attention_heads: size,
  decoder_ffn_dim: size,
  decoder_n_points: size,
  num_feature_levels: size,
  pooled_v_target: z.enum(["query", "tgt", "none"]).nullish(),
  activation_function: z.literal("relu", { error: "expected relu, the only one that a D-Abstractor was published with." }).nullish(),
});
type ProjectorFields = z.infer<typeof projector>;

const schema = z.looseObject({
  visual_projector_config: projector.nullish(),
  projector_config: projector.nullish(),
  num_query_tokens: size,
  vision_config: z.looseObject({
    encoder_type: z.literal("openai.clip", { error: "expected openai.clip, the only encoder of the original." }).nullish(),
    image_mean: channels,
    image_std: channels,
  }),
  text_config: z.looseObject({
    model_type: z.literal("llama", { error: "expected llama, the language model of every Honeybee." }).nullish(),
  }),
  lm_config: z.looseObject({ pretrained_tokenizer_name_or_path: z.string().nullish() }).nullish(),
});

/** Is it a Honeybee's? The code of May 2024 leaves model_type empty. */
export function isHoneybee(model_type: string | undefined, architectures: readonly string[]): boolean {
  if (architectures.length === 0) return model_type === "mllm";
  return architectures.every((name) => name === "HoneybeeForConditionalGeneration");
}

/** Reads a parsed config.json; `file` is what errors call it. */
export function readHoneybeeConfig(json: unknown, file: string): HoneybeeConfig {
  const { visual_projector_config, projector_config, ...config } = parseConfig(file, schema, json);
  const spelling = visual_projector_config ? "visual_projector_config" : "projector_config";
  const fields = visual_projector_config ?? projector_config;
  if (!fields) throw new ConfigError(file, [{ field: spelling, message: "is missing: it says what the projector is." }]);
  const tokens = config.num_query_tokens ?? fields.num_query_tokens ?? fields.num_queries ?? null;
  const problems = projectorProblems(fields, tokens).map(({ field, message }) => ({ field: `${spelling}.${field}`, message }));
  const { feature_layer_index } = fields;
  if (problems.length > 0 || typeof feature_layer_index !== "number") throw new ConfigError(file, problems);
  const { image_mean, image_std } = config.vision_config;
  return {
    model_type: "honeybee",
    vision: config.vision_config,
    feature_layer_index,
    projector: buildProjector(fields, tokens ?? 0),
    text: { model_type: "llama", config: config.text_config },
    pictures: { ...(image_mean && { mean: image_mean }), ...(image_std && { std: image_std }) },
    tokenizer: config.lm_config?.pretrained_tokenizer_name_or_path ?? null,
  };
}

function projectorProblems(
  { projector_type, feature_layer_index, num_feature_levels }: ProjectorFields,
  tokens: number | null,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const several = "cannot run in the original either, whose queries are pooled from one layer; expected one";
  if (typeof feature_layer_index !== "number") {
    problems.push({ field: "feature_layer_index", message: `several layers ([${feature_layer_index}]) ${several} number.` });
  }
  if (projector_type === "d-abs" && (num_feature_levels ?? 1) !== 1) {
    problems.push({ field: "num_feature_levels", message: `${num_feature_levels} feature levels ${several}.` });
  }
  if (projector_type === "mlp") return problems;
  if (tokens === null) problems.push({ field: "num_query_tokens", message: `is missing: how many visual tokens ${projector_type} makes.` });
  else if (projector_type !== "resampler" && !Number.isInteger(Math.sqrt(tokens))) {
    problems.push({
      field: "num_query_tokens",
      message: `expected a square number of visual tokens (the pool is √M × √M), got ${tokens}.`,
    });
  }
  return problems;
}

function buildProjector(fields: ProjectorFields, tokens: number): ProjectorFactory {
  const { projector_type, pos_emb, prenorm } = fields;
  const flags = { ...(pos_emb != null && { pos_emb: Boolean(pos_emb) }), ...(prenorm != null && { prenorm: Boolean(prenorm) }) };
  const { prenorm: _, ...positions } = flags;
  switch (projector_type) {
    case "mlp":
      return honeybeeMlp({ ...flags, ...given(fields, ["depth", "num_eos_tokens"]) });
    case "resampler":
      return resampler({
        tokens,
        ...positions,
        ...given(fields, [
          "num_eos_tokens",
          "hidden_size",
          "num_hidden_layers",
          "num_attention_heads",
          "intermediate_size",
          "layer_norm_eps",
        ]),
      });
    case "c-abs":
      return cAbstractor({ tokens, ...flags, ...given(fields, ["num_eos_tokens", "hidden_size", "depth", "mlp_depth"]) });
    case "d-abs":
      return dAbstractor({
        tokens,
        ...positions,
        ...given(fields, [
          "num_eos_tokens",
          "d_model",
          "decoder_layers",
          "decoder_attention_heads",
          "decoder_ffn_dim",
          "decoder_n_points",
          "pooled_v_target",
        ]),
      });
    default:
      return projector_type satisfies never;
  }
}

/** Those of the fields that have a value. */
function given<T extends object, K extends keyof T>(fields: T, names: readonly K[]): { readonly [N in K]?: NonNullable<T[N]> } {
  const entries = names.flatMap((name) => (fields[name] == null ? [] : [[name, fields[name]]]));
  return Object.fromEntries(entries) as { [N in K]?: NonNullable<T[N]> };
}
