"""Random LLaVA and Llama checkpoints in many shapes, with what transformers makes of them.

Usage: python reference/llava_variants.py OUT_DIR   (torch 2.13.0, transformers 5.23.0, CPU float32)

Each folder OUT_DIR/<name> is a published-layout checkpoint plus `expected.json`: cases with prompt, pictures,
prompt ids and the greedy tokens. Weights are random but scaled so that greedy margins stay above noise.
`scripts` and tests run `waggle generate --raw --greedy --json` over them and compare token by token.
"""
import json, shutil, sys
from pathlib import Path

import torch
from PIL import Image
from transformers import CLIPVisionConfig, LlamaConfig, LlamaForCausalLM, LlavaConfig, LlavaForConditionalGeneration
from transformers import PreTrainedTokenizerFast
from transformers.models.clip import CLIPImageProcessorPil

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "golden"
PICTURES = [GOLDEN / "llava-tiny-hf" / n for n in ("scene.png", "alpha.png", "gray.jpg")]
SPM = GOLDEN / "llava-tiny-hf"
BYTES = GOLDEN / "text-tokenizers" / "gpt2-bytelevel"
METASPACE = GOLDEN / "text-tokenizers" / "llama-fast-metaspace"

BASE_TEXT = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=3, max_position_embeddings=256,
                 rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
BASE_VISION = dict(hidden_size=40, intermediate_size=72, num_hidden_layers=3, num_attention_heads=5, image_size=42, patch_size=14, projection_dim=24)

VARIANTS = {
    "sizes": {},
    "tied-full": dict(text=dict(tie_word_embeddings=True, num_key_value_heads=6), top=dict(vision_feature_select_strategy="full", vision_feature_layer=-1)),
    "layers-list": dict(top=dict(vision_feature_layer=[-3, -1], multimodal_projector_bias=False)),
    "first-layer": dict(top=dict(vision_feature_layer=1), vision=dict(image_size=60, patch_size=12, hidden_act="gelu", layer_norm_eps=1e-6)),
    "llama3-rope": dict(text=dict(head_dim=16, attention_bias=True, mlp_bias=True, rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32))),
    "linear-rope": dict(text=dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.5), num_key_value_heads=1, num_attention_heads=4, rms_norm_eps=1e-6)),
    "dynamic-rope": dict(text=dict(max_position_embeddings=24, rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0))),
    "yarn-rope": dict(text=dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16))),
    "bytelevel": dict(tokenizer=BYTES),
    "metaspace": dict(tokenizer=METASPACE, top=dict(projector_hidden_act="silu")),
    "half": dict(dtype=torch.float16, shards="60KB"),
    "brain": dict(dtype=torch.bfloat16, text=dict(num_hidden_layers=1)),
    "newkeys": dict(save=dict(save_original_format=False)),
    "patch-uneven": dict(vision=dict(image_size=50, patch_size=16)),
    "llama-alone-tied": dict(alone=True, text=dict(tie_word_embeddings=True, hidden_act="gelu")),
    "llama-alone-bytes": dict(alone=True, tokenizer=BYTES, text=dict(head_dim=10)),
}
PROMPTS = [("USER: <image>\nWhat is shown? ASSISTANT:", [0]), ("USER: Look at <image> and <image>, please. ASSISTANT:", [1, 2]), ("USER: Say hi. ASSISTANT:", [])]


def tokenizer_of(folder):
    raw = json.loads((folder / "tokenizer.json").read_text())
    tok = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    if tok.convert_tokens_to_ids("<image>") in (None, tok.unk_token_id):
        tok.add_special_tokens({"additional_special_tokens": ["<image>"]})
    return tok


def scale(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if p.dim() >= 2:
            p.data = torch.randn(p.shape, generator=g) * (1.6 / p.shape[-1] ** 0.5 if p.dim() == 2 else 0.08)
        elif "norm" in name and name.endswith("weight"):
            p.data = 1 + 0.2 * torch.randn(p.shape, generator=g)
        else:
            p.data = 0.1 * torch.randn(p.shape, generator=g)


def make(name, spec, out, seed):
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    tok = tokenizer_of(spec.get("tokenizer", SPM))
    vocab = len(tok) + 7
    text = LlamaConfig(**{**BASE_TEXT, "vocab_size": vocab, **spec.get("text", {})})
    torch.manual_seed(seed)
    if spec.get("alone"):
        model = LlamaForCausalLM._from_config(text, attn_implementation="eager")
    else:
        vision = CLIPVisionConfig(**{**BASE_VISION, **spec.get("vision", {})})
        config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=tok.convert_tokens_to_ids("<image>"),
                             tie_word_embeddings=text.tie_word_embeddings, **{"vision_feature_layer": -2, **spec.get("top", {})})
        model = LlavaForConditionalGeneration._from_config(config, attn_implementation="eager")
    scale(model, seed)
    model.tie_weights()
    dtype = spec.get("dtype", torch.float32)
    model.to(dtype)
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder, **({"max_shard_size": spec["shards"]} if "shards" in spec else {}), **spec.get("save", {}))
    tok.save_pretrained(folder)
    processor = None
    if not spec.get("alone"):
        S = vision.image_size
        processor = CLIPImageProcessorPil(size={"shortest_edge": S}, crop_size={"height": S, "width": S})
        processor.save_pretrained(folder)
        pre = json.loads((folder / "preprocessor_config.json").read_text()) if (folder / "preprocessor_config.json").exists() else None
        for p in PICTURES:
            shutil.copy(p, folder)
    cases = []
    for prompt, pictures in PROMPTS:
        if spec.get("alone") and pictures:
            continue
        # Loaded anew: .to(float16) would have rounded the rotary frequencies too, and dynamic frequencies keep what earlier prompts left.
        model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        text_in, inputs, tokens = prompt, {}, 0
        if pictures:
            images = [Image.open(PICTURES[i]).convert("RGB") for i in pictures]
            inputs["pixel_values"] = processor(images, return_tensors="pt")["pixel_values"]
            tokens = (vision.image_size // vision.patch_size) ** 2 + (1 if config.vision_feature_select_strategy == "full" else 0)
            text_in = prompt.replace("<image>", "<image>" * tokens)
        ids = tok(text_in, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            run = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, output_logits=True,
                                 return_dict_in_generate=True, pad_token_id=0, **inputs)
        new = run.sequences[0, ids.shape[1]:].tolist()
        margins = [float(l[0].topk(2).values.diff().abs()) for l in run.logits]
        cases.append(dict(prompt=prompt, pictures=[PICTURES[i].name for i in pictures], promptIds=ids[0].tolist(), imageTokens=tokens * len(pictures),
                          tokenIds=new, text=tok.decode(new, skip_special_tokens=True), minMargin=min(margins)))
    (folder / "expected.json").write_text(json.dumps(dict(cases=cases), indent=1))
    print(name, [(len(c["tokenIds"]), round(c["minMargin"], 4)) for c in cases], flush=True)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    for seed, (name, spec) in enumerate(VARIANTS.items()):
        if len(sys.argv) < 3 or name in sys.argv[2:]:
            make(name, spec, out, seed)
