"""Small tokenizers shaped like released ones, made with the tokenizers library."""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

UNK, BOS, EOS = 0, 1, 2
SPECIAL = ["<unk>", "<s>", "</s>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz.,"
MERGES = [("▁", "a"), ("▁", "t"), ("h", "e"), ("▁t", "he"), ("i", "n"), ("▁", "s"), ("o", "n")]


def llama_like() -> tokenizers.Tokenizer:
    """As Llama 2's: spaces written ▁, bytes for unknown characters, <s> in front of a text and nothing behind it."""
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS, *(a + b for a, b in MERGES)]
    vocabulary = {token: n for n, token in enumerate(tokens)}
    made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES, byte_fallback=True, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _framed(made)


def llama3_like() -> tokenizers.Tokenizer:
    """As Llama 3's: byte-level BPE, so that ids tell their bytes and long documents are cut; <s> in front."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate([*SPECIAL, *alphabet])}
    made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return _framed(made)


def _framed(made: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BOS)]
    )
    return made


def save(made: tokenizers.Tokenizer, folder: Path, *, roles: bool = True, **files: object) -> Path:
    """The folder of a release: tokenizer.json, its tokens by role unless left out, and other .json files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    if roles:
        named = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(named))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder
