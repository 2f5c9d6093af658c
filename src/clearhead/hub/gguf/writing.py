"""Writes a model as a GGUF file, from which llama.cpp generates the same greedy text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clearhead.errors import FolderError, OptionError
from clearhead.files import check_name, replacing, writing
from clearhead.hub.families import family_for
from clearhead.hub.families.table import Row, kept, to_theirs
from clearhead.hub.gguf.architectures import ARCHITECTURES, FACTORS, Architecture, rope_factors
from clearhead.hub.gguf.library import library
from clearhead.hub.gguf.places import Place, places
from clearhead.hub.gguf.vocabulary import Vocabulary, written_tokenizer
from clearhead.language_model import LanguageModel
from clearhead.model import DecoderConfig, rounded_to
from clearhead.products import GROUP, Codes, Quantised

DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
ROUNDED = {8: "Q8_0", 4: "Q4_0"}
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}  # general.file_type, llama.cpp's llama_ftype
WIDE = "position_embd"  # always in float32, as is whatever has one axis

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def export_gguf(path: Path, model: LanguageModel) -> None:
    """Writes the model with its tokenizer into one file, which appears whole or not at all.

    Matrices of a model that was loaded with ``bits`` are Q8_0 or Q4_0 with the same numbers, others of its dtype.
    Raises OptionError, with the reason, for a model or a tokenizer that llama.cpp cannot run, FolderError if the file
    exists or cannot be written, MissingExtraError without the gguf library.
    """
    gguf = library()
    check_name(path)
    if path.suffix != ".gguf":
        raise OptionError(f"{path}: the file of a model for llama.cpp ends in .gguf; name it so")
    if path.exists() or path.is_symlink():
        raise FolderError(f"{path}: exists already; choose another name, or remove it")
    architecture, config = _architecture(model), model.config
    assert isinstance(config, DecoderConfig)
    if model.dtype not in DTYPES:
        raise OptionError(f"{path}: llama.cpp computes in 32 bits at most; choose another dtype, float32")
    vocabulary = written_tokenizer(model.tokenizer, _ends(model), config.vocabulary)
    table = architecture.family.table(config)
    tensors = list(_tensors(model, table, places(architecture, table, config)))
    factors = rope_factors(config)
    if factors is not None:
        tensors.append(_Written(FACTORS, factors))
    with replacing(path) as file, writing(path):
        out = gguf.GGUFWriter(Path(file.name), architecture.name)
        _describe(out, gguf, architecture, config, model, vocabulary)
        for each in tensors:
            kind = gguf.GGMLQuantizationType[each.kind]
            numbers, size = gguf.GGML_QUANT_SIZES[kind]
            width = each.shape[-1] // numbers * size
            out.add_tensor_info(
                each.name,
                (*each.shape[:-1], width),
                np.dtype(np.uint8),
                math.prod(each.shape[:-1]) * width,
                raw_dtype=kind,
            )
        try:
            out.write_header_to_file()
            out.write_kv_data_to_file()
            out.write_ti_data_to_file()
            for each in tensors:
                out.write_tensor_data(each.bytes())
        finally:
            out.close()


def _architecture(model: LanguageModel) -> Architecture:
    """The one that computes what the model does. Raises OptionError with the reasons if there is none."""
    config = model.config
    known = ", ".join(each.name for each in ARCHITECTURES)
    if not isinstance(config, DecoderConfig):
        raise OptionError(f"{model.name or 'this model'}: only decoders are written for llama.cpp ({known})")
    own = model.metadata.family or family_for(config).MODEL_TYPE
    reasons = {each: each.refuses(config) for each in ARCHITECTURES}
    for each, why in reasons.items():
        if not why:
            return each
    nearest = min(ARCHITECTURES, key=lambda each: (own != each.family.MODEL_TYPE, len(reasons[each])))
    raise OptionError(
        f"{model.name or 'this model'}: llama.cpp has no architecture for it among those known here ({known}); "
        f"nearest is {nearest.name}, but {'; '.join(reasons[nearest])}"
    )


def _ends(model: LanguageModel) -> Sequence[int]:
    """The ids that end a text, the tokenizer's own first. Those that no token has are left out."""
    named = {**model.metadata.ids, **model.metadata.generation}.get("eos_token_id")
    own = model.tokenizer.end
    listed: list[Any] = named if isinstance(named, list) else [own if named is None else named]
    known = [each for each in listed if isinstance(each, int) and 0 <= each < model.tokenizer.vocab_size]
    return sorted(dict.fromkeys(known), key=lambda each: each != own)


