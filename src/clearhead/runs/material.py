"""The text of a run: read, tokenised, split, and checked against the fingerprint in the recipe."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clearhead import corpora
from clearhead.errors import FolderError, OptionError, TextError, nearest, shown
from clearhead.recipes import TextConfig
from clearhead.runs.folder import STDIN, Claim
from clearhead.runs.pair_material import pair_sources, split_of
from clearhead.runs.saying import Say, progress_of
from clearhead.text import (
    LEARNED,
    SIZED,
    FileSource,
    PairSource,
    TextSource,
    Tokenizer,
    check_size,
    learn,
    sources,
    split,
    tokenize,
    tokens_of_rows,
    words_tokenizer,
)
from clearhead.text.data.tokens import around


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """A tokenizer, and what is trained and validated on: ``Tokens`` or ``Pairs``."""

    config: TextConfig
    tokenizer: Tokenizer
    train: Any
    valid: Any


def check_text(config: TextConfig) -> None:
    """Raises OptionError for values that exclude each other or have no effect."""
    if config.corpus is not None:
        if config.sources:
            raise OptionError(f"text {config.sources[0]!r} and corpus {config.corpus!r} were both given; choose one")
        if isinstance(corpora.get(config.corpus), corpora.Recall):
            own = {"valid": (), "tokenizer": "auto", "vocabulary": None, "megabytes": None, "field": None}
            for name, default in own.items():
                if getattr(config, name) != default:
                    raise OptionError(
                        f"{name} {shown(getattr(config, name))}: {config.corpus} has tokens and validation rows of "
                        "its own; leave it out"
                    )
    elif not config.sources:
        raise OptionError("no text: name a file, a folder or - for standard input, or use --corpus world-en")
    elif config.megabytes is not None:
        raise OptionError(f"megabytes {config.megabytes:g}: sets the size of a built-in corpus, and none was chosen")
    if config.tokenizer not in LEARNED and not Path(config.tokenizer).exists():
        raise OptionError(
            f"tokenizer {config.tokenizer!r}: neither a kind nor a file or folder{nearest(config.tokenizer, LEARNED)}"
        )
    for name in ("source_language", "target_language"):
        code = getattr(config, name)
        if code is not None and (config.layout == "text" or config.tokenizer in LEARNED):
            raise OptionError(f"{name} {code!r}: applies to sentence pairs and a model of many languages; leave it out")
    if config.tokenizer not in SIZED and config.vocabulary is not None:
        raise OptionError(
            f"vocabulary {shown(config.vocabulary)}: applies to the tokenizers {', '.join(SIZED)}; "
            f"{config.tokenizer!r} has its own size"
        )
    check_size(config.vocabulary)


def check_field(field: str | None, texts: Sequence[TextSource]) -> None:
    """Raises OptionError if a field is given and no text has fields."""
    if field is not None and not any(isinstance(text, FileSource) and text.field for text in texts):
        raise OptionError(f"field {field!r}: applies to .jsonl files, and there are none in the text")


def prepare(config: TextConfig, folder: Path, say: Say, *, masks: bool = False, context: int = 256) -> Material:
    """Reads, tokenises and splits the text of the run in ``folder``; from the cache the second time.

    Uses the run's own tokenizer if the folder has one. With ``masks`` the tokenizer has a mask token. ``context`` is
    the model's; longer sentence pairs are left out.
    Raises TextError or OptionError for text that cannot be used, FolderError if the text does not match the config's
    fingerprint.
    """
    began = time.perf_counter()
    task = None if config.corpus is None else corpora.get(config.corpus)
    if isinstance(task, corpora.Recall):
        if masks:
            raise OptionError(f"corpus {task.name}: what to predict is part of its rows; leave out --masked")
        return _rows(task, config, folder, say)
    if config.layout != "text":
        return _of_pairs(config, folder, say, context)
    validation: Sequence[TextSource] = _files(config.valid, config, folder) if config.valid else []
    if config.corpus is not None:
        texts: Sequence[TextSource] = [corpora.get(config.corpus).source(megabytes=config.megabytes)]
    else:
        texts = _files(config.sources, config, folder)
    every = [*texts, *validation]
    _check_apart(texts, validation)
    check_field(config.field, every)
    tokenizer = _tokenizer(config, folder, texts, validation, say)
    tokenizer = tokenizer.with_mask() if masks else tokenizer
    progress = progress_of(say, "tokenising")
    tokens = tokenize(texts, tokenizer, progress=progress)
    train, valid = (tokens, tokenize(validation, tokenizer, progress=progress)) if validation else split(tokens)
    fingerprint = _fingerprint(config, folder, tokenizer, [source.key() for source in every])
    seconds = time.perf_counter() - began
    say(
        f"text: {len(train):,} tokens to train on, {len(valid):,} to validate on; vocabulary {tokenizer.vocab_size:,} "
        f"({tokenizer.kind}); ready in {seconds:.1f} s"
    )
    return Material(config=replace(config, fingerprint=fingerprint), tokenizer=tokenizer, train=train, valid=valid)


def _of_pairs(config: TextConfig, folder: Path, say: Say, context: int) -> Material:
    """Sentence pairs, with one tokenizer for both languages."""

    def read(names: Sequence[str]) -> Sequence[PairSource]:
        return pair_sources([str(_stdin(folder, config)) if name == "-" else name for name in names], config)

    texts, validation = read(config.sources), read(config.valid) if config.valid else []
    tokenizer = _tokenizer(config, folder, texts, validation, say)
    if config.source_language is not None:
        tokenizer = tokenizer.with_source(config.source_language)
    train, valid = split_of(config, texts, validation, tokenizer, context, say)
    fingerprint = _fingerprint(config, folder, tokenizer, [source.key() for source in (*texts, *validation)])
    return Material(config=replace(config, fingerprint=fingerprint), tokenizer=tokenizer, train=train, valid=valid)


def _rows(task: corpora.Recall, config: TextConfig, folder: Path, say: Say) -> Material:
    """The rows of a task, which has its own tokens."""
    tokenizer = Tokenizer(words_tokenizer(task.words()))
    train, valid = (tokens_of_rows(*task.rows(part)) for part in ("train", "valid"))
    say(
        f"text: {task.name}, {len(train) // task.length:,} rows to train on, {len(valid) // task.length:,} to validate "
        f"on, of {task.length} tokens with {task.pairs} pairs; vocabulary {tokenizer.vocab_size:,}"
    )
    fingerprint = _fingerprint(config, folder, tokenizer, [task.key()])
    return Material(config=replace(config, fingerprint=fingerprint), tokenizer=tokenizer, train=train, valid=valid)


def _fingerprint(config: TextConfig, folder: Path, tokenizer: Tokenizer, keys: Sequence[str]) -> str:
    """The hash of tokenizer, what it puts between documents, and text. Raises FolderError if the config has another."""
    named = f"{tokenizer.fingerprint}:{around(tokenizer)}:{'+'.join(keys)}"
    fingerprint = hashlib.sha256(named.encode()).hexdigest()[:32]
    if config.fingerprint is not None and config.fingerprint != fingerprint:
        raise FolderError(
            f"{folder}: the text or the tokenizer has changed since the run began, and a run can only resume with the "
            "same; restore them, or start a new run with another --out"
        )
    return fingerprint


def _check_apart(texts: Sequence[TextSource], validation: Sequence[TextSource]) -> None:
    """Raises OptionError if a file is both trained and validated on, which would measure memorisation."""
    trained = {os.path.realpath(each.path) for each in texts if isinstance(each, FileSource)}
    for each in validation:
        if isinstance(each, FileSource) and os.path.realpath(each.path) in trained:
            raise OptionError(f"{each.path}: is both training text and validation text; name it as only one of them")


def keep_stdin(claim: Claim, config: TextConfig) -> None:
    """Copies standard input into the run folder if the text comes from it, so that the run can be resumed.

    Raises TextError if it cannot be read, WriteError if the copy cannot be written.
    """
    if "-" not in (*config.sources, *config.valid):
        return
    with claim.writing(_stdin(claim.folder, config).name) as file:
        try:
            shutil.copyfileobj(sys.stdin.buffer, file)
        except OSError as fault:
            raise TextError(f"standard input: cannot be read: {fault.strerror}; name a file instead of -") from None


def _tokenizer(
    config: TextConfig, folder: Path, texts: Sequence[TextSource], validation: Sequence[TextSource], say: Say
) -> Tokenizer:
    if Tokenizer.is_in(folder):
        return Tokenizer.load(folder).of_documents()
    if config.tokenizer not in LEARNED:
        return Tokenizer.load(config.tokenizer).of_documents()
    # Characters must cover the validation text too, or it could not be encoded.
    seen = [*texts, *validation] if config.tokenizer == "characters" else texts
    what = "learning the tokenizer"
    read, merging = progress_of(say, what), progress_of(say, what, 1, "tokens")
    return learn(config.tokenizer, seen, vocab_size=config.vocabulary, progress=read, merging=merging)


def _files(names: Sequence[str], config: TextConfig, folder: Path) -> list[FileSource]:
    kept = _stdin(folder, config)
    if "-" in names and kept.is_fifo():  # a source may be a pipe; the kept copy may not
        raise FolderError(f"{kept}: is a pipe, and should be a file; copy the file there")
    try:
        found = sources([kept if name == "-" else name for name in names], field=config.field, encoding=config.encoding)
    except TextError as fault:
        if config.fingerprint is None:
            raise
        raise TextError(f"{fault}; resume from the directory where the run began") from None
    for source in found:
        if source.path == kept:
            source.name = "standard input"
    return found


def _stdin(folder: Path, config: TextConfig) -> Path:
    """Path of the copy of standard input, which is JSON Lines if a field is given."""
    return folder / STDIN[bool(config.field)]
