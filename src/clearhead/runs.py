"""A run from text to folder: joins text, recipes, training and the hub. Used by the command; imported by no room."""

from __future__ import annotations

import hashlib
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import tomli_w

from clearhead import corpora, hub, machine
from clearhead.errors import FolderError, MemoryNeededError, OptionError
from clearhead.files import replacing, write_text
from clearhead.model import ModelConfig, Transformer, build, to_dict
from clearhead.recipes import Recipe, Table, TextConfig, read_file, resolved
from clearhead.text import KINDS, Source, Tokenizer, Tokens, learn, sources, split, tokenize
from clearhead.train import State, load_state
from clearhead.train.config import TrainConfig

RECIPE = "recipe.toml"
STDIN = "stdin.txt"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Text made ready: a tokenizer and two token streams."""

    config: TextConfig
    tokenizer: Tokenizer
    train: Tokens
    valid: Tokens


def name_of(config: TextConfig) -> str:
    """What a run over this text is called: the corpus, or the first source's name without its endings."""
    if config.corpus is not None:
        return config.corpus
    first = Path(config.sources[0])
    return first.resolve().name.split(".")[0] if str(first) != "-" else "stdin"


def prepare(config: TextConfig, say: Say) -> Material:
    """Reads, tokenises and splits the text; the second time it comes from the cache.

    Raises TextError and OptionError for text that cannot be used.
    """
    texts = _sources(config)
    held = list[Source](sources(config.valid, field=config.field, encoding=config.encoding)) if config.valid else []
    began = time.perf_counter()
    if config.tokenizer in KINDS:
        # Characters must cover the validation text too: one that is missing could not be encoded at all.
        seen = [*texts, *held] if config.tokenizer == "characters" else texts
        tokenizer = learn(config.tokenizer, seen, vocab_size=config.vocabulary)
    elif Path(config.tokenizer).exists():
        tokenizer = Tokenizer.load(config.tokenizer)
    else:
        kinds = ", ".join(KINDS)
        raise OptionError(f"tokenizer: {config.tokenizer!r} is neither a kind ({kinds}) nor a file or folder")
    tokens = tokenize(texts, tokenizer)
    train, valid = (tokens, tokenize(held, tokenizer)) if held else split(tokens)
    fingerprint = f"{tokenizer.fingerprint}:{'+'.join(source.key() for source in [*texts, *held])}"
    if config.fingerprint is not None and config.fingerprint != _short(fingerprint):
        raise FolderError(
            "the text or the tokenizer has changed since the run began; a run can only be resumed on the same text; "
            "start a new one with --out"
        )
    seconds = time.perf_counter() - began
    say(
        f"text: {len(train):,} tokens to learn from, {len(valid):,} to validate on; {tokenizer.vocab_size:,} different "
        f"({tokenizer.kind}); ready in {seconds:.1f} s"
    )
    return Material(
        config=replace(config, fingerprint=_short(fingerprint)), tokenizer=tokenizer, train=train, valid=valid
    )


def create(folder: Path, recipe: Recipe) -> Transformer:
    """Writes the recipe into the run folder and makes a fresh model.

    Raises MemoryNeededError when training it would not fit into memory.
    """
    check_memory(recipe.model, recipe.train)
    write_text(folder / RECIPE, tomli_w.dumps(to_dict(recipe)))
    return build(recipe.model, seed=recipe.train.seed)


def reopen(folder: Path) -> tuple[Recipe, State]:
    """The recipe and newest state of a run folder. Raises FolderError naming what is missing or altered."""
    if not (folder / RECIPE).is_file():
        raise FolderError(f"{folder / RECIPE}: there is no such file; {folder} is not a run folder")
    table: Table = read_file(folder / RECIPE)
    return resolved(table), load_state(folder / "state")


def check_memory(model: ModelConfig, config: TrainConfig) -> None:
    """Raises MemoryNeededError when training would need more memory than is free; estimated, nothing is allocated."""
    need, free = memory_needed(model, config), machine.free_memory()
    if need > free:
        raise MemoryNeededError(
            f"training {model.parameters():,} weights on {config.batch} texts of {model.context} tokens needs about "
            f"{need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free; lower train.batch, model.context, layers or width"
        )


def memory_needed(model: ModelConfig, config: TrainConfig) -> int:
    """Bytes for weights, gradients, two optimizer states and a copy to save, and what backward keeps of one batch."""
    tokens, E, F = config.batch * model.context, model.width, model.feed_forward.width
    inner = (model.attention.heads + 2 * model.attention.kv_heads) * model.attention.head_width
    # Kept for backward, in float32: about 6 widths of the residual stream, 3 of the projections, 4 of the hidden layer.
    activations = tokens * (model.layers * (6 * E + 3 * inner + 4 * F) + 3 * model.vocabulary)
    return 4 * (5 * model.parameters() + activations)


def claim(folder: Path, config: TextConfig) -> TextConfig:
    """Makes the run folder; standard input is written into it, so that the run can be resumed, and named instead.

    Raises FolderError when the folder exists and is not empty, or the disk is full.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FolderError(
            f"{folder}: exists already; continue it with `clearhead train --resume {folder}`, choose another with "
            "--out, or remove it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if "-" not in config.sources:
        return config
    with replacing(folder / STDIN) as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return replace(config, sources=tuple(str(folder / STDIN) if name == "-" else name for name in config.sources))


@contextmanager
def interruptible() -> Generator[Callable[[], bool]]:
    """Inside the block the first Ctrl-C (or SIGTERM) only raises a flag, which the given function tells."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keeper(folder: Path, model: Transformer, tokenizer: Tokenizer) -> Callable[[], None]:
    """Saves the model into the run folder; the first call writes the whole layout, later ones the weights."""

    def keep() -> None:
        if (folder / hub.WEIGHTS).exists():
            hub.save_weights(folder, model)
        else:
            hub.save(folder, model, tokenizer)

    return keep


def _sources(config: TextConfig) -> Sequence[Source]:
    if config.corpus is not None:
        if config.sources:
            raise OptionError(f"give a text or --corpus {config.corpus}, not both")
        return [corpora.get(config.corpus).source(megabytes=config.megabytes)]
    if not config.sources:
        raise OptionError("no text was given; name a file, a folder or - for standard input, or take --corpus world-en")
    return sources(config.sources, field=config.field, encoding=config.encoding)


def _short(fingerprint: str) -> str:
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:32]
