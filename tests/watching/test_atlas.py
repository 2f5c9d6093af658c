"""The atlas: every column against the definition, which columns there are, order, and plain values."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from clearhead.analysis import observe
from clearhead.attend import attend, causal, padding
from clearhead.errors import OptionError, WatchError
from clearhead.tap import Site
from clearhead.watching import COLUMNS, TextRecord, TokenizedText, watch
from definition import SITE, Watched, tensors
from heads import lively
from looked import BYTES, HEADS, LAYERS, by_hand, given, small, speaking

TEXT = "a cat saw a cat"


@pytest.fixture(scope="module")
def record() -> TextRecord:
    return observe(speaking(), TEXT, keep="values heads")


def test_every_column_is_its_definition(record: TextRecord) -> None:
    atlas = record.atlas()
    p_LHTT, ids = by_hand(small(), record.ids), record.ids
    T = len(ids)
    places = np.arange(T)
    copies = [[j for j in range(i) if ids[j] == ids[i]] for i in places]
    copied = [i for i in places if copies[i]]
    assert atlas.columns == tuple(name for name in COLUMNS if name != "sink")
    for layer in range(LAYERS):
        flat_HN = p_LHTT[layer].reshape(HEADS, -1)
        flat_HN = flat_HN / np.linalg.norm(flat_HN, axis=1, keepdims=True)
        for head in range(HEADS):
            p = p_LHTT[layer, head]
            back = places[:, None] - places
            reach = [min(d for d in places if p[i][np.abs(back[i]) <= d].sum() >= 0.9 * p[i].sum()) for i in places]
            wanted = {
                "entropy": -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1).mean(),
                "largest": p.max(1).mean(),
                "first": p[:, 0].mean(),
                "previous": np.mean([p[i, i - 1] for i in range(1, T)]),
                "self": p.diagonal().mean(),
                "induction": np.mean([p[i, copies[i][-1] + 1] for i in copied]),
                "duplicate": np.mean([p[i, copies[i]].sum() for i in copied]),
                "distance": (p * back).sum(1).mean(),
                "reach": np.mean(reach),
                "received": p.sum(0).max() / p.sum(),
                "agreement": np.mean([flat_HN[head] @ flat_HN[other] for other in range(HEADS) if other != head]),
            }
            found = atlas[layer, head]
            for name, value in wanted.items():
                assert found[name] == pytest.approx(value, abs=1e-5), (layer, head, name)


def test_what_an_edge_moves_is_its_weight_times_the_size_of_the_projected_value(record: TextRecord) -> None:
    """The first query reads only itself, so its head's output is that value: its share of the stream is W_O's."""
    for site in record.seen():
        o_HTD, out_EF = record.head_outputs(site), small().projections()[site]
        out_EHD = out_EF.unflatten(1, (HEADS, -1))
        shares_HE = torch.einsum("hd,ehd->he", o_HTD[:, 0], out_EHD)
        torch.testing.assert_close(record.sizes(site)[:, 0], shares_HE.norm(dim=1))
        p_HTT = torch.stack([record.map(site, head)[:, :] for head in range(HEADS)])
        sized_HTT = p_HTT * record.sizes(site)[:, None]
        moved_HT = record.measure("moved", sites=[site])[site]["moved"]
        torch.testing.assert_close(moved_HT, sized_HTT.sum(2))
        edges = record.edges(site, 3, moved=True)
        for head in range(HEADS):
            assert [edge.weight for edge in edges[head]] == pytest.approx(sized_HTT[head].flatten().topk(3).values)


def test_training_after_the_watch_changes_no_size() -> None:
    model = lively("biases, learned places")
    record = observe(model, TEXT[:8], keep="values")
    before = record.sizes(record.seen()[0])
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(2.0)
    assert torch.equal(record.sizes(record.seen()[0]), before)


@pytest.mark.parametrize("kind", ["sinks", "sees both sides", "window"])
def test_rows_of_every_kind_of_model(kind: str) -> None:
    model = lively(kind)
    atlas = observe(model, TEXT[:8], keep="values").atlas()
    assert ("sink" in atlas.columns) == (kind == "sinks")
    assert len(atlas) == sum(model.sites().values())
    ahead = kind == "sees both sides"
    assert (min(row.values["distance"] or 0.0 for row in atlas) < 0) == ahead
    assert "moved" not in observe(model, TEXT[:8]).atlas().columns
    assert [row.name for row in atlas][:2] == ["0.0", "0.1"]


def test_a_text_without_copies_has_no_induction() -> None:
    atlas = observe(speaking(), "abc").atlas()
    assert "induction" not in atlas.columns
    assert "duplicate" not in atlas.columns


def test_two_texts_have_no_columns_of_distance() -> None:
    q, k, _ = tensors(6, 3, 13, keys=5)
    site = Site(3, "cross")
    with watch(Watched({site: 6})) as record:
        attend(q, k, k, mask=padding(torch.tensor([2, 5])), site=site)
    text = record[1]
    assert isinstance(text, TextRecord)
    atlas = text.atlas()
    assert atlas.columns == ("entropy", "largest", "first", "received", "agreement")
    assert [row.name for row in atlas][:2] == ["3.cross.0", "3.cross.1"]


def test_sorted_and_cut(record: TextRecord) -> None:
    atlas = record.atlas()
    values = [row.values["reach"] for row in atlas.by("reach")]
    assert values == sorted(values, reverse=True)
    assert [row.name for row in atlas.by("reach").first(3)] == [row.name for row in atlas.by("reach")][:3]
    with pytest.raises(OptionError, match="there is no column 'reech'; did you mean 'reach'"):
        atlas.by("reech")
    with pytest.raises(OptionError, match="the first 0 heads were asked for; ask for at least 1"):
        atlas.first(0)
    with pytest.raises(WatchError, match="there is no layer 9, head 0"):
        atlas[9, 0]


def test_it_is_a_table_in_print_json_and_notebooks(record: TextRecord) -> None:
    atlas = record.atlas()
    lines = str(atlas).splitlines()
    assert lines[0].split() == ["head", *atlas.columns]
    assert len(lines) == 1 + LAYERS * HEADS
    assert len({len(line) for line in lines}) == 1
    values = json.loads(json.dumps(atlas.to_dict()))
    assert values["schema"] == "clearhead.atlas/1"
    assert values["heads"][7]["layer"] == 1
    assert values["heads"][7]["entropy"] == atlas.rows[7].values["entropy"]
    assert atlas._repr_html_().count("<tr>") == 1 + LAYERS * HEADS


def test_an_atlas_by_hand() -> None:
    """Weights 1; 1/4, 3/4; 1/2, 1/8, 3/8 on the tokens x, y, x."""
    record = given([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.125, 0.375]], ["x", "y", "x"])
    record.record.tokenized[0, "decoder"] = TokenizedText(tokens=["x", "y", "x"], ids=[4, 5, 4])
    (row,) = TextRecord(record.record, 0).atlas()
    assert row.values["previous"] == pytest.approx((0.25 + 0.125) / 2)
    assert row.values["self"] == pytest.approx((1 + 0.75 + 0.375) / 3)
    assert row.values["duplicate"] == pytest.approx(0.5)
    assert row.values["induction"] == pytest.approx(0.125)
    assert row.values["reach"] == pytest.approx((0 + 1 + 2) / 3)
    assert row.values["received"] == pytest.approx(1.75 / 3)


class TestErrors:
    def test_sizes_without_values(self) -> None:
        record = observe(speaking(), "abc")
        with pytest.raises(WatchError, match=r"nothing was kept at decoder\.0\.self; .*keep='values'"):
            record.sizes(record.seen()[0])
        with pytest.raises(WatchError, match="keep='values'"):
            record.measure("moved")

    def test_sizes_of_a_model_that_does_not_say_how_it_projects(self) -> None:
        q, k, v = tensors(6, 3, 11)
        with watch(Watched({SITE: 6}), keep="values") as record:
            attend(q, k, v, mask=causal(), site=SITE)
        text = record[0]
        assert isinstance(text, TextRecord)
        with pytest.raises(WatchError, match=r"does not say how it projects the values at decoder\.3\.self"):
            text.sizes(SITE)

    def test_sizes_of_a_text_whose_beginning_was_not_watched(self) -> None:
        q, k, v = tensors(6, 3, 5)
        with watch(Watched({SITE: 6}, {SITE: torch.eye(42, dtype=q.dtype)}), keep="values") as record:
            attend(q, k, v, mask=causal(), site=SITE)
        text = record[0]
        assert isinstance(text, TextRecord)
        with pytest.raises(WatchError, match=r"values of only 5 of 11 places were kept"):
            text.sizes(SITE)

    def test_no_edges(self) -> None:
        record = observe(speaking(), "abc")
        with pytest.raises(WatchError, match="the 0 largest edges were asked for"):
            record.edges(record.seen()[0], 0)


def test_values_are_kept_while_a_text_is_written() -> None:
    import clearhead as ch

    model = lively("grouped, normed, rotated")
    with watch(model, keep="values") as record:
        ch.generate(model, "ab", max_tokens=5, temperature=0.0)
    written = record.only()
    whole = observe(model, "ab", keep="values")
    site = written.seen()[0]
    assert written.sizes(site).shape == (4, len(written.tokens))
    torch.testing.assert_close(written.sizes(site)[:, : len(whole.tokens)], whole.sizes(site))
    assert BYTES.vocab_size > 0
