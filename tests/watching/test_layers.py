"""Edits of several layers, or of every layer: the same change made by hand in each, or one edit a layer in a loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor

import clearhead as ch
from clearhead.errors import OptionError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.watching import Ablate, Edit, Freeze, Knockout, Patch, Scale, watch
from clearhead.watching.notation import from_dict, named, parse, spelled, to_dict
from clearhead.watching.text_record import KEPT
from heads import lively
from little_translators import translator

TEXT, OTHER = "我 see", "see it!"
MODEL = lively("grouped, normed, rotated", torch.float64)  # three layers
LAYERS = range(MODEL.config.layers)


def logits(edits: Any = (), model: LanguageModel = MODEL) -> Tensor:
    with torch.inference_mode(), watch(model, edits):
        return model.network(model.ids(TEXT))[0]


def by_hand(layers: range, head: int) -> Tensor:
    """logits_TV with one head's outputs zeroed where they enter the output projection of each layer, by plain hooks."""

    def zero(_: object, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x_BTHD = given[0].unflatten(-1, (MODEL.config.attention.heads, -1)).clone()
        x_BTHD[:, :, head] = 0
        return (x_BTHD.flatten(-2), *given[1:])

    with ExitStack() as hooks, torch.inference_mode():
        for layer in layers:
            out = MODEL.network.get_submodule(f"blocks.{layer}.attention.out")
            hooks.callback(out.register_forward_pre_hook(zero).remove)
        return MODEL.network(MODEL.ids(TEXT))[0]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("given", "layers"), [(range(1, 3), range(1, 3)), ([2, 1], range(1, 3)), (None, LAYERS)])
def test_a_head_is_zeroed_in_each_layer(given: Any, layers: range) -> None:
    close(logits(Ablate(layer=given, head=1)), by_hand(layers, 1))


SOURCE_RECORD = ch.observe(MODEL, OTHER, keep=KEPT)
SORTS: dict[str, Callable[[Any], Edit]] = {
    "scale": lambda layer: Scale(layer=layer, kind="feed_forward", factor=0.5, at=-1),
    "mean": lambda layer: Ablate(layer=layer, head=0, mean=SOURCE_RECORD),
    "knockout": lambda layer: Knockout(layer=layer, query=-1, key="我"),
    "one head": lambda layer: Knockout(layer=layer, query=-1, key=2, head=1),
    "patch": lambda layer: Patch(layer=layer, kind="residual", source=SOURCE_RECORD, at=3),
    "pattern": lambda layer: Patch(layer=layer, head=2, what="pattern", source=SOURCE_RECORD),
    "freeze": lambda layer: Freeze(layer=layer, source=SOURCE_RECORD),
}


@pytest.mark.parametrize("layers", [range(2), [0, 2], None])
@pytest.mark.parametrize("sort", SORTS)
def test_several_layers_are_one_edit_of_each(sort: str, layers: Any) -> None:
    make = SORTS[sort]
    every = [make(layer) for layer in (LAYERS if layers is None else layers)]
    together, each = (ch.observe(MODEL, TEXT, edits=edits, keep=KEPT) for edits in (make(layers), every))
    last = ch.Site(LAYERS[-1], "residual")
    close(together.output(last), each.output(last))
    assert not torch.equal(together.output(last), ch.observe(MODEL, TEXT, keep=KEPT).output(last))


@pytest.mark.parametrize("by", ["run", "gradient"])
def test_a_sweep_takes_them_alone_and_together(by: str) -> None:
    groups: list[Any] = [
        Knockout(layer=range(1, 3), query=-1, key=2),
        [Ablate(layer=None, head=1), Scale(layer=[0, 2], kind="feed_forward", factor=0.5)],
    ]
    singles: list[Any] = [
        [Knockout(layer=layer, query=-1, key=2) for layer in (1, 2)],
        [
            *(Ablate(layer=layer, head=1) for layer in LAYERS),
            *(Scale(layer=layer, kind="feed_forward", factor=0.5) for layer in (0, 2)),
        ],
    ]
    ours, theirs = (ch.sweep(MODEL, TEXT, each, ch.diff("a", "b"), by=by) for each in (groups, singles))
    assert [each.change for each in ours.entries] == pytest.approx([each.change for each in theirs.entries], abs=1e-9)
    assert [each.name for each in ours.entries] == [
        f"knockout 1-2 query {len(ours.tokens) - 1} key 2",
        "ablate all.1; scale 0,2.feed_forward by 0.5",
    ]
    if by == "run":
        a, b = (MODEL.encode(letter)[-1] for letter in "ab")
        last = by_hand(LAYERS, 1)[-1]
        (entry,) = ch.sweep(MODEL, TEXT, [Ablate(layer=None, head=1)], ch.diff("a", "b")).entries
        assert entry.value == pytest.approx(float(last[a] - last[b]), abs=1e-9)


