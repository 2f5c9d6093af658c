"""Cuts long documents into pieces whose ids, joined, are the ids of the whole document.

A pre-tokenizer splits text into words that are encoded one by one, so a document may be cut wherever it splits no
matter what stands on either side. Where that is depends on its pattern:

GPT-2's splits a run of white space before a word into "all but the last" and "the last" (a last space joins the word).
    A cut before the last one changes neither.
Qwen 2's and Llama 3's take a run of white space up to its last newline, then the rest as GPT-2's does.
    A cut after a newline or before a space changes nothing, unless white space follows.
Single bytes or characters: anywhere, except inside a written separator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Python's \s is a superset of Unicode's White_Space, which the tokenizers library uses, so \S errs on the safe side.
CUT_GPT2 = re.compile(r"(?=[ \n]\S)")
CUT_QWEN2 = re.compile(r"(?<=\n)(?=\S)|(?= \S)")
CUT_SINGLE = re.compile(r"(?=[^<|endoftx>])")  # a character that <|endoftext|> does not contain

# Throughput is flat from 16 to 256 thousand characters; small pieces spread better over many cores.
PIECE = 1 << 16


class Block(NamedTuple):
    """A stretch of a document; ``begins`` marks the first one of each."""

    text: str
    begins: bool


def cut(blocks: Iterable[Block], rule: re.Pattern[str] | None, size: int = PIECE) -> Iterator[Block]:
    """The same documents, each cut at the first places after every ``size`` characters that ``rule`` allows.

    Without a rule (an unknown pre-tokenizer) every document is one piece. Empty documents stay.
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
        look = max(size, len(buffer) - 1)  # the rules look one character ahead, so look at the end again
    if started:
        yield Block(buffer, begins)


def batches(blocks: Iterable[Block], characters: int) -> Iterator[list[Block]]:
    """Lists of blocks with about this many characters in all, for encoding in parallel with bounded memory."""
    batch: list[Block] = []
    held = 0
    for block in blocks:
        batch.append(block)
        held += len(block.text) + 1  # + 1: a million empty documents must not be one batch
        if held >= characters:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
