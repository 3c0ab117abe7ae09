"""packages/language/src/__vectors__: decoders of the Llama family in many shapes.

Usage: python reference/language/llama.py   (torch 2.13.0, transformers 5.23.0, eager attention, float32)

Each file: `state.*`, `input.input_ids` [2, S], `output.logits`, `output.past_key.N`, `output.past_value.N`;
`input.attention_mask` (left padding in row 0) and `output.logits.padded` [2, V] (positions from the mask, last position);
`input.steps` [1, S] and `output.steps` [S - prefill, V]: one prefill, then token by token through transformers' cache.
Metadata: `noise` is the largest difference of any logit between float32 and float64.
"""
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.cache_utils import DynamicCache

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors import randomise, state, write

BASE = dict(vocab_size=40, hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5)
LONG = dict(rope_theta=10000.0)
LLAMA = (LlamaConfig, LlamaForCausalLM)
CASES = {
    "multi-head": (LLAMA, dict(num_key_value_heads=4, rope_parameters=dict(rope_type="default", rope_theta=500.0)), {}),
    "one-key-head": (LLAMA, dict(num_key_value_heads=1, rms_norm_eps=1e-3), {}),
    "head-dim": (LLAMA, dict(head_dim=10, num_attention_heads=6, num_key_value_heads=3), {}),
    "biases": (LLAMA, dict(attention_bias=True, mlp_bias=True, hidden_act="gelu"), {}),
    "tied": (LLAMA, dict(tie_word_embeddings=True, hidden_act="gelu_new"), {}),
    "linear": (LLAMA, dict(rope_parameters=dict(rope_type="linear", factor=2.5, **LONG)), {}),
    "dynamic": (LLAMA, dict(max_position_embeddings=12, rope_parameters=dict(rope_type="dynamic", factor=2.0, **LONG)), dict(prefill=9)),
    "dynamic-long-prompt": (LLAMA, dict(max_position_embeddings=8, rope_parameters=dict(rope_type="dynamic", factor=4.0, **LONG)), dict(prefill=13)),
    "llama3": (LLAMA, dict(head_dim=16, rope_parameters=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32, rope_theta=500.0)), {}),
    "yarn": (LLAMA, dict(head_dim=16, rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, rope_theta=1000.0)), {}),
    "yarn-mscale": (LLAMA, dict(head_dim=16, rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0, beta_slow=2.0, mscale=0.7, mscale_all_dim=1.0, truncate=False, rope_theta=1000.0)), {}),
    "mistral": ((MistralConfig, MistralForCausalLM), dict(sliding_window=64, head_dim=8), {}),
    "qwen2": ((Qwen2Config, Qwen2ForCausalLM), dict(use_sliding_window=False), {}),
}


def positions(mask):
    return (mask.cumsum(-1) - 1).clamp(min=0)


@torch.no_grad()
def make(name, classes, options, prefill, seed):
    config_class, model_class = classes
    options = {**BASE, **options}
    config = config_class(**{**options, "rope_parameters": dict(options["rope_parameters"])} if "rope_parameters" in options else options, attn_implementation="eager")
    model = randomise(model_class(config), seed)
    model.lm_head.weight.data *= 2
    generator = torch.Generator().manual_seed(seed + 100)
    ids = torch.randint(0, config.vocab_size, (2, 15), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    fresh = lambda: model_class._from_config(config, attn_implementation="eager")
    # dynamic scaling keeps state between calls: every figure comes from a model that has seen nothing before
    def run(**inputs):
        clone = fresh()
        clone.load_state_dict(model.state_dict())
        clone.eval()
        return clone, clone(**inputs)

    _, out = run(input_ids=ids, use_cache=True)
    tensors = {**state(model), "input.input_ids": ids, "output.logits": out.logits}
    for i, layer in enumerate(out.past_key_values.layers):
        tensors[f"output.past_key.{i}"] = layer.keys
        tensors[f"output.past_value.{i}"] = layer.values
    # row by row: in a batch, transformers' dynamic scaling takes the longest row's length for all of them
    padded = [run(input_ids=ids[[r]], attention_mask=mask[[r]], position_ids=positions(mask[[r]]))[1].logits[:, -1] for r in (0, 1)]
    tensors |= {"input.attention_mask": mask, "output.logits.padded": torch.cat(padded)}

    steps = ids[:1]
    cache = DynamicCache(config=config)
    clone, first = run(input_ids=steps[:, :prefill], past_key_values=cache, use_cache=True)
    logits = [first.logits[:, -1]]
    for i in range(prefill, steps.shape[1]):
        logits.append(clone(input_ids=steps[:, i : i + 1], past_key_values=cache, use_cache=True, position_ids=torch.tensor([[i]])).logits[:, -1])
    tensors |= {"input.steps": steps, "output.steps": torch.cat(logits)}
    exact = fresh()
    exact.load_state_dict(model.state_dict())
    # the angles stay float32, as transformers computes them whatever the weights are
    noise = (exact.eval().double()(input_ids=ids).logits - out.logits).abs().max().item()
    write("language", name, tensors, config={"model_type": config.model_type, **options}, prefill=prefill, noise=noise)


for seed, (name, (classes, options, extra)) in enumerate(CASES.items()):
    make(name, classes, options, extra.get("prefill", 5), seed)
