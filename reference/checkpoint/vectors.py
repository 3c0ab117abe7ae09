"""Makes packages/checkpoint/src/__vectors__: files written by the safetensors package, and PyTorch's own conversions.

    python reference/checkpoint/vectors.py          (torch, safetensors)

all-types.safetensors   one tensor of every element type that Waggle reads, written by safetensors
to-float32.safetensors  `stored.<dtype>` and `float32.<dtype>`: PyTorch's .to(torch.float32) of it. Edge cases first
                        (largest, smallest, subnormal, halfway between two floats, beyond 2^53), then random bits.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).parents[2] / "packages/checkpoint/src/__vectors__"
META = {"torch": torch.__version__.split("+")[0], "made by": "reference/checkpoint/vectors.py"}


def all_types() -> None:
    values = torch.arange(6).reshape(2, 3)
    types = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"]
    tensors = {f"t.{name}": values.to(getattr(torch, name)) for name in types}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "ä.日本.🐝": torch.ones(1), "0": torch.ones(1)}
    save_file(tensors, OUT / "all-types.safetensors", META)


def conversions() -> None:
    torch.manual_seed(0)
    tensors = {}
    wide = [2**24 + 1, 2**24 + 3, 2**53 + 1, 2**53 - 1, 2**60 + 2**36, 2**60 + 2**36 + 1, 2**60 + 2**36 - 1, 2**62 + 2**38 + 1]
    wide += [2**63 - 1, 2**52, 2**52 - 1, 2**52 + 2**28 + 1, 0, 1, 255, 2**31, 2**32 + 1]
    int64 = torch.tensor(wide + [-value for value in wide] + [-(2**63)])
    int64 = torch.cat([int64, torch.randint(-(2**63), 2**63 - 1, (64,))])
    double = torch.tensor([1 + 2.0**-24, 1 + 2.0**-24 + 2.0**-50, 3.5e38, -1e300, 1e-40, 2.0**-149, 2.0**-150, 5e-324, -0.0])
    double = torch.cat([double.double(), torch.tensor([float("inf"), float("-inf"), float("nan")]).double(), torch.randn(64).double()])
    stored = {
        "int64": int64,
        "float64": double,
        "float16": torch.arange(-32768, 32768, 7).to(torch.int16).view(torch.float16),
        "bfloat16": torch.arange(-32768, 32768, 7).to(torch.int16).view(torch.bfloat16),
        "int32": torch.randint(-(2**31), 2**31 - 1, (64,), dtype=torch.int32),
        "int8": torch.tensor([-128, -1, 0, 127]).to(torch.int8),
        "uint8": torch.tensor([0, 1, 200, 255]).to(torch.uint8),
        "bool": torch.tensor([True, False]),
    }
    for name, tensor in stored.items():
        tensors[f"stored.{name}"] = tensor
        tensors[f"float32.{name}"] = tensor.to(torch.float32)
    save_file(tensors, OUT / "to-float32.safetensors", META)


OUT.mkdir(exist_ok=True)
all_types()
conversions()
