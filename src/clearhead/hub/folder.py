"""Model folders in the Hugging Face layout: config.json, model.safetensors, tokenizer.json, generation_config.json."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from clearhead.errors import FolderError, MemoryNeededError, OptionError
from clearhead.files import write_text
from clearhead.hub.families import Family, reading, writing
from clearhead.hub.families.table import to_ours, to_theirs
from clearhead.machine import free_memory
from clearhead.model import Cache, ModelConfig, Site, Transformer, skeleton
from clearhead.tensorfile import opened, write_tensors
from clearhead.text import Tokenizer

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
GENERATION = "generation_config.json"
FILES = {"clearhead.config": CONFIG, "clearhead.tokenizer": TOKENIZER}  # whose checksums the weights carry


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A Transformer, the tokenizer that speaks to it, and the folder both came from."""

    transformer: Transformer
    tokenizer: Tokenizer
    folder: Path

    def __call__(self, ids_BT: Tensor, **options: Any) -> Tensor:
        """logits_BTV; see ``Transformer.forward``."""
        return self.transformer(ids_BT, **options)

    @property
    def config(self) -> ModelConfig:
        """The model's config."""
        return self.transformer.config

    def sites(self) -> dict[Site, int]:
        """Every attention site with its number of query heads; so ``watch`` takes this object."""
        return self.transformer.sites()

    def cache(self, batch: int, capacity: int) -> Cache:
        """An empty key-value cache."""
        return self.transformer.cache(batch, capacity)


def save(folder: Path, transformer: Transformer, tokenizer: Tokenizer) -> None:
    """Writes the folder: first what describes the weights, last the weights, each atomically.

    The layout is that of the first released family that has the config's parts, so that other tools open it.
    Raises FolderError when it cannot be written.
    """
    tokenizer.save(folder)
    layout, marker = writing(transformer.config), tokenizer.separator
    ends = {"bos_token_id": marker, "eos_token_id": marker}
    dtype = str(transformer.embedding.weight.dtype).removeprefix("torch.")
    _write_json(folder / CONFIG, {**layout.settings(transformer.config), **ends, "dtype": dtype})
    _write_json(folder / GENERATION, ends)
    save_weights(folder, transformer)


def save_weights(folder: Path, transformer: Transformer) -> None:
    """Writes the weights alone into a folder that ``save`` made, atomically. Raises FolderError when it cannot."""
    layout = writing(transformer.config)
    theirs = to_theirs(layout.table(transformer.config), transformer.state_dict())
    write_tensors(folder / WEIGHTS, theirs, _companions(folder, layout))


def load(folder: str | Path, *, device: str = "cpu") -> LanguageModel:
    """The model of a folder, in evaluation mode.

    Raises FolderError for a missing, truncated or altered folder, naming the file, and MemoryNeededError when the
    weights do not fit into the free memory. The peak is 1.07 times the weights.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder; a run is made by `clearhead train`")
    _check_device(device)
    layout, config = reading(_settings(folder), str(folder / CONFIG))
    weights = folder / WEIGHTS
    need, free = weights.stat().st_size if weights.is_file() else 0, free_memory()
    if need > free:
        raise MemoryNeededError(f"{folder}: the weights need {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free")
    with opened(weights) as file:
        for note, found in _companions(folder, layout).items():
            if file.notes.get(note, found) != found:  # a folder from elsewhere has no such notes
                raise FolderError(
                    f"{folder / FILES[note]} and {weights} were not saved together: one was altered; copy both again"
                )
        if config.layers > len(file.shapes):  # said before a config out of all measure is built
            raise FolderError(f"{weights}: {len(file.shapes)} tensors for the {config.layers} layers of {CONFIG}")
        transformer = skeleton(config)
        shapes = {name: tensor.shape for name, tensor in transformer.state_dict().items()}
        ours = to_ours(layout.table(config), file, shapes, str(weights))
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > config.vocabulary:
        raise FolderError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocabulary}; "
            "they do not belong together"
        )
    transformer.load_state_dict(ours, assign=True)
    return LanguageModel(transformer.to(device).eval(), tokenizer, folder)


def read_config(folder: Path) -> ModelConfig:
    """The config of a folder, without its weights. Raises FolderError naming the file and what is wrong."""
    return reading(_settings(folder), str(folder / CONFIG))[1]


def family(config: ModelConfig) -> str:
    """The name of the family in whose layout a model of this config is written."""
    return writing(config).MODEL_TYPE


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise OptionError(f"device {device!r}: {str(error).splitlines()[0]}") from None


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        settings = json.loads(_content(path).decode())
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, numbers or nesting beyond Python's limits
        raise FolderError(f"{path}: truncated or altered: {error}; copy it again") from None
    if not isinstance(settings, dict):
        raise FolderError(f"{path}: altered: it holds no table of settings; copy it again")
    return cast(dict[str, Any], settings)


def _companions(folder: Path, layout: Family) -> dict[str, str]:
    """Checksums of the files that give the weights their meaning, to be noted beside them."""
    telling = {name: value for name, value in _settings(folder).items() if name not in layout.HARMLESS}
    return {
        "clearhead.config": hashlib.sha256(json.dumps(telling, sort_keys=True).encode()).hexdigest(),
        "clearhead.tokenizer": hashlib.sha256(_content(folder / TOKENIZER)).hexdigest(),
    }


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FolderError(
            f"{path}: cannot be read: {error.strerror}; {path.parent} is not a whole model folder"
        ) from None
