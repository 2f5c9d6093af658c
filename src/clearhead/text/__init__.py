"""Text to batches of ids: reading, tokenizers, the token stream on the disk, windows. Needs no torch."""

from clearhead.text.data.learn import KINDS, learn
from clearhead.text.data.sources import FileSource, Progress, Source, sources
from clearhead.text.data.tokens import Tokens, split, tokenize
from clearhead.text.data.windows import NOT_COUNTED, PADDING, Batch, Windows, sequential
from clearhead.text.tokenizers.learned import SEPARATOR, vocabulary_size
from clearhead.text.tokenizers.stream import TextStream
from clearhead.text.tokenizers.tokenizer import Tokenizer

__all__ = [
    "KINDS",
    "NOT_COUNTED",
    "PADDING",
    "SEPARATOR",
    "Batch",
    "FileSource",
    "Progress",
    "Source",
    "TextStream",
    "Tokenizer",
    "Tokens",
    "Windows",
    "learn",
    "sequential",
    "sources",
    "split",
    "tokenize",
    "vocabulary_size",
]
