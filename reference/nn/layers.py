"""packages/nn/src/__vectors__: every activation by its Hugging Face name, and every layer of nn, as PyTorch computes them.

Usage: python reference/nn/layers.py   (torch 2.13.0, transformers 5.23.0)
"""
import sys
from pathlib import Path

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaRMSNorm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors import randomise, state, write

WITH_PARAMETERS = {"prelu", "xielu"}


def activations():
    x = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([-1e-3, 1e-3, 30.0, -30.0])]).reshape(1, -1)
    tensors = {"input.x": x}
    for name in ACT2FN:
        if name not in WITH_PARAMETERS:
            tensors[f"output.{name}"] = ACT2FN[name](x)
    write("nn", "activations", tensors)


def layers():
    torch.manual_seed(1)
    x, image, ids = torch.randn(2, 3, 5, 6), torch.randn(2, 6, 9, 7), torch.randint(0, 11, (2, 4))
    cases = {
        "linear": (nn.Linear(6, 4), x),
        "linear_no_bias": (nn.Linear(6, 4, bias=False), x),
        "embedding": (nn.Embedding(11, 3), ids),
        "layer_norm": (nn.LayerNorm(6, eps=1e-3), x),
        "layer_norm_no_bias": (nn.LayerNorm(6, bias=False), x),
        "rms_norm": (LlamaRMSNorm(6, eps=1e-3), x),
        "conv2d": (nn.Conv2d(6, 4, kernel_size=3), image),
        "conv2d_strided": (nn.Conv2d(6, 4, kernel_size=(3, 2), stride=(2, 3), padding=(1, 0), bias=False), image),
        "conv2d_depthwise": (nn.Conv2d(6, 12, kernel_size=3, padding=1, groups=6), image),
        "conv2d_same": (nn.Conv2d(6, 4, kernel_size=3, padding="same", dilation=2), image),
    }
    tensors = {}
    for seed, (name, (layer, value)) in enumerate(cases.items()):
        randomise(layer, seed)
        tensors[f"input.{name}"] = value
        tensors[f"output.{name}"] = layer(value)
        tensors |= {key.replace("state.", f"state.{name}."): entry for key, entry in state(layer).items()}
    write("nn", "layers", tensors)


activations()
layers()
