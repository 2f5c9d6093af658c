"""Stories shared by all tests of the corpora."""

from __future__ import annotations

from itertools import islice

import pytest

from clearhead import corpora
from clearhead.corpora import Story

COUNT = 4000


@pytest.fixture(scope="session")
def english() -> list[Story]:
    return list(islice(corpora.get("world-en").stories(seed=11), COUNT))


@pytest.fixture(scope="session")
def chinese() -> list[Story]:
    return list(islice(corpora.get("world-zh").stories(seed=11), COUNT))


@pytest.fixture(scope="session", params=["world-en", "world-zh"])
def stories(request: pytest.FixtureRequest) -> list[Story]:
    return request.getfixturevalue({"world-en": "english", "world-zh": "chinese"}[request.param])
