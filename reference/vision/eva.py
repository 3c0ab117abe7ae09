"""packages/vision/src/__vectors__/eva-*: BLIP-2 vision towers in several shapes, every block, other image sizes.

Usage: python reference/vision/eva.py   (torch 2.13.0, transformers 5.23.0, eager attention, float32)
Each file: `vision_model.*` as in a published BLIP-2 checkpoint, `input.pixel_values`, `output.block.N` (what leaves block N),
`output.last_hidden_state`, `input.pixel_values.HxW` and `output.last_hidden_state.HxW` (positions interpolated).
The bias of the keys is not zero: it changes nothing, which is to be shown.
Metadata: `noise` is the largest difference of the last hidden state between float32 and float64.
"""
import sys
from pathlib import Path

import torch
from transformers import Blip2VisionConfig, Blip2VisionModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors import randomise, state, write

CASES = {
    "eva-gelu": (dict(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3, image_size=28, patch_size=7, layer_norm_eps=1e-3), [(42, 28), (21, 49), (28, 28)]),
    "eva-no-bias": (dict(hidden_size=20, intermediate_size=36, num_hidden_layers=2, num_attention_heads=5, image_size=30, patch_size=8, hidden_act="quick_gelu", qkv_bias=False), [(61, 40), (16, 16)]),
    "eva-one-head": (dict(hidden_size=12, intermediate_size=20, num_hidden_layers=4, num_attention_heads=1, image_size=16, patch_size=4), [(36, 20)]),
}


@torch.no_grad()
def make(name, options, sizes, seed):
    config = Blip2VisionConfig(**options, attn_implementation="eager")
    model = randomise(Blip2VisionModel(config), seed)
    if options.get("qkv_bias") is False:
        assert all(layer.self_attn.qkv.bias is None for layer in model.encoder.layers)
    generator = torch.Generator().manual_seed(seed + 100)
    side = config.image_size
    pixels = torch.randn(2, 3, side, side, generator=generator)
    blocks = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: blocks.append(out if torch.is_tensor(out) else out[0])) for layer in model.encoder.layers]
    out = model(pixels)
    for hook in hooks:
        hook.remove()
    tensors = {key.replace("state.", "vision_model."): value for key, value in state(model).items()}
    tensors |= {"input.pixel_values": pixels, "output.last_hidden_state": out.last_hidden_state}
    tensors |= {f"output.block.{i}": h for i, h in enumerate(blocks)}
    for height, width in sizes:
        pixels_of = torch.randn(1, 3, height, width, generator=generator)
        tensors[f"input.pixel_values.{height}x{width}"] = pixels_of
        tensors[f"output.last_hidden_state.{height}x{width}"] = model(pixels_of, interpolate_pos_encoding=True).last_hidden_state
    exact = model.double()(pixels.double()).last_hidden_state
    write("vision", name, tensors, config=options, sizes=sizes, noise=(out.last_hidden_state - exact).abs().max().item())


for seed, (name, (options, sizes)) in enumerate(CASES.items()):
    make(name, options, sizes, seed)
