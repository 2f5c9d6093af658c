"""Folders in the Hugging Face layout, in and out."""

from clearhead.hub.folder import LanguageModel, load, read_config, save, save_weights

__all__ = ["LanguageModel", "load", "read_config", "save", "save_weights"]
