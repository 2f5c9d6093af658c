"""Model folders in the Hugging Face layout: config.json, model.safetensors, tokenizer.json, generation_config.json."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import FolderError, OptionError
from clearhead.files import replacing_folder, write_text
from clearhead.hub.families import CODE, Family, idle, layouts, reading, writing
from clearhead.hub.families.spelling import fitted, respelled
from clearhead.hub.families.table import Held, Row, Shape, check, to_ours, to_theirs
from clearhead.hub.jsonfile import content, read_table
from clearhead.hub.names import find
from clearhead.hub.sentences import MODULES, PROMPTS, StepError, read_pooling, write_pooling
from clearhead.hub.weights import DTYPES, WEIGHTS, check_dtype, chosen_dtype, complete, open_weights
from clearhead.machine import check_free
from clearhead.model import ModelConfig, Network, State, skeleton
from clearhead.model.parts.pooling import Pooling
from clearhead.tap import Site
from clearhead.tensorfile import write_tensors
from clearhead.text import Tokenizer
from clearhead.text.tokenizers.vocabularies import TOKENIZER_AT_MOST

log = logging.getLogger(__name__)

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
GENERATION = "generation_config.json"
FILES = {"clearhead.config": CONFIG, "clearhead.tokenizer": TOKENIZER}  # whose checksums the weights carry


@dataclass(frozen=True, kw_only=True)
class Papers:
    """What a folder says beside the numbers, to be written again with them. family: whose layout it has.

    ids: the entries of config.json that name special tokens. idle: those that change no number and would be written
    with others. generation: the content of generation_config.json.
    pooling: how hidden states become sentence vectors. unpooled: why that cannot be followed here, though it is said.
    prompts: the content of config_sentence_transformers.json.
    """

    family: str
    ids: Mapping[str, Any] = field(default_factory=dict)
    idle: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    pooling: Pooling | None = None
    unpooled: str | None = None
    prompts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A model, the tokenizer that speaks to it, the folder both came from, what else stood there, and its name.

    The name is what ``load`` was given: the folder, or a name on the hub, whose folder lies in a cache.
    """

    transformer: Network
    tokenizer: Tokenizer
    folder: Path
    papers: Papers
    name: str

    def __call__(self, ids_BT: Tensor, **options: Any) -> Tensor:
        """logits_BTV; see ``Network.forward``."""
        return self.transformer(ids_BT, **options)

    @property
    def config(self) -> ModelConfig:
        """The model's config."""
        return self.transformer.config

    def sites(self) -> dict[Site, int]:
        """Every attention site with its number of query heads; so ``watch`` takes this object."""
        return self.transformer.sites()

    def state(self, batch: int, capacity: int) -> State:
        """What the model keeps while it writes; see ``Network.state``."""
        return self.transformer.state(batch, capacity)


def save(folder: Path, transformer: Network, tokenizer: Tokenizer, papers: Papers | None = None) -> None:
    """Writes the folder: first what describes the weights, last the weights, each atomically.

    The layout is that of ``papers`` or, where a model of this config cannot be written so, that of the first released
    family that has the config's parts: other tools open it. Raises FolderError when it cannot be written.
    """
    tokenizer.save(folder)
    layout, marker = _layout(transformer.config, papers), tokenizer.separator
    ends = {"bos_token_id": marker, "eos_token_id": marker if tokenizer.end is None else tokenizer.end}
    dtype = str(transformer.dtype).removeprefix("torch.")
    ids = ends if papers is None else papers.ids
    kept = papers.idle if papers is not None and papers.family == layout.MODEL_TYPE else {}
    _write_json(folder / CONFIG, {**layout.settings(transformer.config), **kept, **ids, "dtype": dtype})
    generation = ends if papers is None else papers.generation
    if generation:  # an encoder has none
        _write_json(folder / GENERATION, generation)
    if papers is not None and papers.pooling is not None:
        write_pooling(folder, papers.pooling, transformer.config.width)
    if papers is not None and papers.prompts:
        _write_json(folder / PROMPTS, papers.prompts)
    if papers is not None and papers.unpooled is not None:
        log.info("%s: how texts become vectors is not kept: %s", folder, papers.unpooled)
    save_weights(folder, transformer, papers)


def save_weights(folder: Path, transformer: Network, papers: Papers | None = None) -> None:
    """Writes the weights alone into a folder that ``save`` made, atomically. Raises FolderError when it cannot."""
    layout = _layout(transformer.config, papers)
    theirs = to_theirs(layout.table(transformer.config), transformer.state_dict())
    write_tensors(folder / WEIGHTS, theirs, _companions(folder, layout, read_table(folder / CONFIG)))


