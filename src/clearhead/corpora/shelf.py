"""The corpora by name, and the facts of the two worlds."""

from __future__ import annotations

from collections.abc import Mapping

from clearhead.corpora import chinese, english, recall
from clearhead.corpora.corpus import Corpus, Facts
from clearhead.corpora.python_docs import PythonDocs
from clearhead.corpora.world import World
from clearhead.errors import OptionError, nearest

_CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        World(
            name="world-en",
            language="en",
            description="generated short stories in plain English, with ground truth",
            default_megabytes=8,
            package="clearhead.corpora.english",
            grammar=english.grammar,
        ),
        World(
            name="world-zh",
            language="zh",
            description="generated short stories in plain Chinese, with ground truth",
            default_megabytes=8,
            package="clearhead.corpora.chinese",
            grammar=chinese.grammar,
        ),
        PythonDocs(
            name="python-docs",
            language="en",
            description="the running Python's language reference: real prose",
            default_megabytes=0.4,
        ),
    )
}


def names() -> list[Corpus]:
    """Every built-in corpus."""
    return list(_CORPORA.values())


def get(name: str) -> Corpus:
    """The corpus of this name, or the task ``mqar-LENGTH-PAIRS``. Raises OptionError, suggesting the nearest."""
    task = recall.find(name)
    if task is not None:
        return task
    if name not in _CORPORA:
        raise OptionError(f"no corpus {name!r}{nearest(name, _CORPORA)}")
    return _CORPORA[name]


def analogies(language: str = "en") -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Pairs of words by relation ("gender", "capital", "plural", ...): any two pairs of a relation make an analogy."""
    return _facts(language).analogies


def senses(language: str = "en") -> Mapping[str, Mapping[str, str]]:
    """Words with several senses: for each word its sense labels, each with a gloss."""
    return _facts(language).senses


def capitals(language: str = "en") -> Mapping[str, str]:
    """The capital of each country in the stories."""
    return _facts(language).capitals


def _facts(language: str) -> Facts:
    facts = {"en": english.facts, "zh": chinese.facts}
    if language not in facts:
        raise OptionError(f"no world in language {language!r}{nearest(language, facts)}")
    return facts[language]()
