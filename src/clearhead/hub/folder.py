"""Model folders in the Hugging Face layout: config.json, model.safetensors, tokenizer.json, generation_config.json."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clearhead.errors import FolderError, OptionError
from clearhead.files import check_name, replacing_folder, write_text
from clearhead.hub.families import CODE, Family, idle, layouts, reading, writing
from clearhead.hub.families.spelling import fitted, respelled
from clearhead.hub.families.table import Held, Row, Shape, check, to_ours, to_theirs
from clearhead.hub.jsonfile import content, read_table
from clearhead.hub.names import TOKENIZERS, find
from clearhead.hub.sentences import MODULES, PROMPTS, StepError, read_pooling, write_pooling
from clearhead.hub.weights import DTYPES, WEIGHTS, check_dtype, chosen_dtype, complete, open_weights
from clearhead.language_model import LanguageModel, Metadata, no_tokenizer
from clearhead.machine import check_free
from clearhead.model import ModelConfig, skeleton
from clearhead.tensorfile import write_tensors
from clearhead.text import Tokenizer
from clearhead.text.tokenizers.vocabularies import TOKENIZER_AT_MOST

log = logging.getLogger(__name__)

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
VOCABULARY = "vocab.txt"  # BERT's: the number of a line is the id of its token
GENERATION = "generation_config.json"
FILES = {"clearhead.config": CONFIG, "clearhead.tokenizer": TOKENIZER}  # whose checksums the weights carry


def save(folder: Path, model: LanguageModel) -> None:
    """Writes the folder: first what describes the weights, last the weights, each atomically.

    The layout is that of the metadata or, where a model of this config cannot be written so, that of the first released
    family that has the config's parts: other tools open it. Without a tokenizer none is written. Raises FolderError
    when it cannot be written.
    """
    metadata, config = model.metadata, model.config
    ids, generation = metadata.ids, metadata.generation
    if model.has_tokenizer:
        tokenizer = model.tokenizer
        tokenizer.save(folder)
        if metadata.family is None and "next tokens" in model.network.abilities:  # made here, and it writes
            marker = tokenizer.separator
            end = marker if tokenizer.end is None else tokenizer.end
            ids = generation = {"bos_token_id": marker, "eos_token_id": end}
    layout = _layout(config, metadata)
    kept = metadata.idle if metadata.family == layout.MODEL_TYPE else {}
    dtype = str(model.dtype).removeprefix("torch.")
    _write_json(folder / CONFIG, {**layout.settings(config), **kept, **ids, "dtype": dtype})
    if generation:  # an encoder has none
        _write_json(folder / GENERATION, generation)
    if metadata.pooling is not None:
        write_pooling(folder, metadata.pooling, config.width)
    if metadata.prompts:
        _write_json(folder / PROMPTS, metadata.prompts)
    if metadata.unpooled is not None:
        log.info("%s: how texts become vectors is not kept: %s", folder, metadata.unpooled)
    save_weights(folder, model)


def save_weights(folder: Path, model: LanguageModel) -> None:
    """Writes the weights alone into a folder that ``save`` made, atomically. Raises FolderError when it cannot."""
    layout = _layout(model.config, model.metadata)
    theirs = to_theirs(layout.table(model.config), model.network.state_dict())
    checksums = _checksums(folder, layout, read_table(folder / CONFIG), tokenizer=model.has_tokenizer)
    write_tensors(folder / WEIGHTS, theirs, checksums)


def export(folder: Path, model: LanguageModel) -> None:
    """Writes the model, its tokenizer and what else stood beside them into a folder of its own.

    The folder appears whole or not at all. Raises FolderError when there is one that is not empty, none can be made, or
    what stood there cannot be written again.
    """
    check_name(folder)
    if model.metadata.unpooled is not None:
        raise FolderError(
            f"{model.metadata.unpooled}; without that step the exported folder would give other sentence vectors, so "
            f"it is not made; if they are not needed, remove {MODULES} from a copy of the folder, and export that"
        )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FolderError(f"{folder}: exists already; choose another name, or remove it")
    if folder.exists() and folder.samefile(Path.cwd()):
        raise FolderError(
            f"{folder}: is the folder that this runs in, and a new one takes its place; choose another name"
        )
    try:
        with replacing_folder(folder) as temporary:
            save(temporary, model)
    except OSError as fault:
        raise FolderError(f"{folder}: cannot be made: {fault.strerror}; choose another place") from None


def load(name: str | Path, *, device: str = "cpu", dtype: str = "auto", text: bool = False) -> LanguageModel:
    """The model of a folder or, where there is none of that name, of the hub (names.py), in evaluation mode.

    dtype: a name ("float32", "bfloat16", ...), "stored" for that of the files, or "auto": the same, but float32 where
    half of it is no faster on this processor. Numbers of other dtypes among them are converted. The peak of memory is
    1.07 times the weights in that dtype.
    text: whether it must have a tokenizer; otherwise one without takes ids.

    Raises FolderError for a missing, truncated or altered folder, naming the file, MemoryNeededError when the weights
    do not fit into the free memory, OptionError for a device or dtype that is not there, TextError for a tokenizer that
    is needed and missing.
    """
    _check_device(device)
    check_dtype(dtype)
    folder = find(name, text=text)
    with _examined(folder, device, dtype) as found:
        if text and found.tokenizer is None:
            raise no_tokenizer(str(name))
        _check_memory(folder, found.shapes.values(), found.dtype, device)
        ours = to_ours(found.table, found.held, found.shapes, found.dtype, found.where)
    network = skeleton(found.config)
    network.load_state_dict(ours, assign=True)
    network = network.to(device).eval()
    return LanguageModel(network, found.tokenizer, metadata=found.metadata, folder=folder, name=str(name))


def outline(name: str | Path) -> LanguageModel:
    """``load`` without the numbers: its weights are on the meta device, in the dtype of the files.

    Everything is checked but the numbers. Of a model on the hub only what describes the weights is fetched; until they
    are, their dtype is what config.json says. Raises as ``load`` does.
    """
    folder = find(name, weights=False)
    if folder != Path(name) and not complete(folder):
        settings = read_table(folder / CONFIG)
        layout, config = reading(settings, str(folder / CONFIG))
        dtype = DTYPES.get(str(settings.get("dtype", settings.get("torch_dtype"))), torch.float32)
        metadata, tokenizer = _metadata(folder, layout, settings, config), _tokenizer(folder, config)
    else:
        with _examined(folder, "cpu", "stored") as found:
            config, dtype, metadata, tokenizer = found.config, found.dtype, found.metadata, found.tokenizer
    network = skeleton(config).to(dtype).eval()
    return LanguageModel(network, tokenizer, metadata=metadata, folder=folder, name=str(name))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Examined:
    """What is known of a folder before the numbers are read. shapes: of our tensors, by name."""

    config: ModelConfig
    table: Sequence[Row]
    held: Held
    shapes: Mapping[str, Shape]
    dtype: torch.dtype
    where: str
    tokenizer: Tokenizer | None
    metadata: Metadata


@contextmanager
def _examined(folder: Path, device: str, dtype: str) -> Generator[_Examined]:
    """A folder with everything in it checked but the numbers, which can be read inside the block."""
    settings = read_table(folder / CONFIG)
    layout, config = reading(settings, str(folder / CONFIG))
    if CODE in settings:
        log.info(
            "%s: the code that it brings (%s) is not run; the %s family is built in", folder, CODE, layout.MODEL_TYPE
        )
    with open_weights(folder) as weights:
        own = weights.notes.keys() & FILES.keys()  # a folder from elsewhere has no such notes
        checksums = _checksums(folder, layout, settings, tokenizer=has_tokenizer(folder)) if own else {}
        for note, found in checksums.items():
            if weights.notes.get(note, found) != found:
                raise FolderError(
                    f"{folder / FILES[note]} and {weights.where} were not saved together: one was altered; copy both "
                    "again"
                )
        where = str(weights.where)
        config = fitted(layout, config, weights.shapes)
        held = respelled(layout, config, weights, where)
        table, shapes = layout.table(config), _shapes(config, held, where)
        wanted = check(table, held.shapes, shapes, where)
        yield _Examined(
            config=config,
            table=table,
            held=held,
            shapes=shapes,
            dtype=chosen_dtype(held, wanted, dtype, device, where),
            where=where,
            tokenizer=_tokenizer(folder, config),
            metadata=_metadata(folder, layout, settings, config),
        )


def has_tokenizer(folder: Path) -> bool:
    """False where no file of one is in the folder: weights were kept alone."""
    return any(os.path.lexists(folder / name) for name in TOKENIZERS) or any(folder.glob("*.model"))


def _tokenizer(folder: Path, config: ModelConfig) -> Tokenizer | None:
    if not has_tokenizer(folder):
        return None
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > config.vocabulary and tokenizer.needed > config.vocabulary:
        raise FolderError(
            f"{folder}: the tokenizer has {tokenizer.needed} tokens, the model {config.vocabulary}; "
            "they do not belong together"
        )
    if (folder / VOCABULARY).exists() and not (folder / TOKENIZER).exists():
        _check_lines(folder, tokenizer.vocab_size, config.vocabulary)
    return tokenizer


def _check_lines(folder: Path, tokens: int, rows: int) -> None:
    """Raises FolderError if vocab.txt lacks lines, which would shift all later ids; logs it where that is not certain.

    A model may have more rows than there are tokens: they are padded to multiples of 8 at least.
    """
    if tokens < rows:
        said = f"{folder / VOCABULARY}: has {tokens:,} tokens, the model {rows:,}"
        if rows % 8:
            raise FolderError(f"{said}; without a line all later ids are shifted; copy it again")
        log.warning("%s; if that is not padding, a line is missing and all later ids are shifted", said)


def read_metadata(folder: Path) -> Metadata:
    """What a folder says beside the numbers. Raises FolderError as ``load`` does."""
    settings = read_table(folder / CONFIG)
    layout, config = reading(settings, str(folder / CONFIG))
    return _metadata(folder, layout, settings, config)


def read_config(folder: Path) -> ModelConfig:
    """The config of a folder, without its weights. Raises FolderError naming the file and what is wrong."""
    return reading(read_table(folder / CONFIG), str(folder / CONFIG))[1]


def family(config: ModelConfig) -> str:
    """The name of the family in whose layout a model of this config is written."""
    return writing(config).MODEL_TYPE


def _layout(config: ModelConfig, metadata: Metadata) -> Family[Any]:
    """The family whose layout the model is written in."""
    same = [known for known in layouts(config) if metadata.family == known.MODEL_TYPE]
    return next((known for known in same if not known.refuses(config)), writing(config))


def _metadata(folder: Path, layout: Family[Any], settings: Mapping[str, Any], config: ModelConfig) -> Metadata:
    generation = read_table(folder / GENERATION) if (folder / GENERATION).exists() else {}
    ids = {name: value for name, value in settings.items() if name.endswith("_token_id")}
    pooling, unpooled = None, None
    try:
        pooling = read_pooling(folder)
    except StepError as reason:
        unpooled = str(reason)
    return Metadata(
        family=layout.MODEL_TYPE,
        ids=ids,
        idle=idle(layout, settings, config),
        generation=generation,
        pooling=pooling,
        unpooled=unpooled,
        prompts=read_table(folder / PROMPTS) if (folder / PROMPTS).exists() else {},
    )


def _shapes(config: ModelConfig, held: Held, where: str) -> dict[str, Shape]:
    """The shapes of our tensors."""
    if config.layers > len(held.shapes):  # said before a config out of all measure is built
        raise FolderError(f"{where}: {len(held.shapes)} tensors for the {config.layers} layers of {CONFIG}")
    return {name: tuple(tensor.shape) for name, tensor in skeleton(config).state_dict().items()}


def _check_memory(folder: Path, shapes: Iterable[Shape], dtype: torch.dtype, device: str) -> None:
    need = dtype.itemsize * sum(torch.Size(shape).numel() for shape in shapes)
    what = f"{folder}: the weights need {need / 1e9:.1f} GB in {str(dtype).removeprefix('torch.')}"
    for place in dict.fromkeys(("cpu", device)):  # on their way to a GPU all of them lie in the processor's memory
        check_free(need, place, what, "half of it is enough in bfloat16 (dtype)" if dtype.itemsize > 2 else "")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise OptionError(f"device {device!r}: {str(error).splitlines()[0]}") from None


def _checksums(folder: Path, layout: Family[Any], settings: Mapping[str, Any], *, tokenizer: bool) -> dict[str, str]:
    """Of the files that give the weights their meaning, to be noted beside them."""
    telling = {name: value for name, value in settings.items() if name not in layout.HARMLESS}
    found = {"clearhead.config": hashlib.sha256(json.dumps(telling, sort_keys=True).encode()).hexdigest()}
    if tokenizer:
        whole = content(folder / TOKENIZER, most=TOKENIZER_AT_MOST)
        found["clearhead.tokenizer"] = hashlib.sha256(whole).hexdigest()
    return found
