"""Long documents in pieces whose ids, joined, are the ids of the whole document.

A tokenizer's pre-tokenizer splits text into words that are encoded one by one, so a document may be cut wherever
the pre-tokenizer splits whatever stands on either side. Where that is depends on its pattern:

GPT-2's takes a run of white space before a word as "all but the last", "the last" (a last space joins the word).
    A cut before the last one changes neither.
Qwen 2's and Llama 3's take a run of white space as far as its last newline, then the rest as GPT-2's does.
    A cut after a newline or before a space changes nothing, if what follows is not white space.
Single bytes or characters: anywhere, but not inside the written separator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Python's \s is a superset of Unicode's White_Space, which the tokenizers library uses: \S errs on the safe side.
CUT_GPT2 = re.compile(r"(?=[ \n]\S)")
CUT_QWEN2 = re.compile(r"(?<=\n)(?=\S)|(?= \S)")
CUT_SINGLE = re.compile(r"(?=[^<|endoftx>])")  # a character that is not of <|endoftext|>

# Throughput is flat from 16 to 256 thousand characters; small pieces share out better among many cores.
PIECE = 1 << 16


class Block(NamedTuple):
    """A stretch of a document; ``begins`` marks the first of each document."""

    text: str
    begins: bool


def cut(blocks: Iterable[Block], rule: re.Pattern[str] | None, size: int = PIECE) -> Iterator[Block]:
    """The same documents in pieces cut at the first place at or after ``size`` characters that ``rule`` allows.

    Without a rule (a tokenizer of unknown habits) every document is one piece. Empty documents stay.
    """
    buffer, begins, started, look = "", False, False, size
    for block in blocks:
        if block.begins:
            if started:
                yield Block(buffer, begins)
            buffer, begins, started, look = block.text, True, True, size
        else:
            buffer += block.text
        if rule is None:
            continue
        start = 0
        while found := rule.search(buffer, look):
            yield Block(buffer[start : found.start()], begins)
            start, begins, look = found.start(), False, found.start() + size
        buffer = buffer[start:]
        look = max(size, len(buffer) - 1)  # the rules look one character ahead: the end is looked at again
    if started:
        yield Block(buffer, begins)


def batches(blocks: Iterable[Block], characters: int) -> Iterator[list[Block]]:
    """Lists of blocks of about so many characters together, for encoding in parallel with bounded memory."""
    batch: list[Block] = []
    held = 0
    for block in blocks:
        batch.append(block)
        held += len(block.text) + 1  # so that a million empty documents are a batch too
        if held >= characters:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
