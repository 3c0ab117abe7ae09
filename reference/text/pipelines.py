"""Components of tokenizer.json, one by one and together, as `tokenizers` (Rust) runs them: the vectors of
packages/text/src/pipeline/components.test.ts. Usage: pipelines.py [number of random strings] [output file]"""
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
extra = int(sys.argv[1]) if len(sys.argv) > 1 else 40
out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "packages/text/src/__vectors__/pipelines.json"
rng = random.Random(5)

golden = json.loads((ROOT / "golden/text-tokenizers/strings.json").read_text())
ATOMS = list("aAbzZ019 .,!?'\"-_#<>\n\t") + ["  ", "\r\n", "é", "e\u0301", "Σ", "ς", "ΑΣ", "İ", "ſ", "K", "ß", "ﬁ", "中", "文", "の", "カ", "ー", "한",
         "😀", "👍🏽", "👨‍👩‍👧", "\u200b", "\u200d", "\u00a0", "\u3000", "\u0085", "\ufeff", "\ufffd", "\u0001", "\u001f", "\x00", "▁", "Ġ",
         "٣", "Ⅷ", "½", "²", "क", "्", "ก", "ำ", "\u0600", "𝔘", "\U000e0041", "'s", "'LL", "'re", "don't", "<s>", "</s>", "[MASK]", "New York", "York", "new york"]
random_strings = ["".join(rng.choice(ATOMS) for _ in range(rng.randint(1, 14))) for _ in range(extra)]
strings = golden[::3] + random_strings
small = golden[::6] + random_strings


def spec(component):
    return json.loads(component.__getstate__())


t5 = json.loads((ROOT / "golden/text-tokenizers/t5-unigram/tokenizer.json").read_text())
charsmap = t5["normalizer"]["normalizers"][0]
NORMALIZERS = [
    {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "Nmt"}, {"type": "StripAccents"},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Strip", "strip_left": True, "strip_right": False},
    {"type": "Strip", "strip_left": False, "strip_right": True}, charsmap, {"type": "Prepend", "prepend": "▁"}, {"type": "ByteLevel"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "$0"},
    {"type": "Replace", "pattern": {"Regex": "(?i:LL|s)"}, "content": "*"}, {"type": "Replace", "pattern": {"Regex": "^."}, "content": ""},
    {"type": "Replace", "pattern": {"Regex": "[^a-z]*"}, "content": "+"}, {"type": "Replace", "pattern": {"Regex": "(?i)[A-Z]+"}, "content": "w"},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False, "strip_accents": True, "lowercase": False},
    {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": True, "strip_accents": False, "lowercase": True},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Lowercase"}]},
]

