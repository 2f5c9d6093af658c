"""Text to tokens and back by the sentencepiece library, for models whose ids come from a vocabulary of their own."""

from __future__ import annotations

import base64
import importlib.util
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tokenizers
from tokenizers import models

from clearhead.errors import FolderError, MissingExtraError, shown
from clearhead.text.child import DiedError, LateError, ShortError, ask
from clearhead.text.tokenizers.vocabularies import LARGEST_VOCABULARY
from clearhead.text.tokenizers.waiting import interruptible

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

log = logging.getLogger(__name__)

TRIAL = Path(__file__).with_name("piece_trial.py")
TRIAL_SECONDS, TRIAL_MEMORY = 4, 1 << 29  # plus 0.5 s and 60 MB per MB of the file
LACKING = 0.5  # share of a model's pieces: if more have no id, model and ids do not belong together
TOLD = 0.01  # share worth a warning; a few rare pieces often have no id


@dataclass(frozen=True, kw_only=True, eq=False)
class Pieces:
    """A SentencePiece model whose pieces get their ids from ``ids``; a piece that is not there is ``unknown``.

    special: tokens that are never cut; written in a text, each is that token
    """

    model: SentencePieceProcessor
    ids: Mapping[str, int]
    special: frozenset[str]
    unknown: int

    @classmethod
    def opened(cls, content: bytes, path: Path, library: tokenizers.Tokenizer, unknown: str) -> Self:
        """The model in the file at ``path``, with the ids and the added tokens of ``library``.

        Raises FolderError if it is damaged or made for other ids, MissingExtraError without sentencepiece.
        """
        check_model(content, path)
        from sentencepiece import SentencePieceProcessor

        model = SentencePieceProcessor()
        model.LoadFromSerializedProto(content)
        ids = library.get_vocab(with_added_tokens=True)
        added = frozenset(token.content for token in library.get_added_tokens_decoder().values())
        found = cls(model=model, ids=ids, special=added, unknown=ids[unknown])
        found._check_ids(path)
        return found

    def _check_ids(self, path: Path) -> None:
        lacking, count = self.lacking(), self.model.get_piece_size()
        said = f"{path}: {len(lacking):,} of its {count:,} pieces have no id, such as {shown(lacking[:3])}"
        if len(lacking) > LACKING * count:
            raise FolderError(f"{said}; the vocabulary beside it is another model's; copy both again")
        if len(lacking) > TOLD * count:
            log.warning("%s; they are unknown to the model", said)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        cut = [list(self.parts(text)) for text in texts]
        plain = [part for parts in cut for part, token in parts if token is None]
        pieces = iter(interruptible(lambda: self.model.encode(plain, out_type=str), plain))
        found: list[list[int]] = []
        for parts in cut:
            each = ([*map(self._id, next(pieces))] if token is None else [token] for _, token in parts)
            found.append([*chain.from_iterable(each)])
        return found

    def measured(self, text: str) -> tuple[list[int], list[int]]:
        """The ids of a text, and where each ends in it, in characters."""
        ids, ends, place = list[int](), list[int](), 0
        for part, token in self.parts(text):
            if token is None:
                found = self.model.encode(part, out_type="offset_mapping")
                ids += map(self._id, found["pieces"])
                ends += [place + end for _, end in found["offsets"]]
            else:
                ids, ends = [*ids, token], [*ends, place + len(part)]
            place += len(part)
        return ids, ends

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, with special tokens spelled out, as in transformers."""
        return self.joined(ids).strip()

    def joined(self, ids: Sequence[int], after: str = "") -> str:
        """The text of the ids, with each special token spelled out and followed by ``after``."""
        text, pieces = "", list[str]()
        for token in ids:
            piece = self._tokens[token]
            if piece in self.special:
                text += self.model.decode_pieces(pieces) + piece + after
                pieces = []
            else:
                pieces.append(piece)
        return text + self.model.decode_pieces(pieces)

    def lacking(self) -> list[str]:
        """The model's pieces that have no id."""
        every = (n for n in range(self.model.get_piece_size()) if not self.model.is_control(n))
        return [piece for n in every if (piece := self.model.id_to_piece(n)) not in self.ids]

    def parts(self, text: str) -> Iterator[tuple[str, int | None]]:
        """The text cut at its special tokens: each part, and its id if it is one token."""
        for part in self._written.split(text):
            if part:
                yield part, self.ids[part] if part in self.special else None

    def _id(self, piece: str) -> int:
        return self.ids.get(piece, self.unknown)

    @cached_property
    def _tokens(self) -> dict[int, str]:
        return {number: piece for piece, number in self.ids.items()}

    @cached_property
    def _written(self) -> re.Pattern[str]:
        longest_first = sorted(self.special, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


def check_model(content: bytes, file: Path) -> None:
    """Loads and uses a model in a limited process. Raises FolderError if it fails there, MissingExtraError without
    sentencepiece."""
    if importlib.util.find_spec("sentencepiece") is None:
        raise MissingExtraError(f"{file}: reading it needs sentencepiece: pip install 'clearhead[translate]'")
    megabytes = len(content) / 1e6
    seconds, memory = TRIAL_SECONDS + 0.5 * megabytes, TRIAL_MEMORY + 60 * len(content)
    try:
        fault = ask(TRIAL, {"model": base64.b64encode(content).decode()}, seconds=seconds, memory=memory)
    except LateError:
        fault = f"it takes more than {seconds:.0f} seconds"
    except ShortError:
        fault = f"it takes more than {memory >> 20:,} MB"
    except DiedError as reason:
        fault = f"the library crashed: {reason}"
    if fault is not None:
        raise FolderError(f"{file}: truncated, altered or not a SentencePiece model: {fault}; copy it again")


def library_of_ids(path: Path, listed: object, roles: Mapping[str, str]) -> tokenizers.Tokenizer:
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


def refuse_sampling(settings: Mapping[str, Any]) -> None:
    """Raises FolderError if tokenizer_config.json asks for options of the library, such as drawn pieces."""
    if settings.get("sp_model_kwargs"):
        raise FolderError(
            f"tokenizer_config.json: sp_model_kwargs = {shown(settings['sp_model_kwargs'])}: with such options a text "
            "may get other tokens each time; remove the entry"
        )
