"""Small models of many languages, as transformers writes their folders: mBART-50, the first mBART, NLLB, M2M-100."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
import torch
from tokenizers import models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBart50Tokenizer,
    MBartConfig,
    MBartForConditionalGeneration,
    MBartTokenizer,
    NllbTokenizer,
)

import little_pieces

# The code of a language by the way its texts are named here.
CODES = {
    "mbart50": {"en": "en_XX", "de": "de_DE"},
    "mbart": {"en": "en_XX", "de": "de_DE"},
    "nllb": {"en": "eng_Latn", "de": "deu_Latn"},
    "m2m_100": {"en": "en", "de": "de"},
}
SIZES: dict[str, Any] = {
    "d_model": 20,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 17,
    "decoder_ffn_dim": 17,
    "max_position_embeddings": 64,
    "scale_embedding": True,
    "activation_function": "relu",
}


def tokenizer(kind: str) -> Any:
    """Of pieces learned from English, with the codes of all languages."""
    if kind == "m2m_100":
        with tempfile.TemporaryDirectory() as folder:
            return AutoTokenizer.from_pretrained(little_pieces.m2m_100(Path(folder)))
    if kind == "nllb":
        words = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
        words.pre_tokenizer = pre_tokenizers.Metaspace()
        special = ["<s>", "<pad>", "</s>", "<unk>"]
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
        words.train_from_iterator(little_pieces.lines("en"), trainer)
        learned = json.loads(words.to_str())["model"]
        return NllbTokenizer(vocab=learned["vocab"], merges=[tuple(merge) for merge in learned["merges"]])
    model = sentencepiece.SentencePieceProcessor(model_proto=little_pieces.learned("en"))
    pieces = [(model.id_to_piece(n), model.get_score(n)) for n in range(model.get_piece_size())]
    return (MBart50Tokenizer if kind == "mbart50" else MBartTokenizer)(vocab=pieces)


def write(folder: Path, kind: str, **settings: Any) -> Any:
    """The model that is saved into the folder, with its tokenizer."""
    words = tokenizer(kind)
    words.save_pretrained(folder)
    given = {**SIZES, "vocab_size": len(words), **settings}
    if kind in ("nllb", "m2m_100"):
        model = M2M100ForConditionalGeneration(M2M100Config(**given))
    else:
        start = {} if kind == "mbart" else {"decoder_start_token_id": 2}
        model = MBartForConditionalGeneration(MBartConfig(**given, **start))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(
                0.7 * noise / parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else parameter + 0.3 * noise
            )
    model.save_pretrained(folder)
    return model.eval()


def token(kind: str, language: str) -> str:
    """The token of a language."""
    code = CODES[kind][language]
    return f"__{code}__" if kind == "m2m_100" else code
