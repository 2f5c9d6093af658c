"""A run from text to folder: joins text, recipes, training and the hub. Used by the command; imported by no room."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import tomli_w

from clearhead import corpora, hub, machine
from clearhead.errors import FolderError, OptionError, TextError, nearest
from clearhead.files import leftovers, remove_leftovers, replacing, write_text
from clearhead.model import Network, build, skeleton
from clearhead.plain import to_dict
from clearhead.recipes import Recipe, Table, TextConfig, read_file, resolved
from clearhead.text import LEARNED, FileSource, OnProgress, Source, Tokenizer, Tokens, learn, sources, split, tokenize
from clearhead.training import State, check_memory, load_state, saved

RECIPE = "recipe.toml"
STATE = "state"
LOG = "log.jsonl"
STDIN = ("stdin.txt", "stdin.jsonl")  # standard input, without and with a field

TOLD_EVERY = 5.0  # seconds between lines while a text is read

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Text made ready: a tokenizer and two token streams."""

    config: TextConfig
    tokenizer: Tokenizer
    train: Tokens
    valid: Tokens


def name_of(config: TextConfig) -> str:
    """What a run over this text is called: the corpus, or the first source's name without its ending."""
    if config.corpus is not None:
        return config.corpus
    first = config.sources[0]
    if first == "-":
        return "stdin"
    path = Path(first).resolve()
    if not path.exists():  # a pattern: the folder it looks in
        path = Path(*(part for part in path.parts if not glob.has_magic(part)))
    if path.is_dir():
        return path.name or "run"
    unpacked = path.with_suffix("") if path.suffix in (".gz", ".xz", ".zst") else path
    return unpacked.stem.lstrip(".") or "run"


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


def create(folder: Path, recipe: Recipe) -> tuple[Network, hub.Papers | None]:
    """Writes the recipe into the run folder and makes the model that is trained, with what stood beside its origin.

    Raises MemoryNeededError when training it would not fit into memory.
    """
    check_memory(recipe.model, recipe.train)
    write_text(folder / RECIPE, tomli_w.dumps(to_dict(recipe)))
    return begun(recipe)


def begun(recipe: Recipe) -> tuple[Network, hub.Papers | None]:
    """A model with the weights that the run begins with, on the device, and what stood beside its origin if any."""
    if recipe.origin is None:
        return build(recipe.model, seed=recipe.train.seed).to(machine.device()), None
    origin = hub.load(recipe.origin, dtype="float32")
    if replace(recipe.model, dropout=0.0) != replace(origin.config, dropout=0.0):
        raise FolderError(f"{recipe.origin}: is not the model any more that the run began with; start a new run")
    model = skeleton(recipe.model)  # its dropout is the recipe's
    model.load_state_dict(origin.transformer.state_dict(), assign=True)
    return model.to(machine.device()), origin.papers


def reopen(folder: Path) -> tuple[Recipe, State | None]:
    """The recipe and newest state of a run folder; None when it was stopped before the first was saved.

    What a killed process left half-written is removed. Raises FolderError naming what is missing, truncated or altered.
    """
    if not (folder / RECIPE).exists():
        raise FolderError(
            f"{folder / RECIPE}: there is no such file; {folder} is not a run folder, or its run was stopped before it "
            "began; begin one with clearhead train TEXT"
        )
    remove_leftovers(folder)
    table: Table = read_file(folder / RECIPE)
    state = load_state(folder / STATE)
    if state is None and (folder / hub.WEIGHTS).exists():
        raise FolderError(
            f"{folder / STATE}: there is no saved state, so the run cannot go on; its model can still be used, "
            "and a new run begun with another --out"
        )
    return resolved(table), state


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Makes the run folder and holds it while the block runs; a block that fails before anything was saved leaves none.

    Raises FolderError when the folder exists and is not empty, or another process holds it.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise FolderError(f"{folder}: cannot be made: {fault.strerror}; choose another with --out") from None
    with held(folder):
        if set(folder.iterdir()) - set(leftovers(folder)):  # of a command that was killed before it had begun its run
            way = f"go on with it by `clearhead train --resume {folder}`, " if (folder / RECIPE).exists() else ""
            raise FolderError(f"{folder}: exists already; {way}choose another with --out, or remove it")
        remove_leftovers(folder)
        try:
            yield
        except BaseException:
            if saved(folder / STATE) is None:
                for name in (RECIPE, LOG, *STDIN):
                    (folder / name).unlink(missing_ok=True)
                for place in (folder / STATE, *([folder] if made else [])):
                    with suppress(OSError):  # never made, or others have put something there
                        place.rmdir()
            raise


@contextmanager
def held(folder: Path) -> Generator[None]:
    """Keeps other processes from training in the folder while the block runs.

    Raises FolderError when there is no such folder, or another process holds it.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder; begin a run with clearhead train TEXT")
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderError(
                f"{folder}: another process is training in it; wait until it is done, or choose another with --out"
            ) from None
        yield
    finally:
        os.close(handle)


def keep_stdin(folder: Path, config: TextConfig) -> None:
    """Copies standard input into the run folder when the text is read from it, so that the run can be resumed."""
    if "-" in (*config.sources, *config.valid):
        with replacing(_stdin(folder, config)) as file:
            shutil.copyfileobj(sys.stdin.buffer, file)


@contextmanager
def interruptible() -> Generator[Callable[[], bool]]:
    """Inside the block the first Ctrl-C (or SIGTERM) only raises a flag, which the given function tells."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # Not through sys.stderr: the signal may have come while that was being written to.
        os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keeper(folder: Path, model: Network, tokenizer: Tokenizer, papers: hub.Papers | None = None) -> Callable[[], None]:
    """Saves the model into the run folder; the first call writes the whole layout, later ones the weights."""
    whole = False

    def keep() -> None:
        nonlocal whole
        if whole:
            hub.save_weights(folder, model, papers)
        else:
            hub.save(folder, model, tokenizer, papers)
            whole = True

    return keep


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
