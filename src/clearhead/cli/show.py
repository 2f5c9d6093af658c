"""``clearhead show``: what a model folder holds."""

from __future__ import annotations

from typing import Annotated

import typer


def show(model: Annotated[str, typer.Argument(help="A run folder.")]) -> None:
    """Say what a model folder holds: shape, sizes, tokenizer, training."""
