"""The display of a run: figures by hand, plain lines at intervals, no control characters."""

import io

import pytest
from rich.console import Console

from clearhead.cli import progress
from clearhead.cli.printing import visible
from clearhead.cli.progress import Display
from clearhead.training import Evaluated, Stepped


def step(number: int, loss: float = 2.0, seconds: float | None = None) -> Stepped:
    return Stepped(
        step=number, loss=loss, rate=0.00123, used=number / 100, tokens=50 * number, seconds=seconds or 10.0 + number
    )


def evaluated(number: int, sample: str = "", best: bool = True) -> Evaluated:
    return Evaluated(step=number, valid_loss=1.5, bits_per_byte=2.25, best=best, seconds=10.0, sample=sample)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch):
    """A display that is not on a terminal, what it wrote, and its clock."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    return Display(Console(file=out, width=80, markup=False, highlight=False, soft_wrap=True)), out, now


def test_one_plain_line_per_interval(plain):
    display, out, now = plain
    with display.steps():
        for number in range(1, 101):
            now[0] = 1.0 * number  # a step a second
            display.report(step(number))
    lines = out.getvalue().splitlines()
    assert [int(line.split("step ")[1].split()[0]) for line in lines] == [30, 60, 90]


def test_the_figures_by_hand(plain):
    """50 tokens a step and a step a second; 30 of 100 done after 29 s since the first: 70 are left."""
    display, out, now = plain
    display.report(evaluated(0))
    for number in range(1, 31):
        now[0] = 1.0 * number
        display.report(step(number))
    assert (
        out.getvalue().splitlines()[-1] == " 30%  1:10 left  step 30  loss 2.000  valid 1.500  lr 0.0012  50 tokens/s"
    )


def test_no_time_left_is_reported_before_measuring(plain):
    display, out, now = plain
    now[0] = 30.0
    display.report(step(1))
    assert "-:-- left  step 1 " in out.getvalue()


def test_the_loss_is_a_mean_over_the_last_steps(plain):
    """A twentieth of each new one: 2, then 1 for ten steps, is 1 + 0.95^10."""
    display, out, now = plain
    for number in range(1, 12):
        now[0] = 30.0 if number == 11 else 0.0
        display.report(step(number, loss=2.0 if number == 1 else 1.0))
    assert f"loss {1 + 0.95**10:.3f}" in out.getvalue()


def test_an_evaluation_has_its_line_and_a_sample_empty_or_not(plain):
    display, out, _ = plain
    display.report(evaluated(20, "Once\nupon [bold]a[/bold] time :smile:"))
    display.report(evaluated(40, best=False))
    assert out.getvalue() == (
        "step 20: validation loss 1.5000 nats a token, 2.2500 bits a byte\n"
        "   | Once\n   | upon [bold]a[/bold] time :smile:\n"
        "step 40: validation loss 1.5000 nats a token, 2.2500 bits a byte  (not the lowest)\n"
        "   | (ended at once)\n"
    )


def test_an_evaluation_restarts_the_interval(plain):
    display, out, now = plain
    now[0] = 29.0
    display.report(evaluated(0))
    now[0] = 58.0
    display.report(step(1))
    assert "left" not in out.getvalue()


def test_a_resumed_run_counts_its_own_time(plain):
    """Speed and time left are of this session: 10 steps in 10 s, 40 left."""
    display, out, now = plain
    display.report(step(50, seconds=500.0))
    now[0] = 30.0
    display.report(step(60, seconds=510.0))
    assert "0:40 left  step 60" in out.getvalue()
    assert out.getvalue().endswith("50 tokens/s\n")


def test_a_sample_cannot_control_the_terminal():
    assert visible("a\x1b[2J\x07\r\x7f\x9b1m\n\tb你") == "a␛[2J␇␍␡<U+009B>1m\n\tb你"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_time_left_is_seen_on_narrow_terminals_too(width: int):
    out = io.StringIO()
    display = Display(Console(file=out, force_terminal=True, width=width, color_system=None))
    with display.steps():
        for number in (1, 99):
            display.report(step(number))
    assert "0:01 left  step 99  loss 2.000" in out.getvalue()
