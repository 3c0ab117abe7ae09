"""Beam searches of transformers on golden/llama-tiny, for packages/generation. torch 2.13.0, CPU.

Usage: python reference/generation/beams.py             writes packages/generation/src/beams/__vectors__/<release>.json
for transformers 5.23.0 ("newest"). The older releases likewise, each from a folder of its own:

    pip install --target old --no-deps transformers==4.38.1 tokenizers==0.15.2 huggingface_hub==0.25.2
    PYTHONPATH=old python reference/generation/beams.py            (4.36.2; 4.30.2 with tokenizers 0.13.3)

Options are drawn at random; end tokens are ones that the beams really come to, so that some end early. `embedded`: the
prompt is given as inputs_embeds. A case is kept if float32 and float64 find the same sequences. Random draws are those of
Waggle: torch.multinomial is replaced by xoshiro128** and a walk along the probabilities.
"""
import json
import random
import re
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "packages/generation/src/beams/__vectors__"
VERSION = transformers.__version__
RELEASE = "newest" if VERSION.startswith("5.") else VERSION.rsplit(".", 1)[0]
BOS, PAD, VOCABULARY, CASES = 1, 0, 1000, 60
TOKENIZER = PreTrainedTokenizerFast(tokenizer_file=str(ROOT / "golden/llama-tiny/tokenizer.json"))
M64, M32 = 2**64 - 1, 2**32 - 1


class RandomNumbers:
    """xoshiro128** seeded by SplitMix64, as packages/generation/src/random.ts."""

    def __init__(self, seed):
        state = []
        for _ in range(2):
            seed = (seed + 0x9E3779B97F4A7C15) & M64
            z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & M64
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
            z ^= z >> 31
            state += [z & M32, z >> 32]
        self.s = state

    def uint32(self):
        rotl = lambda v, k: ((v << k) | (v >> (32 - k))) & M32
        s = self.s
        out = (rotl((s[1] * 5) & M32, 7) * 9) & M32
        t = (s[1] << 9) & M32
        s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t
        s[3] = rotl(s[3], 11)
        return out

    def next(self):
        a, b = self.uint32() >> 5, self.uint32() >> 6
        return (a * 2**26 + b) / 2**53


def walking(numbers):
    def multinomial(probabilities, num_samples, **_):
        (row,) = probabilities.double()
        left, drawn = row.clone(), []
        for _ in range(num_samples):
            assert (left > 0).any(), "nothing left to draw"
            target = numbers.next() * left.sum()
            at = int((left.cumsum(0) <= target).sum())
            drawn.append(at)
            left[at] = 0
        return torch.tensor([drawn])

    return multinomial


def draw_options(rng):
    num_beams = rng.randint(2, 5)
    options = dict(num_beams=num_beams, num_return_sequences=rng.randint(1, num_beams), length_penalty=rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0]),
                   early_stopping=rng.choice([True, False, "never"]), max_new_tokens=rng.choice([1, 2, 3, 5, 8, 12, 16]))
    some = lambda p: rng.random() < p
    if some(0.2):
        options["min_new_tokens"] = rng.randint(1, 4)
    if some(0.2):
        options["repetition_penalty"] = rng.choice([0.8, 1.3, 2.0])
    if some(0.2):
        options["no_repeat_ngram_size"] = rng.choice([1, 2, 3])
    if some(0.1):
        options["renormalize_logits"] = True
    if some(0.1):
        options["suppress_tokens"] = rng.sample(range(3, VOCABULARY), 40)
    if some(0.1) and RELEASE != "4.30":  # which multiplies negative scores, to the contrary of what is meant
        options["exponential_decay_length_penalty"] = [2, 1.5]
    if some(0.25) and RELEASE != "4.30":
        options.update(do_sample=True, seed=rng.randrange(2**32), top_k=rng.choice([40, 100]), temperature=rng.choice([0.7, 1.0, 1.5]))
    return options


