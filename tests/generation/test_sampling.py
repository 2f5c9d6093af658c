import math

import pytest

from clearhead.errors import OptionError
from clearhead.generation import Sampling

WRONG = [
    ("max_tokens", 0),
    ("max_tokens", 2.0),
    ("max_tokens", "2"),
    ("temperature", -0.1),
    ("temperature", 1e-9),
    ("temperature", math.nan),
    ("temperature", math.inf),
    ("top_k", 0),
    ("top_k", 1.5),
    ("top_p", 0.0),
    ("top_p", 1.01),
    ("min_p", -0.01),
    ("min_p", 1.5),
    ("repetition_penalty", 0.0),
    ("repetition_penalty", -1.0),
    ("repetition_penalty", math.inf),
    ("stop", "ab"),
    ("seed", -1),
    ("seed", 2**64),
    ("seed", True),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_out_of_range_is_named_with_its_rule(name, value):
    with pytest.raises(OptionError) as caught:
        Sampling(**{name: value})
    assert str(caught.value).startswith(f"{name} is {value!r}; it must be ")
    assert caught.value.exit_code == 2


def test_an_empty_stop_string_is_reported():
    with pytest.raises(OptionError, match=r"stop \(--stop\) has an empty string; give at least one character"):
        Sampling(stop=("a", ""))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"temperature": 0},
        {"temperature": 1e-6},
        {"top_k": 1, "top_p": 1.0, "min_p": 0.0},
        {"min_p": 1},
        {"seed": 2**64 - 1, "max_tokens": 1, "repetition_penalty": 0.5},
    ],
)
def test_the_edges_of_the_ranges_are_allowed(values):
    Sampling(**values)
