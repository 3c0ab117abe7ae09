"""Vectors for packages/generation that the golden cases do not cover. transformers 5.23.0, torch 2.13.0, CPU.

Usage: python reference/generation/vectors.py      writes packages/generation/src/__vectors__/

logits-processors: each case is a list of transformers' own processor classes, called one after the other on the same
logits and ids. random: xoshiro128** seeded by SplitMix64, written here from the published algorithms.
"""
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers.generation import logits_process as lp

OUT = Path(__file__).resolve().parents[2] / "packages/generation/src/__vectors__"
VOCAB, LENGTH, EOS = 60, 14, [2, 7]
INF = float("inf")


def cases(prompt):
    eos = torch.tensor(EOS)
    bias = [[[5], 2.5], [[9], -1.5], [[11, 12], 4.0], [[30, 31, 12], -INF]]
    bad = [[2], [7], [20], [11, 13], [30, 31, 14], [1, 2, 3]]
    return {
        "min_p": (dict(do_sample=True, top_k=0, min_p=0.2), [lp.MinPLogitsWarper(0.2)]),
        "top_h": (dict(do_sample=True, top_k=0, top_h=0.5), [lp.TopHLogitsWarper(0.5)]),
        "typical": (dict(do_sample=True, top_k=0, typical_p=0.6), [lp.TypicalLogitsWarper(0.6)]),
        "typical_after_top_k": (dict(do_sample=True, top_k=9, typical_p=0.4), [lp.TopKLogitsWarper(9), lp.TypicalLogitsWarper(0.4)]),
        "epsilon": (dict(do_sample=True, top_k=0, epsilon_cutoff=0.03), [lp.EpsilonLogitsWarper(0.03)]),
        "epsilon_keeps_best": (dict(do_sample=True, top_k=0, epsilon_cutoff=0.99), [lp.EpsilonLogitsWarper(0.99)]),
        "eta": (dict(do_sample=True, top_k=0, eta_cutoff=0.3), [lp.EtaLogitsWarper(0.3)]),
        "sequence_bias": (dict(sequence_bias=bias), [lp.SequenceBiasLogitsProcessor([[s, float(b)] for s, b in bias])]),
        "bad_words": (dict(bad_words_ids=bad), [lp.NoBadWordsLogitsProcessor(bad, eos)]),
        "min_length": (dict(min_length=LENGTH + 1), [lp.MinLengthLogitsProcessor(LENGTH + 1, eos)]),
        "min_length_reached": (dict(min_length=LENGTH), [lp.MinLengthLogitsProcessor(LENGTH, eos)]),
        "min_new_tokens": (dict(min_new_tokens=5), [lp.MinNewTokensLengthLogitsProcessor(prompt, 5, eos)]),
        "min_new_tokens_reached": (dict(min_new_tokens=4), [lp.MinNewTokensLengthLogitsProcessor(prompt, 4, eos)]),
        "forced_eos": (dict(forced_eos_token_id=EOS, max_length=LENGTH + 1), [lp.ForcedEOSTokenLogitsProcessor(LENGTH + 1, eos)]),
        "forced_eos_later": (dict(forced_eos_token_id=2, max_length=LENGTH + 2), [lp.ForcedEOSTokenLogitsProcessor(LENGTH + 2, 2)]),
        "decay": (dict(exponential_decay_length_penalty=[1, 1.3]), [lp.ExponentialDecayLengthPenalty((1, 1.3), eos, prompt)]),
        "decay_later": (dict(exponential_decay_length_penalty=[4, 1.3]), [lp.ExponentialDecayLengthPenalty((4, 1.3), eos, prompt)]),
        "suppress": (dict(suppress_tokens=[3, 4, 59]), [lp.SuppressTokensLogitsProcessor([3, 4, 59])]),
        "begin_suppress_too_late": (dict(begin_suppress_tokens=[3, 4]), [lp.SuppressTokensAtBeginLogitsProcessor([3, 4], prompt)]),
        "renormalize": (dict(do_sample=True, top_k=6, renormalize_logits=True), [lp.TopKLogitsWarper(6), lp.LogitNormalization()]),
        "everything": (
            dict(do_sample=True, repetition_penalty=1.3, no_repeat_ngram_size=2, bad_words_ids=bad, min_new_tokens=6, suppress_tokens=[8],
                 temperature=1.4, top_k=30, top_p=0.9, min_p=0.05, typical_p=0.8, renormalize_logits=True),
            [lp.RepetitionPenaltyLogitsProcessor(1.3), lp.NoRepeatNGramLogitsProcessor(2), lp.NoBadWordsLogitsProcessor(bad, eos),
             lp.MinNewTokensLengthLogitsProcessor(prompt, 6, eos), lp.SuppressTokensLogitsProcessor([8]), lp.TemperatureLogitsWarper(1.4),
             lp.TopKLogitsWarper(30), lp.TopPLogitsWarper(0.9), lp.MinPLogitsWarper(0.05), lp.TypicalLogitsWarper(0.8), lp.LogitNormalization()]),
    }


