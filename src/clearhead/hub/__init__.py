"""Folders in the Hugging Face layout, in and out."""

from clearhead.hub.folder import (
    export,
    family,
    has_tokenizer,
    load,
    outline,
    read_config,
    read_metadata,
    save,
    save_weights,
    saved_step,
)
from clearhead.hub.names import find, pinned
from clearhead.hub.weights import WEIGHTS

__all__ = [
    "WEIGHTS",
    "export",
    "family",
    "find",
    "has_tokenizer",
    "load",
    "outline",
    "pinned",
    "read_config",
    "read_metadata",
    "save",
    "save_weights",
    "saved_step",
]
