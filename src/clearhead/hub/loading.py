"""Opens models: a folder in the Hugging Face layout, one on the hub, or a file of llama.cpp."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from clearhead.errors import FolderError, OptionError
from clearhead.hub.families import CODE, parse_config
from clearhead.hub.families.spelling import fitted, respelled
from clearhead.hub.families.table import Held, Row, Shape, check, kept, to_ours
from clearhead.hub.folder import (
    CONFIG,
    NOTES,
    checksums,
    has_tokenizer,
    metadata_in,
    step_of,
    tokenizer_files,
    tokenizer_in,
)
from clearhead.hub.gguf import is_gguf, opened_gguf
from clearhead.hub.jsonfile import read_table
from clearhead.hub.kept import named
from clearhead.hub.names import find
from clearhead.hub.packed.matrices import Matrices
from clearhead.hub.packed.schemes import scheme
from clearhead.hub.packed.unpacked import Unpacked
from clearhead.hub.weights import DTYPES, check_dtype, chosen_dtype, complete, open_weights
from clearhead.language_model import LanguageModel, Metadata, no_tokenizer
from clearhead.machine import check_free
from clearhead.model import Matrix, ModelConfig, Network, check_bits, matrices, skeleton
from clearhead.products import Codes, Quantised
from clearhead.text import Tokenizer

log = logging.getLogger(__name__)


def load(
    name: str | Path, *, device: str = "cpu", dtype: str = "auto", bits: int | None = None, text: bool = False
) -> LanguageModel:
    """Loads a model from a folder or, if there is none of that name, from the hub (names.py), in evaluation mode.

    FOLDER@STEP is the model that a run kept after that step (kept.py).

    dtype: a name ("float32", "bfloat16", ...), "stored" for the files' own, or "auto": the files' own, but float32 if
    16 bits are no faster on this processor. All weights are converted to it. Peak memory is 1.07 times their size.
    bits: 8 or 4 to round the matrices to so many (``model.quantise``), each when it has been read; activations and all
    other weights have the dtype. Such a model can be used for everything but training and saving.
    text: the model must have a tokenizer; otherwise a model without one takes ids.

    Raises FolderError, naming the file, for a missing, truncated or altered folder, MemoryNeededError if the weights do
    not fit in free memory, OptionError for an unknown device, dtype or number of bits, TextError for a missing
    tokenizer.
    """
    _check_device(device)
    check_dtype(dtype)
    check_bits(bits)
    with _examined(name, device, dtype, text=text) as found:
        if text and found.tokenizer is None:
            raise no_tokenizer(str(name))
        network = skeleton(found.config)
        rounded = {} if bits is None else matrices(network, bits)
        staying = _staying(found, network, rounded, dtype)
        held = rounded | staying
        sizes = {ours: found.dtype.itemsize * torch.Size(shape).numel() for ours, shape in found.shapes.items()}
        need = sum((sizes | {ours: each.bytes for ours, each in held.items()}).values())
        _check_memory(found.place, need, device, min((each.bits for each in held.values()), default=found.dtype))
        tensors: dict[str, Tensor] = {}

        def keep(ours: str, tensor: Tensor) -> None:
            if ours in rounded:
                rounded[ours].round(tensor)
            else:
                tensors[ours] = tensor

        to_ours(
            [row for row in found.table if row.ours not in staying],
            found.held,
            found.shapes,
            found.dtype,
            found.where,
            keep,
        )
        rows = {ours: row for ours, row in kept(found.table).items() if ours in staying}

        def hold(ours: str, codes: Codes) -> None:
            if not codes.scales.isfinite().all():
                raise FolderError(
                    f"{found.where}: {rows[ours].theirs[0]} has scales that are not finite; the file is damaged: copy "
                    "it again"
                )
            staying[ours].hold(Quantised(codes, found.dtype))

        if rows:
            found.read_rounded(rows, hold)
    network.load_state_dict(network.state_dict() | tensors, assign=True)
    network = network.to(device).eval()
    return LanguageModel(network, found.tokenizer, metadata=found.metadata, folder=found.folder, name=str(name))


def _staying(found: _Examined, network: Network, rounded: Mapping[str, Matrix], dtype: str) -> dict[str, Matrix]:
    """The matrices that stay as the file stores them, already rounded, with their bits.

    With ``bits``, those of at most that many; else all, unless a dtype was named, to which they are then converted.
    """
    if not rounded and dtype in DTYPES:
        return {}
    known = {
        ours: replace(each, bits=found.rounded[ours])
        for ours, each in matrices(network, 8).items()
        if ours in found.rounded
    }
    return {ours: each for ours, each in known.items() if not rounded or each.bits <= rounded[ours].bits}


def outline(name: str | Path) -> LanguageModel:
    """``load`` without reading the weights, which are on the meta device in the files' dtype.

    Checks everything except the weights' values. From the hub it fetches only the files that describe the weights; the
    dtype is then the one in config.json. Raises as ``load`` does.
    """
    if is_gguf(name) is None:
        folder = find(name, weights=False)
        if folder != Path(named(name).name) and not complete(folder):
            settings = read_table(folder / CONFIG)
            layout, config = parse_config(settings, str(folder / CONFIG))
            dtype = DTYPES.get(str(settings.get("dtype", settings.get("torch_dtype"))), torch.float32)
            metadata, tokenizer = metadata_in(folder, layout, settings, config), tokenizer_in(folder, config)
            network = skeleton(config).to(dtype).eval()
            return LanguageModel(network, tokenizer, metadata=metadata, folder=folder, name=str(name))
    with _examined(name, "cpu", "stored") as found:
        network = skeleton(found.config).to(found.dtype).eval()
        for each in _staying(found, network, {}, "stored").values():
            each.hold(Quantised(Codes.empty(each.layer.weight.shape, each.bits, "meta"), found.dtype))
    return LanguageModel(network, found.tokenizer, metadata=found.metadata, folder=found.folder, name=str(name))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Examined:
    """A folder or file checked before its weights are read.

    place: the folder or file. folder: None for a file
    shapes: of our tensors, by name
    rounded: the bits of each of our matrices that the files hold rounded; read_rounded: reads some of them, by name
    """

    place: Path
    folder: Path | None
    config: ModelConfig
    table: Sequence[Row]
    held: Held
    shapes: Mapping[str, Shape]
    dtype: torch.dtype
    where: str
    tokenizer: Tokenizer | None
    metadata: Metadata
    rounded: Mapping[str, int]
    read_rounded: Callable[[Mapping[str, Row], Callable[[str, Codes], None]], None]


@contextmanager
def _examined(name: str | Path, device: str, dtype: str, *, text: bool = False) -> Generator[_Examined]:
    """Checks everything of a model except the weights' values, which can be read inside the block."""
    file = is_gguf(name)
    if file is not None:
        with _examined_file(file, device, dtype) as found:
            yield found
    else:
        with _examined_folder(find(name, text=text), device, dtype, named(name).step) as found:
            yield found