def logits_processors():
    g = torch.Generator().manual_seed(3)
    logits = torch.randn((3, VOCAB), generator=g) * 2.5
    ids = torch.randint(3, VOCAB, (3, LENGTH), generator=g)
    ids[0, -2:] = torch.tensor([30, 31])
    ids[1, -1] = 11
    ids[2, 3:5] = torch.tensor([40, 41])
    ids[2, -1] = 40
    prompt = LENGTH - 4
    tensors, listed = {"input.logits": logits, "input.ids": ids}, {}
    for name, (options, chain) in cases(prompt).items():
        scores = logits.clone()
        for processor in chain:
            scores = processor(ids, scores)
        tensors[f"output.{name}"] = scores
        listed[name] = dict(options=options, order=[type(p).__name__ for p in chain])
    scores = logits.clone()
    scores[0, 4], scores[1, 5], scores[2, 6] = INF, -INF, float("nan")
    tensors["input.invalid"] = scores
    tensors["output.invalid"] = lp.InfNanRemoveLogitsProcessor()(ids, scores)
    save_file({k: v.contiguous() for k, v in tensors.items()}, OUT / "logits-processors.safetensors")
    text = json.dumps(dict(versions=dict(torch=torch.__version__, transformers=transformers.__version__), promptLength=prompt, eos=EOS, cases=listed), indent=1)
    (OUT / "logits-processors.json").write_text(text.replace("-Infinity", '"-Infinity"') + "\n")


def xoshiro(seed, count):
    m64, m32 = 2**64 - 1, 2**32 - 1
    x = seed & m64

    def splitmix():
        nonlocal x
        x = (x + 0x9E3779B97F4A7C15) & m64
        z = x
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & m64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & m64
        return z ^ (z >> 31)

    a, b = splitmix(), splitmix()
    s = [a & m32, a >> 32, b & m32, b >> 32]
    rotl = lambda v, k: ((v << k) | (v >> (32 - k))) & m32
    out = []
    for _ in range(count):
        out.append((rotl((s[1] * 5) & m32, 7) * 9) & m32)
        t = (s[1] << 9) & m32
        s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t
        s[3] = rotl(s[3], 11)
    return out


def random_numbers():
    seeds = [0, 1, 42, 2**32 + 5, 2**53 - 1]
    rows = []
    for seed in seeds:
        words = xoshiro(seed, 12)
        rows.append(dict(seed=seed, uint32=words, numbers=[((words[i] >> 5) * 2**26 + (words[i + 1] >> 6)) / 2**53 for i in range(0, 12, 2)]))
    (OUT / "random.json").write_text(json.dumps(rows, indent=1) + "\n")


OUT.mkdir(parents=True, exist_ok=True)
logits_processors()
random_numbers()
