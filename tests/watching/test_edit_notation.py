"""Edits as text: what is written is read back, and what is no edit is refused with the rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import WatchError
from clearhead.tap import Site
from clearhead.watching import (
    Ablate,
    Direction,
    Edit,
    Freeze,
    Knockout,
    Patch,
    Record,
    Scale,
    Steer,
    TextRecord,
    TokenizedText,
)
from clearhead.watching.notation import KEYS, from_dict, named, parse, spelled, to_dict

ANY_TEXT = st.text(min_size=1, max_size=9) | st.sampled_from([*KEYS, "3", '"', "\\", "a b", "你好", "pattern", "\n"])
PLACES = st.integers(-9, 9) | ANY_TEXT
AT = st.none() | st.lists(PLACES, min_size=1, max_size=3).map(tuple)
FACTORS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x not in (0, 1))
WHERE = {
    "layer": st.none() | st.integers(0, 99) | st.sets(st.integers(0, 99), min_size=1),
    "kind": st.sampled_from(["self", "cross"]),
    "stack": st.none() | st.sampled_from(["encoder", "decoder"]),
    "head": st.none() | st.integers(0, 9),
    "text": st.none() | st.integers(0, 9),
}


class Read:
    """Stands for a model: one record for each text."""

    def __init__(self) -> None:
        self.record = Record({Site(0): 1})
        self.numbers: dict[str, int] = {}

    def source(self, text: str) -> TextRecord:
        number = self.numbers.setdefault(text, len(self.numbers))
        self.record.tokenized[number, "decoder"] = TokenizedText(text=text)
        return TextRecord(self.record, number)

    def __call__(self, values: object) -> object:
        return self.source(values["text"] if isinstance(values, dict) else values[0]["text"])  # type: ignore[index]


READ = Read()


def directed(toward: list[str], away: list[str], site: dict[str, object]) -> Direction:
    where = Site(site["layer"], site["kind"], site["stack"])  # type: ignore[arg-type]
    return Direction(site=where, vector=(1.0, 2.0), toward=tuple(toward), away=tuple(away))


SOURCES = ANY_TEXT.map(READ.source)
DIRECTIONS = st.builds(
    lambda layer, toward, away: directed(toward, away, {"layer": layer, "kind": "residual", "stack": "decoder"}),
    st.integers(0, 99),
    st.lists(ANY_TEXT, min_size=1, max_size=2),
    st.lists(ANY_TEXT, min_size=1, max_size=2),
)
WRITTEN = st.one_of(
    st.builds(Ablate, at=AT, mean=st.none() | SOURCES, **WHERE),
    st.builds(Scale, at=AT, factor=FACTORS, **WHERE),
    st.builds(Knockout, query=PLACES, key=PLACES, **WHERE),
    st.builds(Patch, source=SOURCES, what=st.sampled_from(["output", "pattern", "key"]), **WHERE),
    st.builds(Freeze, source=SOURCES, what=st.sampled_from(["output", "pattern"]), **WHERE),
    st.builds(Steer, direction=DIRECTIONS, factor=FACTORS | st.just(1.0), at=AT),
)


@given(WRITTEN)
@settings(max_examples=60, deadline=None)
def test_an_edit_written_as_text_is_read_back(edit: Edit) -> None:
    assert from_dict(parse(spelled(edit)), READ, directed) == edit
    assert hash(edit) == hash(from_dict(to_dict(edit), READ, directed))


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("ablate 5.1", Ablate(layer=5, head=1)),
        (
            "ablate encoder.5.feed_forward at -1 boy",
            Ablate(layer=5, kind="feed_forward", stack="encoder", at=(-1, "boy")),
        ),
        ("scale 5.cross.1 by .5 text 2", Scale(layer=5, kind="cross", head=1, factor=0.5, text=2)),
        ('knockout 9 query -1 key "a boy"', Knockout(layer=9, query=-1, key="a boy")),
        (
            "patch 3 query from ab at 1 from_at 2",
            Patch(layer=3, what="query", at=1, source_at=2, source=READ.source("ab")),
        ),
        ("freeze 3 from ab", Freeze(layer=3, source=READ.source("ab"))),
    ],
)
def test_the_forms_of_the_guide(text: str, edit: Edit) -> None:
    assert from_dict(parse(text), READ) == edit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it needs a verb and a target, such as: ablate 5.1"),
        ("remove 5.1", "there is no 'remove'"),
        ("ablate five", "'five' is not a target; it is LAYER, LAYER.HEAD or LAYER.KIND"),
        ("ablate 5.mlp", "there is no kind 'mlp'"),
        ("scale 5.1 0.5", "'0.5' was given after the target"),
        ("scale 5.1 by half", "by is 'half'; it must be a number"),
        ("scale 5.1", "missing 1 required keyword-only argument: 'factor'"),
        ("scale 5.1 by 2 by 3", "'by' is given twice"),
        ("knockout 5 query 1 2 key 3", "'query' has 2 values; it takes one; put a text with spaces in double quotes"),
        ("patch 5 from", "'from' has 0 values; it takes one"),
        ('patch 5 from "ab', "the quote at character 12 does not end"),
        (r'patch 5 from "\x"', "is not a JSON string"),
        ("patch 5 from ab", "its source is a text, which a model has to read"),
        ("steer 5 by 2", 'write it as: steer 6 by 4 toward "one text" away "another"'),
        ("ablate 5 by 2", "unexpected keyword argument 'factor'"),
    ],
)
def test_what_is_no_edit_is_refused_with_the_rule(text: str, message: str) -> None:
    with pytest.raises(WatchError) as caught:
        from_dict(parse(text))
    assert message in str(caught.value)


def test_an_edit_without_texts_has_no_text_form() -> None:
    bare = Steer(direction=Direction(site=Site(1, "residual"), vector=(1.0,)))
    with pytest.raises(WatchError, match="the texts of its direction are not known"):
        spelled(bare)
    assert from_dict(to_dict(bare)) == bare
    record = Record({Site(0): 1})
    record.tokenized[0, "decoder"] = TokenizedText(ids=[1, 2], tokens=[])
    with pytest.raises(WatchError, match="its source is known by ids alone"):
        spelled(Patch(layer=0, source=TextRecord(record, 0)))


def test_the_short_name_has_the_stack_if_one_was_given() -> None:
    assert named(Ablate(layer=2, head=1)) == "ablate 2.1"
    assert named(Ablate(layer=2, head=1, stack="encoder")) == "ablate encoder.2.1"
    assert named(Ablate(layer=2, kind="cross", stack="decoder")) == "ablate decoder.2.cross"


def test_an_edit_in_print_is_the_call_that_makes_it() -> None:
    """Without what is at its default, so that errors, which begin with it, can be read."""
    for edit, printed in (
        (Ablate(layer=5, head=1), "Ablate(layer=5, head=1)"),
        (Ablate(layer=5, kind="residual", at=3, stack=None), "Ablate(layer=5, at=(3,), kind='residual')"),
        (Scale(layer=0, factor=0.5, text=0), "Scale(layer=0, factor=0.5, text=0)"),
        (Knockout(layer=1, query=-1, key="boy"), "Knockout(layer=1, query=-1, key='boy')"),
    ):
        assert repr(edit) == printed
        assert eval(printed) == edit
