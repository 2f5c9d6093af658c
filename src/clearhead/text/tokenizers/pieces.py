"""Cuts long documents into pieces whose ids, joined, are the ids of the whole document.

A pre-tokenizer splits text into words that are encoded one by one, so a document may be cut wherever it splits no
matter what stands on either side. Where that is depends on its pattern:

GPT-2's splits a run of white space before a word into "all but the last" and "the last" (a last space joins the word).
    A cut before the last one changes neither.
Qwen 2's and Llama 3's take a run of white space up to its last newline, then the rest as GPT-2's does.
    A cut after a newline or before a space changes nothing, unless white space follows.
Single bytes or characters: anywhere, except inside a written separator.

A long run without such a place (DNA, base64) is cut between two words where words have a longest length, as in the
vocabularies learned here; elsewhere the run is one word, which takes 160 times its size in memory, so it has a limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from clearhead.errors import TextError

# Python's \s is a superset of Unicode's White_Space, which the tokenizers library uses, so \S errs on the safe side.
CUT_GPT2 = re.compile(r"(?=[ \n]\S)")
CUT_QWEN2 = re.compile(r"(?<=\n)(?=\S)|(?= \S)")
CUT_SINGLE = re.compile(r"(?=[^<|endoftx>])")  # a character that <|endoftext|> does not contain

SEPARATOR = "<|endoftext|>"

# Throughput is flat from 16 to 256 thousand characters; small pieces spread better over many cores.
PIECE = 1 << 16

# After LONG characters a run is cut between words, at least MARGIN before their end: a word has at most 257 characters,
# and depends on at most one more. Where words have no maximum length, a run has at most LONGEST characters.
LONG, MARGIN, LONGEST = 1 << 18, 1 << 10, 1 << 22

# The ends of the words of a text.
WordEnds = Callable[[str], list[int]]


class TextBlock(NamedTuple):
    """A stretch of a document; ``begins`` marks the first one of each."""

    text: str
    begins: bool


def cut(
    blocks: Iterable[TextBlock], rule: re.Pattern[str] | None, size: int = PIECE, words: WordEnds | None = None
) -> Iterator[TextBlock]:
    """The same documents, each cut at the first places after every ``size`` characters that ``rule`` allows.

    words: cuts a text into words with a longest length, so that runs which ``rule`` does not cut are cut between them
    Without a rule (an unknown pre-tokenizer) every document is one piece. Empty documents stay.

    Raises TextError for a run of more than LONGEST characters that neither cuts.
    """
    buffer, begins, started, look = "", False, False, size
    for block in blocks:
        if block.begins:
            if started:
                yield TextBlock(buffer, begins)
            buffer, begins, started, look = block.text, True, True, size
        else:
            buffer += block.text
        if rule is None:
            continue
        start, limit = 0, LONGEST if words is None else LONG
        while (found := rule.search(buffer, look, start + limit)) or len(buffer) - start > limit:
            if found:
                end = found.start()
            elif words is not None:
                end = start + _word_end(buffer[start : start + limit], words)
            else:
                raise TextError(
                    f"a run of more than {LONGEST:,} characters, which this tokenizer encodes as one word: break it "
                    "into lines, or train a tokenizer here, whose words are short"
                )
            yield TextBlock(buffer[start:end], begins)
            start, begins, look = end, False, end + size
        buffer = buffer[start:]
        look = max(size, len(buffer) - 1)  # the rules look one character ahead, so look at the end again
    if started:
        yield TextBlock(buffer, begins)


def _word_end(text: str, words: WordEnds) -> int:
    """The last place in ``text`` where it may be cut whatever follows: before a written separator, or after a word."""
    separator = text.rfind(SEPARATOR, 1, len(text) - MARGIN + len(SEPARATOR))
    if separator > 0:
        return separator
    begins = len(SEPARATOR) if text.startswith(SEPARATOR) else 0
    return begins + next(end for end in reversed(words(text[begins:])) if begins + end <= len(text) - MARGIN)


def batches(blocks: Iterable[TextBlock], characters: int) -> Iterator[list[TextBlock]]:
    """Lists of blocks with about this many characters in all, for encoding in parallel with bounded memory."""
    batch: list[TextBlock] = []
    held = 0
    for block in blocks:
        batch.append(block)
        held += len(block.text) + 1  # + 1: a million empty documents must not be one batch
        if held >= characters:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
