"""Text to ids and back: one face over the tokenizers library, so that every tokenizer saves as a tokenizer.json."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from clearhead.errors import FolderError, TextError
from clearhead.files import replacing
from clearhead.text.kinds import (
    SEPARATOR,
    bpe_tokenizer,
    byte_characters,
    bytes_tokenizer,
    characters_tokenizer,
    recognise,
    state_of,
)
from clearhead.text.labels import labels
from clearhead.text.stream import ByteStream, TextStream, WindowStream

Ids = npt.NDArray[np.unsignedinteger[Any]]  # uint16 or uint32

LARGEST_VOCABULARY = 2**24  # 60 times the largest in use; the library takes a minute and 20 GB to write ids of 2**32
_UNKNOWN = 2**32 - 1  # no vocabulary is that large
_Bytes = bytes  # the class below has a constructor of that name


class Tokenizer:
    """A tokenizer of kind "bytes", "characters", "bpe" (learned here) or "file" (any other tokenizer.json).

    vocab_size: ids lie below it. separator: the id of <|endoftext|>, which stands before every document; None only
    for kind "file" without one. Written in a text, <|endoftext|> is the separator, as in every tool that opens
    the tokenizer.json: a file may hold several documents that way. Nothing else is added to a text, nothing cut off.
    cuts: where a long text may be cut without a change to its ids (pieces.py); None: nowhere.
    """

    def __init__(self, library: tokenizers.Tokenizer, config: dict[str, Any] | None = None) -> None:
        library.no_truncation()  # some files ask for both, silently
        library.no_padding()
        self._library = library
        state = state_of(library)
        self.kind, self.cuts = recognise(state)
        self.vocab_size = max(library.get_vocab(with_added_tokens=True).values()) + 1
        self.separator: int | None = library.token_to_id(SEPARATOR)
        # the least type that holds every id: half the disk and memory for vocabularies up to 65,536
        self.dtype = np.dtype(np.uint16 if self.vocab_size <= 1 << 16 else np.uint32)
        self.fingerprint = hashlib.blake2b(self.to_json().encode(), digest_size=20).hexdigest()
        self._config = config if config is not None else _plain_config(self.separator is not None)
        # whether the text of ids is the text of their bytes, whatever their neighbours
        self._bytewise = (state["decoder"] or {}).get("type") == "ByteLevel"
        self._joins = self._bytewise or self.kind == "characters"
        self._byte_fallback = bool(state["model"].get("byte_fallback"))
        self._codes = self._code_table()

    @classmethod
    def bytes(cls) -> Tokenizer:
        """Ids 0 to 255 are the bytes of the text's UTF-8, 256 the separator: nothing is unknown, nothing learned."""
        return cls(bytes_tokenizer())

    @classmethod
    def characters(cls, texts: Iterable[str]) -> Tokenizer:
        """The characters of the texts in code point order (nanoGPT's ids), then the separator."""
        found: set[str] = set()
        for text in texts:
            for part in text.split(SEPARATOR):
                found.update(part)
        if not found:
            raise TextError("no characters to learn from: the text is empty")
        return cls(characters_tokenizer(found))

    @classmethod
    def train_bpe(cls, texts: Iterable[str], vocab_size: int | None = None) -> Tokenizer:
        """Byte-level BPE learned from the texts, of at most ``vocab_size`` tokens with bytes and separator.

        Its size is kinds.vocabulary_size(bytes of text) unless given; it is smaller when the text has no more to
        merge. Above kinds.LEARN_BYTES a part spread evenly over the text is learned from (and logged).
        """
        return cls(bpe_tokenizer(texts, vocab_size))

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """A tokenizer.json, or a folder that holds one. Raises FolderError when it is missing or damaged."""
        file = Path(path)
        if file.is_dir():
            file = file / "tokenizer.json"
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError as missing:
            raise FolderError(f"{file}: no such file; a tokenizer is a tokenizer.json or its folder") from missing
        except (OSError, UnicodeDecodeError) as fault:
            raise FolderError(f"{file}: cannot be read: {fault}") from fault
        try:
            library = tokenizers.Tokenizer.from_str(text)
        except Exception as fault:  # the library raises Exception itself, nothing narrower
            raise FolderError(
                f"{file}: truncated, altered or not a tokenizer.json: {fault}; copy it again from where it came"
            ) from fault
        ids = library.get_vocab(with_added_tokens=True).values()
        if not ids:
            raise FolderError(f"{file}: has no tokens; copy it again from where it came")
        if max(ids) >= LARGEST_VOCABULARY:
            raise FolderError(
                f"{file}: altered: a token has the id {max(ids)}; ids lie below {LARGEST_VOCABULARY}; copy it again"
            )
        config = file.with_name("tokenizer_config.json")
        return cls(library, _read_config(config) if config.exists() else None)

    def to_json(self) -> str:
        """The content of its tokenizer.json."""
        return self._library.to_str(pretty=True)

    def save(self, folder: str | Path) -> None:
        """Writes tokenizer.json and tokenizer_config.json as transformers' AutoTokenizer reads them."""
        place = Path(folder)
        with replacing(place / "tokenizer.json") as file:
            file.write(self.to_json().encode())
        with replacing(place / "tokenizer_config.json") as file:
            file.write(json.dumps(self._config, indent=2, ensure_ascii=False).encode())

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone, nothing added. Raises TextError naming a character outside the vocabulary."""
        return self.encode_arrays([text])[0].tolist()

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many texts, on all cores."""
        return [ids.tolist() for ids in self.encode_arrays(texts)]

    def encode_arrays(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of many texts, on all cores, in ``dtype``."""
        for text in texts:
            _check_whole(text)
        if self._codes is not None:
            return [self._look_up(text, self._codes) for text in texts]
        found = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=self.dtype) for encoding in found]

    def encode_measured(self, texts: Sequence[str]) -> list[tuple[Ids, npt.NDArray[np.int32]]]:
        """Ids of whole texts, each with the bytes of UTF-8 between the end of the id before and its own.

        For tokenizers whose ids do not stand for the same text everywhere. What follows the last id is added to it.
        """
        measured: list[tuple[Ids, npt.NDArray[np.int32]]] = []
        for text in texts:
            _check_whole(text)
        for text, found in zip(texts, self._library.encode_batch(list(texts), add_special_tokens=False), strict=True):
            byte_at = np.fromiter(accumulate((len(c.encode()) for c in text), initial=0), dtype=np.int64)
            ends = np.maximum.accumulate(np.array([end for _, end in found.offsets], dtype=np.int64))
            ends[-1:] = len(text)
            measured.append((np.array(found.ids, dtype=self.dtype), np.diff(byte_at[ends], prepend=0).astype(np.int32)))
        return measured

    def byte_lengths(self) -> npt.NDArray[np.int32]:
        """Bytes of UTF-8 that each id stands for, [V]; 0 for the separator. Exact only where ``cuts`` is set."""
        lengths = np.zeros(self.vocab_size, dtype=np.int32)
        for token, part in self._parts.items():
            lengths[token] = len(part) if token != self.separator else 0
        return lengths

    def encode_document(self, text: str) -> list[int]:
        """``encode`` with the separator in front, as documents stand in training; a text that begins with it has it."""
        ids = self.encode(text)
        return ids if self.separator is None or ids[:1] == [self.separator] else [self.separator, *ids]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, separators as they are written; bytes that are not UTF-8 give U+FFFD.

        Raises TextError for an id outside the vocabulary.
        """
        known = [int(token) for token in ids]  # the library takes no numpy integers
        parts = [self._part(token) for token in known]
        if self._joins:
            return b"".join(parts).decode("utf-8", "replace")
        return self._library.decode(known, skip_special_tokens=False)

    def labels(self, ids: Iterable[int]) -> list[str]:
        """One display string per id; fragments of a character show it whole (labels.py)."""
        return labels([self._part(token) for token in ids])

    def stream(self) -> TextStream:
        """A decoder for ids that come one at a time."""
        return ByteStream(self._part) if self._joins else WindowStream(self.decode)

    def _part(self, token: int) -> _Bytes:
        try:
            return self._parts[token]
        except KeyError as unknown:
            raise TextError(f"id {token} is not in the vocabulary (0 to {self.vocab_size - 1})") from unknown

    @cached_property
    def _parts(self) -> dict[int, _Bytes]:
        """What each id adds to the text: exactly where ids are joined as bytes, else for display."""
        characters = byte_characters()
        parts: dict[int, _Bytes] = {}
        for text, token in self._library.get_vocab(with_added_tokens=True).items():
            if self._bytewise and all(character in characters for character in text):
                parts[token] = _Bytes(characters[character] for character in text)
            elif self._byte_fallback and re.fullmatch("<0x[0-9A-F]{2}>", text):
                parts[token] = _Bytes.fromhex(text[3:5])
            else:
                parts[token] = (text if self._joins else text.replace("▁", " ")).encode()
        return parts

    def _code_table(self) -> npt.NDArray[np.uint32] | None:
        """Ids by byte or by code point, for the two kinds that are a table: 50 to 120 times the library's speed."""
        if self.kind == "bytes":
            codes = {part[0]: token for token, part in self._parts.items() if token != self.separator}
            table = np.zeros(256, dtype=np.uint32)
        elif self.kind == "characters":
            codes = {ord(part.decode()): token for token, part in self._parts.items() if token != self.separator}
            table = np.full(sys.maxunicode + 1, _UNKNOWN, dtype=np.uint32)
        else:
            return None
        table[list(codes)] = list(codes.values())
        return table

    def _look_up(self, text: str, table: npt.NDArray[np.uint32]) -> Ids:
        found: list[npt.NDArray[np.uint32]] = []
        for part in text.split(SEPARATOR):
            if self.kind == "bytes":
                ids = table[np.frombuffer(part.encode(), dtype=np.uint8)]
            else:
                ids = table[np.frombuffer(part.encode("utf-32-le"), dtype=np.uint32)]
                unknown = np.flatnonzero(ids == _UNKNOWN)
                if unknown.size:
                    raise self._unknown(part, int(unknown[0]))
            found += [np.array([self.separator], dtype=np.uint32), ids]
        return np.concatenate(found[1:]).astype(self.dtype)

    def _unknown(self, text: str, place: int) -> TextError:
        around = text[max(0, place - 10) : place + 10]
        return TextError(
            f"the character {text[place]!r} (U+{ord(text[place]):04X}) in {around!r} is not among the "
            f"{self.vocab_size - 1} this tokenizer learned; leave it out, or learn a bpe or bytes tokenizer, "
            "which know every character"
        )


def _check_whole(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise TextError(
            f"half a character (U+{ord(text[fault.start]):04X}) at place {fault.start} of the text; "
            "give text that is valid Unicode (on the command line: UTF-8)"
        ) from fault


def _plain_config(has_separator: bool) -> dict[str, Any]:
    """What transformers needs to open the folder; its default would also tidy spaces away in decoded text."""
    special = {"bos_token": SEPARATOR, "eos_token": SEPARATOR} if has_separator else {}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **special}


def _read_config(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise FolderError(f"{file}: truncated or altered: {fault}; copy it again from where it came") from fault
