"""The ``gguf`` library, which is optional."""

from __future__ import annotations

import importlib
from typing import Any

from clearhead.errors import MissingExtraError


def library() -> Any:
    """The module. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module("gguf")
    except ModuleNotFoundError as fault:
        if fault.name != "gguf":
            raise
        raise MissingExtraError(".gguf files need the gguf library: pip install 'clearhead[gguf]'") from None
