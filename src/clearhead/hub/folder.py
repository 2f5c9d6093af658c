"""Model folders in the Hugging Face layout: config.json, model.safetensors, tokenizer.json, generation_config.json."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from clearhead.attend import Site
from clearhead.errors import FolderError, MemoryNeededError
from clearhead.files import write_text
from clearhead.hub.families import reading, writing
from clearhead.hub.families.table import to_ours, to_theirs
from clearhead.machine import free_memory
from clearhead.model import Cache, ModelConfig, Transformer, skeleton
from clearhead.tensorfile import read_tensors, write_tensors
from clearhead.text import Tokenizer

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
GENERATION = "generation_config.json"


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
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder)
    layout, marker = writing(transformer.config), tokenizer.separator
    ends = {"bos_token_id": marker, "eos_token_id": marker}
    dtype = str(transformer.embedding.weight.dtype).removeprefix("torch.")
    _write_json(folder / CONFIG, {**layout.settings(transformer.config), **ends, "dtype": dtype})
    _write_json(folder / GENERATION, ends)
    save_weights(folder, transformer)


def save_weights(folder: Path, transformer: Transformer) -> None:
    """Writes the weights alone into a folder that ``save`` made, atomically."""
    layout = writing(transformer.config)
    theirs = to_theirs(layout.table(transformer.config), transformer.state_dict())
    write_tensors(folder / WEIGHTS, theirs, {"clearhead.tokenizer": _sha256(folder / TOKENIZER)})


def load(folder: str | Path, *, device: str = "cpu") -> LanguageModel:
    """The model of a folder, in evaluation mode.

    Raises FolderError for a missing, truncated or altered folder, naming the file, and MemoryNeededError when the
    weights do not fit into the free memory.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder; a run is made by `clearhead train`")
    config = read_config(folder)
    need = (folder / WEIGHTS).stat().st_size if (folder / WEIGHTS).is_file() else 0
    free = free_memory()
    if need > free:
        raise MemoryNeededError(f"{folder}: the weights need {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free")
    theirs, notes = read_tensors(folder / WEIGHTS)
    tokenizer = Tokenizer.load(folder)
    expected = notes.get("clearhead.tokenizer")
    if expected is not None and expected != _sha256(folder / TOKENIZER):
        raise FolderError(f"{folder / TOKENIZER}: altered since the model was saved; copy it again")
    if tokenizer.vocab_size > config.vocabulary:
        raise FolderError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocabulary}; "
            "they do not belong together"
        )
    layout = writing(config)
    ours = to_ours(layout.table(config), theirs, str(folder / WEIGHTS))
    transformer = skeleton(config)
    for name, parameter in transformer.state_dict().items():
        if ours[name].shape != parameter.shape:
            raise FolderError(
                f"{folder / WEIGHTS}: {name} has shape {tuple(ours[name].shape)}; "
                f"the config says {tuple(parameter.shape)}"
            )
    transformer.load_state_dict(ours, assign=True)
    return LanguageModel(transformer.to(device).eval(), tokenizer, folder)


def read_config(folder: Path) -> ModelConfig:
    """The config of a folder, without its weights. Raises FolderError naming the file and what is wrong."""
    path = folder / CONFIG
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"{path}: there is no such file; {folder} is not a model folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FolderError(f"{path}: truncated or altered: {error}") from None
    if not isinstance(settings, dict):
        raise FolderError(f"{path}: altered: it holds no table of settings")
    return reading(settings, str(path))[1]


def family(config: ModelConfig) -> str:
    """The name of the family in whose layout a model of this config is written."""
    return writing(config).MODEL_TYPE


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
