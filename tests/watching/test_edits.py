"""Interventions: asserted on whole small arrays, as values, and refused if they name what the model does not have."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from torch import Tensor

from clearhead.attend import Mask, attend, causal, knockout, left_padding, window
from clearhead.errors import OptionError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.tap import Site
from clearhead.watching import Ablate, Edit, Knockout, Record, Scale, opening, watch
from clearhead.watching.notation import from_dict, to_dict
from definition import CAUSAL, SITE, Watched, case_knockout, outputs, tensors, weights

MODEL = Watched({Site(0): 2, Site(3): 2, Site(3, "cross"): 2})
Q, K, V = (torch.zeros(1, heads, 3, 1) for heads in (2, 1, 1))  # all logits 0: weights are even
V[0, 0, :, 0] = torch.tensor([6.0, 0.0, 3.0])
EVEN = [[6.0], [3.0], [3.0]]  # 6, (6 + 0)/2, 9/3


def edited(*edits: Edit, site: Site = SITE) -> tuple[list[list[list[float]]], Record]:
    with watch(MODEL, edits=edits) as record:
        o = attend(Q, K, V, mask=causal(), site=site)
    return [[[round(x, 6) for x in row] for row in head] for head in o[0].tolist()], record


def test_without_edits() -> None:
    assert edited()[0] == [EVEN, EVEN]


def test_ablate_zeroes_one_heads_output_and_leaves_its_weights() -> None:
    o, record = edited(Ablate(layer=3, head=1))
    assert o == [EVEN, [[0.0], [0.0], [0.0]]]
    thirds = [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    torch.testing.assert_close(record.map(SITE, 1)[:, :], torch.tensor(thirds))


def test_one_edit_needs_no_list() -> None:
    with watch(MODEL, Ablate(layer=3, head=1)) as record:
        o = attend(Q, K, V, mask=causal(), site=SITE)
    assert record.edits == (Ablate(layer=3, head=1),)
    assert not o[0, 1].any()


@pytest.mark.parametrize("model", ["runs/book", None, LanguageModel])
def test_anything_but_a_model_is_an_error(model: object) -> None:
    for takes in (watch, opening.edited):
        with pytest.raises(OptionError, match=r"^watch: .* was given; it takes a model: clearhead\.load\(folder\), or"):
            takes(model, Ablate(layer=3)).__enter__()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("edits", ["ablate", 3, [Ablate(layer=3), "x"], [(3, 1)]])
def test_anything_but_an_edit_is_an_error(edits: object) -> None:
    with pytest.raises(
        WatchError, match=r"^edits: .* was given; an edit is one of Scale, Ablate, Knockout, Patch, Freeze, Steer"
    ):
        watch(MODEL, edits).__enter__()  # pyright: ignore[reportArgumentType]


def test_scale_multiplies_one_heads_output() -> None:
    assert edited(Scale(layer=3, head=0, factor=-0.5))[0] == [[[-3.0], [-1.5], [-1.5]], EVEN]


def test_knockout_hides_one_key_from_one_query_in_all_heads() -> None:
    o, record = edited(Knockout(layer=3, query=2, key=0))
    assert o == [[[6.0], [3.0], [1.5]]] * 2  # the last row sees 0 and 3
    assert record.map(SITE, 0)[2].tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize(("query", "key"), [(3, 0), (2, 3)])
def test_a_knockout_outside_the_text_is_an_error(query: int, key: int) -> None:
    """It would change nothing, and look like an edge without effect."""
    with pytest.raises(WatchError, match=rf"query={query}, key={key}.*has places 0 to 2; nothing was knocked out"):
        edited(Knockout(layer=3, query=query, key=key))


@pytest.mark.parametrize(
    ("edit", "mask", "message"),
    [
        (Knockout(layer=3, query=0, key=2), causal(), "it sees 1 of 3 keys, at places 0 to 0"),
        (Knockout(layer=3, query=2, key=0, head=1), causal() & window(2), "it sees 2 of 3 keys, at places 1 to 2"),
        (Knockout(layer=3, query=2, key=2), causal() & knockout([(2, 0), (2, 1), (2, 2)]), "it sees no key"),
    ],
)
def test_a_knockout_of_an_already_hidden_key_is_an_error(edit: Knockout, mask: Mask, message: str) -> None:
    with pytest.raises(WatchError) as caught, watch(MODEL, edits=[edit]):
        attend(Q, K, V, mask=mask, site=SITE)
    assert str(caught.value) == (
        f"{edit}: the mask already hides this key from this query: {message}; "
        "nothing was knocked out; name a key it sees"
    )


def test_a_knockout_before_the_watched_rows_is_an_error() -> None:
    with pytest.raises(WatchError) as caught, watch(MODEL, edits=[Knockout(layer=3, query=0, key=0)]):
        attend(Q[:, :, 1:], K, V, mask=causal(), site=SITE)
    edit = Knockout(layer=3, query=0, key=0)
    assert str(caught.value) == (
        f"{edit}: only the queries at places 1 to 2 were watched, since earlier ones were already in the cache; "
        "nothing was knocked out; name one of these, or start watching with an empty cache"
    )


def test_a_knockout_that_hides_something_somewhere_is_enough() -> None:
    """In one text of a batch, in one head of all, in a later step with a cache; and the same pair named twice."""
    q, k, v = (t.expand(2, -1, -1, -1) for t in (Q, K, V))
    mask = causal() & left_padding(torch.tensor([2, 0])) & knockout([(1, 0)], head=0)
    edits = [Knockout(layer=3, query=1, key=0), Knockout(layer=3, query=1, key=0, head=1)]
    with watch(MODEL, edits=edits):
        attend(q, k, v, mask=mask, site=SITE)
    with watch(MODEL, edits=[Knockout(layer=3, query=2, key=0)]) as record:
        attend(Q[:, :, :2], K[:, :, :2], V[:, :, :2], mask=causal(), site=SITE)
        attend(Q[:, :, 2:], K, V, mask=causal(), site=SITE)
    assert record.map(SITE, 0)[2].tolist() == [0, 0.5, 0.5]


def test_a_knockout_elsewhere_says_nothing_of_a_site_that_was_not_passed() -> None:
    assert edited(Knockout(layer=0, query=9, key=1))[0] == [EVEN, EVEN]


def test_knockout_in_one_head() -> None:
    o, record = edited(Knockout(layer=3, query=2, key=0, head=1))
    assert o == [EVEN, [[6.0], [3.0], [1.5]]]
    assert record.map(SITE, 0)[2].tolist() == pytest.approx([1 / 3] * 3)
    assert record.map(SITE, 1)[2].tolist() == [0, 0.5, 0.5]


def test_knockout_of_all_that_a_row_sees_gives_zeros() -> None:
    o, record = edited(Knockout(layer=3, query=0, key=0))
    assert o == [[[0.0], [3.0], [3.0]]] * 2
    assert record.map(SITE, 0)[0].tolist() == [0, 0, 0]


def test_several_edits_of_one_head_all_count() -> None:
    assert edited(Scale(layer=3, head=0, factor=2.0), Scale(layer=3, head=0, factor=3.0))[0] == [
        [[36.0], [18.0], [18.0]],
        EVEN,
    ]
    for edits in ((Ablate(layer=3, head=0), Scale(layer=3, head=0, factor=2.0)), (Ablate(layer=3, head=0),) * 2):
        for order in (edits, edits[::-1]):
            assert edited(*order)[0] == [[[0.0]] * 3, EVEN]
    both = edited(Knockout(layer=3, query=2, key=0), Knockout(layer=3, query=2, key=1), Ablate(layer=3, head=1))
    assert both[0] == [[[6.0], [3.0], [3.0]], [[0.0]] * 3]


def test_edits_of_other_layers_and_kinds_change_nothing() -> None:
    elsewhere = [Ablate(layer=0, head=0), Ablate(layer=3, head=0, kind="cross"), Knockout(layer=0, query=2, key=0)]
    assert edited(*elsewhere)[0] == [EVEN, EVEN]
    assert edited(*elsewhere, site=Site(0))[0] == [[[0.0]] * 3, [[6.0], [3.0], [1.5]]]
    assert edited(*elsewhere, site=Site(3, "cross"))[0] == [[[0.0]] * 3, EVEN]


def test_edits_may_come_from_a_generator() -> None:
    with watch(MODEL, edits=(Ablate(layer=3, head=head) for head in (0, 1))):  # type: ignore[arg-type]
        assert not attend(Q, K, V, mask=causal(), site=SITE).any()


@pytest.mark.parametrize("head", [None, 2])
def test_knockout_is_the_definition_with_one_pair_hidden(head: int | None) -> None:
    q, k, v = tensors(6, 3, 5)
    with watch(Watched({SITE: 6}), edits=[Knockout(layer=3, query=9, key=4, head=head)]):
        o = attend(q, k, v, mask=causal(), site=SITE)
    p = weights(q, k, (CAUSAL & case_knockout([(9, 4)], head)).sees)
    torch.testing.assert_close(o, torch.from_numpy(outputs(p, v)))


def test_an_edited_pass_has_gradients() -> None:
    def through(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with watch(Watched({SITE: 2}), edits=[Scale(layer=3, head=0, factor=2.0), Knockout(layer=3, query=9, key=4)]):
            return attend(q, k, v, mask=causal(), site=SITE)

    assert torch.autograd.gradcheck(through, tuple(t.requires_grad_() for t in tensors(2, 1, 3, width=2)))


EDITS = [
    Ablate(layer=5, head=1),
    Scale(layer=0, head=3, factor=0.25, kind="cross"),
    Knockout(layer=9, query=14, key=3),
    Knockout(layer=9, query=14, key=3, head=2),
    Knockout(layer=9, query=-1, key="boy"),
    Scale(layer=1, factor=-0.5, kind="residual", at=(2, "boy", -1), text=3),
]


@pytest.mark.parametrize("edit", EDITS, ids=str)
def test_an_edit_is_a_value(edit: Edit) -> None:
    again = from_dict(json.loads(json.dumps(to_dict(edit))))
    assert again == edit
    assert hash(again) == hash(edit)
    assert eval(repr(edit)) == edit


def test_an_edit_as_plain_values() -> None:
    assert to_dict(Knockout(layer=9, query=14, key=3)) == {
        "edit": "knockout",
        "layer": 9,
        "query": 14,
        "key": 3,
        "head": None,
        "kind": "self",
        "stack": None,
        "text": None,
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"edit": "ablat", "layer": 1, "head": 2}, "edit: there is no 'ablat'; did you mean 'ablate'?"),
        ({"layer": 1, "head": 2}, "edit: there is no ''; known: ablate, freeze, knockout, patch, scale, steer"),
        ({"edit": "ablate", "head": 1}, "edit 'ablate': .* missing 1 required keyword-only argument: 'layer'"),
        ({"edit": "ablate", "layer": 1, "head": 2, "by": 3}, "edit 'ablate': .* unexpected keyword argument 'by'"),
    ],
)
def test_plain_values_that_are_no_edit(values: dict[str, object], message: str) -> None:
    with pytest.raises(WatchError, match=message):
        from_dict(values)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            Ablate(layer=7, head=0),
            "the model has no site of layer 7 and kind 'self'; it has decoder.0.self, decoder.3.self",
        ),
        (
            Scale(layer=0, head=0, factor=2.0, kind="cross"),
            "the model has no site of layer 0 and kind 'cross'; it has decoder.3.cross",
        ),
        (
            Ablate(layer=3, head=2),
            "decoder.3.self has 2 heads, counted from 0",
        ),
        (
            Ablate(layer=3, head=-1),
            "decoder.3.self has 2 heads, counted from 0",
        ),
        (
            Knockout(layer=3, query=1, key=0, head=5),
            "decoder.3.self has 2 heads, counted from 0",
        ),
    ],
)
def test_edits_of_what_the_model_does_not_have(edit: Edit, message: str) -> None:
    with pytest.raises(WatchError) as caught, watch(MODEL, edits=[edit]):
        pass
    assert str(caught.value) == f"{edit}: {message}"


@pytest.mark.parametrize("factor", [math.nan, math.inf, "2"])
def test_a_factor_is_a_finite_number(factor: float) -> None:
    message = f"factor is {factor!r}; it must be a finite number"
    with pytest.raises(WatchError, match=re.escape(message)):
        Scale(layer=3, head=0, factor=factor)


@pytest.mark.parametrize(
    ("edit", "values"),
    [(Ablate, {"head": 0.5}), (Scale, {"head": "1", "factor": 2.0}), (Knockout, {"query": 2.5, "key": 1})],
)
def test_layers_heads_and_places_are_whole_numbers(edit: type[Edit], values: dict[str, object]) -> None:
    with pytest.raises(WatchError, match=r"it must be a whole number"):
        edit(layer=3, **values)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Knockout(layer=3, query=-1, key=0), "query is -1"),
        (Knockout(layer=3, query=1, key="boy"), "key is 'boy'"),
        (Scale(layer=3, factor=2.0, at=(0, "boy")), "at is 'boy'"),
    ],
)
def test_words_and_places_from_the_end_need_the_text(edit: Edit, message: str) -> None:
    with pytest.raises(WatchError, match=f"{message}, and the words of the text are not known here; count from 0"):
        watch(MODEL, edits=edit).__enter__()
