"""Text to tokens and back by the sentencepiece library, for models whose ids come from a vocabulary of their own."""

from __future__ import annotations

import base64
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers

from clearhead.errors import FolderError, MissingExtraError
from clearhead.text.child import DiedError, LateError, ShortError, ask
from clearhead.text.tokenizers.waiting import interruptible

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

LANGUAGE = re.compile(r">>.*?<<", re.DOTALL)  # in front of a text: the language to translate into
TRIAL = Path(__file__).with_name("piece_trial.py")
TRIAL_SECONDS, TRIAL_MEMORY = 4, 1 << 29  # plus 0.5 s and 60 MB per MB of the file


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
    def of(cls, content: bytes, library: tokenizers.Tokenizer, unknown: str) -> Pieces:
        """The model in a file that ``check_model`` let pass, with the ids and the added tokens of ``library``."""
        from sentencepiece import SentencePieceProcessor

        model = SentencePieceProcessor()
        model.LoadFromSerializedProto(content)
        ids = library.get_vocab(with_added_tokens=True)
        added = frozenset(token.content for token in library.get_added_tokens_decoder().values())
        return cls(model=model, ids=ids, special=added, unknown=ids[unknown])

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        cut = [list(self._parts(text)) for text in texts]
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
        for part, token in self._parts(text):
            if token is None:
                found = self.model.encode(part, out_type="offset_mapping")
                ids += map(self._id, found["pieces"])
                ends += [place + end for _, end in found["offsets"]]
            else:
                ids, ends = [*ids, token], [*ends, place + len(part)]
            place += len(part)
        return ids, ends

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, with special tokens spelled out and a space after each, as in transformers."""
        text, pieces = "", list[str]()
        for token in ids:
            piece = self._tokens[token]
            if piece in self.special:
                text += f"{self.model.decode_pieces(pieces)}{piece} "
                pieces = []
            else:
                pieces.append(piece)
        # what this model does not know keeps its ▁
        return (text + self.model.decode_pieces(pieces)).replace("▁", " ").strip()

    def lacking(self) -> list[str]:
        """The model's pieces that have no id."""
        every = (n for n in range(self.model.get_piece_size()) if not self.model.is_control(n))
        return [piece for n in every if (piece := self.model.id_to_piece(n)) not in self.ids]

    def _parts(self, text: str) -> Iterator[tuple[str, int | None]]:
        """The text cut at its special tokens and behind a language code: each part, and its id if it is one token."""
        for part in self._written.split(text):
            if part in self.special:
                yield part, self.ids[part]
                continue
            if code := LANGUAGE.match(part):
                yield code[0], self._id(code[0])
                part = part[code.end() :]
            if part:
                yield part, None

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
