"""Learns a tokenizer from the user's text, once: the second time it comes from the cache."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from clearhead.errors import FolderError, OptionError, nearest, shown
from clearhead.files import cache_folder, caching, make_folder, read_bounded, replacing
from clearhead.text.data.sources import OnProgress, TextSource, blocks_of
from clearhead.text.tokenizers.characters import Units
from clearhead.text.tokenizers.learned import OnMerges, check_size, word_ends
from clearhead.text.tokenizers.pieces import CUT_QWEN2, cut
from clearhead.text.tokenizers.tokenizer import Tokenizer
from clearhead.text.tokenizers.vocabularies import TOKENIZER_AT_MOST

log = logging.getLogger(__name__)

LEARNED = ("auto", "bpe", "character-bpe", "unigram", "characters", "bytes")
SIZED = ("auto", "bpe", "character-bpe", "unigram")  # those with a vocabulary of any size
_UNITS: dict[str, Units | None] = {"auto": None, "bpe": "bytes", "character-bpe": "characters"}
KEPT_AT_MOST = 2 * TOKENIZER_AT_MOST  # bytes; quoted once more, it grows by a fifth
_FORMAT = "clearhead tokenizer 3"  # raise it when the same text would give another tokenizer


def learn(
    kind: str,
    sources: Sequence[TextSource],
    *,
    vocab_size: int | None = None,
    cache: Path | None = None,
    progress: OnProgress | None = None,
    merging: OnMerges | None = None,
) -> Tokenizer:
    """A tokenizer of a kind in LEARNED for these sources; Tokenizer's constructors describe each kind.

    "auto" is bpe, or for Chinese, Japanese or Korean character-bpe or characters (Tokenizer.train_bpe). The cache is
    keyed by the sources' content, kind and size. ``progress`` is called with the bytes of text read, ``merging`` with
    the bpe tokens learned. Raises OptionError for an unknown kind, a size out of range, or a size with a kind not in
    SIZED.
    """
    if kind not in LEARNED:
        raise OptionError(f"tokenizer {kind!r}: not a kind that can be learned{nearest(kind, LEARNED)}")
    if vocab_size is not None and kind not in SIZED:
        raise OptionError(
            f"a vocabulary size ({shown(vocab_size)}) is for {', '.join(SIZED)}; the text sets the size of {kind}"
        )
    check_size(vocab_size)
    if kind == "bytes":
        return Tokenizer.bytes()
    parts = [_FORMAT, kind, str(vocab_size), *(source.key() for source in sources)]
    key = hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
    path = cache_folder(cache) / "tokenizers" / f"{key}.json"
    cached = _read(path)
    if cached is not None:
        return cached
    texts = (block.text for block in cut(blocks_of(sources, progress), CUT_QWEN2, words=word_ends))
    if kind == "characters":
        made = Tokenizer.train_characters(texts)
    elif kind == "unigram":
        made = Tokenizer.train_unigram(texts, vocab_size)
    else:
        made = Tokenizer.train_bpe(texts, vocab_size, units=_UNITS[kind], progress=merging)
    if vocab_size is not None and made.vocab_size < vocab_size:
        log.info(
            "the text yields a vocabulary of %s tokens; you asked for %s", f"{made.vocab_size:,}", f"{vocab_size:,}"
        )
    text = made.to_json()
    with caching():
        make_folder(path.parent)
        with replacing(path) as file:
            file.write(json.dumps({"checksum": _checksum(text), "tokenizer": text}).encode())
    return made


def _read(path: Path) -> Tokenizer | None:
    try:
        kept = json.loads(read_bounded(path, KEPT_AT_MOST))
        text = str(kept["tokenizer"])
        whole = _checksum(text) == kept["checksum"]
    except (FileNotFoundError, NotADirectoryError):  # writing tells about the latter
        return None
    except (ValueError, KeyError, TypeError, RecursionError, FolderError):
        text, whole = "", False
    if not whole:
        log.warning("%s: truncated or altered; rebuilding it", path)
        return None
    return Tokenizer(tokenizers.Tokenizer.from_str(text))


def _checksum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
