"""The tokenizer files of Marian's folders (OPUS-MT): a SentencePiece model per language, and the ids of the pieces."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models

from clearhead.errors import FolderError, shown
from clearhead.text.tokenizers.sentence_pieces import Pieces, check_model
from clearhead.text.tokenizers.vocabularies import LARGEST_VOCABULARY

log = logging.getLogger(__name__)

SOURCE, TARGET, IDS = "source.spm", "target.spm", "vocab.json"
TARGET_IDS = "target_vocab.json"  # if the languages do not share their ids
FILES = (IDS, TARGET_IDS, TARGET, SOURCE)
ROLES = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
LACKING = 0.5  # of a model's pieces: with as many lacking in vocab.json, the two do not belong together
TOLD = 0.01  # worth a warning; that a few rare pieces lack is common


def is_in(folder: Path) -> bool:
    """Whether a folder has such files."""
    return (folder / SOURCE).exists()


def separate(settings: Mapping[str, Any]) -> bool:
    """Whether each language has ids of its own. Raises FolderError for a setting that is not supported."""
    if settings.get("sp_model_kwargs"):
        raise FolderError(
            f"tokenizer_config.json: sp_model_kwargs = {shown(settings['sp_model_kwargs'])}: with such options a text "
            "may get other tokens each time; remove the entry"
        )
    return settings.get("separate_vocabs") is True


def library_of(path: Path, listed: object, roles: Mapping[str, str]) -> tokenizers.Tokenizer:
    """The content of a vocab.json as a tokenizer, which knows each token's id but cuts no text.

    Raises FolderError unless it is a table of ids, none of them twice, with the tokens in ``roles`` among them.
    """
    ids: dict[str, int] = listed if isinstance(listed, dict) else {}
    wrong = next((f"{shown(token)}: {shown(each)}" for token, each in ids.items() if not _is_id(each)), None)
    if wrong is not None or not ids:
        raise FolderError(f"{path}: altered: {wrong or shown(listed)}; it must be a table of token ids; copy it again")
    if len(set(ids.values())) < len(ids):
        raise FolderError(f"{path}: altered: two tokens have the same id; copy it again")
    for role in ("unk", "eos"):
        if roles.get(role) not in ids:
            raise FolderError(
                f"{path}: lacks {role}_token {shown(roles.get(role))}, which every text needs; copy it again"
            )
    return tokenizers.Tokenizer(models.WordLevel(vocab=ids, unk_token=roles["unk"]))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_VOCABULARY


def pieces_of(content: bytes, path: Path, library: tokenizers.Tokenizer, unknown: str) -> Pieces:
    """The model in a .spm file of this content, with the ids of ``library``.

    Raises FolderError if it is damaged or made for other ids, MissingExtraError without sentencepiece.
    """
    check_model(content, path)
    found = Pieces.of(content, library, unknown)
    lacking, count = found.lacking(), found.model.get_piece_size()
    said = f"{path}: {len(lacking):,} of its {count:,} pieces have no id, such as {shown(lacking[:3])}"
    if len(lacking) > LACKING * count:
        raise FolderError(f"{said}; the vocabulary beside it is another model's; copy both again")
    if len(lacking) > TOLD * count:
        log.warning("%s; they are unknown to the model", said)
    return found
