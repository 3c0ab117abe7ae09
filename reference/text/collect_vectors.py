"""Copies what concerns text out of the whole-model golden cases into packages/text/src/__vectors__/: the tokenizer's files, and
prompts, ids and texts from expected.json. Usage: collect_vectors.py <golden folder>"""
import json
import pathlib
import shutil
import sys

golden = pathlib.Path(sys.argv[1])
out = pathlib.Path(__file__).resolve().parents[2] / "packages/text/src/__vectors__"
SIDE_FILES = ["tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]


def collect(name, folder, pick):
    target = out / name
    target.mkdir(parents=True, exist_ok=True)
    for file in SIDE_FILES:
        if (golden / folder / file).exists():
            shutil.copyfile(golden / folder / file, target / file)
    expected = json.loads((golden / folder.split("/")[0] / "expected.json").read_text())
    (target / "expected.json").write_text(json.dumps({"source": f"golden case {folder.split('/')[0]}", **pick(expected)}, indent=1) + "\n")


def honeybee(expected):
    runs = [{key: run[key] for key in ("prompts", "input_ids", "tokens", "text", "text_with_special_tokens")}
            for run in expected["runs"].values() if isinstance(run, dict) and "text_with_special_tokens" in run]
    return {"imageTokens": expected["dims"]["num_visual_tokens"], "tokenization": expected["tokenization"], "runs": runs,
            "plain": expected["tokenizer_plain"], "decode": expected["tokenizer_decode"]}


def llava(expected):
    cases = [{key: case[key] for key in ("name", "images", "prompt", "template", "messages", "promptIds", "tokenIds", "text", "rawText")}
             for case in expected["cases"]]
    return {"templates": expected["templates"], "cases": cases}


def minigpt4(expected):
    runs = {name: {"prompt": run["prompt"], "segments": run["segments"]} for name, run in expected["runs"].items()
            if isinstance(run, dict) and "prompt" in run and "dropped_from_the_left" not in run and isinstance(run.get("segments"), list)
            and "train" not in name}
    return {"prompts": expected["runs"]["prompts"], "runs": runs, "cleanup": expected["runs"]["cleanup"]}


collect("honeybee", "honeybee-tiny-c-abs", honeybee)
collect("llava-original", "llava-tiny-original", llava)
collect("minigpt4", "minigpt4-tiny/llm", minigpt4)
