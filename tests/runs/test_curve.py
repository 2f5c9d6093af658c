"""The loss curve: all of its labels are inside the picture, whatever the losses and the steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from clearhead.drawing import fonts, saving
from clearhead.language import speaking
from clearhead.runs.curve import draw_curve
from clearhead.training import Evaluated, Stepped


@pytest.mark.parametrize("steps", [3, 2_000, 1_000_000])
@pytest.mark.parametrize("loss", [123_456.0, 12.0, 0.1, 0.0005, 1e-6])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_labels_are_inside_the_picture(
    language: str, loss: float, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[Figure]()

    def svg(made: Figure, dpi: int, title: str) -> bytes:
        drawn.append(made)
        return b""

    monkeypatch.setattr(saving, "svg", svg)
    reports = [
        *(
            Stepped(step=steps * part // 10, loss=loss * (1 - part / 20), rate=1, used=0, tokens=1, seconds=1)
            for part in range(11)
        ),
        Evaluated(step=steps, valid_loss=loss * 0.7, bits_per_byte=1, best=True, seconds=1, sample=""),
    ]
    with speaking(language):
        draw_curve(reports, tmp_path / "loss.svg")
    (figure,) = drawn
    fonts.dress(figure)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
