"""The language that clearhead speaks: English, or Chinese where the reader asks for it.

The code's errors, lines and labels are in English, and ``spoken`` translates them for the reader. The command line
passes everything it prints through it; drawings pass their own words, not the texts they show. ``make docs`` collects
the messages from the code, and the Chinese is in locale/zh/LC_MESSAGES/clearhead.po.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from clearhead.errors import OptionError

LANGUAGES = ("en", "zh")
VARIABLE = "CLEARHEAD_LANGUAGE"

_asked: ContextVar[str | None] = ContextVar("language", default=None)


def check_language(language: str | None, name: str = "language") -> None:
    """Raises OptionError for a language without messages; None, no choice, is allowed."""
    if language is not None and language not in LANGUAGES:
        raise OptionError(f"{name} {language!r} is not known; take {' or '.join(LANGUAGES)}")


def chosen() -> str | None:
    """The language that was asked for: by ``speaking``, else CLEARHEAD_LANGUAGE, else a Chinese locale; None if none.

    Raises OptionError for a CLEARHEAD_LANGUAGE that is neither en nor zh.
    """
    asked = _asked.get() or os.environ.get(VARIABLE) or None
    if asked is None:
        locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
        return "zh" if locale.startswith("zh") else None
    check_language(asked, "language" if _asked.get() else VARIABLE)
    return asked


def current() -> str:
    """The language to speak: ``chosen``, or English."""
    return chosen() or "en"


@contextmanager
def speaking(language: str | None) -> Generator[None]:
    """Speaks this language inside the block, whatever the environment says; None changes nothing.

    Raises OptionError for a language other than en and zh.
    """
    check_language(language)
    token = _asked.set(language or _asked.get())
    try:
        yield
    finally:
        _asked.reset(token)


def mark(text: str) -> str:
    """A mark between two parts of a line, ``": "``, ``", "`` or ``"; "``, in the current language."""
    if current() == "en":
        return text
    from clearhead.catalogue import MARKS

    return dict(MARKS)[text]


def spoken(text: str) -> str:
    """A message in the current language. Chinese that is missing is left in English; a test finds it."""
    if current() == "en":
        return text
    from clearhead.catalogue import chinese

    return chinese(text)
