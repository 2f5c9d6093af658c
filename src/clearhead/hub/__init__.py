"""Folders in the Hugging Face layout, in and out."""

from clearhead.hub.folder import WEIGHTS, LanguageModel, family, load, read_config, save, save_weights

__all__ = ["WEIGHTS", "LanguageModel", "family", "load", "read_config", "save", "save_weights"]
