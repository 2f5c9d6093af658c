"""Folders in the Hugging Face layout, in and out."""

from clearhead.hub.folder import (
    LanguageModel,
    Papers,
    export,
    family,
    load,
    outline,
    read_config,
    read_papers,
    save,
    save_weights,
)
from clearhead.hub.names import find, pinned
from clearhead.hub.weights import WEIGHTS

__all__ = [
    "WEIGHTS",
    "LanguageModel",
    "Papers",
    "export",
    "family",
    "find",
    "load",
    "outline",
    "pinned",
    "read_config",
    "read_papers",
    "save",
    "save_weights",
]
