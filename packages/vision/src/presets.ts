/** Published configurations, as literals: their widths are part of their types. */

export const vitB32 = {
  hidden_size: 768,
  intermediate_size: 3_072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  image_size: 224,
  patch_size: 32,
} as const;

export const vitB16 = {
  hidden_size: 768,
  intermediate_size: 3_072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  image_size: 224,
  patch_size: 16,
} as const;

export const vitL14 = {
  hidden_size: 1_024,
  intermediate_size: 4_096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  image_size: 224,
  patch_size: 14,
} as const;

export const vitL14_336 = {
  hidden_size: 1_024,
  intermediate_size: 4_096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  image_size: 336,
  patch_size: 14,
} as const;
