"""Folders in the Hugging Face layout and files of llama.cpp, in and out."""

from clearhead.hub.folder import (
    export,
    family,
    has_tokenizer,
    keep_step,
    read_config,
    read_metadata,
    save,
    save_weights,
    saved_step,
)
from clearhead.hub.gguf import export_gguf
from clearhead.hub.kept import STEPS, forget_after, named, none_kept, steps
from clearhead.hub.loading import load, outline
from clearhead.hub.names import find, pinned
from clearhead.hub.weights import WEIGHTS

__all__ = [
    "STEPS",
    "WEIGHTS",
    "export",
    "export_gguf",
    "family",
    "find",
    "forget_after",
    "has_tokenizer",
    "keep_step",
    "load",
    "named",
    "none_kept",
    "outline",
    "pinned",
    "read_config",
    "read_metadata",
    "save",
    "save_weights",
    "saved_step",
    "steps",
]
