"""The model that a verb works on: how it is named, in which dtype and on how many threads it computes."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(help="A run folder, the folder of a released model, or its name on the hub: gpt2, OWNER/NAME@REV."),
]
Dtype = Annotated[
    str,
    typer.Option(
        help="float32, bfloat16, float16 or float64; stored: as in the files; auto: as stored, but float32 where half "
        "of it is no faster on this machine."
    ),
]
Threads = Annotated[int | None, typer.Option(help="OpenMP threads; measured unless given.")]
