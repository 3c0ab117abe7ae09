"""packages/vision/src/__vectors__: CLIP vision towers in several shapes, all hidden states, other image sizes.

Usage: python reference/vision/clip.py   (torch 2.13.0, transformers 5.23.0, eager attention, float32)
Each file: `state.*` (published spelling, `vision_model.` first), `input.pixel_values`, `output.hidden_states.N`,
`input.pixel_values.HxW` and `output.hidden_states.HxW` (last layer, positions interpolated).
Metadata: `noise` is the largest difference of any hidden state between float32 and float64.
"""
import sys
from pathlib import Path

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors import randomise, state, write

CASES = {
    "quick-gelu": (dict(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3, image_size=28, patch_size=7), [(42, 28), (21, 49), (28, 28)]),
    "uneven-patch": (dict(hidden_size=20, intermediate_size=36, num_hidden_layers=2, num_attention_heads=5, image_size=30, patch_size=8, hidden_act="gelu", layer_norm_eps=1e-3), [(61, 40), (16, 16)]),
    "one-head": (dict(hidden_size=12, intermediate_size=20, num_hidden_layers=4, num_attention_heads=1, image_size=16, patch_size=4, hidden_act="gelu_pytorch_tanh"), [(36, 20)]),
}


def vision_keys(tensors):
    """transformers 5 has dropped `vision_model.` in memory; published files have it."""
    return {key if key.startswith("state.vision_model.") else key.replace("state.", "state.vision_model."): value for key, value in tensors.items()}


@torch.no_grad()
def make(name, options, sizes, seed):
    config = CLIPVisionConfig(**options, attn_implementation="eager")
    model = randomise(CLIPVisionModel(config), seed)
    generator = torch.Generator().manual_seed(seed + 100)
    side = config.image_size
    pixels = torch.randn(2, 3, side, side, generator=generator)
    out = model(pixels, output_hidden_states=True)
    tensors = {**vision_keys(state(model)), "input.pixel_values": pixels}
    tensors |= {f"output.hidden_states.{i}": h for i, h in enumerate(out.hidden_states)}
    for height, width in sizes:
        pixels = torch.randn(1, 3, height, width, generator=generator)
        tensors[f"input.pixel_values.{height}x{width}"] = pixels
        tensors[f"output.hidden_states.{height}x{width}"] = model(pixels, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states[-1]
    exact = model.double()(tensors["input.pixel_values"].double(), output_hidden_states=True).hidden_states
    noise = max((a - b).abs().max().item() for a, b in zip(out.hidden_states, exact))
    write("vision", f"clip-{name}", tensors, config=options, sizes=sizes, noise=noise)


for seed, (name, (options, sizes)) in enumerate(CASES.items()):
    make(name, options, sizes, seed)