def _describe(
    out: Any, gguf: Any, architecture: Architecture, config: DecoderConfig, model: LanguageModel, vocabulary: Vocabulary
) -> None:
    """All metadata."""
    bits = rounded_to(model.network)
    kind = DTYPES[model.dtype] if bits is None else ROUNDED[bits]
    name = Path(model.name).name
    if name:
        out.add_string("general.name", name)
    out.add_file_type(FILE_TYPES[kind])
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, value in architecture.written(architecture.family.settings(config)).items():
        _add(out, f"{architecture.name}.{key}", value)
    for key, value in vocabulary.entries.items():
        _add(out, key, value)
    for key, values in vocabulary.lists.items():
        out.add_array(key, values)


def _add(out: Any, key: str, value: bool | int | float | str) -> None:
    if isinstance(value, bool):
        out.add_bool(key, value)
    elif isinstance(value, int):
        out.add_uint32(key, value)
    elif isinstance(value, float):
        out.add_float32(key, value)
    else:
        out.add_string(key, value)


class _Written:
    """A tensor of the file, made when it is asked for."""

    def __init__(self, name: str, weight: Tensor | Codes, place: Place | None = None) -> None:
        self.name, self._weight, self._place = name, weight, place
        if isinstance(weight, Codes):
            self.kind = ROUNDED[weight.bits]
            self.shape = (len(weight.scales), weight.scales.shape[1] * GROUP)
        else:
            wide = weight.dim() == 1 or name.startswith(WIDE)
            self.kind = "F32" if wide else DTYPES[weight.dtype]
            self.shape = tuple(weight.shape)

    def bytes(self) -> Bytes:
        """Its contents, a row of bytes for each row of numbers."""
        weight, place = self._weight, self._place
        order_N = None if place is None else place.order(self.shape[0])
        if isinstance(weight, Codes):
            parts = [weight.scales.cpu().view(torch.uint8), weight.codes.cpu().view(torch.uint8)]
            blocks = torch.cat([each.view(*self._blocks, -1) for each in parts], dim=-1).flatten(1)
            return (blocks if order_N is None else blocks[order_N]).numpy()
        numbers = weight.detach().cpu()
        if self.kind == "F32":
            numbers = numbers.float()
        if place is not None and place.offset:
            numbers = numbers + place.offset
        numbers = numbers if order_N is None else numbers[order_N]
        return numbers.contiguous().view(torch.uint8).numpy()

    @property
    def _blocks(self) -> tuple[int, int]:
        return self.shape[0], self.shape[1] // GROUP


def _tensors(model: LanguageModel, table: Sequence[Row], known: dict[str, Place]) -> Iterator[_Written]:
    """The model's tensors under their names in the file, without copying them."""
    for ours, row in kept(table).items():
        path, _, name = ours.rpartition(".")
        weight = getattr(model.network.get_submodule(path), name)
        if isinstance(weight, Quantised):
            parts = weight.held.split(row.rows) if row.rows else [weight.held]
            theirs = dict(zip(row.theirs, parts, strict=True))
        else:
            theirs = to_theirs([row], {ours: weight})
        for their, part in theirs.items():
            place = known.get(their)
            if place is not None:  # the others are copies
                turned = part.mT if isinstance(part, Tensor) and place.turned else part
                yield _Written(place.name, turned, place)
