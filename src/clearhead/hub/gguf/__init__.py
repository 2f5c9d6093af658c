"""Files of llama.cpp (GGUF): a model with its tokenizer in one file, written and opened."""

from clearhead.hub.gguf.opening import is_gguf, opened_gguf
from clearhead.hub.gguf.writing import export_gguf

__all__ = ["export_gguf", "is_gguf", "opened_gguf"]
