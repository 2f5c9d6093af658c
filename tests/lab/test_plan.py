"""How minutes become steps, worked by hand."""

from __future__ import annotations

import pytest

from clearhead.errors import OptionError
from clearhead.lab.plan import budget, sweep_steps


def test_a_sweep_gets_a_quarter_of_the_training_time_shared_by_steps() -> None:
    # 10 minutes: 450 s of training, 112.5 of the sweep; a step of each model at 3 rates takes 3 (1/8 + 1/4) = 9/8 s
    assert sweep_steps(10, {"a": 0.125, "b": 0.25}, rates=3, sizes=1) == 100
    assert sweep_steps(10, {"a": 0.125, "b": 0.25}, rates=3, sizes=2) == 50


def test_a_single_rate_is_only_timed() -> None:
    assert sweep_steps(10, {"a": 0.125, "b": 0.25}, rates=1, sizes=1) == 60  # 22.5 s for steps of 3/8 s


def test_a_single_rate_is_timed_by_ten_steps_where_a_step_takes_long() -> None:
    assert sweep_steps(1, {"a": 0.125, "b": 0.25}, rates=1, sizes=1) == 10  # there are 2.25 s, for 6


def test_equal_tokens_are_what_the_slowest_takes_in_the_time_that_all_have() -> None:
    # 337.5 s are left; T (2 models + 1/2 + 1 - 1) = 2.5 T a seed, two seeds: T = 67.5 s
    found = budget(10, {"a": 0.125, "b": 0.25}, rates=3, seeds=2, sizes=1)
    assert found.seconds == pytest.approx(67.5)
    assert found.tokens == 270
    assert found.time == {"a": 540, "b": 270}
    used = 2 * (270 * 0.125 + 270 * 0.25 + 540 * 0.125)  # b's run at equal time is its run at equal tokens
    assert used == 337.5


def test_equal_tokens_alone_take_all_the_time() -> None:
    # 337.5 s are left after the sweep; T (1/2 + 1) = 337.5
    found = budget(10, {"a": 0.125, "b": 0.25}, rates=3, seeds=1, sizes=1, equal_time=False)
    assert found.tokens == 900
    assert found.tokens * (0.125 + 0.25) == 337.5


def test_too_few_minutes_are_an_error_with_what_would_do() -> None:
    with pytest.raises(OptionError, match=r"minutes 0\.1: that leaves 1\.0 steps .*, and 10 are the least; .* 1\.1"):
        sweep_steps(0.1, {"a": 0.125, "b": 0.25}, rates=3, sizes=1)
    with pytest.raises(OptionError, match="at equal tokens"):
        budget(0.1, {"a": 0.125, "b": 0.25}, rates=3, seeds=9, sizes=1)