@contextmanager
def _examined_file(file: Path, device: str, dtype: str) -> Generator[_Examined]:
    """``_examined`` for a file of llama.cpp."""
    with opened_gguf(file) as found:
        where, held, config = str(file), found.held, found.config
        table, shapes = found.family.table(config), _shapes(config, held, where)
        wanted = check(table, held.shapes, shapes, where)
        bits = {ours: held.bits(row) for ours, row in kept(table).items()}
        yield _Examined(
            place=file,
            folder=None,
            config=config,
            table=table,
            held=held,
            shapes=shapes,
            dtype=chosen_dtype(held, wanted, dtype, device, where),
            where=where,
            tokenizer=found.tokenizer,
            metadata=found.metadata,
            rounded={ours: number for ours, number in bits.items() if number is not None},
            read_rounded=held.read_rounded,
        )


@contextmanager
def _examined_folder(folder: Path, device: str, dtype: str, step: int | None) -> Generator[_Examined]:
    """``_examined`` for a folder. step: of the run's kept model whose weights are meant; None for the folder's own."""
    settings = read_table(folder / CONFIG)
    layout, config = parse_config(settings, str(folder / CONFIG))
    if CODE in settings:
        log.info("%s: its own code (%s) is not run; the %s family is built in", folder, CODE, layout.MODEL_TYPE)
    with open_weights(folder, step) as weights:
        if step is not None and step_of(weights.notes) != step:
            raise FolderError(f"{weights.where}: its name says step {step:,}, and its contents do not; copy it again")
        own = weights.notes.keys() & NOTES  # other tools write no such notes
        sums = checksums(folder, layout, settings, tokenizer=has_tokenizer(folder)) if own else {}
        for note, found in sums.items():
            if weights.notes.get(note, found) != found:
                file = CONFIG if note == "clearhead.config" else tokenizer_files(folder)[-1]
                raise FolderError(
                    f"{folder / file} and {weights.where} were not saved together: one was altered; copy both again"
                )
        where = str(weights.where)
        unpacked = Unpacked(weights, scheme(settings), where)
        config = fitted(layout, config, unpacked.shapes)
        held = respelled(layout, config, unpacked, where)
        table, shapes = layout.table(config), _shapes(config, held, where)
        wanted = [name for name in check(table, held.shapes, shapes, where) if held.names[name] not in unpacked.packed]
        whole = Matrices(unpacked, held.names)
        yield _Examined(
            place=folder,
            folder=folder,
            config=config,
            table=table,
            held=held,
            shapes=shapes,
            dtype=chosen_dtype(held, wanted, dtype, device, where),
            where=where,
            tokenizer=tokenizer_in(folder, config),
            metadata=metadata_in(folder, layout, settings, config),
            rounded=whole.bits(table),
            read_rounded=whole.read_rounded,
        )


def _shapes(config: ModelConfig, held: Held, where: str) -> dict[str, Shape]:
    """The shapes of our tensors."""
    if config.layers > len(held.shapes):  # checked before building a model of an absurd size
        raise FolderError(f"{where}: {len(held.shapes)} tensors for the {config.layers} layers of {CONFIG}")
    return {name: tuple(tensor.shape) for name, tensor in skeleton(config).state_dict().items()}


def _check_memory(folder: Path, need: int, device: str, kept: torch.dtype | int) -> None:
    """kept: the weights' dtype, or the bits of the matrices"""
    named = f"{kept} bits" if isinstance(kept, int) else str(kept).removeprefix("torch.")
    wide = isinstance(kept, torch.dtype) and kept.itemsize > 2
    what = f"{folder}: the weights need {need / 1e9:,.1f} GB in {named}"
    for place in dict.fromkeys(("cpu", device)):  # weights for a GPU pass through the CPU's memory
        check_free(need, place, what, "bfloat16 needs half of it (dtype)" if wide else "")


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise OptionError(f"device {device!r}: {str(error).splitlines()[0]}") from None
