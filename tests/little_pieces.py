"""SentencePiece models learned from a little text, and folders with them as released ones."""

from __future__ import annotations

import functools
import io
import json
import random
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import sentencepiece
from transformers import MarianConfig, MarianMTModel
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

from clearhead import corpora
from little_translators import made_up

GERMAN = [
    "Ich hätte gern zwei Kilo Äpfel und ein Stück Käse, bitte.",
    "Wohin fährt der Zug, der um halb neun abfährt?",
    "Die Straße führt über die große Brücke nach Süden.",
    "„Das weiß ich nicht“, sagte er — und schwieg…",
    "Übermorgen regnet es wahrscheinlich; nimm den Schirm mit!",
]
ODD = [
    "",
    " ",
    "\n\t\r\n",
    "  two  spaces ",
    "\x00\x01\x1b[31m\x7f\u200b\ufeff",
    "שלום עולם, \u202eمرحبا بالعالم",
    "𝔊𝔬𝔱𝔥𝔦𝔠 ｆｕｌｌ ①② ﬁ ½ ™",
    "tie\u0302\u0301ng Vie\u0323\u0302t, ｶﾞｷﾞ, \u1112\u1161\u11ab\u1100\u116e\u11a8, ①\u0302",  # composed in other forms
    "👩‍👩‍👧 🇩🇪 e\u0301",
    "▁▁ under ▁",
    "a</s> b</s>c <unk><pad>",
    ">>deu<< Hello",
    ">>deu<<Hello >>deu<< x",
    ">>none<< Hello",
    ">> a << b",
    "x" * 30_000,
    "Very long. " * 3_000,
]
POOL = [
    *"aeiou tnr.,▁",
    *map(chr, [*range(0x180), *range(0x300, 0x330), *range(0x5D0, 0x660), *range(0x1100, 0x1120)]),
    *map(chr, [*range(0x2000, 0x2070), *range(0x2460, 0x24C0), *range(0x3040, 0x30A0), *range(0xFB00, 0xFB40)]),
    *map(chr, [*range(0x4E00, 0x4E20), *range(0xFF00, 0xFFA0), 0x1F600, 0x1F468]),
    *["</s>", "<unk>", "<pad>", ">>deu<<", ">>", "<<", "<extra_id_0>", "<extra_id_7>"] * 20,
]


@functools.cache
def lines(language: str) -> list[str]:
    """A few hundred sentences."""
    if language == "de":
        return [*GERMAN, *(target for _, target in made_up())]
    stories = islice(corpora.get(f"world-{language}").stories(seed=3), 150)
    ends = "。" if language == "zh" else ". "
    found = [line for story in stories for line in story.text.replace(ends, ends + "\n").split("\n") if line.strip()]
    return [*found, *(source for source, _ in made_up())] if language == "en" else found


def texts(count: int = 1_000) -> list[str]:
    """Real sentences in three languages, odd texts, and random ones of all kinds of characters."""
    draw = random.Random(7)
    drawn = ["".join(draw.choices(POOL, k=draw.randint(1, 12))) for _ in range(count)]
    return [*lines("en")[:200], *lines("zh")[:200], *GERMAN, *ODD, *drawn]


@functools.cache
def learned(language: str, size: int = 300, **options: Any) -> bytes:
    """A model of SentencePiece's own trainer."""
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines(language)),
        model_writer=file,
        vocab_size=size,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return file.getvalue()


def pieces(model: bytes) -> list[str]:
    """All but those that stand for no text."""
    opened = sentencepiece.SentencePieceProcessor(model_proto=model)
    every = range(opened.get_piece_size())
    return [opened.id_to_piece(n) for n in every if not opened.is_control(n) and not opened.is_unknown(n)]


def marian(folder: Path, *, apart: bool = False, source: str = "en", target: str = "de") -> Path:
    """The tokenizer of an OPUS-MT model, some of whose pieces have no id; ``apart``: each language has its own ids."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = {"source": learned(source), "target": learned(target)}
    for name, content in sides.items():
        (folder / f"{name}.spm").write_bytes(content)
    known = {name: pieces(content)[::-1][3:] for name, content in sides.items()}
    write_ids(folder / "vocab.json", known["source"] if apart else [*known["source"], *known["target"]])
    if apart:
        write_ids(folder / "target_vocab.json", known["target"])
    settings = {"source_lang": source, "target_lang": target, **({"separate_vocabs": True} if apart else {})}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps({"model_type": "marian"}))
    return folder


def m2m_100(folder: Path, languages: str = "m2m100") -> Path:
    """The tokenizer of an M2M-100 model, as released, some of whose pieces have no id."""
    folder.mkdir(parents=True, exist_ok=True)
    roles = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokens = dict.fromkeys([*roles.values(), *pieces(learned("en"))[::-1][3:]])
    special = {**roles, "additional_special_tokens": [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES[languages]]}
    settings = {"tokenizer_class": "M2M100Tokenizer", "src_lang": None, "language_codes": languages}
    (folder / "sentencepiece.bpe.model").write_bytes(learned("en"))
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def write_ids(path: Path, known: Iterable[str]) -> None:
    """In the order of Marian's own: </s>, <unk>, pieces, and then what the conversion adds."""
    tokens = dict.fromkeys(["</s>", "<unk>", *known, ">>deu<<", ">>zho<<", "<pad>"])
    path.write_text(json.dumps({token: n for n, token in enumerate(tokens)}), encoding="utf-8")


def marian_model(folder: Path, *, apart: bool = False) -> MarianMTModel:
    """Tiny and random, saved beside its tokenizer."""
    marian(folder, apart=apart)
    sizes = [len(json.loads((folder / name).read_text())) for name in ("vocab.json", "target_vocab.json")[: 1 + apart]]
    model = MarianMTModel(
        MarianConfig(
            vocab_size=sizes[0],
            decoder_vocab_size=sizes[-1],
            share_encoder_decoder_embeddings=not apart,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_position_embeddings=64,
            scale_embedding=True,
            pad_token_id=sizes[-1] - 1,
            eos_token_id=0,
            decoder_start_token_id=sizes[-1] - 1,
            forced_eos_token_id=0,
        )
    ).eval()
    model.save_pretrained(folder)
    return model
