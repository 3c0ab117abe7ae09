"""Proves that Python's safetensors opens what Waggle writes, and finds the same in it.

    npx tsx --conditions=@waggle/source reference/checkpoint/rewrite.ts IN OUT
    python reference/checkpoint/interoperation.py IN OUT
"""

import sys

import torch
from safetensors import safe_open

with safe_open(sys.argv[1], "pt") as before, safe_open(sys.argv[2], "pt") as after:
    assert set(before.keys()) == set(after.keys())
    assert before.metadata() == after.metadata()
    for name in before.keys():
        a, b = before.get_tensor(name), after.get_tensor(name)
        assert a.dtype == b.dtype and a.shape == b.shape, name
        assert torch.equal(a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8)), name
    print(f"{len(list(before.keys()))} tensors equal, metadata {before.metadata()}")
