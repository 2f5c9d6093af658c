"""Generated corpora as sources: the same everywhere, any story alone, as large as asked for, named by their content."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import islice

import pytest

from clearhead import corpora
from clearhead.corpora.world import World
from clearhead.errors import OptionError

WORLDS = ("world-en", "world-zh")


def world(name: str) -> World:
    corpus = corpora.get(name)
    assert isinstance(corpus, World)
    return corpus


@pytest.mark.parametrize("name", WORLDS)
def test_any_story_can_be_told_alone_and_again(name: str) -> None:
    texts = [story.text for story in islice(world(name).stories(seed=7), 300)]
    assert [world(name).story(index, seed=7).text for index in (299, 0, 150)] == [texts[299], texts[0], texts[150]]
    assert texts != [story.text for story in islice(world(name).stories(seed=8), 300)]


@pytest.mark.parametrize("name", WORLDS)
def test_another_process_with_another_hash_seed_tells_the_same(name: str) -> None:
    code = (
        "import sys; from itertools import islice; from clearhead import corpora; "
        f"sys.stdout.buffer.write(chr(0).join(s.text for s in islice(corpora.get({name!r}).stories(4), 200)).encode())"
    )
    outputs = {
        hashlib.sha256(
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
        ).hexdigest()
        for seed in ("1", "2")
    }
    here = "\0".join(story.text for story in islice(world(name).stories(seed=4), 200))
    assert outputs == {hashlib.sha256(here.encode()).hexdigest()}


@pytest.mark.parametrize("name", WORLDS)
def test_a_source_holds_the_megabytes_asked_for_and_ends_with_a_whole_story(name: str) -> None:
    source = world(name).source(seed=1, megabytes=0.2)
    documents = list(source.documents())
    size = sum(len(text.encode()) for text in documents)
    assert 200_000 <= size < 200_000 + len(documents[-1].encode())
    assert documents == [story.text for story in islice(world(name).stories(seed=1), len(documents))]
    assert documents == list(source.documents())


@pytest.mark.parametrize("name", WORLDS)
def test_the_key_tells_seed_size_and_grammar_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = world(name)
    keys = {corpus.source(seed, size).key() for seed in (0, 1) for size in (1, 2, 0.5)}
    assert len(keys) == 6
    assert corpus.source().key() == corpus.source(0, corpus.default_megabytes).key()
    assert corpus.source().key().startswith(f"{name}-v1-seed0-8mb-")
    monkeypatch.setattr("clearhead.corpora.world._digest", lambda package: "another")
    assert corpus.source(0, 1).key() not in keys


@pytest.mark.parametrize("name", WORLDS)
def test_seeds_and_sizes_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="seed is -1"):
        world(name).source(seed=-1)
    with pytest.raises(OptionError, match="megabytes is 0"):
        world(name).source(megabytes=0)
    with pytest.raises(OptionError, match="megabytes is nan"):
        world(name).source(megabytes=float("nan"))
    with pytest.raises(OptionError, match="seed is -2"):
        world(name).stories(seed=-2)
    with pytest.raises(OptionError, match="story -3"):
        world(name).story(-3)


def test_the_shelf_lists_every_corpus() -> None:
    assert [corpus.name for corpus in corpora.names()] == ["world-en", "world-zh", "python-docs"]
    assert {corpus.language for corpus in corpora.names()} == {"en", "zh"}


def test_listing_the_corpora_compiles_no_grammar_and_needs_no_torch() -> None:
    code = (
        "import sys; from clearhead import corpora; corpora.names(); "
        "from clearhead.corpora import chinese, english; "
        "print('torch' in sys.modules, english.grammar.cache_info().currsize, chinese.grammar.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["False", "0", "0"]
