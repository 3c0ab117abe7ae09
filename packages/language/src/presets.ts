/** Published configurations, as literals: their widths are part of their types. */

export const vicuna7b = {
  vocab_size: 32_000,
  hidden_size: 4_096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  max_position_embeddings: 4_096,
  rms_norm_eps: 1e-5,
} as const;

export const vicuna13b = {
  vocab_size: 32_000,
  hidden_size: 5_120,
  intermediate_size: 13_824,
  num_hidden_layers: 40,
  num_attention_heads: 40,
  num_key_value_heads: 40,
  max_position_embeddings: 4_096,
  rms_norm_eps: 1e-5,
} as const;

export const tinyLlama = {
  vocab_size: 32_000,
  hidden_size: 2_048,
  intermediate_size: 5_632,
  num_hidden_layers: 22,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  max_position_embeddings: 2_048,
  rms_norm_eps: 1e-5,
} as const;
