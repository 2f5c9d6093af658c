"""The tokenizer files of Marian's folders (OPUS-MT): a SentencePiece model per language, and the ids of the pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.text.tokenizers.sentence_pieces import Pieces, refuse_sampling

SOURCE, TARGET, IDS = "source.spm", "target.spm", "vocab.json"
TARGET_IDS = "target_vocab.json"  # if the languages do not share their ids
FILES = (IDS, TARGET_IDS, TARGET, SOURCE)
ROLES = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
LANGUAGE = re.compile(r">>.*?<<", re.DOTALL)  # in front of a text: the language to translate into


def is_in(folder: Path) -> bool:
    """Whether a folder has such files."""
    return (folder / SOURCE).exists()


def separate(settings: Mapping[str, Any]) -> bool:
    """Whether each language has ids of its own. Raises FolderError for a setting that is not supported."""
    refuse_sampling(settings)
    return settings.get("separate_vocabs") is True


@dataclass(frozen=True, kw_only=True, eq=False)
class MarianPieces(Pieces):
    """The pieces of one language; a language code in front of a text is one token."""

    def parts(self, text: str) -> Iterator[tuple[str, int | None]]:
        for part, token in super().parts(text):
            code = LANGUAGE.match(part) if token is None else None
            if code is not None:
                yield code[0], self.ids.get(code[0], self.unknown)
                part = part[code.end() :]
            if part:
                yield part, token

    def decode(self, ids: Sequence[int]) -> str:
        # what this model does not know keeps its ▁
        return self.joined(ids, after=" ").replace("▁", " ").strip()
