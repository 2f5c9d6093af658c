"""Text made ready for a run: read, tokenised, split, and held to the fingerprint of the run's beginning."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clearhead import corpora
from clearhead.errors import FolderError, OptionError, TextError, nearest
from clearhead.files import replacing
from clearhead.recipes import TextConfig
from clearhead.runs.folder import STDIN
from clearhead.text import LEARNED, FileSource, OnProgress, Source, Tokenizer, Tokens, learn, sources, split, tokenize

TOLD_EVERY = 5.0  # seconds between lines while a text is read

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Text made ready: a tokenizer and two token streams."""

    config: TextConfig
    tokenizer: Tokenizer
    train: Tokens
    valid: Tokens


def check_text(config: TextConfig) -> None:
    """Raises OptionError for values that exclude each other, or that nothing would read."""
    if config.corpus is not None:
        if config.sources:
            raise OptionError(f"text {config.sources[0]!r} and corpus {config.corpus!r} were both given; choose one")
        corpora.get(config.corpus)
    elif not config.sources:
        raise OptionError("no text: name a file, a folder or - for standard input, or take --corpus world-en")
    elif config.megabytes is not None:
        raise OptionError(f"megabytes {config.megabytes:g}: is the size of a built-in corpus, and none was chosen")
    if config.tokenizer not in LEARNED and not Path(config.tokenizer).exists():
        raise OptionError(
            f"tokenizer {config.tokenizer!r}: neither a kind nor a file or folder{nearest(config.tokenizer, LEARNED)}"
        )
    if config.tokenizer != "bpe" and config.vocabulary is not None:
        raise OptionError(
            f"vocabulary {config.vocabulary}: is for tokenizer 'bpe'; {config.tokenizer!r} has its own size"
        )


def check_field(field: str | None, texts: Sequence[Source]) -> None:
    """Raises OptionError when a field is named and no text has fields."""
    if field is not None and not any(isinstance(text, FileSource) and text.field for text in texts):
        raise OptionError(f"field {field!r}: is for .jsonl files, and the text has none")


def prepare(config: TextConfig, folder: Path, say: Say) -> Material:
    """Reads, tokenises and splits the text of the run in ``folder``; the second time it comes from the cache.

    The run's own tokenizer is taken when the folder has one. Raises TextError and OptionError for text that cannot
    be used, FolderError when it is not the text that the config's fingerprint tells.
    """
    began = time.perf_counter()
    judged: Sequence[Source] = _files(config.valid, config, folder) if config.valid else []
    if config.corpus is not None:
        texts: Sequence[Source] = [corpora.get(config.corpus).source(megabytes=config.megabytes)]
    else:
        texts = _files(config.sources, config, folder)
    every = [*texts, *judged]
    check_field(config.field, every)
    tokenizer = _tokenizer(config, folder, texts, judged, _told(say, "learning the tokenizer"))
    told = _told(say, "tokenising")
    tokens = tokenize(texts, tokenizer, progress=told)
    train, valid = (tokens, tokenize(judged, tokenizer, progress=told)) if judged else split(tokens)
    named = f"{tokenizer.fingerprint}:{'+'.join(source.key() for source in every)}"
    fingerprint = hashlib.sha256(named.encode()).hexdigest()[:32]
    if config.fingerprint is not None and config.fingerprint != fingerprint:
        raise FolderError(
            f"{folder}: the text or the tokenizer has changed since the run began, and a run can only go on with the "
            "same; bring them back, or start a new run with another --out"
        )
    seconds = time.perf_counter() - began
    say(
        f"text: {len(train):,} tokens to learn from, {len(valid):,} to validate on; {tokenizer.vocab_size:,} different "
        f"({tokenizer.kind}); ready in {seconds:.1f} s"
    )
    return Material(config=replace(config, fingerprint=fingerprint), tokenizer=tokenizer, train=train, valid=valid)


def keep_stdin(folder: Path, config: TextConfig) -> None:
    """Copies standard input into the run folder when the text is read from it, so that the run can be resumed."""
    if "-" in (*config.sources, *config.valid):
        with replacing(_stdin(folder, config)) as file:
            shutil.copyfileobj(sys.stdin.buffer, file)


def _told(say: Say, what: str) -> Callable[[int, int | None], None]:
    """Says every few seconds how much of the text was read: a large one takes a while the first time."""
    last = time.perf_counter()

    def tell(done: int, total: int | None) -> None:
        nonlocal last
        if time.perf_counter() - last >= TOLD_EVERY:
            last = time.perf_counter()
            say(f"{what}: {done / 1e6:.0f}" + ("" if total is None else f" of {total / 1e6:.0f}") + " MB")

    return tell


def _tokenizer(
    config: TextConfig, folder: Path, texts: Sequence[Source], judged: Sequence[Source], progress: OnProgress
) -> Tokenizer:
    if (folder / "tokenizer.json").exists():
        return Tokenizer.load(folder).of_documents()
    if config.tokenizer not in LEARNED:
        return Tokenizer.load(config.tokenizer).of_documents()
    # Characters must cover the validation text too: one that is missing could not be encoded at all.
    seen = [*texts, *judged] if config.tokenizer == "characters" else texts
    return learn(config.tokenizer, seen, vocab_size=config.vocabulary, progress=progress)


def _files(names: Sequence[str], config: TextConfig, folder: Path) -> list[FileSource]:
    kept = _stdin(folder, config)
    if "-" in names and kept.is_fifo():  # a source may be a pipe, which is then read to its end
        raise FolderError(f"{kept}: is a pipe, and should be a file; copy the file there")
    try:
        found = sources([kept if name == "-" else name for name in names], field=config.field, encoding=config.encoding)
    except TextError as fault:
        if config.fingerprint is None:
            raise
        raise TextError(f"{fault}; resume from the folder where the run began, in which the names are") from None
    for source in found:
        if source.path == kept:
            source.name = "standard input"
    return found


def _stdin(folder: Path, config: TextConfig) -> Path:
    """Where standard input is kept; as everywhere, it is JSON lines when a field is given."""
    return folder / STDIN[bool(config.field)]
