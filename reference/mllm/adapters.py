"""What PEFT makes of adapters over golden/llava-tiny-hf, its own and one that our saveAdapter wrote:
packages/mllm/src/__vectors__/adapters/{red, blue}, answers.json, logits.safetensors.

    pip install torch==2.13.0 transformers==5.23.0 peft==0.21.2 safetensors
    npx tsx --conditions=@waggle/source reference/mllm/saved_adapter.ts FOLDER; python reference/mllm/adapters.py FOLDER
"""
import hashlib
import json
import shutil
import sys
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "golden/llava-tiny-hf"
OUT = ROOT / "packages/mllm/src/__vectors__/adapters"
OURS = Path(sys.argv[1])

ADAPTERS = {
    "red": dict(r=3, lora_alpha=6, target_modules=r".*language_model.*\.(q_proj|v_proj)"),
    "blue": dict(
        r=2, lora_alpha=5, use_rslora=True, modules_to_save=["multi_modal_projector"],
        target_modules=r".*language_model.*_proj|lm_head|.*vision_tower.*\.k_proj",
    ),
}


def base():
    return LlavaForConditionalGeneration.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager").eval()


shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
for seed, (name, settings) in enumerate(ADAPTERS.items(), 7):
    torch.manual_seed(seed)
    tuned = get_peft_model(base(), LoraConfig(**settings))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.3 if name == "red" else 0.1))
    tuned.peft_config["default"].base_model_name_or_path = "llava-tiny-hf"
    tuned.save_pretrained(OUT / name)
    (OUT / name / "README.md").unlink(missing_ok=True)

io = load_file(BASE / "io.safetensors")
cases = {case["name"]: case for case in json.loads((BASE / "expected.json").read_text())["cases"]}
asked = {
    "scene": dict(input_ids=torch.tensor([cases["one-image-scene"]["promptIds"]]), pixel_values=io["input.pixel_values.scene.png"]),
    "text": dict(input_ids=torch.tensor([cases["text-only"]["promptIds"]])),
}
prompts = {"scene": cases["one-image-scene"]["prompt"], "text": cases["text-only"]["prompt"]}
folders = {"base": None, "red": OUT / "red", "blue": OUT / "blue", "ours": OURS}
logits, answers = {}, {}
for name, folder in folders.items():
    model = base() if folder is None else PeftModel.from_pretrained(base(), folder).eval()
    merged = None if folder is None else PeftModel.from_pretrained(base(), folder).merge_and_unload().eval()
    answers[name] = {}
    for prompt, inputs in asked.items():
        with torch.no_grad():
            whole = model(**inputs).logits
            if merged is not None:
                print(name, prompt, "merged differs by", (merged(**inputs).logits - whole).abs().max().item())
            ids = model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=None)
        logits[f"{name}.{prompt}"] = whole[0, -1].clone()
        answers[name][prompt] = ids[0, inputs["input_ids"].shape[1]:].tolist()
save_file(logits, OUT / "logits.safetensors")
versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
digest = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(OURS.iterdir())}
(OUT / "answers.json").write_text(json.dumps({"versions": versions, "ours": digest, "prompts": prompts, "answers": answers}, indent=1) + "\n")
