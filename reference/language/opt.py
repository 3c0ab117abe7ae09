"""packages/language/src/__vectors__/opt-*: OPT decoders in several shapes.

Usage: python reference/language/opt.py   (torch 2.13.0, transformers 5.23.0, eager attention, float32)
The tensors are those of llama.py beside this file; positions come from the attention mask.
"""
import sys
from pathlib import Path

import torch
from transformers import OPTConfig, OPTForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors import randomise, state, write

BASE = dict(vocab_size=40, hidden_size=24, ffn_dim=36, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32)
CASES = {
    "opt-tied": {},
    "opt-untied": dict(tie_word_embeddings=False, num_attention_heads=1, activation_function="gelu"),
    "opt-projected": dict(word_embed_proj_dim=16, num_attention_heads=3),
    "opt-norm-after": dict(do_layer_norm_before=False, word_embed_proj_dim=12),
    "opt-no-final-norm": dict(_remove_final_layer_norm=True),
    "opt-plain": dict(enable_bias=False, layer_norm_elementwise_affine=False, num_attention_heads=8),
}


@torch.no_grad()
def make(name, options, seed):
    options = {**BASE, **options}
    config = OPTConfig(**options, attn_implementation="eager")
    model = randomise(OPTForCausalLM(config), seed)
    generator = torch.Generator().manual_seed(seed + 100)
    ids = torch.randint(0, config.vocab_size, (2, 15), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    out = model(input_ids=ids, use_cache=True)
    tensors = {**state(model), "input.input_ids": ids, "output.logits": out.logits}
    for i, layer in enumerate(out.past_key_values.layers):
        tensors[f"output.past_key.{i}"] = layer.keys
        tensors[f"output.past_value.{i}"] = layer.values
    tensors |= {"input.attention_mask": mask, "output.logits.padded": model(input_ids=ids, attention_mask=mask).logits[:, -1]}
    prefill, steps = 5, ids[:1]
    cached = model(input_ids=steps[:, :prefill], use_cache=True)
    logits, cache = [cached.logits[:, -1]], cached.past_key_values
    for i in range(prefill, steps.shape[1]):
        logits.append(model(input_ids=steps[:, i : i + 1], past_key_values=cache, use_cache=True).logits[:, -1])
    tensors |= {"input.steps": steps, "output.steps": torch.cat(logits)}
    noise = (model.double()(input_ids=ids).logits - out.logits).abs().max().item()
    write("language", name, tensors, config={"model_type": "opt", **options}, prefill=prefill, noise=noise)


for seed, (name, options) in enumerate(CASES.items()):
    make(name, options, seed)
