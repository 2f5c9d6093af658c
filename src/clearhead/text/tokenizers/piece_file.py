"""Reads the pieces in a SentencePiece model file, written as protobuf (sentencepiece_model.proto)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

UNIGRAM = 1  # of ModelType: unigram, BPE, words, characters
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # of SentencePiece.Type
LONGEST_NUMBER = 10  # bytes
FIXED = {1: 8, 5: 4}  # bytes of a field of this wire type


@dataclass(frozen=True, kw_only=True)
class PieceFile:
    """pieces: text and score of each id. kinds: NORMAL, UNKNOWN, ... of each id.

    algorithm: UNIGRAM or another. charsmap: the normalisation rules, as the tokenizers library reads them, too
    """

    pieces: list[tuple[str, float]]
    kinds: list[int]
    algorithm: int
    charsmap: bytes

    @classmethod
    def of(cls, content: bytes) -> PieceFile:
        """The pieces in a file of this content. Raises ValueError if it is truncated or not such a file."""
        pieces: list[tuple[str, float]] = []
        kinds: list[int] = []
        algorithm, charsmap = UNIGRAM, b""
        for field, value in _fields(content):
            if field == 1:
                piece = dict(_fields(_bytes(value)))
                (score,) = struct.unpack("<f", _bytes(piece.get(2, bytes(4))))
                pieces.append((_bytes(piece.get(1, b"")).decode(), score))
                kinds.append(_number(piece.get(3, NORMAL)))
            elif field == 2:
                algorithm = _number(dict(_fields(_bytes(value))).get(3, UNIGRAM))
            elif field == 3:
                charsmap = _bytes(dict(_fields(_bytes(value))).get(2, b""))
        if kinds.count(UNKNOWN) != 1:
            raise ValueError(f"{kinds.count(UNKNOWN)} of its {len(kinds):,} pieces stand for unknown text")
        if not all(text for text, _ in pieces) or len({text for text, _ in pieces}) < len(pieces):
            raise ValueError("a piece is empty or there twice")
        if not all(math.isfinite(score) for _, score in pieces):
            raise ValueError("a score is not finite")
        return cls(pieces=pieces, kinds=kinds, algorithm=algorithm, charsmap=charsmap)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(data, place)
        elif wire == 2 or wire in FIXED:
            size, place = _varint(data, place) if wire == 2 else (FIXED[wire], place)
            value = data[place : place + size]
            if len(value) < size:
                raise ValueError(f"a field of {size:,} bytes has {len(value):,}")
            place += size
        else:
            raise ValueError(f"a field has the unknown type {wire}")
        yield key >> 3, value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and the place behind it."""
    number = 0
    for count, byte in enumerate(data[place : place + LONGEST_NUMBER]):
        number |= (byte & 127) << 7 * count
        if byte < 128:
            return number, place + count + 1
    raise ValueError("a number does not end")


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number stands where bytes should be")
    return value


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes stand where a number should be")
    return value
