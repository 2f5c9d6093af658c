"""Loads and uses a SentencePiece model, in a worker process (child.py), since the library may crash on a hostile one.

The request has model (the file's content in base64). The answer says what is wrong, or is null.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from sentencepiece import SentencePieceProcessor

RUN = 4096  # characters of a run
TEXTS = ("", "The 1st text, 你好!\n", "\x00\u200b\ufeff", "ｶﾞ e\u0301 \u05e9\u05b8 \U0001f600 ①\u0302")
CHARACTERS = " a1.\n▁é你ｶ\u0301"
GROWTH = 32  # times as many tokens as bytes; NFKD makes 18 characters out of one


def answer(request: dict[str, Any], note: Callable[[Any], None]) -> str | None:
    """What is wrong with a model, or None."""
    model = SentencePieceProcessor()
    try:
        model.LoadFromSerializedProto(base64.b64decode(request["model"]))
        pieces = [model.id_to_piece(number) for number in range(model.get_piece_size())]
        texts = [*TEXTS, *(character * RUN for character in CHARACTERS), *pieces]
        for text, found in zip(texts, model.encode(texts, out_type=str, num_threads=1), strict=True):
            if len(found) > GROWTH * (len(text.encode()) + 1):
                return f"it turns {len(text):,} characters into {len(found):,} tokens"
            model.decode_pieces(found)
        model.decode_pieces(pieces)
    except (RuntimeError, ValueError, TypeError) as fault:  # what the library raises
        return str(fault).splitlines()[0][:200]
    return None
