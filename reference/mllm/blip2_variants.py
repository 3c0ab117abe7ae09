"""Random BLIP-2 checkpoints in other shapes, with what transformers makes of them.

Usage: python reference/mllm/blip2_variants.py OUT   (torch 2.13.0, transformers 5.23.0, eager attention, float32)
Writes OUT/<name>/ in the Hugging Face layout (tokenizer and picture from golden/blip2-opt-tiny) and in it expected.json:
`tokens` of a caption and of a question, greedy, and the smallest margin by which a token led.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoTokenizer, Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors import randomise

GOLDEN = Path(__file__).resolve().parent.parent.parent / "golden" / "blip2-opt-tiny"
VISION = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=28, patch_size=7)
QFORMER = dict(hidden_size=20, num_hidden_layers=3, num_attention_heads=5, intermediate_size=36, cross_attention_frequency=2, vocab_size=40, max_position_embeddings=16)
TEXT = dict(model_type="opt", vocab_size=416, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=32, eos_token_id=202, bos_token_id=2, pad_token_id=1)
CASES = {
    "plain": ({}, {}, {}, dict(queries=5)),
    "every-layer-crosses": (dict(qkv_bias=False, hidden_act="quick_gelu"), dict(cross_attention_frequency=1), {}, dict(queries=1)),
    "third-layer-crosses": (dict(layer_norm_eps=1e-3, num_attention_heads=1), dict(cross_attention_frequency=3, layer_norm_eps=1e-5), dict(activation_function="gelu"), dict(queries=9, dtype="float16")),
    "untied": (dict(image_size=30, patch_size=8), {}, dict(tie_word_embeddings=False), dict(queries=4, dtype="bfloat16", shards="40KB", tie=False)),
    "norm-after": ({}, dict(num_hidden_layers=1), dict(do_layer_norm_before=False), dict(queries=3)),
}


@torch.no_grad()
def make(out, name, vision, qformer, text, queries, dtype="float32", shards="5GB", tie=True, seed=0):
    vision = {**VISION, **vision}
    config = Blip2Config(vision_config=vision, qformer_config={**QFORMER, **qformer}, text_config={**TEXT, **text, "tie_word_embeddings": tie}, num_query_tokens=queries, image_token_index=400, tie_word_embeddings=tie)
    config._attn_implementation = "eager"
    model = randomise(Blip2ForConditionalGeneration(config), seed)
    if tie:
        model.tie_weights()
    model = model.to(getattr(torch, dtype)).float()  # the numbers of the stored type, computed in float32
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in GOLDEN.glob("*token*.json"):
        shutil.copy(file, folder)
    for file in ("vocab.json", "merges.txt", "generation_config.json", "picture_a.png"):
        shutil.copy(GOLDEN / file, folder)
    size = vision["image_size"]
    images = BlipImageProcessor(size=dict(height=size, width=size))
    images.save_pretrained(folder)
    processor = Blip2Processor(images, AutoTokenizer.from_pretrained(GOLDEN), num_query_tokens=queries)
    runs = []
    for prompt in (None, "Question: what is it? Answer:"):
        inputs = processor(images=Image.open(GOLDEN / "picture_a.png").convert("RGB"), text=prompt if prompt else "", return_tensors="pt")
        result = model.generate(**inputs, max_new_tokens=10, do_sample=False, eos_token_id=202, pad_token_id=1, output_scores=True, return_dict_in_generate=True)
        tokens = result.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        margins = [(top[0] - top[1]).item() for top in (score[0].topk(2).values for score in result.scores)]
        runs.append(dict(prompt=prompt or "", tokens=tokens, min_margin=min(margins), input_ids=inputs["input_ids"][0].tolist()))
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shards)
    shutil.copy(GOLDEN / "generation_config.json", folder)
    (folder / "expected.json").write_text(json.dumps(dict(runs=runs, max_new_tokens=10)))
    print(name, runs)


for seed, (name, (vision, qformer, text, rest)) in enumerate(CASES.items()):
    make(Path(sys.argv[1]), name, vision, qformer, text, seed=seed, **rest)
