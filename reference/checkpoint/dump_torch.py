"""Prints every tensor of a torch.save file: name, dtype, shape, SHA-256 of its dense bytes; to compare with Waggle's reading."""
import hashlib, sys
import torch
def walk(v, path):
    if isinstance(v, torch.Tensor):
        t = v.detach().contiguous()
        print(".".join(path), str(t.dtype).removeprefix("torch."), list(t.shape), hashlib.sha256(t.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest() if t.numel() else "-")
    elif isinstance(v, dict):
        for k, x in v.items(): walk(x, [*path, str(k)])
    elif isinstance(v, (list, tuple)):
        for i, x in enumerate(v): walk(x, [*path, str(i)])
walk(torch.load(sys.argv[1], weights_only=True), [])
