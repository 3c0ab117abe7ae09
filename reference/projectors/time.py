"""PyTorch's times beside `npm run bench -- projectors`: the same shapes, the same threads, in turns. Prints the table of packages/projectors/README.md.

Usage: python reference/projectors/time.py [rounds]   (torch 2.13.0, transformers 5.23.0)

The projectors are written here after the head comments in packages/projectors/src, as eager PyTorch modules with
scaled_dot_product_attention and grid_sample; their parameters are counted and must be as many as Waggle's.
"""
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Blip2QFormerConfig, Blip2QFormerModel

C, D, SIDE, M, H = 1024, 4096, 24, 144, 1024
N = SIDE * SIDE


def heads(x, count):
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def attend(q, k, v, count):
    return F.scaled_dot_product_attention(heads(q, count), heads(k, count), heads(v, count)).transpose(1, 2).flatten(2)


class PixelShuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(4 * C, D, bias=False)

    def forward(self, x):
        x = x.view(1, SIDE // 2, 2, SIDE // 2, 2, C).permute(0, 1, 3, 2, 4, 5)
        return self.proj(x.reshape(1, N // 4, 4 * C))


class ResamplerLayer(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(H, H) for _ in range(4))
        self.norm1, self.normk, self.norm2, self.ffn_ln = nn.LayerNorm(H), nn.LayerNorm(H), nn.LayerNorm(H), nn.LayerNorm(inner)
        self.w1, self.w2, self.w3 = nn.Linear(H, inner), nn.Linear(inner, H), nn.Linear(H, inner)

    def forward(self, h, e):
        q = self.norm1(h)
        both = torch.cat([q, self.normk(e)], 1)
        h = q + self.out(attend(self.q(q), self.k(both), self.v(both), 16))
        n = self.norm2(h)
        return h + self.w2(self.ffn_ln(F.silu(self.w1(n)) * self.w3(n)))


class Resampler(nn.Module):
    def __init__(self, layers=6, inner=4096):
        super().__init__()
        self.query_tokens = nn.Parameter(torch.randn(1, M, H))
        self.fc_in, self.fc_out = nn.Linear(C, H), nn.Linear(H, D)
        self.layers = nn.ModuleList(ResamplerLayer(inner) for _ in range(layers))

    def forward(self, x):
        e, h = self.fc_in(x), self.query_tokens
        for layer in self.layers:
            h = layer(h, e)
        return self.fc_out(h)


class QFormer(nn.Module):
    def __init__(self):
        super().__init__()
        config = Blip2QFormerConfig(encoder_hidden_size=C, cross_attention_frequency=2, use_qformer_text_input=False)
        self.query_tokens, self.qformer, self.proj = nn.Parameter(torch.randn(1, M, 768)), Blip2QFormerModel(config), nn.Linear(768, D)

    def forward(self, x):
        return self.proj(self.qformer(query_embeds=self.query_tokens, encoder_hidden_states=x).last_hidden_state)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Bottleneck(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv3 = nn.Conv2d(H, H, 1, bias=False), nn.Conv2d(H, H, 1, bias=False)
        self.conv2 = nn.Conv2d(H, H, 3, padding=1, groups=H, bias=False)
        self.bn1, self.bn2, self.bn3 = LayerNorm2d(H), LayerNorm2d(H), LayerNorm2d(H)
        self.fc1, self.fc2 = nn.Conv2d(H, H // 4, 1), nn.Conv2d(H // 4, H, 1)

    def forward(self, x):
        y = F.silu(self.bn2(self.conv2(F.silu(self.bn1(self.conv1(x))))))
        y = y * self.fc2(F.silu(self.fc1(y.mean((2, 3), keepdim=True)))).sigmoid()
        return F.silu(self.bn3(self.conv3(y)) + x)


class CAbstractor(nn.Module):
    def __init__(self):
        super().__init__()
        self.pos_emb = nn.Parameter(torch.randn(1, N, C))
        side = int(M**0.5)
        self.net = nn.Sequential(*(Bottleneck() for _ in range(3)), nn.AdaptiveAvgPool2d((side, side)), *(Bottleneck() for _ in range(3)))
        self.readout = nn.Sequential(nn.Linear(H, D), nn.SiLU(), nn.Linear(D, D))

    def forward(self, x):
        x = (x + self.pos_emb).transpose(1, 2).reshape(1, C, SIDE, SIDE)
        return self.readout(self.net(x).flatten(2).transpose(1, 2))


class DeformableLayer(nn.Module):
    def __init__(self, count=8, points=4, inner=1024):
        super().__init__()
        self.count, self.points = count, points
        self.q, self.k, self.v, self.out = (nn.Linear(H, H) for _ in range(4))
        self.offsets, self.weights = nn.Linear(H, count * points * 2), nn.Linear(H, count * points)
        self.value, self.sampled = nn.Linear(H, H), nn.Linear(H, H)
        self.fc1, self.fc2 = nn.Linear(H, inner), nn.Linear(inner, H)
        self.ln1, self.ln2, self.ln3 = nn.LayerNorm(H), nn.LayerNorm(H), nn.LayerNorm(H)

    def forward(self, h, pos, value, reference):
        q = h + pos
        h = self.ln1(h + self.out(attend(self.q(q), self.k(q), self.v(h), self.count)))
        q = h + pos
        picture = heads(self.value(value), self.count).transpose(2, 3).reshape(self.count, -1, SIDE, SIDE)
        places = reference[:, :, None, None] + self.offsets(q).view(1, M, self.count, self.points, 2) / SIDE
        grid = (2 * places - 1)[0].transpose(0, 1)  # [heads, M, points, 2]
        found = F.grid_sample(picture, grid, align_corners=False)  # [heads, H / heads, M, points]
        weights = self.weights(q).view(M, self.count, self.points).softmax(-1).transpose(0, 1)
        h = self.ln2(h + self.sampled((found * weights[:, None]).sum(-1).flatten(0, 1).T[None]))
        return self.ln3(h + self.fc2(F.relu(self.fc1(h))))


class DAbstractor(nn.Module):
    def __init__(self):
        super().__init__()
        self.v_pos_emb, self.queries = nn.Parameter(torch.randn(1, N, H)), nn.Parameter(torch.randn(M, H))
        self.reference_points = nn.Parameter(torch.rand(1, M, 2))
        self.layers = nn.ModuleList(DeformableLayer() for _ in range(6))
        self.output_proj = nn.Linear(H, D)

    def forward(self, x):
        value, side = x + self.v_pos_emb, int(M**0.5)
        pos = F.adaptive_avg_pool2d(value.transpose(1, 2).view(1, H, SIDE, SIDE), side).flatten(2).transpose(1, 2)
        h = self.queries[None]
        for layer in self.layers:
            h = layer(h, pos, value, self.reference_points)
        return self.output_proj(h)


MODULES = {
    "linear": nn.Linear(C, D),
    "mlp (2 layers)": nn.Sequential(nn.Linear(C, D), nn.GELU(), nn.Linear(D, D)),
    "pixel shuffle (s = 2)": PixelShuffle(),
    "resampler": Resampler(),
    "q-former": QFormer(),
    "c-abstractor": CAbstractor(),
    "d-abstractor": DAbstractor(),
}
for module in MODULES.values():
    module.eval()


@torch.inference_mode()
def theirs(steps: int) -> dict:
    x, times = torch.randn(1, N, C), {name: [] for name in MODULES}
    for step in range(-1, steps):
        for name, module in MODULES.items():
            start = time.perf_counter()
            module(x)
            if step >= 0:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def ours(steps: int) -> dict:
    command = ["npm", "run", "-s", "bench", "--", "projectors", "--steps", str(steps), "--threads", str(torch.get_num_threads())]
    out = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True).stdout
    return {cells[1].strip(): cells for cells in (line.split("|") for line in out.splitlines()) if len(cells) == 7 and re.match(r"\s*\d", cells[2])}


rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
mine, torchs, rows = {name: [] for name in MODULES}, {name: [] for name in MODULES}, {}
for _ in range(rounds):
    rows = ours(5)
    for name, cells in rows.items():
        mine[name].append(float(cells[3].split()[0]))
    for name, times in theirs(5).items():
        torchs[name].append(statistics.median(times))
print("| projector | tokens | time | PyTorch | parameters | multiply-adds |\n|---|---|---|---|---|---|")
for name, (_, _, tokens, _, parameters, work, _) in rows.items():
    count = sum(parameter.numel() for parameter in MODULES[name].parameters()) / 1e6
    assert f"{count:.1f} M" == parameters.strip(), (name, count, parameters)
    print(f"| {name} | {tokens.strip()} | {statistics.median(mine[name]):.0f} ms | {statistics.median(torchs[name]):.0f} ms | {parameters.strip()} | {work.strip()} |")
