"""Model folders in the Hugging Face layout: config.json, model.safetensors, tokenizer.json, generation_config.json."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from clearhead.errors import FolderError, OptionError
from clearhead.files import check_name, make_folder, replacing_folder, write_text
from clearhead.hub.families import Family, family_for, idle, layouts, parse_config
from clearhead.hub.families.table import to_theirs
from clearhead.hub.jsonfile import content, read_table
from clearhead.hub.kept import make_steps, new_file
from clearhead.hub.names import TOKENIZERS
from clearhead.hub.packed.entries import KEY
from clearhead.hub.packed.writing import packed_tensors
from clearhead.hub.sentences import MODULES, PROMPTS, StepError, read_pooling, write_pooling
from clearhead.hub.weights import WEIGHTS
from clearhead.language_model import LanguageModel, Metadata
from clearhead.model import ModelConfig, packs, rounded_to
from clearhead.tensorfile import opened, write_tensors
from clearhead.text import Tokenizer
from clearhead.text.tokenizers import m2m_100, marian
from clearhead.text.tokenizers.vocabularies import TOKENIZER_AT_MOST

log = logging.getLogger(__name__)

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
VOCABULARY = "vocab.txt"  # BERT's: the number of a line is the id of its token
GENERATION = "generation_config.json"
NOTES = {"clearhead.config", "clearhead.tokenizer"}  # the notes with checksums that the weights carry
STEP, STEP_DIGITS = "clearhead.step", 19  # the note that holds the step, and more digits than one has


def save(folder: Path, model: LanguageModel, *, step: int | None = None, bits: int | None = None) -> None:
    """Writes a model folder: tokenizer and configs first, then the weights, each file atomically.

    The layout is the metadata's family or, if that cannot express the config, the first released family that can, so
    that other tools can open it. ``step`` is stored with the weights; see ``saved_step``. bits: as for ``export``.
    Raises FolderError if the folder cannot be written, OptionError for a model that is rounded already, unless it was
    calibrated for as many bits.
    """
    if rounded_to(model.network) is not None and (bits is None or not packs(model.network, bits)):
        raise OptionError(
            f"a model in {rounded_to(model.network)} bits cannot be saved as a folder; load it without bits or, if its "
            "files are rounded, with a dtype (float32), and save that"
        )
    make_folder(folder)
    metadata, config = model.metadata, model.config
    ids, generation = metadata.ids, metadata.generation
    if model.has_tokenizer:
        tokenizer = model.tokenizer
        tokenizer.save(folder)
        if metadata.family is None and "next tokens" in model.network.abilities:  # trained here, and it generates
            marker = tokenizer.separator
            end = marker if tokenizer.end is None else tokenizer.end
            ids = generation = {"bos_token_id": marker, "eos_token_id": end}
        elif metadata.family is None and "text to text" in model.network.abilities:
            start, end = model.target_edges
            ids = {**ids, "decoder_start_token_id": start, "eos_token_id": end, "pad_token_id": end}
            generation = ids
        elif metadata.family is None:  # else transformers takes the family's default ids, beyond a small vocabulary
            known = {f"{role}_token_id": tokenizer.role(role) for role in ("bos", "eos", "sep", "pad")}
            ids = {name: token for name, token in known.items() if token is not None}
    layout = _layout(config, metadata)
    kept = metadata.idle if metadata.family == layout.MODEL_TYPE else {}
    dtype = str(model.dtype).removeprefix("torch.")
    # settings last: some families' positions count from the id of padding
    written = {**ids, **layout.settings(config), **kept, "dtype": dtype}
    tensors = None
    if bits is not None:
        tensors, written[KEY] = packed_tensors(layout.table(config), model.network, bits)
    _write_json(folder / CONFIG, written)
    if generation:  # encoders have none
        _write_json(folder / GENERATION, generation)
    if metadata.pooling is not None:
        write_pooling(folder, metadata.pooling, config.width)
    if metadata.prompts:
        _write_json(folder / PROMPTS, metadata.prompts)
    if metadata.unpooled is not None:
        log.info("%s: the pooling of sentence vectors is not kept: %s", folder, metadata.unpooled)
    save_weights(folder, model, step=step, tensors=tensors)


def save_weights(
    folder: Path, model: LanguageModel, *, step: int | None = None, tensors: Mapping[str, Tensor] | None = None
) -> None:
    """Atomically writes only the weights, into a folder that ``save`` wrote. Raises FolderError if it cannot.

    tensors: what to write instead of the model's own
    """
    _write_weights(folder / WEIGHTS, folder, model, step, tensors)


def keep_step(folder: Path, model: LanguageModel, step: int) -> None:
    """Atomically writes the weights of a run's model after this step, beside those that ``save`` wrote (kept.py).

    Raises FolderError if it cannot, or the folder of kept models is a link.
    """
    make_steps(folder)
    _write_weights(new_file(folder, step), folder, model, step)


def _write_weights(
    path: Path, folder: Path, model: LanguageModel, step: int | None, tensors: Mapping[str, Tensor] | None = None
) -> None:
    layout = _layout(model.config, model.metadata)
    theirs = to_theirs(layout.table(model.config), model.network.state_dict()) if tensors is None else tensors
    notes = checksums(folder, layout, read_table(folder / CONFIG), tokenizer=model.has_tokenizer)
    if step is not None:
        notes[STEP] = str(step)
    write_tensors(path, theirs, notes)


def saved_step(folder: Path) -> int | None:
    """The training step after which a run saved the model in its folder; None if the weights do not say.

    Raises FolderError if the weights are missing or damaged.
    """
    with opened(folder / WEIGHTS) as file:
        return step_of(file.notes)


def step_of(notes: Mapping[str, str]) -> int | None:
    """The step in the notes of a file of weights; None if they do not say."""
    step = notes.get(STEP)
    return int(step) if step is not None and step.isdecimal() and len(step) < STEP_DIGITS else None


def export(folder: Path, model: LanguageModel, *, bits: int | None = None) -> None:
    """Writes the model, its tokenizer and its metadata into a new folder.

    bits: 8 or 4 to round the linear layers, except the output layer, in the format compressed-tensors

    The folder appears whole or not at all. Raises FolderError if it exists and is not empty, cannot be created, or the
    metadata has a part that cannot be written, OptionError for a model that is rounded already, or cannot be.
    """
    check_name(folder)
    if model.metadata.unpooled is not None:
        raise FolderError(
            f"{model.metadata.unpooled}; not exported, since without that step the sentence vectors would differ; "
            f"if you do not need them, remove {MODULES} from a copy of the folder and export that"
        )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FolderError(f"{folder}: exists already; choose another name, or remove it")
    if folder.exists() and folder.samefile(Path.cwd()):
        raise FolderError(f"{folder}: is the current folder, which cannot be replaced; choose another name")
    try:
        with replacing_folder(folder) as temporary:
            save(temporary, model, bits=bits)
    except OSError as fault:
        raise FolderError(f"{folder}: cannot be created: {fault.strerror}; choose another place") from None


def has_tokenizer(folder: Path) -> bool:
    """False if the folder has no tokenizer files, only weights."""
    return any(os.path.lexists(folder / name) for name in TOKENIZERS) or any(folder.glob("*.model"))


def tokenizer_in(folder: Path, config: ModelConfig) -> Tokenizer | None:
    """The tokenizer of a folder; None if it has none. Raises FolderError if it has more tokens than the model."""
    if not has_tokenizer(folder):
        return None
    tokenizer = Tokenizer.load(folder)
    for each, rows in ((tokenizer, config.vocabulary), (tokenizer.source, config.source_ids)):
        if each.vocab_size > rows and each.needed > rows:
            raise FolderError(
                f"{folder}: the tokenizer has {each.needed} tokens, the model {rows}; they do not belong together; "
                "copy the tokenizer that the model was trained with"
            )
    if (folder / VOCABULARY).exists() and not (folder / TOKENIZER).exists():
        _check_lines(folder, tokenizer.vocab_size, config.vocabulary)
    return tokenizer


def tokenizer_files(folder: Path) -> Sequence[str]:
    """The files that make the tokenizer which ``save`` wrote."""
    if marian.is_in(folder):
        return [name for name in marian.FILES if (folder / name).exists()]
    return m2m_100.FILES if m2m_100.is_in(folder) else [TOKENIZER]


def _check_lines(folder: Path, tokens: int, rows: int) -> None:
    """Raises FolderError if vocab.txt lacks lines, which would shift all later ids; logs it if that is uncertain.

    A model may have more rows than tokens, since padding rounds them up to a multiple of 8 or more.
    """
    if tokens < rows:
        said = f"{folder / VOCABULARY}: has {tokens:,} tokens, the model {rows:,}"
        if rows % 8:
            raise FolderError(f"{said}; with a line missing, all later ids are shifted; copy it again")
        log.warning("%s; if that is not padding, a line is missing and all later ids are shifted", said)


def read_metadata(folder: Path) -> Metadata:
    """The metadata in a folder. Raises FolderError as ``load`` does."""
    settings = read_table(folder / CONFIG)
    layout, config = parse_config(settings, str(folder / CONFIG))
    return metadata_in(folder, layout, settings, config)


def read_config(folder: Path) -> ModelConfig:
    """The config in a folder. Raises FolderError naming the file and what is wrong."""
    return parse_config(read_table(folder / CONFIG), str(folder / CONFIG))[1]


def family(config: ModelConfig) -> str:
    """The name of the family in whose layout a model of this config is written."""
    return family_for(config).MODEL_TYPE


def _layout(config: ModelConfig, metadata: Metadata) -> Family[Any]:
    """The family whose layout the model is written in."""
    same = [known for known in layouts(config) if metadata.family == known.MODEL_TYPE]
    return next((known for known in same if not known.refuses(config)), family_for(config))


def metadata_in(folder: Path, layout: Family[Any], settings: Mapping[str, Any], config: ModelConfig) -> Metadata:
    """The metadata of a folder whose config.json was read already. Raises FolderError for a damaged file."""
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


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def checksums(folder: Path, layout: Family[Any], settings: Mapping[str, Any], *, tokenizer: bool) -> dict[str, str]:
    """Checksums of the config and the tokenizer, stored with the weights."""
    telling = {name: value for name, value in settings.items() if name not in layout.HARMLESS}
    found = {"clearhead.config": hashlib.sha256(json.dumps(telling, sort_keys=True).encode()).hexdigest()}
    if tokenizer:
        digest = hashlib.sha256()
        for name in tokenizer_files(folder):
            digest.update(content(folder / name, most=TOKENIZER_AT_MOST))
        found["clearhead.tokenizer"] = digest.hexdigest()
    return found
