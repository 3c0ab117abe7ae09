"""SentencePiece models of every kind we read, trained small, and what `sentencepiece` makes of tricky strings: the vectors of
packages/text/src/sentencepiece/processor.test.ts. Usage: sentencepieces.py [number of random strings] [output folder]"""
import io
import json
import pathlib
import random
import sys

import sentencepiece as spm

ROOT = pathlib.Path(__file__).resolve().parents[2]
extra = int(sys.argv[1]) if len(sys.argv) > 1 else 30
out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "packages/text/src/__vectors__/sentencepiece"
out.mkdir(parents=True, exist_ok=True)
rng = random.Random(9)
golden = json.loads((ROOT / "golden/text-tokenizers/strings.json").read_text())
ATOMS = list("aAbz019 .,!?'\n\t") + ["  ", "   ", "e\u0301", "é", "ﬁ", "①", "中", "の", "한", "😀", "👨‍👩‍👧", "\u200b", "\u00a0", "\u3000", "\ufffd", "\u0001", "▁", "▁▁",
         "<s>", "</s>", "<unk>", "<user>", "<ctl>", "user def", "the", " the", "<0x0A>", "ab", "abab", "aaaa"]
strings = [s for s in golden[::3] if "\x00" not in s] + ["".join(rng.choice(ATOMS) for _ in range(rng.randint(1, 14))) for _ in range(extra)]
corpus = [s for s in golden if len(s) > 12 and max(s) < "\u0180" and "\x00" not in s] * 3 + ["the cat sat on the mat", "the user def of a user", "abababab aaaa bbbb", "3.14 and 2 and 100", "we see the cats"] * 8

BASE = {"vocab_size": 380, "character_coverage": 0.99, "minloglevel": 2, "num_threads": 1, "hard_vocab_limit": False, "normalization_rule_name": "identity"}
VARIANTS = {
    "bpe-bytes": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 620, "remove_extra_whitespaces": False, "split_digits": True},
    "bpe-symbols": {"model_type": "bpe", "user_defined_symbols": ["<user>", "user def", "▁▁"], "control_symbols": ["<ctl>"], "remove_extra_whitespaces": False},
    "bpe-collapse": {"model_type": "bpe"},
    "bpe-suffix": {"model_type": "bpe", "treat_whitespace_as_suffix": True},
    "bpe-bare": {"model_type": "bpe", "add_dummy_prefix": False, "remove_extra_whitespaces": False},
    "unigram": {"model_type": "unigram"},
    "unigram-symbols": {"model_type": "unigram", "user_defined_symbols": ["<user>", "user def", "aaaa"], "control_symbols": ["<ctl>"], "remove_extra_whitespaces": False},
    "unigram-bytes": {"model_type": "unigram", "byte_fallback": True, "vocab_size": 600, "add_dummy_prefix": False},
    **({"nfkc": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc"}, "nfkc-cf": {"model_type": "bpe", "normalization_rule_name": "nfkc_cf"},
        "nfkc-symbols": {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc", "user_defined_symbols": ["①", "<user>"], "byte_fallback": True, "vocab_size": 620}}
       if len(sys.argv) > 2 else {}),
}

result = {"versions": {"sentencepiece": spm.__version__}, "strings": strings, "models": {}}
for name, options in VARIANTS.items():
    stream = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=stream, **{**BASE, **options})
    proto = stream.getvalue()
    # some pieces unused, as a vocabulary restriction makes them
    from sentencepiece import sentencepiece_model_pb2
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(proto)
    if name in ("bpe-collapse", "unigram"):
        for piece in model.pieces:
            if piece.type == 1 and 2 < len(piece.piece) and rng.random() < 0.3:
                piece.type = 5
    model.trainer_spec.ClearField("input")
    proto = model.SerializeToString()
    (out / f"{name}.model").write_bytes(proto)
    processor = spm.SentencePieceProcessor(model_proto=proto)
    size = processor.get_piece_size()
    random_ids = [[rng.randrange(size) for _ in range(rng.randint(1, 12))] for _ in range(30)]
    result["models"][name] = {
        "pieces": [processor.encode(s, out_type=str) for s in strings],
        "ids": [processor.encode(s) for s in strings],
        "decoded": [processor.decode(processor.encode(s)) for s in strings],
        "randomIds": random_ids,
        "randomDecoded": [processor.decode(ids) for ids in random_ids],
    }
(out / "expected.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
