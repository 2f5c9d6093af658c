"""Labelled uses of words: in their sentences, with the story and the scene they are from."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from clearhead import corpora
from clearhead.errors import OptionError


@pytest.mark.parametrize("name", ["world-en", "world-zh"])
@pytest.mark.parametrize("unit", ["sentence", "paragraph"])
def test_every_known_sense_is_a_use_in_a_part_of_its_story(name: str, unit: str) -> None:
    stories = list(islice(corpora.get(name).stories(seed=1), 300))
    uses = corpora.usages(name, stories=300, unit=unit)  # pyright: ignore[reportArgumentType]
    truths = [(n, t) for n, story in enumerate(stories) for t in story.truth if t.kind == "sense"]
    assert len(uses) == len(truths) > 90
    for use, (number, truth) in zip(uses, truths, strict=True):
        assert (use.word, use.sense) == (truth.word, truth.label)
        assert use.groups == {"story": str(number), "scene": truth.scene}
        assert use.text in stories[number].text
        assert use.text[use.start : use.end] == stories[number].text[truth.start : truth.end]
        assert "\n" not in use.text


def test_sentences_are_cut_where_they_end() -> None:
    texts = {use.text for use in corpora.usages("world-en", stories=3000)}
    assert '"Server, may I have the check?" he asked.' in texts
    assert any(
        re.fullmatch(r'"I crashed the server," said \w+, and everybody in the office \w+ \w+\.', t) for t in texts
    )
    assert not any(". " in text.replace('." ', "") for text in texts)


def test_a_scene_is_the_line_that_tells_it() -> None:
    for use in corpora.usages("world-zh", stories=300):
        file, line = use.groups["scene"].split(":")
        assert file.startswith("chinese/")
        assert int(line) > 0


def test_senses_of_a_corpus_without_truth_are_refused() -> None:
    with pytest.raises(OptionError, match="python-docs"):
        corpora.usages("python-docs")
    with pytest.raises(OptionError, match="stories is 0"):
        corpora.usages("world-en", stories=0)
    with pytest.raises(OptionError, match="unit 'word': there is no such unit"):
        corpora.usages("world-en", unit="word")  # pyright: ignore[reportArgumentType]