CL100K = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
O200K = ("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
DEEPSEEK = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
POSSESSIVE = "[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,2}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s++$|\\s+(?!\\S)|\\s"


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


PRE_TOKENIZERS = [
    {"type": "BertPreTokenizer"}, {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "CharDelimiterSplit", "delimiter": "a"},
    {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False}, {"type": "FixedLength", "length": 3},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    *[{"type": "Punctuation", "behavior": b} for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")],
    *[split(" ", b, i, "String") for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous") for i in (False, True)],
    *[split("\\w+|[^\\w\\s]+", b, True) for b in ("Removed", "Isolated", "MergedWithPrevious", "Contiguous")],
    split(CL100K), split(O200K), split(DEEPSEEK), split(POSSESSIVE), split("x*"), split("(?<=a)b|(?<!b)c"), split("\\p{Han}+|[一-龥]|\\d+"), split("\\A.|.\\z"),
    *[{"type": "Metaspace", "replacement": "▁", "prepend_scheme": p, "split": s} for p in ("always", "never", "first") for s in (True, False)],
    {"type": "Metaspace", "replacement": "_", "add_prefix_space": True},
    {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]},
    {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, split("'s|\\p{L}+", "Removed", True), {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}]},
]

TOKENS = ["▁He", "llo", "▁", "##ing", "a", ".", "<0xE4>", "<0xB8>", "<0xAD>", "<0x0A>", "<0xFF>", "<0xF0>", "Ġworld", "Ã", "©", "ĠĠ", "end</w>", "</w>", " ", "x", " x ", "|",
          "<pad>", "n't", "'s", "do", "not", "\ufffd", "中", "▁▁", "H", "é"]
token_lists = [[rng.choice(TOKENS) for _ in range(rng.randint(0, 9))] for _ in range(20 + extra // 2)]
LLAMA = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
DECODERS = [
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Replace", "pattern": {"Regex": "[a-z]"}, "content": "-"},
    *[{"type": "Metaspace", "replacement": "▁", "prepend_scheme": p, "split": True} for p in ("always", "never", "first")],
    {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False}, {"type": "BPEDecoder", "suffix": "</w>"},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    {"type": "Sequence", "decoders": LLAMA + [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    {"type": "Sequence", "decoders": LLAMA}, {"type": "Sequence", "decoders": LLAMA + [{"type": "Replace", "pattern": {"Regex": "l+ .?"}, "content": "*"}]},
    {"type": "Sequence", "decoders": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "Strip", "content": "x", "start": 2, "stop": 0}]},
    {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]},
]


def empty(**parts):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "decoder": None, "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}, **parts}


def build(description):
    return Tokenizer.from_str(json.dumps(description))


def byte_vocab(pieces):
    vocab = {"<unk>": 0}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for piece in pieces:
        vocab.setdefault(piece, len(vocab))
    return vocab


def bpe(pieces, merges, **options):
    vocab = options.pop("vocab", None) or {piece: i for i, piece in enumerate(dict.fromkeys(["<unk>", *pieces, *(a + b for a, b in merges)]))}
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
            "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": [list(m) for m in merges], **options}


def added(content, id, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}


LETTERS = list("abcdehlorstuwxyzA09 .▁") + ["中", "é"]
MERGES = [("a", "b"), ("a", "a"), ("aa", "aa"), ("▁", "▁"), ("▁", "t"), ("h", "e"), ("▁t", "he"), ("l", "l"), ("e", "ll"), ("o", "r"), ("ab", "ab"), (" ", "a"), ("s", "e")]
UNIGRAM = [["<unk>", 0.0], ["▁", -2.0], ["a", -3.0], ["b", -3.1], ["ab", -4.0], ["▁a", -3.5], ["aa", -5.9], ["the", -4.2], ["▁the", -4.1], ["t", -5.0], ["h", -5.0], ["e", -4.0], ["中", -6.0], ["s", -3.0],
           ["\n", -7.0], ["<s>", -1.0], ["l", -3.3], ["ll", -6.4], ["o", -4.4]]
BYTES = [[f"<0x{b:02X}>", -9.0] for b in range(256)]
ADDED = [added("<s>", 900), added("[MASK]", 901, lstrip=True), added("</s>", 902, rstrip=True), added("York", 903, single_word=True, special=False),
         added("new york", 904, special=False, normalized=True), added("don't", 905, lstrip=True, rstrip=True, normalized=True, special=False), added("<s><s>", 906)]
metaspace_first = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
PIPELINES = {
    "bpe": empty(model=bpe(LETTERS, MERGES)),
    "bpe, unknown runs fused": empty(model=bpe(LETTERS, MERGES, fuse_unk=True)),
    "bpe, bytes": empty(model=bpe([], MERGES, vocab=byte_vocab(LETTERS + [a + b for a, b in MERGES]), byte_fallback=True, fuse_unk=True)),
    "bpe, some bytes": empty(model=bpe(LETTERS + ["<0xC3>", "<0xA9>", "<0xF0>"], MERGES, byte_fallback=True)),
    "bpe, no unknown": empty(model=bpe(LETTERS, MERGES, unk_token=None)),
    "bpe, prefix and suffix": empty(pre_tokenizer={"type": "WhitespaceSplit"}, model=bpe(
        [], [["a", "##b</w>"], ["##a", "##b</w>"], ["a", "##b"], ["a", "##ab</w>"], ["##a", "##a"]], vocab={p: i for i, p in enumerate(["<unk>", "a", "b", "##a", "##b", "##b</w>", "##a</w>", "a</w>", "b</w>", "ab", "##ab</w>", "ab</w>", "aab</w>", "##aa"])}, continuing_subword_prefix="##", end_of_word_suffix="</w>")),
    "bpe, whole words first": empty(pre_tokenizer=split(" ", "Isolated", kind="String"), model=bpe(LETTERS + ["hello", "world"], MERGES, ignore_merges=True)),
    "bpe, old merges": empty(model=bpe(LETTERS, MERGES) | {"merges": [f"{a} {b}" for a, b in MERGES if " " not in a + b]}),
    "unigram": empty(pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, model={"type": "Unigram", "unk_id": 0, "vocab": UNIGRAM, "byte_fallback": False}),
    "unigram, bytes": empty(model={"type": "Unigram", "unk_id": 0, "vocab": UNIGRAM + BYTES, "byte_fallback": True}),
    "wordpiece": empty(pre_tokenizer={"type": "BertPreTokenizer"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}, model={
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 12,
        "vocab": {p: i for i, p in enumerate(["[UNK]", "a", "##a", "b", "##b", "ab", "##ab", "the", "##e", "t", "##h", ".", "'", "s", "中", "😀", "##😀"])}}),
    "wordlevel": empty(pre_tokenizer={"type": "Whitespace"}, model={"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "Hello": 1, "world": 2, "!": 3, "a": 4}}),
    "added tokens": empty(added_tokens=ADDED, normalizer={"type": "Lowercase"}, pre_tokenizer={"type": "Whitespace"}, model=bpe(LETTERS, MERGES, vocab=None)),
    "metaspace first": empty(added_tokens=ADDED[:3], pre_tokenizer=metaspace_first, model=bpe(LETTERS, MERGES)),
    "metaspace first, start dropped": empty(added_tokens=ADDED[:3], normalizer={"type": "Sequence", "normalizers": [charsmap, {"type": "Strip", "strip_left": True, "strip_right": False}]},
                                            pre_tokenizer=metaspace_first, model=bpe(LETTERS, MERGES)),
    "metaspace first, behind a split": empty(pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace_first]}, model=bpe(LETTERS, MERGES)),
    "templates": empty(model=bpe(LETTERS, MERGES), post_processor={"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "X", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "Y", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"X": {"id": "X", "ids": [1, 2], "tokens": ["a", "b"]}, "Y": {"id": "Y", "ids": [0], "tokens": ["<unk>"]}}}]}),
    "bert processing": empty(model=bpe(LETTERS, MERGES), post_processor={"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]}),
}
for name, description in PIPELINES.items():
    # the Rust library numbers added tokens itself: give them the numbers that follow the model's
    size = len(description["model"]["vocab"])
    for i, token in enumerate(description["added_tokens"]):
        token = dict(token)
        known = description["model"]["vocab"].get(token["content"]) if isinstance(description["model"]["vocab"], dict) else None
        token["id"] = known if known is not None else size
        size += known is None
        description["added_tokens"] = description["added_tokens"][:i] + [token] + description["added_tokens"][i + 1:]


def attempt(function):
    try:
        return function()
    except BaseException as error:  # Rust panics come as BaseException
        return {"error": str(error)[:80]}


def run_pipeline(description):
    tokenizer = build(description)
    rows = []
    for text in small:
        encoding = attempt(lambda: tokenizer.encode(text).ids)
        if isinstance(encoding, dict):
            rows.append({"ids": None})
            continue
        rows.append({"ids": encoding, "plain": tokenizer.encode(text, add_special_tokens=False).ids, "decoded": tokenizer.decode(encoding, skip_special_tokens=False),
                     "skipped": tokenizer.decode(encoding, skip_special_tokens=True)})
    return {"tokenizer": description, "rows": rows}


result = {
    "versions": {"tokenizers": tokenizers.__version__},
    "strings": strings,
    "small": small,
    "normalizers": [{"normalizer": d, "results": [build(empty(normalizer=d)).normalizer.normalize_str(s) for s in strings]} for d in NORMALIZERS],
    "preTokenizers": [{"preTokenizer": d, "results": [[p for p, _ in build(empty(pre_tokenizer=d)).pre_tokenizer.pre_tokenize_str(s)] for s in strings]} for d in PRE_TOKENIZERS],
    "decoders": [{"decoder": d, "results": [build(empty(decoder=d)).decoder.decode(t) for t in token_lists]} for d in DECODERS],
    "tokenLists": token_lists,
    "pipelines": {name: run_pipeline(d) for name, d in PIPELINES.items()},
}
for entry in result["normalizers"]:
    if entry["normalizer"]["type"] == "Precompiled":
        entry["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "@t5"}
for entry in result["pipelines"].values():
    if "start" in json.dumps(entry["tokenizer"]["normalizer"] or "") or (entry["tokenizer"]["normalizer"] or {}).get("type") == "Sequence":
        for part in entry["tokenizer"]["normalizer"]["normalizers"]:
            if part["type"] == "Precompiled":
                part["precompiled_charsmap"] = "@t5"
out.write_text(json.dumps(result, separators=(",", ":")) + "\n")
print(out, out.stat().st_size)
