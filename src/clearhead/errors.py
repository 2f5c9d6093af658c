"""One tree of errors. Each message says where, what happened with which values, the rule, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ClearheadError(Exception):
    """Base of every error this package raises on purpose; the command prints it without a traceback."""

    exit_code = 1


class OptionError(ClearheadError):
    """A value the caller chose is not allowed: unknown name, number out of range, options that exclude each other."""

    exit_code = 2


class ConfigError(OptionError):
    """A configuration contradicts itself or names something unknown."""


class RequestError(ClearheadError):
    """An attention request whose shapes, dtypes, devices or masks do not fit together."""


class TextError(ClearheadError):
    """Text that is missing, empty, binary, in another encoding, too short, or outside the tokenizer's characters."""


class GrammarError(ClearheadError):
    """A data file of a built-in world breaks its notation, or names something that is nowhere written."""


class FolderError(ClearheadError):
    """A run or checkpoint folder that exists already, is missing, truncated or altered."""


class WriteError(FolderError):
    """A file cannot be written: the disk is full, or the place is not for this user."""


class MemoryNeededError(ClearheadError):
    """More memory would be needed than there is; raised before it is allocated."""


class TrainingError(ClearheadError):
    """Training cannot go on: the loss is not finite, or the state does not fit the run."""


class WatchError(ClearheadError):
    """Watching was asked of something that cannot be watched, or a record was asked for what it does not hold."""


class MissingExtraError(ClearheadError):
    """An optional dependency is not installed; the message names the install command."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause for an error message: ``"; did you mean 'layers'?"``, or the whole list when nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}"


def many(number: float, noun: str) -> str:
    """``"1 token"``, ``"2,048 tokens"``, ``"0.5 minutes"``."""
    return f"{f'{number:,}' if isinstance(number, int) else f'{number:g}'} {noun}{'' if number == 1 else 's'}"


def shown(value: object) -> str:
    """A value for an error message, as Python writes it; of a long one the beginning and its kind."""
    whole = repr(value)
    return whole if len(whole) <= 100 else f"{whole[:100]}... ({type(value).__name__})"
