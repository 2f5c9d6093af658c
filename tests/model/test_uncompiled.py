"""Functions that the compiler leaves as they are, whatever sizes they meet: as torch.compiler.disable does it."""

from collections.abc import Callable

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from clearhead.model.parts.uncompiled import uncompiled

# as in tests/training/test_compiling.py
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")


def graphs(decorator: Callable) -> list[int]:
    """Graphs so far after each of several calls, with a decorated function in the middle of what is compiled."""
    compiled_there: list[bool] = []

    def inner(x_T: torch.Tensor) -> torch.Tensor:
        compiled_there.append(torch.compiler.is_compiling())
        return x_T.sum()

    @decorator
    def first(x_T: torch.Tensor, count: int) -> torch.Tensor:
        compiled_there.append(torch.compiler.is_compiling())
        return inner(x_T[:count])

    def around(x_T: torch.Tensor, count: int) -> torch.Tensor:
        return first(x_T.sin(), count).cos() + 1

    torch.compiler.reset()
    counter, found = CompileCounter(), []
    compiled = torch.compile(around, backend=counter)
    x_T = torch.arange(11.0)
    for count in (3, 5, 7, 2, 11):
        torch.testing.assert_close(compiled(x_T, count), x_T[:count].sin().sum().cos() + 1)
        found.append(counter.frame_count)
    torch.compiler.reset()
    assert compiled_there == [False] * 10
    return found


def test_it_is_never_compiled_and_what_is_around_it_as_often_as_with_torchs_own():
    assert graphs(uncompiled) == graphs(torch.compiler.disable)
