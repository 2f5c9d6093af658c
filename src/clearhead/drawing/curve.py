"""The loss curve of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clearhead.errors import MissingExtraError
from clearhead.files import replacing

Points = Sequence[tuple[int, float]]  # (step, nats per token)


def draw_curve(training: Points, validation: Points, path: Path) -> None:
    """Draws both losses over the steps into an .svg or .png file.

    Raises MissingExtraError without matplotlib, FolderError when the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the loss curve needs matplotlib: pip install 'clearhead[plot]'") from None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([step for step, _ in training], [loss for _, loss in training], linewidth=1, label="training")
    axes.plot([step for step, _ in validation], [loss for _, loss in validation], marker="o", label="validation")
    axes.set_xlabel("step")
    axes.set_ylabel("nats a token")
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."))
