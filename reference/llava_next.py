"""golden/llava-next-tiny: a random LLaVA-NeXT in the Hugging Face layout, and what transformers makes of it.

Usage: python reference/llava_next.py   (torch 2.13.0, transformers 5.23.0, CPU float32)
"""
import json
import shutil
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor, PreTrainedTokenizerFast
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
SPM, PICTURES, OUT = GOLDEN / "llava-tiny-hf", GOLDEN / "llava-tiny-anyres", GOLDEN / "llava-next-tiny"
GRID = [[42, 84], [84, 42], [84, 84], [126, 42], [42, 126]]  # height, width
FILES = ["wide.png", "high.png", "even.png", "small.png"]
PROMPTS = [("USER: <image>\nWhat is shown? ASSISTANT:", [name]) for name in FILES] + [
    ("USER: Compare <image> and <image>. ASSISTANT:", ["high.png", "wide.png"]),
    ("USER: Say hi. ASSISTANT:", []),
]

shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir()
tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(SPM / "tokenizer.json"))
image_token = tokenizer.convert_tokens_to_ids("<image>")
config = LlavaNextConfig(
    vision_config=CLIPVisionConfig(hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4, image_size=42, patch_size=14, projection_dim=16),
    text_config=LlamaConfig(vocab_size=1024, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                            max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2),
    image_grid_pinpoints=GRID, image_token_index=image_token, image_seq_length=9,
)
torch.manual_seed(7)
model = LlavaNextForConditionalGeneration(config).eval()
generator = torch.Generator().manual_seed(8)
with torch.no_grad():
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() > 1:
            parameter.copy_(noise * (1.4 / parameter[0].numel() ** 0.5 if "embed" not in name else 1.0))
        else:
            parameter.copy_(noise * 0.1 + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
    model.model.image_newline.copy_(torch.randn(48, generator=generator))
model.save_pretrained(OUT)
images = LlavaNextImageProcessorPil(size={"shortest_edge": 42}, crop_size={"height": 42, "width": 42}, image_grid_pinpoints=GRID)
images.save_pretrained(OUT)
processor = LlavaNextProcessor(images, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1)
for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
    shutil.copy(SPM / name, OUT / name)
for name in FILES:
    shutil.copy(PICTURES / name, OUT / name)

tensors, cases = {}, []
with torch.no_grad():
    for name in FILES:
        seen = images(Image.open(OUT / name).convert("RGB"), return_tensors="pt")
        features = model.model.get_image_features(seen["pixel_values"], seen["image_sizes"], vision_feature_layer=-2, vision_feature_select_strategy="default")
        tensors[f"input.pixel_values.{name}"] = seen["pixel_values"][0].clone()
        tensors[f"output.image_features.{name}"] = features.pooler_output[0].clone()
    for index, (prompt, files) in enumerate(PROMPTS):
        pictures = [Image.open(OUT / name).convert("RGB") for name in files]
        inputs = processor(text=prompt, images=pictures or None, return_tensors="pt")
        logits = model(**inputs).logits[0, -1]
        out = model.generate(**inputs, max_new_tokens=16, do_sample=False, output_scores=True, return_dict_in_generate=True)
        new = out.sequences[0, inputs["input_ids"].shape[1]:].tolist()
        tops = [score[0].topk(2).values for score in out.scores]
        tensors[f"output.logits.{index}"] = logits.clone()
        cases.append(dict(prompt=prompt, images=files, promptIds=inputs["input_ids"][0].tolist(), tokenIds=new,
                          minTop1Top2Margin=round(min(float(a - b) for a, b in tops), 5)))
save_file(tensors, OUT / "io.safetensors")
(OUT / "expected.json").write_text(json.dumps(dict(
    reference="transformers 5.23.0, torch 2.13.0, CPU float32, greedy", imageTokenId=image_token, cases=cases), indent=1) + "\n")
(OUT / "README.md").write_text("""# llava-next-tiny

A random LLaVA-NeXT in the Hugging Face layout, made by `reference/llava_next.py` with transformers 5.23. The tokenizer is that of llava-tiny-hf, the pictures are those of llava-tiny-anyres.

- `expected.json`: `cases` (prompt, pictures, ids with every image position expanded, greedy tokens).
- `io.safetensors`: `input.pixel_values.<picture>` [1 + tiles, 3, S, S], `output.image_features.<picture>` [tokens, D], `output.logits.<case>` (last position).
""")
print([c["minTop1Top2Margin"] for c in cases], [len(c["promptIds"]) for c in cases])
