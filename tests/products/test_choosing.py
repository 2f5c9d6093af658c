"""The way of a product: measured once on a machine, PyTorch's own unless another is clearly faster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from clearhead.native import library
from clearhead.products import choosing, product

SHAPE = (1024, 256)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own, and nothing measured."""
    monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path))
    monkeypatch.setattr(choosing, "_held", {})
    choosing.chosen.cache_clear()
    choosing.choices_file.cache_clear()
    yield tmp_path / "products"
    choosing.chosen.cache_clear()
    choosing.choices_file.cache_clear()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was measured; each way takes a second, the last of them half of that."""
    made: list[tuple[object, ...]] = []

    def measured(shape: tuple[int, int], dtype: torch.dtype, rows: int, names: list[str]) -> dict[str, float]:
        made.append((shape, dtype, rows))
        return dict.fromkeys(names, 1.0) | {names[-1]: 0.5}

    monkeypatch.setattr(choosing, "measured", measured)
    return made


def test_pytorchs_own_is_taken_unless_another_is_clearly_faster() -> None:
    assert choosing.fastest({"linear": 1.0, "vector": 0.96, "native": 0.97}, 2) == "linear"
    assert choosing.fastest({"linear": 1.0, "vector": 0.9, "native": 0.8}, 2) == "native"
    assert choosing.fastest({"linear": 0.5, "vector": 0.9}, 1) == "linear"


def test_the_choice_is_the_fastest_of_what_was_measured() -> None:
    """Measured for real: the way taken is at most 5 % slower than the best of the table that it came from."""
    way = choosing.chosen(SHAPE, torch.float32, 1, torch.get_num_threads())
    (times,) = choosing.read().values()
    assert times.keys() == set(choosing.ways(SHAPE, torch.float32, 1))
    taken = next(name for name, each in choosing.WAYS.items() if each is way)
    assert times[taken] * choosing.CLEAR <= min(times.values())


def test_a_choice_is_measured_once_on_a_machine(calls: list[object], folder: Path) -> None:
    way = choosing.chosen(SHAPE, torch.bfloat16, 4, 2)
    choosing.chosen.cache_clear()
    choosing.choices_file.cache_clear()  # as in a new process
    assert choosing.chosen(SHAPE, torch.bfloat16, 4, 2) is way
    assert calls == [(SHAPE, torch.bfloat16, 4)]
    choosing.chosen(SHAPE, torch.bfloat16, 8, 2)
    choosing.chosen(SHAPE, torch.bfloat16, 8, 1)
    assert len(calls) == 3
    (file,) = folder.glob("*.json")
    assert len(json.loads(file.read_text())) == 3


@pytest.mark.parametrize("damage", ["", "[]", '{"1024 x 256": 3}', "{"], ids=str)
def test_a_damaged_table_is_measured_again(damage: str, calls: list[object], folder: Path) -> None:
    choosing.chosen(SHAPE, torch.float32, 1, 1)
    (file,) = folder.glob("*.json")
    file.write_text(damage)
    choosing.chosen.cache_clear()
    choosing._held.clear()
    choosing.chosen(SHAPE, torch.float32, 1, 1)
    assert len(calls) == 2
    assert len(json.loads(file.read_text())) == 1


def test_without_a_folder_it_holds_for_the_process(
    calls: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path / "file"))
    choosing.choices_file.cache_clear()
    choosing.chosen(SHAPE, torch.float32, 1, 1)
    choosing.chosen.cache_clear()
    choosing.chosen(SHAPE, torch.float32, 1, 1)
    assert len(calls) == 1


def test_settings_of_the_kernels_have_tables_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = choosing.choices_file()
    choosing.choices_file.cache_clear()
    with monkeypatch.context() as patch:
        patch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
        other = choosing.choices_file()
    choosing.choices_file.cache_clear()
    assert choosing.choices_file() == before != other


class TestProducts:
    @pytest.mark.parametrize("way", choosing.WAYS)
    @pytest.mark.parametrize("leading", [(), (1,), (1, 1), (2, 3), (16,)], ids=str)
    def test_every_way_gives_the_product(
        self, way: str, leading: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = 1 if not leading else int(torch.tensor(leading).prod())
        if way == "vector" and rows > 1:
            pytest.skip("is for one row")
        if way == "native" and library() is None:
            pytest.skip("no C compiler")
        random = torch.Generator().manual_seed(0)
        x, weight, bias = (torch.randn(*shape, generator=random) for shape in ((*leading, 256), SHAPE, SHAPE[:1]))
        for added in (None, bias):
            with torch.no_grad(), monkeypatch.context() as patch:
                patch.setattr(choosing, "chosen", lambda *given: choosing.WAYS[way])
                found = product(x, weight, added)
            expected = F.linear(x.double(), weight.double(), None if added is None else added.double())
            assert found.shape == (*leading, SHAPE[0])
            torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)

    def test_only_large_weights_and_few_rows_without_gradients_are_measured(self, calls: list[object]) -> None:
        weight, x = torch.ones(SHAPE), torch.ones(16, 256)
        product(x, weight)  # gradients are on
        with torch.no_grad():
            product(torch.ones(17, 256), weight)
            product(x[:, :128], torch.ones(1024, 128))
            product(x.double(), weight.double())
            product(x, torch.ones(256, 1024).T)
            product(x[:0], weight)
            with torch.autocast("cpu", torch.bfloat16):
                product(x, weight)
        assert calls == []
        with torch.no_grad():
            product(x, weight)
            product(x[:5], weight)
        assert calls == [(SHAPE, torch.float32, 16), (SHAPE, torch.float32, 8)]
