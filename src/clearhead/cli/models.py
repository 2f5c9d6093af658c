"""Arguments the verbs share: the model, its dtype, and the number of threads."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(help="A run folder, a released model's folder, or its name on the hub: `gpt2`, `OWNER/NAME@REV`."),
]
Dtype = Annotated[
    str,
    typer.Option(
        help="Precision to compute in: `float32`, `bfloat16`, `float16`, `float64`, `stored` (as in the files), or "
        "`auto`: as stored, but `float32` where 16 bits are no faster on this machine."
    ),
]
Threads = Annotated[
    int | None, typer.Option(help="Number of OpenMP threads; by default the fastest, found by measuring.")
]