def export(folder: Path, model: LanguageModel) -> None:
    """Writes the model, its tokenizer and what else stood beside them into a folder of its own.

    The folder appears whole or not at all. Raises FolderError when there is one that is not empty, none can be made, or
    what stood there cannot be written again.
    """
    if model.papers.unpooled is not None:
        raise FolderError(
            f"{model.papers.unpooled}; without that step the exported folder would give other sentence vectors, so it "
            f"is not made; if they are not needed, remove {MODULES} from a copy of the folder, and export that"
        )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FolderError(f"{folder}: exists already; choose another name, or remove it")
    if folder.exists() and folder.samefile(Path.cwd()):
        raise FolderError(
            f"{folder}: is the folder that this runs in, and a new one takes its place; choose another name"
        )
    try:
        with replacing_folder(folder) as temporary:
            save(temporary, model.transformer, model.tokenizer, model.papers)
    except OSError as fault:
        raise FolderError(f"{folder}: cannot be made: {fault.strerror}; choose another place") from None


def load(name: str | Path, *, device: str = "cpu", dtype: str = "auto") -> LanguageModel:
    """The model of a folder or, where there is none of that name, of the hub (names.py), in evaluation mode.

    dtype: a name ("float32", "bfloat16", ...), "stored" for that of the files, or "auto": the same, but float32 where
    half of it is no faster on this processor. Numbers of other dtypes among them are converted. The peak of memory is
    1.07 times the weights in that dtype.

    Raises FolderError for a missing, truncated or altered folder, naming the file, MemoryNeededError when the weights
    do not fit into the free memory, OptionError for a device or dtype that is not there.
    """
    _check_device(device)
    check_dtype(dtype)
    folder = find(name)
    with _examined(folder, device, dtype) as found:
        _check_memory(folder, found.shapes.values(), found.dtype, device)
        ours = to_ours(found.table, found.held, found.shapes, found.dtype, found.where)
    transformer = skeleton(found.config)
    transformer.load_state_dict(ours, assign=True)
    return LanguageModel(transformer.to(device).eval(), found.tokenizer, folder, found.papers, str(name))


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
        papers, tokenizer = _papers(folder, layout, settings, config), _tokenizer(folder, config)
    else:
        with _examined(folder, "cpu", "stored") as found:
            config, dtype, papers, tokenizer = found.config, found.dtype, found.papers, found.tokenizer
    return LanguageModel(skeleton(config).to(dtype).eval(), tokenizer, folder, papers, str(name))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Examined:
    """What is known of a folder before the numbers are read. shapes: of our tensors, by name."""

    config: ModelConfig
    table: Sequence[Row]
    held: Held
    shapes: Mapping[str, Shape]
    dtype: torch.dtype
    where: str
    tokenizer: Tokenizer
    papers: Papers


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
        for note, found in (_companions(folder, layout, settings) if own else {}).items():
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
            papers=_papers(folder, layout, settings, config),
        )


def _tokenizer(folder: Path, config: ModelConfig) -> Tokenizer:
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > config.vocabulary and tokenizer.needed > config.vocabulary:
        raise FolderError(
            f"{folder}: the tokenizer has {tokenizer.needed} tokens, the model {config.vocabulary}; "
            "they do not belong together"
        )
    return tokenizer


def read_papers(folder: Path) -> Papers:
    """What a folder says beside the numbers. Raises FolderError as ``load`` does."""
    settings = read_table(folder / CONFIG)
    layout, config = reading(settings, str(folder / CONFIG))
    return _papers(folder, layout, settings, config)


def read_config(folder: Path) -> ModelConfig:
    """The config of a folder, without its weights. Raises FolderError naming the file and what is wrong."""
    return reading(read_table(folder / CONFIG), str(folder / CONFIG))[1]


def family(config: ModelConfig) -> str:
    """The name of the family in whose layout a model of this config is written."""
    return writing(config).MODEL_TYPE


def _layout(config: ModelConfig, papers: Papers | None) -> Family[Any]:
    """The family whose layout the model is written in."""
    same = [known for known in layouts(config) if papers is not None and papers.family == known.MODEL_TYPE]
    return next((known for known in same if not known.refuses(config)), writing(config))


def _papers(folder: Path, layout: Family[Any], settings: Mapping[str, Any], config: ModelConfig) -> Papers:
    generation = read_table(folder / GENERATION) if (folder / GENERATION).exists() else {}
    ids = {name: value for name, value in settings.items() if name.endswith("_token_id")}
    pooling, unpooled = None, None
    try:
        pooling = read_pooling(folder)
    except StepError as reason:
        unpooled = str(reason)
    return Papers(
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


def _companions(folder: Path, layout: Family[Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """Checksums of the files that give the weights their meaning, to be noted beside them."""
    telling = {name: value for name, value in settings.items() if name not in layout.HARMLESS}
    return {
        "clearhead.config": hashlib.sha256(json.dumps(telling, sort_keys=True).encode()).hexdigest(),
        "clearhead.tokenizer": hashlib.sha256(content(folder / TOKENIZER, most=TOKENIZER_AT_MOST)).hexdigest(),
    }
