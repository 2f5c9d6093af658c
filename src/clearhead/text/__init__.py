"""Text to batches of ids: reading, tokenizers, the token stream on the disk, windows. Needs no torch."""

from clearhead.text.kinds import SEPARATOR, vocabulary_size
from clearhead.text.learn import KINDS, learn
from clearhead.text.sources import FileSource, Progress, Source, sources
from clearhead.text.stream import TextStream
from clearhead.text.tokenizer import Tokenizer
from clearhead.text.tokens import Tokens, split, tokenize
from clearhead.text.windows import NOT_COUNTED, PADDING, Batch, Windows, sequential

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
