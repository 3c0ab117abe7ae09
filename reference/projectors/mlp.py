"""packages/projectors/src/__vectors__: LLaVA's projectors, as published (Sequential) and as on the hub (linear_1, linear_2).

Usage: python reference/projectors/mlp.py   (torch 2.13.0, transformers 5.23.0)
"""
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors import randomise, state, write

C, D = 10, 16


def hub(act, bias):
    config = LlavaConfig(vision_config=CLIPVisionConfig(hidden_size=C, num_attention_heads=2), text_config=LlamaConfig(hidden_size=D, num_attention_heads=2), projector_hidden_act=act, multimodal_projector_bias=bias)
    return LlavaMultiModalProjector(config)


def sequential(depth):
    """mlp{depth}x_gelu of the original code: Linear, then (depth - 1) × [GELU, Linear]."""
    layers = [nn.Linear(C, D)]
    for _ in range(depth - 1):
        layers += [nn.GELU(), nn.Linear(D, D)]
    return nn.Sequential(*layers)


torch.manual_seed(7)
x = torch.randn(2, 6, C)
cases = {"hub-gelu": hub("gelu", True), "hub-silu-no-bias": hub("silu", False), "original-linear": nn.Linear(C, D), "original-mlp2x": sequential(2), "original-mlp3x": sequential(3)}
tensors = {"input.x": x}
for seed, (name, module) in enumerate(cases.items()):
    randomise(module, seed)
    tensors[f"output.{name}"] = module(x)
    tensors |= {key.replace("state.", f"state.{name}."): value for key, value in state(module).items()}
write("projectors", "mlp", tensors)