def test_an_edit_of_two_stacks_says_which() -> None:
    model = translator()
    edit = Ablate(layer=None, head=0, stack="encoder")
    count = sum(site.stack == "encoder" and site.kind == "self" for site in model.sites())
    every = [Ablate(layer=layer, head=0, stack="encoder") for layer in range(count)]
    ours, theirs = (ch.observe(model, "a dog", target="aa", edits=edits, keep="residual") for edits in (edit, every))
    close(ours.output(ch.Site(0, "residual")), theirs.output(ch.Site(0, "residual")))
    with pytest.raises(WatchError, match=r"it could mean encoder\.0\.self or decoder\.0\.self; name the stack"):
        ch.observe(model, "a dog", target="aa", edits=Ablate(layer=None, head=0))


@pytest.mark.parametrize(
    ("layer", "text"), [(5, "5"), (range(4, 9), "4-8"), ((3, 1), "1,3"), ([9, 1, 2, 3], "1-3,9"), (None, "all")]
)
def test_layers_as_text(layer: Any, text: str) -> None:
    edit = Knockout(layer=layer, query=-1, key="boy", head=2)
    assert spelled(edit) == named(edit) == f"knockout {text}.2 query -1 key boy"
    assert from_dict(parse(f"knockout {text}.2 query -1 key boy")) == edit == from_dict(to_dict(edit))
    assert eval(repr(edit)) == edit
    assert hash(edit) == hash(eval(repr(edit)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ablate 8-4", "the layers 8-4 go down; write the lower one first, 4-8"),
        ("ablate 1,,3", "'1,,3' is not a target"),
        ("ablate 1,1", "layer must name at least one layer, and each once; None stands for every layer"),
        ("steer 1-2 toward a away b", "a direction is of one layer; write an edit for each layer"),
        ("steer all toward a away b", "a direction is of one layer; write an edit for each layer"),
    ],
)
def test_layers_that_are_none_are_refused_as_text(text: str, message: str) -> None:
    with pytest.raises(WatchError) as caught:
        from_dict(parse(text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: Ablate(layer=range(1, 6)), r"no site of layer 3-5 and kind 'self'; it has decoder\.0\.self, "),
        (lambda: Ablate(layer=[0, 4, 6]), r"Ablate\(layer=\(0, 4, 6\)\): the model has no site of layer 4,6 and"),
        (lambda: Ablate(layer=None, kind="cross"), "no site of layer all and kind 'cross'"),
        (lambda: Ablate(layer=None, head=9), r"Ablate\(layer=0, head=9\): decoder.0.self has 4 heads"),
        (lambda: Ablate(layer=range(3, 3)), "layer must name at least one layer, and each once"),
        (lambda: Ablate(layer="4-8"), "layer is '4-8'; it must be a whole number, several of them, or None"),
        (lambda: Ablate(layer=1.5), r"layer is 1\.5; it must be a whole number"),
    ],
)
def test_layers_that_are_not_there_are_refused(edit: Callable[[], Edit], message: str) -> None:
    with pytest.raises(WatchError, match=message):
        logits(edit())


def test_an_edit_that_changes_nothing_in_one_of_its_layers_says_in_which() -> None:
    """A key that the window of a layer hides already, and a stream that is the source's since the layer before."""
    model = lively("window", torch.float64)
    with pytest.raises(WatchError, match=r"^Knockout\(layer=0, .*: the mask already hides this key from this query"):
        ch.observe(model, TEXT, edits=Knockout(layer=None, query=-1, key=0))
    with pytest.raises(WatchError, match=r"^Patch\(layer=1, .* bit for bit"):
        ch.observe(MODEL, TEXT, edits=Patch(layer=range(2), kind="residual", source=SOURCE_RECORD))
    with pytest.raises(OptionError, match=r"path: the change is at decoder\.0\.self, decoder\.1\.self; a path begins"):
        ch.path(MODEL, TEXT, Ablate(layer=range(2), head=0), layer=2)
