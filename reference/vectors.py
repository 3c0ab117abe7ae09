"""Writes one golden file: tensors in float32 or int64, the configuration and the versions in the metadata.

Keys: `state.*` is the state_dict, `input.*` and `output.*` what went in and came out.
"""
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

PACKAGES = Path(__file__).resolve().parent.parent / "packages"
LIMIT = 300_000  # bytes; vectors live in the repository


def randomise(model, seed):
    """Weights large enough that every option changes the result: a layer that is skipped must not go unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() >= 2:
            parameter.data = noise / parameter[0].numel() ** 0.5
        elif "norm" in name and name.endswith("weight"):
            parameter.data = 1 + 0.2 * noise
        else:
            parameter.data = 0.2 * noise
    return model.eval()


def write(package, name, tensors, **metadata):
    path = PACKAGES / package / "src" / "__vectors__" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    text = {key: json.dumps(value) for key, value in {**metadata, "versions": versions}.items()}
    save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, path, metadata=text)
    size = path.stat().st_size
    assert size <= LIMIT, f"{path} has {size} bytes"
    print(path.name, size)


def state(model, keep=lambda key: True):
    """The state_dict as safetensors holds it: a tied tensor once."""
    seen, tensors = set(), {}
    for key, value in model.state_dict().items():
        if keep(key) and value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            tensors[f"state.{key}"] = value
    return tensors
