"""Python's reference as documents, against the dict it comes from."""

from __future__ import annotations

import re
from collections import Counter
from pydoc_data.topics import topics

import pytest

from clearhead import corpora
from clearhead.corpora.python_docs import clean, distinct
from clearhead.errors import OptionError

DOCS = corpora.get("python-docs")


def test_every_topic_kept_is_one_document_with_all_its_words() -> None:
    documents = list(DOCS.source().documents())
    kept = sorted(distinct(topics))
    assert len(documents) == len(kept)
    for name, text in zip(kept, documents, strict=True):
        words = Counter(re.findall(r"\w+", topics[name]))
        assert Counter(re.findall(r"\w+", text)) == words, name


def test_paragraphs_and_items_become_one_line_and_code_keeps_its_lines() -> None:
    topic = (
        'A title\n*******\n\nA *name* is **very** long-\nwinded, see\n"x" and *args, **rest.\n\n'
        "* an item that\n  goes on\n\n   if a:\n       b = a * 2 * c\n\n"
        "-[ Footnotes ]-\n\n[1] A note\n    of two lines.\n"
    )
    assert clean(topic) == (
        'A title\n\nA name is very long-winded, see "x" and *args, **rest.\n\n'
        "* an item that goes on\n\n   if a:\n       b = a * 2 * c\n\nFootnotes\n\n[1] A note\n    of two lines.\n"
    )


def test_no_underlines_are_left() -> None:
    for text in DOCS.source().documents():
        assert not re.search(r"^[*=~^-]{3,}$", text, re.MULTILINE)


def test_a_topic_that_stands_in_a_longer_one_is_not_told_twice() -> None:
    assert {"specialnames", "compound"} <= distinct(topics)
    assert not {"for", "try", "customization"} & distinct(topics)
    one, two = "a" * 90, "b" * 90
    assert distinct({"long": f"{one}\n\n{two}\n\n{'c' * 90}", "part": f"{one}\n\n{two}", "short": "d"}) == {
        "long",
        "short",
    }


def test_the_key_names_the_text() -> None:
    assert DOCS.source(seed=3).key() == DOCS.source().key()
    assert re.fullmatch(r"python-docs-[0-9a-f]{12}", DOCS.source().key())


def test_what_it_cannot_give_is_refused() -> None:
    with pytest.raises(OptionError, match="world-en"):
        DOCS.stories()
    with pytest.raises(OptionError, match="fixed text"):
        DOCS.source(megabytes=2)
    size = sum(len(text.encode()) for text in DOCS.source().documents()) / 1e6
    assert 0.5 < size / DOCS.default_megabytes < 2
