"""``clearhead export``: a model folder for other tools, or a file for llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.models import Model
from clearhead.cli.printing import echo
from clearhead.language import mark, spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearhead.language_model import LanguageModel


def export(
    model: Model,
    out: Annotated[Path | None, typer.Argument(help="The folder to create; it must not exist.")] = None,
    gguf: Annotated[
        Path | None,
        typer.Option(
            "--gguf", metavar="FILE", help="Write one file for llama.cpp instead, `model.gguf`, tokenizer included."
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            help="Round the matrices to `8` or `4` bits: in a folder as compressed-tensors does, with `--gguf` as Q8_0 "
            "or Q4_0."
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="TEXT",
            help="With `--bits` and a folder, round so that what the model computes of this text changes least. A "
            "file, a folder or a pattern. Takes as long as reading 8,192 tokens once for each layer.",
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            help="Precision of the weights: `float32`, `bfloat16`, `float16`, `float64`, or `stored`, as in "
            "the model's files."
        ),
    ] = "stored",
) -> None:
    """Write a model to a clean folder: config, weights, tokenizer, chat template, generation settings.

    For a run, that is the model it kept. transformers opens the folder if
    the model has the architecture of a released family. llama.cpp runs a
    file, with the same greedy text, if it has the model's architecture and
    cuts texts as the tokenizer does; otherwise none is written.
    """
    from clearhead import hub, runs
    from clearhead.errors import OptionError

    if (out is None) == (gguf is None):
        raise OptionError("export: give a folder to create, or --gguf and a file; one of the two")
    if calibrate is not None and (bits is None or out is None):
        raise OptionError("--calibrate is for rounding to --bits in a folder; give both, or leave it out")
    if gguf is not None:
        loaded = hub.load(model, dtype=dtype, bits=bits, text=True)
        hub.export_gguf(gguf, loaded)
        echo(mark(": ").join((str(gguf), _about(loaded, bits, [gguf]))))
    elif out is not None:
        loaded = hub.load(model, dtype=dtype, text=calibrate is not None)
        if calibrate is not None and bits is not None:
            runs.calibrate(loaded, calibrate, bits=bits)
        hub.export(out, loaded, bits=bits)
        written = sorted(out.iterdir())
        echo(mark(": ").join((str(out), _about(loaded, bits, written), ", ".join(path.name for path in written))))


def _about(model: LanguageModel, bits: int | None, files: Sequence[Path]) -> str:
    kind = str(model.dtype).removeprefix("torch.") if bits is None else spoken(f"{bits} bits")
    size = sum(path.stat().st_size for path in files if path.is_file())
    return mark(", ").join((str(model.metadata.family), kind, f"{size / 1e6:,.1f} MB"))
