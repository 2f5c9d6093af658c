"""JSON: the schema of the docstring, every number against the definition, the short form for long texts."""

import json
from pathlib import Path

import numpy as np
import pytest

from clearhead.analysis import observe
from clearhead.drawing import Focus, draw, embed
from clearhead.tap import Site
from clearhead.text import SEPARATOR
from clearhead.watching import Record, watch
from looked import HEADS, LAYERS, SUNK, by_hand, given, looked_at, small, speaking


def written(record: Record, path: Path, **options: int | str | None) -> dict:
    draw(record, path, **options)
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_weight_equals_the_definition(tmp_path: Path):
    record = looked_at("银行 </script>")
    found = written(record, tmp_path / "x.json", model="runs/book", layer=1, head=2, query=-2)
    expected = by_hand(small(), record.ids)
    assert found["schema"] == "clearhead.attention/1"
    assert (found["model"], found["text"]) == ("runs/book", "银行 </script>")
    assert found["tokens"][:5] == [SEPARATOR, "银₁", "银₂", "银₃", "行₁"]
    assert found["ids"] == record.ids
    assert (found["first_place"], found["digits"], found["kind"], found["top"]) == (0, 6, "full", None)
    assert found["full_limit"] == embed.FULL
    assert found["chosen"] == {"site": "decoder.1.self", "layer": 1, "head": 2, "row": len(record.ids) - 2}
    assert [(head["layer"], head["head"]) for head in found["heads"]] == [
        (layer, head) for layer in range(LAYERS) for head in range(HEADS)
    ]
    T = len(record.ids)
    for head in found["heads"]:
        rows = expected[head["layer"], head["head"]]
        hidden = np.array([[weight is None for weight in row] for row in head["weights"]])
        np.testing.assert_array_equal(hidden, np.triu(np.ones((T, T), bool), 1))
        values = np.array([[weight or 0.0 for weight in row] for row in head["weights"]])
        np.testing.assert_allclose(values, rows, atol=2e-5)
        exact = record[head["layer"], head["head"]][:].numpy()
        np.testing.assert_allclose(values, exact, rtol=6e-6, atol=0)  # six significant digits
        entropy = -np.where(rows > 0, rows * np.log(np.where(rows > 0, rows, 1)), 0).sum(-1)
        np.testing.assert_allclose(head["entropy"], entropy, atol=1e-3)
        assert head["row_sum_error"] < 1e-6
        assert head["sink"] is None
        assert head["site"] == f"decoder.{head['layer']}.self"
        assert head["kernels"] == ["sdpa"]


def test_weight_on_a_sink_is_reported(tmp_path: Path):
    (head,) = written(given(*SUNK, sink=1 / 16), tmp_path / "x.json")["heads"]
    assert head["sink"] == pytest.approx([1 / 16] * 3)
    for row, sink in zip(head["weights"], head["sink"], strict=True):
        assert sum(weight or 0.0 for weight in row) + sink == pytest.approx(1)
    assert head["row_sum_error"] < 1e-6


def test_a_weight_of_zero_is_zero_and_a_hidden_one_is_null(tmp_path: Path):
    record = given([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]], ["a", "b", "c"])
    found = written(record, tmp_path / "x.json")
    assert found["heads"][0]["weights"] == [[1, None, None], [0.5, 0.5, None], [0.5, 0, 0.5]]
    assert (found["ids"], found["text"], found["model"]) == (None, None, None)


def test_long_texts_give_the_top_keys_of_every_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record = looked_at("a text that counts as long")
    T = len(record.ids)
    monkeypatch.setattr(embed, "FULL", LAYERS * HEADS * T * T - 1)
    found = written(record, tmp_path / "x.json")
    assert (found["kind"], found["top"]) == ("top", 8)
    for head in found["heads"]:
        exact = record[head["layer"], head["head"]][:].numpy()
        for row, (keys, weights) in enumerate(zip(head["keys"], head["weights"], strict=True)):
            count = min(8, row + 1)
            order = np.argsort(-exact[row, : row + 1], kind="stable")[:count]
            assert len(keys) == len(weights) == count
            np.testing.assert_allclose(weights, exact[row][order], rtol=6e-6)
            np.testing.assert_allclose(exact[row][keys], weights, rtol=6e-6)
    monkeypatch.setattr(embed, "FULL", LAYERS * HEADS * T * T)
    assert written(record, tmp_path / "x.json")["kind"] == "full"


def test_the_number_of_top_keys_follows_the_number_of_rows(monkeypatch: pytest.MonkeyPatch):
    record = looked_at("abcdefghij")
    rows = LAYERS * HEADS * 11
    for most, count in ((8 * rows, 8), (8 * rows - 1, 7), (2 * rows, 2), (rows - 1, 1)):
        monkeypatch.setattr(embed, "TOPS", most)
        assert embed.top_count(record, Site(0)) == count
    assert embed.top_count(looked_at("a"), Site(0)) == 2  # never more than there are keys


def test_a_record_begun_in_the_middle_says_where(tmp_path: Path):
    import torch

    model = small()
    with torch.inference_mode():
        cache = model.state(1, 4)
        model(torch.tensor([[1, 2, 3]]), state=cache)
        with watch(model) as record:
            model(torch.tensor([[4]]), state=cache)
    found = written(record, tmp_path / "x.json", query=3)
    assert (found["first_place"], found["tokens"]) == (3, ["0", "1", "2", "3"])
    assert [len(row) for row in found["heads"][0]["weights"]] == [4]


def test_draw_says_which_head_and_hears_every_head(tmp_path: Path):
    heard: list[tuple[int, int]] = []
    record = observe(speaking(), "ab")
    focus = draw(record, tmp_path / "x.json", layer=1, progress=lambda done, of: heard.append((done, of)))
    assert isinstance(focus, Focus)
    assert (focus.site.layer, focus.row) == (1, 2)
    assert heard == [(n, LAYERS * HEADS) for n in range(1, LAYERS * HEADS + 1)]
    assert record.only() is record
