"""A tokenizer learned from the user's text once; the second time it comes from the cache."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from clearhead.errors import FolderError, OptionError, nearest
from clearhead.files import read_bounded, replacing
from clearhead.text.data.sources import Progress, Source, blocks_of
from clearhead.text.data.store import cache_folder, writing
from clearhead.text.tokenizers.pieces import CUT_QWEN2, cut
from clearhead.text.tokenizers.tokenizer import Tokenizer
from clearhead.text.tokenizers.vocabularies import TOKENIZER_AT_MOST

log = logging.getLogger(__name__)

KINDS = ("bytes", "characters", "bpe")
KEPT_AT_MOST = 2 * TOKENIZER_AT_MOST  # bytes; quoted once more, it grows by a fifth
_FORMAT = "clearhead tokenizer 1"  # to be raised when the same text would give another tokenizer


def learn(
    kind: str,
    sources: Sequence[Source],
    *,
    vocab_size: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Tokenizer:
    """A tokenizer of one of KINDS for these sources (the constructors of Tokenizer say what each is).

    Kept in the cache by the sources' content, kind and size. Raises OptionError for another kind, or for a size
    that the kind does not take.
    """
    if kind not in KINDS:
        raise OptionError(f"tokenizer {kind!r}: not a kind that is learned{nearest(kind, KINDS)}")
    if vocab_size is not None and kind != "bpe":
        raise OptionError(f"a vocabulary size ({vocab_size}) is for bpe; {kind} has the size its text gives it")
    if kind == "bytes":
        return Tokenizer.bytes()
    named = [_FORMAT, kind, str(vocab_size), *(source.key() for source in sources)]
    key = hashlib.blake2b("\n".join(named).encode(), digest_size=16).hexdigest()
    path = cache_folder(cache) / "tokenizers" / f"{key}.json"
    known = _read(path)
    if known is not None:
        return known
    texts = (block.text for block in cut(blocks_of(sources, progress), CUT_QWEN2))
    made = Tokenizer.characters(texts) if kind == "characters" else Tokenizer.train_bpe(texts, vocab_size)
    if vocab_size is not None and made.vocab_size < vocab_size:
        log.info(
            "the text gives a vocabulary of %s tokens; %s were asked for", f"{made.vocab_size:,}", f"{vocab_size:,}"
        )
    text = made.to_json()
    with writing(), replacing(path) as file:
        file.write(json.dumps({"checksum": _checksum(text), "tokenizer": text}).encode())
    return made


def _read(path: Path) -> Tokenizer | None:
    try:
        kept = json.loads(read_bounded(path, KEPT_AT_MOST))
        text = str(kept["tokenizer"])
        whole = _checksum(text) == kept["checksum"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError, FolderError):
        text, whole = "", False
    if not whole:
        log.warning("%s: truncated or altered, so it is made anew", path)
        return None
    return Tokenizer(tokenizers.Tokenizer.from_str(text))


def _checksum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
