"""Patches, frozen patterns, means and directions: each equals the same change made by hand on the modules' tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.analysis import observe
from clearhead.attend import left_padding
from clearhead.errors import WatchError
from clearhead.language_model import LanguageModel
from clearhead.tap import Site
from clearhead.watching import Ablate, Direction, Freeze, Knockout, Patch, Scale, Steer, TextRecord, watch
from clearhead.watching.text_record import KEPT
from heads import KINDS, lively

CLEAN, OTHER = "see it!", "我 see"  # seven bytes each, after a token that begins the text
LAYER, HEAD = 1, 1
DECODER = "grouped, normed, rotated"


@functools.cache
def model_of(kind: str) -> LanguageModel:
    return lively(kind, torch.float64)


@functools.cache
def source_of(kind: str) -> TextRecord:
    return observe(model_of(kind), CLEAN, keep=KEPT)


def stack_of(kind: str) -> str:
    return next(iter(model_of(kind).sites())).stack


def through(kind: str, edits: Any = (), text: str = OTHER) -> Tensor:
    """logits_TV of a text under edits."""
    model = model_of(kind)
    with torch.inference_mode(), watch(model, edits):
        return model.network(model.ids(text))[0]


def changed(kind: str, name: str, change: Callable[[Tensor], Tensor], *, enters: bool = False) -> Tensor:
    """logits_TV of OTHER, with what a module of layer LAYER gives out (or what enters it) changed by a plain hook."""
    model = model_of(kind)
    module = model.network.get_submodule(name)
    if enters:
        hook = module.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
    else:
        hook = module.register_forward_hook(lambda _, given, x: change(x))
    with torch.inference_mode():
        found = model.network(model.ids(OTHER))[0]
    hook.remove()
    return found


def of_head(kind: str, o_TD: Tensor | None, at: slice | list[int] = slice(None)) -> Tensor:
    """logits_TV with one head's outputs replaced where they enter the output projection; None: zeros."""

    def change(x_BTX: Tensor) -> Tensor:
        x_BTHD = x_BTX.unflatten(-1, (model_of(kind).config.attention.heads, -1)).clone()
        x_BTHD[0, at, HEAD] = 0 if o_TD is None else o_TD
        return x_BTHD.flatten(-2)

    return changed(kind, f"blocks.{LAYER}.attention.out", change, enters=True)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def site(kind: str, part: str = "self") -> Site:
    return Site(LAYER, part, stack_of(kind))


