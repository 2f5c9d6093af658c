"""Tokenizers that several tests look at: one of each kind, and two that change their text."""

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from clearhead.text import SEPARATOR, Tokenizer

ODD = "Hello  world,\n\n it's 2024! 你好，世界\t\r\n  x" + SEPARATOR + "next é🙂\u3000\n"
LEARNED = {
    "bytes": Tokenizer.bytes(),
    "characters": Tokenizer.characters([ODD]),
    "bpe": Tokenizer.train_bpe([ODD * 3], 320),
    "character-bpe": Tokenizer.train_bpe([ODD * 3], 320, units="characters"),
    "unigram": Tokenizer.train_unigram([ODD * 3], 320),
    "characters and bytes": Tokenizer.train_characters([ODD]),
}


def word_pieces() -> Tokenizer:
    """A tokenizer that changes its text, as BERT's: lower case, no white space, unknown words."""
    vocabulary = {"[UNK]": 0, "the": 1, "caf": 2, "##e": 3, "!": 4, "h": 5}
    library = tokenizers.Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer(lowercase=True)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece()
    return Tokenizer(library)


def sentence_pieces() -> Tokenizer:
    """As Mistral's: spaces written ▁, none before the first word, bytes for unknown characters."""
    tokens = ["▁", "▁a", "b", "a", "▁b"] + [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {token: n for n, token in enumerate(tokens)}
    library = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[("▁", "a"), ("▁", "b")], byte_fallback=True))
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    library.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return Tokenizer(library)
