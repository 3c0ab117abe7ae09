"""Proves that transformers opens what `convert` writes: no key missing or unexpected, the same ids, pixels, logits and greedy tokens.

    npx tsx --conditions=@waggle/source reference/mllm/convert.ts OUT
    python reference/mllm/convert_transformers.py OUT          (torch, transformers 5.23, pillow)

What LLaVA's authors publish is compared with what their own code made of it (golden/llava-tiny-original), the rest with Waggle.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

OUT = Path(sys.argv[1])
GOLDEN = Path(__file__).parents[2] / "golden"


def open_model(cls, name):
    model, report = cls.from_pretrained(OUT / name, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"], report
    unexpected = [key for key in report["unexpected_keys"] if "position_ids" not in key]
    assert not unexpected, unexpected
    return model.eval()


def greedy(model, inputs, count, eos=None):
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=count, do_sample=False, num_beams=1)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()


def without_end(ids):
    return ids[:-1] if ids and ids[-1] == 2 else ids


def against_waggle() -> None:
    for name, case in json.loads((OUT / "answers.json").read_text()).items():
        if case["picture"] is None:
            model = open_model(AutoModelForCausalLM, name)
            inputs = AutoTokenizer.from_pretrained(OUT / name)(case["prompt"], return_tensors="pt")
        else:
            model = open_model(AutoModelForImageTextToText, name)
            processor = AutoProcessor.from_pretrained(OUT / name)
            inputs = processor(text=case["prompt"], images=Image.open(case["picture"]).convert("RGB"), return_tensors="pt")
        found = greedy(model, inputs, 16)
        assert without_end(found) == without_end(case["tokenIds"]), (name, found, case["tokenIds"])
        print(f"{name}: {len(found)} greedy tokens equal")


def against_the_authors(name: str, cases: list, io) -> None:
    model = open_model(AutoModelForImageTextToText, name)
    processor = AutoProcessor.from_pretrained(OUT / name)
    marker, per_picture = model.config.image_token_id, model.config.image_seq_length
    for case in cases:
        pictures = [Image.open(GOLDEN / "llava-tiny-original" / file).convert("RGB") for file in case["images"]]
        left = list(case["images"])
        messages = []
        for message in case["messages"]:
            text = message["content"]
            content = [{"type": "image"} for _ in range(text.count("<image>"))] + [{"type": "text", "text": text.replace("<image>", "").strip()}]
            messages.append({"role": message["role"], "content": content})
        prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
        inputs = processor(text=prompt, images=pictures or None, return_tensors="pt")
        wanted = [id for given in case["promptIds"] for id in ([marker] * per_picture if given == -200 else [given])]
        assert inputs["input_ids"][0].tolist() == wanted, (case["name"], inputs["input_ids"][0].tolist(), wanted)
        for i, file in enumerate(left):
            difference = (inputs["pixel_values"][i] - io.get_tensor(f"input.pixel_values.{file}")[0]).abs().max().item()
            assert difference < 0.02, (case["name"], file, difference)
        key = "output.logits.lora-merged" if name.endswith("lora") else f"output.logits.{case['name']}"
        if not name.endswith("lora") or case["name"] == "vicuna_v1-scene":
            with torch.no_grad():
                logits = model(**inputs).logits[0, -1]
            expected = io.get_tensor(key)[0, -1]
            difference = (logits[: expected.shape[0]] - expected).abs().max().item()
            assert difference < 1e-4, (case["name"], difference)
            print(f"{name}, {case['name']}: logits within {difference:.1e}")
        found = greedy(model, inputs, case["max_new_tokens"])
        assert without_end(found) == without_end(case["tokenIds"]), (case["name"], found, case["tokenIds"])
        print(f"{name}, {case['name']}: ids equal, {len(found)} greedy tokens equal")


against_waggle()
expected = json.loads((GOLDEN / "llava-tiny-original" / "expected.json").read_text())
with safe_open(GOLDEN / "llava-tiny-original" / "io.safetensors", "pt") as io:
    against_the_authors("llava-tiny-original", [case for case in expected["cases"] if case["template"] == "vicuna_v1"], io)
    against_the_authors("llava-tiny-original-lora", [case for case in expected["lora"]["cases"] if case["template"] == "vicuna_v1"], io)
