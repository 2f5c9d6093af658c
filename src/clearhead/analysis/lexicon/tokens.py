"""The words of a model: rows of its input or output table, or means of rows where a word has several tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from clearhead.analysis.lexicon.counting import HAN, Counted, count
from clearhead.analysis.lexicon.table import Lexicon, Word
from clearhead.errors import OptionError, TextError, nearest
from clearhead.language_model import LanguageModel, check_model
from clearhead.text import TextSource

TABLES = ("input", "output")


def words(model: LanguageModel, *, table: str = "input", among: Sequence[str] | None = None) -> Lexicon:
    """The model's words with their vectors.

    table: "input" for the embedding of the tokens, "output" for the layer whose products give the logits. Where the two
        are tied, they are the same.
    among: the candidate answers; None for the words that are one token. Of several words with the same tokens, the
        first counts. Words that the tokenizer cannot write are left out.

    A word is read as it stands inside a text, after a space where its script has spaces. The vector of a word of
    several tokens is the mean of theirs, leaving out tokens that are only spaces.
    Raises OptionError for an output table of a model that predicts no tokens, TextError if no words are left.
    """
    check_model(model, "words")
    reader = _Reader(model, _table(model, table))
    where = f"{model.name or 'the model'}, {table} table"
    if among is None:
        listed, which = reader.whole_tokens(), "words of one token"
    else:
        listed, which = {}, "words of the text"
        for word in among:
            ids = reader.ids(word)
            if ids is not None:
                listed.setdefault(ids, word)
    if not listed:
        raise TextError(f"{where}: there are no {which}; name other words, or use another model")
    rows = {ids: row for row, ids in enumerate(listed)}
    vectors_WE = torch.stack([reader.vector(ids) for ids in listed])

    def look_up(word: str) -> Word | None:
        ids = reader.ids(word)
        if ids is None:
            return None
        row = rows.get(ids)
        vector_E = reader.vector(ids) if row is None else vectors_WE[row]
        own = frozenset(rows[each] for each in (ids, *((token,) for token in ids)) if each in rows)
        return Word(text=word, row=row, vector_E=vector_E, pieces=tuple(reader.tokenizer.labels(ids)), own=own)

    return Lexicon(
        tuple(listed.values()),
        vectors_WE,
        name=where,
        among=f"{len(listed):,} words of one token" if among is None else f"{len(listed):,} words of the text",
        vocabulary=len(reader.labels) if among is None else None,
        look_up=look_up,
    )


def count_words(model: LanguageModel, texts: Iterable[TextSource], known: Iterable[str] = ()) -> Counted:
    """Counts the words of texts; Chinese is cut into the longest words that are known or are tokens of the model.

    Raises as ``count`` does.
    """
    tokens = words(model).words
    return count((document for text in texts for document in text.documents()), {*known, *tokens})


def _table(model: LanguageModel, table: str) -> Tensor:
    if table not in TABLES:
        raise OptionError(f"table {table!r}: there is no such table{nearest(table, TABLES)}")
    network = model.network
    if table == "input":
        weight_VE = network.embedding.matrix
    elif network.abilities & {"next tokens", "masked tokens"}:
        weight_VE = network.output.matrix
    else:
        raise OptionError("table 'output': this model predicts no tokens, so it has none; use the input table")
    return weight_VE.detach().float().cpu()


class _Reader:
    """Words to ids and vectors."""

    def __init__(self, model: LanguageModel, table_VE: Tensor) -> None:
        self.tokenizer = model.tokenizer
        self.table_VE = table_VE
        size = min(self.tokenizer.vocab_size, len(table_VE))
        gaps = set(self.tokenizer.gaps)
        self.labels = {token: self.tokenizer.labels([token])[0] for token in range(size) if token not in gaps}
        # whether words and the spaces before them share tokens, which labels show as ·king
        self.spaced = any(re.match(r"·[^\W\d_]", label) for label in self.labels.values())

    def ids(self, word: str) -> tuple[int, ...] | None:
        """The tokens of a word inside a text, without those of spaces alone; None if the tokenizer lacks some of it."""
        ids = self._encoded(word)
        if ids and self.spaced and HAN.match(word) is None and not self.labels[ids[0]].startswith("·"):
            ids = self._encoded(" " + word)
        kept = tuple(token for token in ids or () if self.labels[token].strip("·"))
        return kept or None

    def vector(self, ids: Sequence[int]) -> Tensor:
        """The mean of the tokens' rows."""
        return self.table_VE[list(ids)].mean(0)

    def whole_tokens(self) -> dict[tuple[int, ...], str]:
        """The tokens that are whole words, with their words: letters only, and not the end of another word."""
        found: dict[tuple[int, ...], str] = {}
        for token, label in self.labels.items():
            word = label.removeprefix("·")
            begins = label.startswith("·") or not self.spaced or HAN.match(word) is not None
            if begins and word.isalpha() and self.ids(word) == (token,):
                found[token,] = word
        return found

    def _encoded(self, text: str) -> list[int] | None:
        try:
            ids = self.tokenizer.encode(text)
        except TextError:  # a character the tokenizer never learned
            return None
        return None if any(token == self.tokenizer.unknown or token not in self.labels for token in ids) else ids
