"""All errors. Each message says where, what happened with which values, the rule, and the way out."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable


class ClearheadError(Exception):
    """Base of all errors this package raises on purpose. The command line prints them without a traceback."""

    exit_code = 1


class OptionError(ClearheadError):
    """A bad value from the caller: an unknown name, a number out of range, options that exclude each other.

    Also a text that cannot be used: an empty one to look at, or one without a mask to fill.

    option: the argument that the message begins with, if any; the command writes it as it is typed, --top-k.
    """

    exit_code = 2
    option: str | None = None

    @classmethod
    def of(cls, option: str, value: object, rule: str) -> OptionError:
        """For a value that breaks a rule: ``"top_k is 0; it must be at least 1"``."""
        error = cls(f"{option} is {value!r}; it must be {rule}")
        error.option = option
        return error


class ConfigError(OptionError):
    """A configuration contradicts itself or names something unknown."""


class RequestError(ClearheadError):
    """The shapes, dtypes, devices or masks of a request do not fit together."""


class TextError(ClearheadError):
    """Text is missing, empty, binary, wrongly encoded or too short to use, or does not fit the model.

    It does not fit if it is too long, or has characters the tokenizer lacks.
    """


class GrammarError(ClearheadError):
    """A data file of a built-in world breaks its notation, or names something undefined."""


class FolderError(ClearheadError):
    """A run or checkpoint folder exists already, or is missing, truncated or altered."""


class WriteError(FolderError):
    """A file cannot be written: the disk is full, or permission is missing."""


class MemoryNeededError(ClearheadError):
    """Not enough memory is free. Raised before allocating."""


class TrainingError(ClearheadError):
    """Training cannot continue: the loss is not finite, or the state does not fit the run."""


class WatchError(ClearheadError):
    """Something cannot be watched, or a record does not hold what was requested."""


class NotFiniteError(ClearheadError):
    """A logit after some number of tokens is NaN or infinite."""

    def __init__(self, tokens: int) -> None:
        super().__init__(
            f"model: a logit after {tokens} tokens is not finite; the weights are damaged, or too large for their "
            "dtype; try a wider one (--dtype float32)"
        )


class MissingExtraError(ClearheadError):
    """An optional dependency is not installed; the message names the install command."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause for an error message: ``"; did you mean 'layers'?"``, or all names if none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}"


def unread(fault: Exception) -> str:
    """Why JSON or TOML could not be read, in plain words where Python names only a limit of its own."""
    if isinstance(fault, RecursionError):
        return "its brackets are nested too deeply"
    if "int_max_str_digits" in str(fault):
        return f"a number has more than {sys.get_int_max_str_digits():,} digits"
    return str(fault)


def many(number: float, noun: str) -> str:
    """``"1 token"``, ``"2,048 tokens"``, ``"0.5 minutes"``."""
    return f"{f'{number:,}' if isinstance(number, int) else f'{number:g}'} {noun}{'' if number == 1 else 's'}"


def shown(value: object) -> str:
    """A value's repr for an error message, on one line; if long, its start and its type."""
    try:
        whole = " ".join(line.strip() for line in repr(value).splitlines())  # a tensor's has a line for each row
    except (RecursionError, ValueError):  # nested deeper, or a number longer, than Python writes
        return f"a {type(value).__name__}"
    return whole if len(whole) <= 100 else f"{whole[:100]}... ({type(value).__name__})"