def search(model, prompt, embedded, options):
    options = dict(options)
    kwargs = dict(do_sample=False, pad_token_id=PAD, bos_token_id=BOS, return_dict_in_generate=True, output_scores=True)
    torch.multinomial = walking(RandomNumbers(options.pop("seed", 0)))
    if "exponential_decay_length_penalty" in options:
        options["exponential_decay_length_penalty"] = tuple(options["exponential_decay_length_penalty"])
    ids = torch.tensor([prompt])
    if embedded:
        kwargs["inputs_embeds"] = model.get_input_embeddings()(ids)
    else:
        kwargs["input_ids"] = ids
    if "stop_strings" in options:
        kwargs["tokenizer"] = TOKENIZER
    kwargs["attention_mask"] = torch.ones_like(ids)
    kwargs.update(options)
    model.generation_config.max_length = kwargs.get("max_length")
    with torch.no_grad():
        out = model.generate(**kwargs)
    start = len(prompt) if not embedded else 1 if RELEASE in ("4.30", "4.36") else 0
    lengths = (out.beam_indices >= 0).sum(1).tolist()
    sequences = [row[start : start + length].tolist() for row, length in zip(out.sequences, lengths)]
    # An end token that 4.x appends to a hypothesis has no beam.
    for i, row in enumerate(out.sequences):
        rest = row[start + lengths[i] :]
        if RELEASE != "newest" and len(rest) > 0 and rest[0] != PAD:
            sequences[i].append(int(rest[0]))
    return sequences, out.sequences_scores.tolist()


def load():
    folder = ROOT / "golden/llama-tiny"
    if RELEASE != "4.30":
        return LlamaForCausalLM.from_pretrained(folder).eval()
    state = load_file(folder / "model.safetensors")  # 4.30 has no grouped queries: every head gets a copy of the one key and value head
    for name, tensor in state.items():
        if "k_proj" in name or "v_proj" in name:
            state[name] = tensor.repeat(state[name.replace("k_proj", "q_proj").replace("v_proj", "q_proj")].shape[0] // tensor.shape[0], 1)
    model = LlamaForCausalLM(LlamaConfig.from_pretrained(folder))
    model.load_state_dict(state, strict=False)
    return model.eval()


def main():
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    models = [load(), load().double()]
    rng = random.Random(20)
    rows = []
    while len(rows) < CASES:
        prompt = [BOS] + [rng.randrange(3, VOCABULARY) for _ in range(rng.randint(0, 12))]
        embedded = rng.random() < 0.4
        options = draw_options(rng)
        if rng.random() < 0.3:  # a length that counts the prompt, or not
            new = options.pop("max_new_tokens")
            options["max_length"] = len(prompt) + new
            if rng.random() < 0.5:
                options["min_length"] = rng.randint(1, len(prompt) + 3)
        found = search(models[0], prompt, embedded, {**options, "eos_token_id": 2})[0]
        ends = sorted({id for sequence in found for id in sequence})
        options["eos_token_id"] = rng.sample(ends, min(len(ends), rng.choice([1, 1, 2]))) + ([2] if rng.random() < 0.3 else [])
        text = re.findall("[a-z]{2,}", TOKENIZER.decode(found[0])) if RELEASE == "newest" and rng.random() < 0.25 else []
        if text:
            options["stop_strings"] = [word[: rng.randint(1, 3)] for word in rng.sample(text, min(2, len(text)))]
        try:
            (sequences, scores), (exact, _) = [search(model, prompt, embedded, options) for model in models]
        except (ValueError, AssertionError) as error:
            print("left out:", str(error)[:80])
            continue
        if sequences != exact:
            continue
        rows.append(dict(promptIds=prompt, embedded=embedded, options=options, sequences=sequences, scores=scores))
    OUT.mkdir(parents=True, exist_ok=True)
    head = json.dumps(dict(torch=torch.__version__, transformers=VERSION))
    body = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (OUT / f"{RELEASE}.json").write_text(f'{{"versions":{head},"rows":[\n{body}\n]}}\n')
    print(VERSION, len(rows), "cases,", sum(any(len(s) != len(r["sequences"][0]) for s in r["sequences"]) for r in rows), "with answers of several lengths")


main()
