"""The loss curve of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clearhead.errors import MissingExtraError
from clearhead.files import replacing
from clearhead.language import spoken
from clearhead.training import Evaluated, Report, Stepped

DPI = 100
MARGINS = (0.14, 0.13, 0.84, 0.81)  # left, bottom, width and height, of the figure


def draw_curve(reports: Sequence[Report], path: Path) -> None:
    """Plots training and validation loss by step to an .svg file, in the current language.

    The same reports give the same bytes.

    Raises MissingExtraError without matplotlib, FolderError if the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the loss curve needs matplotlib: pip install 'clearhead[plot]'") from None
    from clearhead.drawing import saving

    stepped = [report for report in reports if isinstance(report, Stepped)]
    evaluated = [report for report in reports if isinstance(report, Evaluated)]
    losses = [(each.step, each.valid_loss) for each in evaluated]
    figure = Figure(figsize=(7, 4))
    axes = figure.add_axes(MARGINS)  # a layout that fits the labels takes twice the time
    axes.plot([each.step for each in stepped], [each.loss for each in stepped], linewidth=1, label=spoken("training"))
    axes.plot(*zip(*losses, strict=True), marker="o", label=spoken("validation"))
    axes.set_xlabel(spoken("step"))
    axes.set_ylabel(spoken(f"nats a {evaluated[0].unit if evaluated else 'token'}"))
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as file:
        file.write(saving.svg(figure, DPI, spoken("the loss by step")))
