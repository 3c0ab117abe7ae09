"""Adapters as PEFT saves them, and the weights that it makes of them: packages/nn/src/__vectors__/lora/<case>/.

    pip install torch==2.13.0 peft==0.18.0 safetensors; python reference/nn/lora.py
"""
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parents[2] / "packages/nn/src/__vectors__/lora"

CASES = {
    "plain": dict(r=3, lora_alpha=6, target_modules=["q_proj", "up_proj"]),
    "rank-stabilised": dict(r=5, lora_alpha=4, use_rslora=True, target_modules=["q_proj", "up_proj"]),
    "patterns": dict(
        r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"],
        rank_pattern={"up_proj": 7}, alpha_pattern={"layers.1.q_proj": 32, "up_proj": 5},
    ),
    "whole": dict(r=4, lora_alpha=8, bias="all", target_modules=["q_proj", "embed_tokens"], modules_to_save=["head"]),
}


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = torch.nn.Linear(6, 6)
        self.up_proj = torch.nn.Linear(6, 10, bias=False)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = torch.nn.Embedding(9, 6)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(2))
        self.head = torch.nn.Linear(6, 9)

    def forward(self, ids):
        return self.head(self.embed_tokens(ids))


def fill(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


shutil.rmtree(OUT, ignore_errors=True)
for name, settings in CASES.items():
    folder = OUT / name
    model = Model()
    fill(model, 1)
    folder.mkdir(parents=True)
    save_file({key: value.clone() for key, value in model.state_dict().items()}, folder / "base.safetensors")
    tuned = get_peft_model(model, LoraConfig(**settings))
    fill_parameters = [p for p in tuned.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in fill_parameters:
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    merged = tuned.merge_and_unload().state_dict()
    save_file({key: value.clone() for key, value in merged.items()}, folder / "merged.safetensors")
