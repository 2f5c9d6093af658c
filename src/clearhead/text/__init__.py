"""Text to batches of ids: sources, tokenizers, the token stream on disk, windows. Does not import torch."""

from clearhead.text.data.learn import LEARNED, SIZED, learn
from clearhead.text.data.pair_batches import PairBatches
from clearhead.text.data.pair_tokens import (
    LeftOut,
    Pairs,
    filtered,
    shared_sources,
    shuffled,
    split_pairs,
    tokenize_pairs,
    usable,
)
from clearhead.text.data.pairs import FIELDS, Pair, PairFile, PairSource, ParallelFiles
from clearhead.text.data.sources import FileSource, OnProgress, TextSource, lines_of, sources
from clearhead.text.data.tokens import Tokens, split, tokenize, tokens_of_rows
from clearhead.text.data.windows import NOT_COUNTED, PADDING, Batch, Windows, sequential
from clearhead.text.tokenizers.learned import SEPARATOR, check_size, vocabulary_size, words_tokenizer
from clearhead.text.tokenizers.refusals import row_of_ids
from clearhead.text.tokenizers.spans import Span, covering, spans_of
from clearhead.text.tokenizers.stream import TextStream
from clearhead.text.tokenizers.tokenizer import Tokenizer

__all__ = [
    "FIELDS",
    "LEARNED",
    "NOT_COUNTED",
    "PADDING",
    "SEPARATOR",
    "SIZED",
    "Batch",
    "FileSource",
    "LeftOut",
    "OnProgress",
    "Pair",
    "PairBatches",
    "PairFile",
    "PairSource",
    "Pairs",
    "ParallelFiles",
    "Span",
    "TextSource",
    "TextStream",
    "Tokenizer",
    "Tokens",
    "Windows",
    "check_size",
    "covering",
    "filtered",
    "learn",
    "lines_of",
    "row_of_ids",
    "sequential",
    "shared_sources",
    "shuffled",
    "sources",
    "spans_of",
    "split",
    "split_pairs",
    "tokenize",
    "tokenize_pairs",
    "tokens_of_rows",
    "usable",
    "vocabulary_size",
    "words_tokenizer",
]
