"""What PyTorch computes for every operator of @waggle/graph: inputs, output and gradients of sum(output * weight).

Usage: python reference/graph_ops.py   (torch 2.13.0) → packages/graph/src/__vectors__/ops.json
"""
import json, math
from pathlib import Path

import torch
import torch.nn.functional as F

torch.manual_seed(0)
n = torch.randn
CASES = {
    **{name: (lambda x, f=name: getattr(torch, f)(x), [n(3, 4)]) for name in ("neg", "abs", "exp", "sin", "cos", "tanh", "sigmoid", "erf", "relu", "floor", "ceil", "round", "sign")},
    "log": (torch.log, [n(3, 4).abs() + 0.1]), "sqrt": (torch.sqrt, [n(3, 4).abs() + 0.1]), "reciprocal": (torch.reciprocal, [n(3, 4) + 3]),
    "add": (torch.add, [n(2, 3, 4), n(3, 1)]), "sub": (torch.sub, [n(4), n(2, 3, 4)]), "mul": (torch.mul, [n(2, 3, 4), n(1, 4)]), "div": (torch.div, [n(3, 4), n(1, 4) + 3]),
    "pow": (lambda a: a ** 3.0, [n(3, 4)]), "minimum": (torch.minimum, [n(3, 4), n(4)]), "maximum": (torch.maximum, [n(3, 4), n(4)]), "clip": (lambda x: x.clamp(-0.5, 0.7), [n(3, 4)]),
    "where": (lambda a, b: torch.where(a > 0, a, b), [n(3, 4), n(4)]),
    "matmul": (torch.matmul, [n(2, 3, 4), n(4, 5)]), "matmulBatch": (torch.matmul, [n(2, 1, 3, 4), n(3, 4, 2)]), "matmulTurned": (lambda a, b: 0.5 * a.mT @ b.mT, [n(2, 4, 3), n(2, 5, 4)]),
    "reshape": (lambda x: x.reshape(2, 2, 6), [n(2, 3, 4)]), "transpose": (lambda x: x.permute(2, 0, 1), [n(2, 3, 4)]), "expand": (lambda x: x.expand(2, 3, 4), [n(3, 1)]),
    "concat": (lambda a, b: torch.cat([a, b], 1), [n(2, 3), n(2, 4)]), "split": (lambda x: x.split([1, 3], 1)[1], [n(2, 4)]), "slice": (lambda x: x[:, 1:6:2], [n(2, 7)]),
    "sliceTail": (lambda x: x[:, -2:], [n(2, 7)]), "pad": (lambda x: F.pad(x, (1, 2, 0, 3), value=0.5), [n(2, 3)]), "gather": (lambda x: x[:, [2, 0, 2]], [n(2, 3)]),
    "gatherElements": (lambda x: x.gather(1, torch.tensor([[0, 2], [1, 1]])), [n(2, 3)]), "scatterElements": (lambda x, u: x.scatter(1, torch.tensor([[0, 2], [1, 0]]), u), [n(2, 3), n(2, 2)]),
    "reduceSum": (lambda x: x.sum((0, 2)), [n(2, 3, 4)]), "reduceMean": (lambda x: x.mean(1, keepdim=True), [n(2, 3, 4)]), "reduceMax": (lambda x: x.amax(-1), [n(2, 3, 4)]), "reduceMin": (lambda x: x.amin(0), [n(2, 3, 4)]),
    "softmax": (lambda x: x.softmax(1), [n(2, 3, 4)]), "logSoftmax": (lambda x: x.log_softmax(-1), [n(2, 3, 4)]), "cumsum": (lambda x: x.cumsum(1), [n(2, 5)]), "topK": (lambda x: x.topk(2, 1).values, [n(2, 5)]),
    "conv": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), [n(2, 3, 7, 6), n(4, 3, 3, 3), n(4)]), "convDepthwise": (lambda x, w: F.conv2d(x, w, padding=1, groups=4), [n(2, 4, 5, 5), n(4, 1, 3, 3)]),
    "averagePool": (lambda x: F.avg_pool2d(x, 3, 2, 1), [n(1, 2, 7, 6)]), "maxPool": (lambda x: F.max_pool2d(x, 2, 2), [n(1, 2, 6, 6)]),
    "gridSample": (lambda x, g: F.grid_sample(x, g, align_corners=False), [n(2, 3, 4, 5), n(2, 3, 2, 2) * 0.8]),
    "resizeLinear": (lambda x: F.interpolate(x, (5, 7), mode="bilinear"), [n(1, 2, 3, 4)]), "resizeCubic": (lambda x: F.interpolate(x, (5, 3), mode="bicubic"), [n(1, 2, 4, 4)]), "resizeNearest": (lambda x: F.interpolate(x, (6, 3), mode="nearest"), [n(1, 2, 4, 4)]),
    "linear": (F.linear, [n(2, 3, 4), n(5, 4), n(5)]), "embedding": (lambda t: F.embedding(torch.tensor([[1, 0], [2, 1]]), t), [n(3, 4)]),
    "layerNorm": (lambda x, w, b: F.layer_norm(x, (4,), w, b, 1e-5), [n(2, 3, 4), n(4), n(4)]), "rmsNorm": (lambda x, w: F.rms_norm(x, (4,), w, 1e-5), [n(2, 3, 4), n(4)]),
    "gelu": (F.gelu, [n(3, 4)]), "geluTanh": (lambda x: F.gelu(x, approximate="tanh"), [n(3, 4)]), "quickGelu": (lambda x: x * torch.sigmoid(1.702 * x), [n(3, 4)]), "silu": (F.silu, [n(3, 4)]),
    "rotaryEmbedding": (lambda x, c, s: x * torch.cat([c, c], -1)[:, None] + torch.cat([-x[..., 2:], x[..., :2]], -1) * torch.cat([s, s], -1)[:, None], [n(1, 2, 3, 4), n(1, 3, 2), n(1, 3, 2)]),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), [n(2, 2, 3, 4), n(2, 2, 5, 4), n(2, 2, 5, 4)]),
    "attentionGrouped": (lambda q, k, v: F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), is_causal=True), [n(1, 4, 3, 4), n(1, 2, 3, 4), n(1, 2, 3, 4)]),
    "attentionMasked": (lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m, scale=0.3), [n(1, 2, 3, 4), n(1, 2, 5, 4), n(1, 2, 5, 4), n(1, 1, 3, 5)]),
    "adaptiveAveragePool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)), [n(2, 2, 5, 4)]), "adaptiveUp": (lambda x: F.adaptive_avg_pool2d(x, (5, 5)), [n(1, 2, 4, 3)]),
    "scatterRows": (lambda x, u: x.index_copy(0, torch.tensor([3, 0]), u), [n(4, 2, 3), n(2, 2, 3)]), "scatterRowsAdd": (lambda x, u: x.index_add(0, torch.tensor([1, 3, 1]), u), [n(4, 3), n(3, 3)]),
    "crossEntropy": (lambda x: F.cross_entropy(x, torch.tensor([2, 0, 4]), reduction="none"), [n(3, 5) * 4]), "rmsNormRow": (lambda x, w: F.rms_norm(x, (4,), w, 1e-5), [n(4), n(4)]),
    "attentionGroupedMasked": (lambda q, k, v, m: F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), attn_mask=m), [n(2, 4, 3, 4), n(2, 2, 5, 4), n(2, 2, 5, 4), n(2, 1, 1, 5)]),
    "rotaryEmbeddingBatch": (lambda x, c, s: x * torch.cat([c, c], -1)[:, None] + torch.cat([-x[..., 2:], x[..., :2]], -1) * torch.cat([s, s], -1)[:, None], [n(2, 3, 2, 4), n(2, 2, 2), n(2, 2, 2)]),
    "gatherRows": (lambda x: x[torch.tensor([[2, 0], [2, 1]])], [n(3, 2, 2)]),
    "convStrided": (lambda x, w, b: F.conv2d(x, w, b, stride=(2, 3), padding=(2, 1), dilation=(1, 2), groups=2), [n(2, 4, 9, 11), n(6, 2, 3, 2), n(6)]),
    "convWide": (lambda x, w: F.conv2d(F.pad(x, (3, 0, 1, 4)), w, dilation=(2, 1)), [n(1, 2, 5, 6), n(3, 2, 2, 3)]), "convPoint": (lambda x, w, b: F.conv2d(x, w, b), [n(2, 3, 4, 5), n(4, 3, 1, 1), n(4)]),
    "convPatches": (lambda x, w, b: F.conv2d(x, w, b, stride=3), [n(2, 3, 7, 9), n(4, 3, 3, 3), n(4)]), "convPointStrided": (lambda x, w: F.conv2d(x, w, stride=2), [n(2, 3, 6, 5), n(4, 3, 1, 1)]),
    "convDepthwiseStrided": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1, dilation=2, groups=3), [n(2, 3, 8, 7), n(3, 1, 3, 3), n(3)]), "convDepthwiseTwice": (lambda x, w: F.conv2d(x, w, padding=2, groups=3), [n(2, 3, 4, 5), n(6, 1, 5, 3)]),
    "convBlocks": (lambda x, w, b: F.conv2d(x.permute(0, 3, 1, 2), w, b, padding=1, groups=32).permute(0, 2, 3, 1), [n(3, 4, 5, 32), n(32, 1, 3, 3), n(32)]), "convBlocksWide": (lambda x, w: F.conv2d(F.pad(x, (2, 0, 0, 3)), w, groups=16), [n(2, 16, 3, 4), n(16, 1, 4, 2)]),
    "convBlocksStrided": (lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=16), [n(1, 16, 6, 5), n(16, 1, 3, 2)]),
    "averagePoolOverlapping": (lambda x: F.avg_pool2d(x, (3, 2), (1, 2), (1, 0)), [n(2, 2, 5, 7)]), "maxPoolOverlapping": (lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0)), [n(2, 3, 7, 5)]), "maxPoolTies": (lambda x: F.max_pool2d(x.relu(), 3, 2), [n(1, 2, 7, 7) - 0.5]),
    "gridSampleOutside": (lambda x, g: F.grid_sample(x, g, align_corners=False), [n(2, 3, 5, 3), n(2, 4, 3, 2) * 1.5]),
    "gridSampleOnPixels": (lambda x, g: F.grid_sample(x, g, align_corners=False), [n(1, 2, 4, 8), torch.tensor([[-1.125, -1.25], [-0.875, -0.75], [0.125, 0.25], [0.875, 0.75], [1.125, 1.25]])[None, None]]),
    "resizeLinearDown": (lambda x: F.interpolate(x, (2, 3), mode="bilinear"), [n(2, 2, 7, 5)]), "resizeLinearAligned": (lambda x: F.interpolate(x, (5, 2), mode="bilinear", align_corners=True), [n(1, 2, 3, 7)]),
    "resizeCubicAligned": (lambda x: F.interpolate(x, (3, 9), mode="bicubic", align_corners=True), [n(1, 2, 5, 4)]), "resizeCubicOdd": (lambda x: F.interpolate(x, (7, 3), mode="bicubic"), [n(2, 1, 3, 5)]), "resizeNearestOdd": (lambda x: F.interpolate(x, (5, 7), mode="nearest"), [n(1, 2, 3, 4)]),
}
pack = lambda t: dict(shape=list(t.shape), data=[float(f"{v:.9g}") for v in t.detach().flatten().tolist()])
out = {}
for name, (f, inputs) in CASES.items():
    inputs = [x.clone().requires_grad_() for x in inputs]
    y = f(*inputs)
    w = torch.randn(y.shape)
    grads = torch.autograd.grad((y * w).sum(), inputs, allow_unused=True) if y.requires_grad else [None] * len(inputs)
    out[name] = dict(inputs=[pack(x) for x in inputs], output=pack(y), weight=pack(w), gradients=[None if g is None else pack(g) for g in grads])
path = Path(__file__).resolve().parent.parent / "packages/graph/src/__vectors__/ops.json"
path.write_text(json.dumps(dict(torch=torch.__version__, cases=out), separators=(",", ":")))
print(len(out), path.stat().st_size)
