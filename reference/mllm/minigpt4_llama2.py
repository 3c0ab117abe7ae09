"""packages/mllm/src/__vectors__/minigpt4-llama2*: the projector of MiniGPT-4's variant for Llama 2, on golden/minigpt4-tiny.

Usage: python reference/mllm/minigpt4_llama2.py   (torch 2.13.0)
The authors' code with has_qformer False (MiniGPT4.encode_img): ln_vision as it is made, class token dropped, four neighbours
side by side, one linear map. `.pth` is the trained checkpoint as they save it, `.safetensors` what it makes of the golden pictures.
"""
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "packages" / "mllm" / "src" / "__vectors__"

seen = load_file(ROOT / "golden" / "minigpt4-tiny" / "io.safetensors")["output.visual_encoder"]
batch, _, width = seen.shape
torch.manual_seed(7)
llama_proj = torch.nn.Linear(4 * width, 64)
with torch.no_grad():
    features = torch.nn.functional.layer_norm(seen, (width,), torch.ones(width), torch.zeros(width), 1e-5)[:, 1:, :]
    projected = llama_proj(features.reshape(batch, -1, 4 * width))
model = {f"llama_proj.{key}": value for key, value in llama_proj.state_dict().items()}
torch.save({"model": model, "optimizer": {"state": {}}, "config": {"model": {"arch": "minigpt4"}}, "scaler": {}, "epoch": 4}, VECTORS / "minigpt4-llama2.pth")
save_file({"output.projected": projected}, VECTORS / "minigpt4-llama2.safetensors")
