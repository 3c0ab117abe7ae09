"""How exact the recorded gradients of the four deep projectors are: the same functions and derivatives in float64.

Usage: python reference/projectors/gradient_noise.py GOLDEN_FOLDER
Prints per case how far the recorded float32 gradients are from the float64 ones: how many elements miss
1e-5 + 1e-3·|b|, and the largest difference as a share of its tensor's largest number.
"""
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

golden = Path(sys.argv[1])
state = {}


def linear(name, x):
    return F.linear(x, state[name + ".weight"].flatten(1), state.get(name + ".bias"))


def norm(name, x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], state[name + ".weight"], state[name + ".bias"], eps)


def attention(q, k, v, heads):
    split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
    return F.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2)


def pooled(x, side):
    """[B, N, C] → [B, side², C]"""
    grid = round(x.shape[1] ** 0.5)
    return F.adaptive_avg_pool2d(x.transpose(1, 2).unflatten(2, (grid, grid)), side).flatten(2).transpose(1, 2)


def stage(name, x):
    """timm's RegStage with groups of one channel, over rows of patches."""
    side = round(x.shape[1] ** 0.5)
    i = 1
    while f"{name}.b{i}.conv1.conv.weight" in state:
        block = f"{name}.b{i}"
        y = F.silu(norm(f"{block}.conv1.bn", linear(f"{block}.conv1.conv", x)))
        weight = state[f"{block}.conv2.conv.weight"]
        y = F.conv2d(y.transpose(1, 2).unflatten(2, (side, side)), weight, padding=1, groups=len(weight)).flatten(2).transpose(1, 2)
        y = F.silu(norm(f"{block}.conv2.bn", y))
        y = y * linear(f"{block}.se.fc2", F.silu(linear(f"{block}.se.fc1", y.mean(1, keepdim=True)))).sigmoid()
        x = F.silu(norm(f"{block}.conv3.bn", linear(f"{block}.conv3.conv", y)) + x)
        i += 1
    return x


def c_abstractor(x, tokens):
    x = stage("net.2", pooled(stage("net.0", x + state["pos_emb"]), round(tokens**0.5)))
    return linear("readout.2", F.silu(linear("readout.0", x)))


def resampler(x, tokens):
    e = linear("visual_input_fc", x + state["pos_emb"])
    h = state["query_tokens"].expand(len(x), -1, -1)
    i = 0
    while f"encoder.layers.{i}.crossattention.norm1.weight" in state:
        layer = f"encoder.layers.{i}.crossattention"
        h = norm(f"{layer}.norm1", h)
        both = torch.cat([h, norm(f"{layer}.normk", e)], 1)
        mixed = attention(*(linear(f"{layer}.attention.{part}", of) for part, of in [("query", h), ("key", both), ("value", both)]), heads=4)
        h = h + linear(f"{layer}.output.out_proj", mixed)
        n, mlp = norm(f"{layer}.output.norm2", h), f"{layer}.output.mlp"
        h = h + linear(f"{mlp}.w2", norm(f"{mlp}.ffn_ln", F.silu(linear(f"{mlp}.w1", n)) * linear(f"{mlp}.w3", n), 1e-6))
        i += 1
    return linear("visual_output_fc", h)


def d_abstractor(x, tokens):
    if "input_proj.0.weight" in state:
        x = linear("input_proj.0", x)
    H, heads, B = x.shape[-1], 4, len(x)
    value = x + state["v_pos_emb"]
    side = round(x.shape[1] ** 0.5)
    table = state["query_position_embeddings.weight"].expand(B, -1, -1)
    pos, h = (table[..., :H], table[..., H:]) if table.shape[-1] > H else (pooled(value, round(tokens**0.5)), table)
    i = 0
    while f"layers.{i}.fc1.weight" in state:
        layer = f"layers.{i}"
        placed = h + pos
        mixed = attention(*(linear(f"{layer}.self_attn.{part}_proj", of) for part, of in [("q", placed), ("k", placed), ("v", h)]), heads=heads)
        h = norm(f"{layer}.self_attn_layer_norm", h + linear(f"{layer}.self_attn.out_proj", mixed))
        q, deformable = h + pos, f"{layer}.encoder_attn"
        offsets = linear(f"{deformable}.sampling_offsets", q).unflatten(-1, (heads, -1, 2))
        weights = linear(f"{deformable}.attention_weights", q).unflatten(-1, (heads, -1)).softmax(-1)
        places = 2 * (state["reference_points"][:, :, None, None] + offsets / side) - 1  # [B, M, heads, points, 2]
        values = linear(f"{deformable}.value_proj", value).unflatten(-1, (heads, -1)).unflatten(1, (side, side))
        maps = values.permute(0, 3, 4, 1, 2).flatten(0, 1)  # [B·heads, H/heads, rows, columns]
        sampled = F.grid_sample(maps, places.transpose(1, 2).flatten(0, 1), align_corners=False).unflatten(0, (B, heads))
        mixed = torch.einsum("bkdmp,bmkp->bmkd", sampled, weights).flatten(2)
        h = norm(f"{layer}.encoder_attn_layer_norm", h + linear(f"{deformable}.output_proj", mixed))
        h = norm(f"{layer}.final_layer_norm", h + linear(f"{layer}.fc2", F.relu(linear(f"{layer}.fc1", h))))
        i += 1
    eos = state.get("eos_tokens")
    return linear("output_proj", h if eos is None else torch.cat([h, eos.expand(B, -1, -1)], 1))


for case, forward, tokens in [("c-abs", c_abstractor, 16), ("resampler", resampler, 9), ("d-abs-query", d_abstractor, 16), ("d-abs-none", d_abstractor, 9)]:
    folder = golden / f"honeybee-projector-{case}"
    io = load_file(folder / "io.safetensors")
    weights = {key.removeprefix("abstractor."): tensor for key, tensor in load_file(folder / "model.safetensors").items()}

    def gradients(dtype):
        state.clear()
        state.update({key: tensor.to(dtype, copy=True).requires_grad_() for key, tensor in weights.items()})
        x = io["input.features"].to(dtype, copy=True).requires_grad_()
        output = forward(x, tokens)
        (output * io["loss.weight"].to(dtype)).sum().backward()
        return output.detach(), {"input.features": x.grad, **{f"abstractor.{key}": p.grad for key, p in state.items()}}

    output, exact = gradients(torch.float64)
    _, again = gradients(torch.float32)
    print(f"{case}: output off by {(output - io['output.features']).abs().max():.1e}")
    for whose, found in [("recorded", {key: io[f"grad.{key}"] for key in exact}), ("float32 here", again)]:
        misses, elements, share, worst = 0, 0, 0.0, ""
        for key, b in exact.items():
            off = (found[key].double() - b).abs()
            misses += int((off > 1e-5 + 1e-3 * b.abs()).sum())
            elements += b.numel()
            if b.abs().max() > 1e-9 and off.max() / b.abs().max() > share:
                share, worst = float(off.max() / b.abs().max()), key
        print(f"  {whose} against float64: {misses} of {elements} elements miss 1e-5 + 1e-3·|b|; at most {share:.1e} of the tensor's largest ({worst})")