@pytest.mark.parametrize("kind", KINDS)
class TestOneHead:
    def test_its_output_is_put_in(self, kind: str) -> None:
        source = source_of(kind)
        o_TD = source.head_outputs(site(kind))[HEAD]
        close(through(kind, Patch(layer=LAYER, head=HEAD, source=source)), of_head(kind, o_TD))

    def test_its_pattern_is_the_sources_softmax_times_the_values_of_this_run(self, kind: str) -> None:
        source = source_of(kind)
        p_TT = source.map(site(kind), HEAD)[:, :].double()
        v_GTD = observe(model_of(kind), OTHER, keep="values").values(site(kind))
        heads = model_of(kind).config.attention.heads
        o_TD = p_TT @ v_GTD[HEAD * len(v_GTD) // heads]
        got = through(kind, Patch(layer=LAYER, head=HEAD, what="pattern", source=source))
        torch.testing.assert_close(got, of_head(kind, o_TD), rtol=1e-5, atol=1e-6)  # maps are float32

    @pytest.mark.parametrize("what", ["query", "key", "value"])
    def test_its_queries_keys_or_values_are_put_in(self, kind: str, what: str) -> None:
        source, model = source_of(kind), model_of(kind)
        own = observe(model, OTHER, keep="values")
        group = HEAD * model.config.attention.kv_heads // model.config.attention.heads
        of = {name: source if name == what else own for name in ("query", "key", "value")}
        q_TD = of["query"].queries(site(kind))[HEAD]
        k_TD, v_TD = of["key"].keys(site(kind))[group], of["value"].values(site(kind))[group]
        score = own.record.calls()[site(kind)][0].score
        s_TT = score.capped(q_TD @ k_TD.T * score.factor(q_TD.shape[-1]))
        s_TT = s_TT.masked_fill(~own.visible(site(kind), slice(0, len(q_TD)))[0], -torch.inf)
        total_T1 = s_TT.exp().sum(-1, keepdim=True)
        if score.sinks_H is not None:
            total_T1 = total_T1 + score.sinks_H[HEAD].detach().exp()
        got = through(kind, Patch(layer=LAYER, head=HEAD, what=what, source=source))
        close(got, of_head(kind, s_TT.exp() / total_T1 @ v_TD))

    def test_its_mean_replaces_it(self, kind: str) -> None:
        source = source_of(kind)
        mean_D = source.head_outputs(site(kind))[HEAD].mean(0)
        close(through(kind, Ablate(layer=LAYER, head=HEAD, mean=source)), of_head(kind, mean_D))

    def test_holding_its_own_patterns_changes_nothing(self, kind: str) -> None:
        own = observe(model_of(kind), OTHER)
        layers = range(model_of(kind).config.layers)
        close(through(kind, [Freeze(layer=layer, source=own) for layer in layers]), through(kind))


PARTS = {"self": "attention", "feed_forward": "feed_forward", "residual": ""}


@pytest.mark.parametrize("kind", [DECODER, "biases, learned places", "sees both sides"])
@pytest.mark.parametrize("part", PARTS)
def test_a_whole_part_is_put_in_scaled_or_zeroed_at_places(kind: str, part: str) -> None:
    source = source_of(kind)
    new_TE = source.output(site(kind, part))
    name = f"blocks.{LAYER}.{PARTS[part]}".rstrip(".")

    def at(places: list[int], values: Tensor | float, factor: float = 0.0) -> Callable[[Tensor], Tensor]:
        def change(x_BTE: Tensor) -> Tensor:
            x_BTE = x_BTE.clone()
            x_BTE[0, places] = x_BTE[0, places] * factor + values
            return x_BTE

        return change

    where = {"layer": LAYER, "kind": part}
    close(through(kind, Patch(**where, source=source)), changed(kind, name, at(list(range(8)), new_TE)))
    patch = Patch(**where, source=source, at=(1, 5), source_at=(6, 0))
    close(through(kind, patch), changed(kind, name, at([1, 5], new_TE[[6, 0]])))
    close(through(kind, Scale(**where, factor=-2.0, at=3)), changed(kind, name, at([3], 0.0, -2.0)))
    close(through(kind, Ablate(**where, at=3)), changed(kind, name, at([3], 0.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_from_the_other_text_gives_its_logits(kind: str) -> None:
    source, layers = source_of(kind), range(model_of(kind).config.layers)
    theirs = through(kind, text=CLEAN)
    assert not torch.allclose(through(kind), theirs)
    embedding = Patch(layer=0, kind="embedding", source=source)
    close(through(kind, embedding), theirs)
    close(through(kind, Patch(layer=layers[-1], kind="residual", source=source)), theirs)
    parts = [(layer, part) for layer in layers for part in ("self", "feed_forward")]
    held = [Freeze(layer=layer, kind=part, what="output", source=source) for layer, part in parts]
    close(through(kind, [embedding, *held]), theirs)
    # queries and keys of the other text, and its values: all that attention is made of, at every layer
    read = [Freeze(layer=layer, what=what, source=source) for layer in layers for what in ("pattern", "value")]
    fed = [Freeze(layer=layer, kind="feed_forward", what="output", source=source) for layer in layers]
    close(through(kind, [embedding, *read, *fed]), theirs)


def test_one_row_of_a_batch_is_edited_and_the_others_keep_their_bits() -> None:
    model, source = model_of(DECODER), source_of(DECODER)
    other = model.ids(OTHER)
    ids_BT = torch.cat((other, model.ids(CLEAN), torch.nn.functional.pad(other[:, 2:], (2, 0)), other))
    starts_B = torch.tensor([0, 0, 2, 0])
    given = {"mask": left_padding(starts_B), "places_BT": (torch.arange(8) - starts_B[:, None]).clamp(min=0)}
    edits = [
        Patch(layer=1, head=2, source=source, text=0),
        Patch(layer=1, head=0, what="key", at=(1, 4), source_at=(3, 5), source=source, text=2),
        Patch(layer=0, kind="residual", at=0, source_at=6, source=source, text=2),
    ]
    with torch.inference_mode(), watch(model):
        plain_BTV = model.network(ids_BT, **given)
    with torch.inference_mode(), watch(model, edits):
        edited_BTV = model.network(ids_BT, **given)
    assert torch.equal(edited_BTV[1], plain_BTV[1])
    assert torch.equal(edited_BTV[3], plain_BTV[3])
    close(edited_BTV[0], through(DECODER, Patch(layer=1, head=2, source=source)))
    with torch.inference_mode(), watch(model, [Patch(**{**vars(edit), "text": None}) for edit in edits[1:]]):
        close(edited_BTV[2, 2:], model.network(other[:, 2:])[0])


def test_a_patched_text_read_in_pieces_is_that_read_at_once() -> None:
    """With a cache, which keeps keys and values as they were: they are put in again at each later place."""
    model, source = model_of(DECODER), source_of(DECODER)
    edits = [
        Patch(layer=1, head=2, what="pattern", source=source),
        Patch(layer=2, what="value", source=source),
        Patch(layer=0, kind="residual", at=(2, 5), source=source),
    ]
    state = model.state(1, 8)
    ids_BT = model.ids(OTHER)
    with torch.inference_mode(), watch(model, edits):
        pieces = [model.network(ids_BT[:, a:b], state=state)[0] for a, b in ((0, 3), (3, 4), (4, 8))]
    close(torch.cat(pieces), through(DECODER, edits))


def test_a_record_shows_the_pattern_that_was_put_in() -> None:
    source = source_of(DECODER)
    with torch.inference_mode(), watch(model_of(DECODER), Patch(layer=1, head=2, what="pattern", source=source)) as got:
        model_of(DECODER).network(model_of(DECODER).ids(OTHER))
    torch.testing.assert_close(got[1, 2][:, :], source[1, 2][:, :])
    assert not torch.allclose(got[1, 3][:, :], source[1, 3][:, :])


def test_a_direction_is_added_to_the_stream() -> None:
    vector = tuple(0.1 * n for n in range(20))
    direction = Direction(site=site(DECODER, "residual"), vector=vector)
    assert direction == Direction(site=direction.site, vector=torch.tensor(vector, dtype=torch.float64))
    added_E = 3 * torch.tensor(vector, dtype=torch.float64)
    got = through(DECODER, Steer(direction=direction, factor=3.0))
    torch.testing.assert_close(got, changed(DECODER, f"blocks.{LAYER}", lambda x: x + added_E), rtol=1e-5, atol=1e-6)


def test_words_are_places_of_each_text() -> None:
    model = model_of(DECODER)
    texts = ["see it", "it is so"]
    record = observe(model, texts, edits=Knockout(layer=1, query=-1, key="it", head=2))
    one, two = record.each()
    assert one[1, 2][6].tolist()[6] == 0  # "it" ends at place 6: its own key is hidden from it
    assert two[1, 2][8].tolist()[2] == 0
    assert two[1, 1][8].tolist()[2] > 0
    for word, message in (("no", "the text has no such word"), ("", "the text has no such word")):
        with pytest.raises(WatchError, match=f"key is '{word}': {message}; .*, 1 s, 2 e"):
            observe(model, texts, edits=Knockout(layer=1, query=-1, key=word))
    with pytest.raises(WatchError, match="at is -9; the places are 0 to 6"):
        observe(model, texts, edits=Scale(layer=1, factor=2.0, at=-9, text=0))


def from_the_middle() -> TextRecord:
    """A record that begins at place 3 of a cached text."""
    model = model_of(DECODER)
    ids_BT, state = model.ids(CLEAN), model.state(1, 8)
    with torch.inference_mode():
        model.network(ids_BT[:, :3], state=state)
        with watch(model, keep=KEPT) as record:
            model.network(ids_BT[:, 3:], state=state)
    return record.only()


def refusals() -> list[tuple[str, Callable[[], Any], str]]:
    """What is refused: a name, an edit of the decoder, and the message."""
    source = source_of(DECODER)
    longer = observe(model_of(DECODER), CLEAN + "?", keep=KEPT)
    bare = observe(model_of(DECODER), CLEAN)
    own = observe(model_of(DECODER), OTHER, keep=KEPT)
    knocked = observe(model_of(DECODER), CLEAN, edits=Knockout(layer=1, query=2, key=1))
    foreign = source_of("window")
    return [
        ("lengths", lambda: Patch(layer=1, source=longer), "text 0 has 8 places and the source 9; both must have the"),
        ("not kept", lambda: Patch(layer=1, head=2, source=bare), "source: record: nothing was kept at decoder.1.self"),
        ("values", lambda: Patch(layer=1, what="value", source=bare), r"watch\(model, keep='values'\)"),
        ("model", lambda: Patch(layer=1, source=foreign), "the source is a record of another model; run the text"),
        ("mean", lambda: Ablate(layer=1, mean=foreign), "the source is a record of another model"),
        ("same", lambda: Patch(layer=1, source=own), "what was there anyway, bit for bit, so nothing was patched"),
        ("site", lambda: Patch(layer=3, source=source), "the model has no site of layer 3"),
        ("head", lambda: Patch(layer=1, head=4, source=source), "decoder.1.self has 4 heads, counted from 0"),
        ("text", lambda: Ablate(layer=1, text=5), "there is no text 5; the passes held the texts 0"),
        ("place", lambda: Ablate(layer=1, at=(2, 8)), "the watched text has places 0 to 7; nothing was edited"),
        (
            "source",
            lambda: Patch(layer=1, source=source, at=2, source_at=8),
            "place 8 of the source; it has places 0 to",
        ),
        ("count", lambda: Patch(layer=1, source=source, at=2, source_at=(3, 4)), "1 places of the text and 2 of the"),
        ("what", lambda: Patch(layer=1, source=source, what="patern"), "no 'patern' to patch; did you mean 'pattern'?"),
        ("kind", lambda: Patch(layer=1, kind="residual", what="key", source=source), "only attention has a key"),
        ("at", lambda: Patch(layer=1, source=source, what="pattern", at=2), "a pattern is that of the whole text"),
        ("knocked", lambda: Patch(layer=1, source=knocked, what="pattern"), "keys were knocked out there"),
        ("cached", lambda: Patch(layer=1, source=from_the_middle()), "the source was watched from place 3 on"),
        ("factor", lambda: Scale(layer=1, factor=1.0), "the factor is 1, which changes nothing"),
        ("empty", lambda: Ablate(layer=1, at=()), "at is empty; name a place"),
        (
            "width",
            lambda: Steer(direction=Direction(site=Site(1, "residual"), vector=(1.0, 2.0))),
            "it is 2 numbers wide, and this model 20",
        ),
        (
            "rows",
            lambda: Steer(direction=Direction(site=Site(1, "residual"), vector=torch.ones(1, 20))),
            r"Direction: vector is tensor\(.*; it must be one row of numbers",
        ),
        (
            "vector",
            lambda: Steer(direction=torch.ones(20)),
            r"Steer: direction is tensor\(.*clearhead.Direction\(site=",
        ),
    ]


@pytest.mark.parametrize("name", [name for name, _, _ in refusals()])
def test_what_cannot_be_done_is_refused_with_the_rule(name: str) -> None:
    make, message = next((make, message) for each, make, message in refusals() if each == name)
    with pytest.raises(WatchError, match=message):
        through(DECODER, make())


def test_a_folder_loaded_twice_is_one_model() -> None:
    again = lively(DECODER, torch.float64)
    source = observe(again, CLEAN, keep="heads")
    close(through(DECODER, Patch(layer=1, head=1, source=source)), of_head(DECODER, source.head_outputs(Site(1))[1]))
