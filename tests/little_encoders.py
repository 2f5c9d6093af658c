"""Little encoders with tokenizers of both kinds: BERT's word pieces, and RoBERTa's bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

import little_configs
from clearhead import hub
from clearhead.language_model import LanguageModel
from clearhead.model import PositionConfig, build
from clearhead.text import Tokenizer
from clearhead.text.tokenizers.learned import byte_characters

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, *"paris is the capital of france berlin german ##y . a b c d ##d".split()]  # noqa: SIM905
BERT = replace(
    little_configs.BERT,
    vocabulary=len(WORDS),
    context=16,
    layers=2,
    pooler=False,
)
ROBERTA = replace(BERT, vocabulary=261, positions=PositionConfig(kind="learned", first=2))


def word_pieces() -> Tokenizer:
    library = tokenizers.Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer()
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece()
    roles = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    library.add_special_tokens([AddedToken(token, special=True) for token in roles.values()])
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return Tokenizer(library, config("BertTokenizer", roles))


def byte_level() -> Tokenizer:
    roles = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>", "cls": "<s>", "sep": "</s>"}
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {token: n for n, token in enumerate([*special, *byte_characters()])}
    library = tokenizers.Tokenizer(models.BPE(vocab={**vocabulary, "<mask>": 260}, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(token, special=True) for token in special])
    library.add_special_tokens([AddedToken("<mask>", special=True, lstrip=True)])
    library.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return Tokenizer(library, config("RobertaTokenizer", roles))


def config(kind: str, roles: dict[str, str]) -> dict[str, Any]:
    return {"tokenizer_class": kind, **{f"{role}_token": token for role, token in roles.items()}}


TOKENIZERS = {"BERT": word_pieces, "RoBERTa": byte_level}
CONFIGS = {"BERT": BERT, "RoBERTa": ROBERTA}


def saved(folder: Path, name: str, **parts: Any) -> LanguageModel:
    """The little encoder of that name, saved into a folder and loaded from it; ``parts`` are of its config."""
    model = build(replace(CONFIGS[name], **parts), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise if parameter.dim() > 1 else parameter + 0.3 * noise)
    hub.save(folder, LanguageModel(model.eval(), TOKENIZERS[name]()))
    return hub.load(folder)
