"""A D-Abstractor layer over two feature levels, sampled with torch's grid_sample (the original code cannot run several levels).

Usage: python reference/d_abs_levels.py → packages/projectors/src/__vectors__/d-abs-levels.safetensors
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(7)
H, M, heads, points, levels, rows, columns, B = 8, 4, 2, 3, 2, 3, 5, 2
N, n = rows * columns, torch.randn
lin = lambda o, i: dict(weight=n(o, i) * 0.5, bias=n(o) * 0.3)
norm = lambda: dict(weight=1 + 0.2 * n(H), bias=0.1 * n(H))
layer = {**{f"self_attn.{k}_proj": lin(H, H) for k in ("q", "k", "v", "out")}, "self_attn_layer_norm": norm(), "encoder_attn_layer_norm": norm(), "final_layer_norm": norm(),
         "encoder_attn.sampling_offsets": lin(heads * levels * points * 2, H), "encoder_attn.attention_weights": lin(heads * levels * points, H),
         "encoder_attn.value_proj": lin(H, H), "encoder_attn.output_proj": lin(H, H), "fc1": lin(8, H), "fc2": lin(H, 8)}
state = {f"layers.0.{m}.{k}": v for m, d in layer.items() for k, v in d.items()}
state |= {"v_pos_emb": n(1, N, H), "level_emb": n(1, levels, 1, H), "query_position_embeddings.weight": n(M, 2 * H), "reference_points": torch.rand(1, M, 2)}
features = n(B, levels, N, H)

def linear(name, x): return F.linear(x, state[f"layers.0.{name}.weight"], state[f"layers.0.{name}.bias"])
def ln(name, x): return F.layer_norm(x, (H,), state[f"layers.0.{name}.weight"], state[f"layers.0.{name}.bias"], 1e-5)

value = (features + state["v_pos_emb"][:, None] + state["level_emb"]).reshape(B, levels * N, H)
table = state["query_position_embeddings.weight"]
pos, h = table[:, :H].expand(B, M, H), table[:, H:].expand(B, M, H)
split = lambda x: x.reshape(B, M, heads, H // heads).transpose(1, 2)
att = F.scaled_dot_product_attention(split(linear("self_attn.q_proj", h + pos)), split(linear("self_attn.k_proj", h + pos)), split(linear("self_attn.v_proj", h)))
h = ln("self_attn_layer_norm", h + linear("self_attn.out_proj", att.transpose(1, 2).reshape(B, M, H)))
q = h + pos
offsets = linear("encoder_attn.sampling_offsets", q).reshape(B, M, heads, levels, points, 2)
weights = linear("encoder_attn.attention_weights", q).reshape(B, M, heads, levels * points).softmax(-1).reshape(B, M, heads, levels, points)
loc = state["reference_points"].reshape(1, M, 1, 1, 1, 2) + offsets / torch.tensor([columns, rows])
v = linear("encoder_attn.value_proj", value).reshape(B, levels, rows, columns, heads, H // heads)
out = torch.zeros(B, M, heads, H // heads)
for b in range(B):
    for k in range(heads):
        for l in range(levels):
            sampled = F.grid_sample(v[b, l, :, :, k].permute(2, 0, 1)[None], 2 * loc[b, :, k, l][None] - 1, align_corners=False)[0]  # [depth, M, points]
            out[b, :, k] += (sampled * weights[b, :, k, l]).sum(-1).T
h = ln("encoder_attn_layer_norm", h + linear("encoder_attn.output_proj", out.reshape(B, M, H)))
h = ln("final_layer_norm", h + linear("fc2", linear("fc1", h).relu()))
path = Path(__file__).resolve().parent.parent / "packages/projectors/src/__vectors__/d-abs-levels.safetensors"
save_file({**{f"abstractor.{k}": t.contiguous() for k, t in state.items()}, "input.features": features, "output.features": h.contiguous()}, path)
