"""Effects, sweeps, directions and paths: against passes made one by one, by hand, in float64."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import clearhead as ch
from clearhead import hub
from clearhead.errors import OptionError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.tap import Site
from clearhead.watching import Ablate, Edit, Freeze, Knockout, Patch, Scale, Steer, TextRecord, edited, watch
from clearhead.watching.notation import spelled, to_dict
from clearhead.watching.text_record import KEPT
from heads import lively
from little_configs import RIVALS
from looked import BYTES

TEXT, OTHER = "我 see", "see it!"
DECODER, ENCODER = "grouped, normed, rotated", "sees both sides"


@functools.cache
def model_of(kind: str) -> LanguageModel:
    if kind not in RIVALS:
        return lively(kind, torch.float64)
    network = build(replace(RIVALS[kind], vocabulary=BYTES.vocab_size), seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return LanguageModel(network.double().eval(), BYTES)


@functools.cache
def source_of(kind: str) -> TextRecord:
    return ch.observe(model_of(kind), OTHER, keep=KEPT)


def logits(model: LanguageModel, edits: Any = ()) -> Tensor:
    with torch.inference_mode(), watch(model, edits):
        return model.network(model.ids(TEXT))[0]


def groups_of(kind: str) -> list[Edit | list[Edit]]:
    """Edits of every sort, at every depth, alone and together."""
    model, source = model_of(kind), source_of(kind)
    layer = max(site.layer for site in model.sites() if site.attends)
    everywhere = [*ch.every(model, "heads"), *ch.every(model, "parts"), *ch.every(model, "places", TEXT, source=source)]
    return [
        *everywhere[:: 3 if len(everywhere) > 20 else 1],
        *ch.every(model, "edges", TEXT)[-3:],
        Patch(layer=layer, head=1, what="pattern", source=source),
        Patch(layer=layer, head=1, what="value", source=source, at=(2, 5)),
        Knockout(layer=layer, query=-1, key="我", head=0),
        [Scale(layer=layer, head=0, factor=3.0), Ablate(layer=0, kind="embedding", at=3)],
    ]


@pytest.mark.parametrize("kind", [DECODER, ENCODER, "window", "sinks", "lstm-attention"])
def test_a_row_of_a_sweep_is_its_edit_made_alone(kind: str) -> None:
    model = model_of(kind)
    groups = groups_of(kind)
    found = ch.sweep(model, TEXT, groups, ch.diff("a", "b"), place=7)
    a, b = (BYTES.encode(letter)[0] for letter in "ab")
    base = logits(model)[7]
    assert found.base == pytest.approx(float(base[a] - base[b]), abs=1e-9)
    assert [entry.change for entry in found.entries if entry.change]
    for entry in found.entries:
        with torch.inference_mode(), edited(model, entry.edits, checked=False):
            alone = model.network(model.ids(TEXT))[0, 7]
        assert entry.value == pytest.approx(float(alone[a] - alone[b]), abs=1e-9), entry.name


def test_every_measure_is_its_formula() -> None:
    model, edit = model_of(DECODER), Ablate(layer=1, head=2)
    before, after = (x.log_softmax(-1) for x in (logits(model), logits(model, edit)))
    ids = model.encode(TEXT)
    a = BYTES.encode("a")[0]
    expected = {
        ch.kl: float((before[-1].exp() * (before[-1] - after[-1])).sum()),
        ch.nll: -sum(float(after[place, token]) for place, token in enumerate(ids[1:])) / (len(ids) - 1),
        ch.logprob("a"): float(after[-1, a]),
    }
    for measure, value in expected.items():
        (entry,) = ch.sweep(model, TEXT, [edit], measure).entries
        assert entry.value == pytest.approx(value, abs=1e-9), measure.name
    found = ch.effect(model, TEXT, edit, measures=list(expected), top=3)
    assert found.kl == pytest.approx(expected[ch.kl], abs=1e-9)
    assert [after for _, after in found.measures.values()] == pytest.approx(list(expected.values()), abs=1e-9)
    for each in found.candidates:
        assert each.before == pytest.approx(float(before[-1, each.id].exp()), abs=1e-9)
        assert each.after == pytest.approx(float(after[-1, each.id].exp()), abs=1e-9)
    assert [each.id for each in found.candidates[:3]] == before[-1].topk(3).indices.tolist()


def test_a_measure_of_ones_own_is_measured_like_the_others() -> None:
    """The log-odds of a token against all others, by run and by gradient."""
    model, edits = model_of(DECODER), ch.every(model_of(DECODER), "heads")
    a = BYTES.encode("a")[0]
    odds = ch.Measure(name="log-odds of a", compute=lambda outcome: outcome.logits_BPV[:, 0].softmax(-1)[:, a].logit())
    for entry in ch.sweep(model, TEXT, edits, odds).entries:
        p = float(logits(model, entry.edits)[-1].softmax(-1)[a])
        assert entry.value == pytest.approx(math.log(p / (1 - p)), abs=1e-9)
    predicted = ch.sweep(model, TEXT, [Scale(layer=1, head=2, factor=1 + 1e-6)], odds, by="gradient").entries[0]
    run = ch.sweep(model, TEXT, [Scale(layer=1, head=2, factor=1 + 1e-6)], odds).entries[0]
    assert predicted.change / 1e-6 == pytest.approx(run.change / 1e-6, rel=1e-4, abs=1e-4)
    for wrong in (lambda outcome: 3.0, lambda outcome: outcome.logits_BPV.mean(), lambda outcome: outcome.logits_BPV):
        with pytest.raises(OptionError, match=r"measure 'mine': compute gave .* for 1 row of .*, of shape \(1,\)"):
            ch.sweep(model, TEXT, edits, ch.Measure(name="mine", compute=wrong))


@pytest.mark.parametrize("kind", [DECODER, ENCODER, "sinks", "lstm-attention"])
def test_the_gradient_predicts_small_changes_exactly(kind: str) -> None:
    """The change under a factor of 1 + e is e times a derivative, and the gradient is that derivative."""
    model, e = model_of(kind), 1e-6
    edits = [
        Scale(layer=site.layer, kind=site.kind, head=head, factor=1 + e)
        for site, heads in model.sites().items()
        for head in (range(heads) if heads else [None])
    ]
    run = ch.sweep(model, TEXT, edits, ch.diff("a", "b"), place=7)
    predicted = ch.sweep(model, TEXT, edits, ch.diff("a", "b"), place=7, by="gradient")
    for one, other in zip(run.entries, predicted.entries, strict=True):
        assert one.change / e == pytest.approx(other.change / e, rel=1e-4, abs=1e-4), one.name


def test_the_gradient_is_exact_where_the_rest_of_the_model_is_linear() -> None:
    """Patches of what attention reads, at the last layer: the heads' new outputs times the gradient there."""
    model, source = model_of(DECODER), source_of(DECODER)
    edits: list[Edit] = [Patch(layer=2, head=1, what=what, source=source) for what in ("pattern", "query", "value")]
    edits += [Knockout(layer=2, query=7, key=4, head=0), Ablate(layer=2, head=3)]
    predicted = ch.sweep(model, TEXT, edits, ch.diff("a", "b"), by="gradient")
    leaf = ch.observe(model, TEXT, keep="heads").head_outputs(Site(2)).clone().requires_grad_()

    def value(o_HTD: Tensor) -> Tensor:
        hook = model.network.get_submodule("blocks.2.attention.out").register_forward_pre_hook(
            lambda _, given: (o_HTD.transpose(0, 1).flatten(1)[None], *given[1:])
        )
        last_V = model.network(model.ids(TEXT))[0, -1]
        hook.remove()
        return last_V[BYTES.encode("a")[0]] - last_V[BYTES.encode("b")[0]]

    (g_HTD,) = torch.autograd.grad(value(leaf), leaf)
    for entry in predicted.entries:
        new_HTD = ch.observe(model, TEXT, edits=entry.edits, keep="heads").head_outputs(Site(2))
        assert entry.change == pytest.approx(float((g_HTD * (new_HTD - leaf.detach())).sum()), abs=1e-9), entry.name


def test_only_the_reader_sees_a_change_that_travels_a_path() -> None:
    model, source = model_of(DECODER), source_of(DECODER)
    base = ch.observe(model, TEXT, keep=KEPT)
    sender = Patch(layer=0, head=1, source=source)
    found = ch.path(model, TEXT, sender, layer=2, head=3, what="query")
    o_HTD = base.head_outputs(Site(0)).clone()
    out = model.network.get_submodule("blocks.0.attention.out")
    old_TE = out(o_HTD.transpose(0, 1).flatten(1))
    o_HTD[1] = source.head_outputs(Site(0))[1]
    stream_TE = base.output(Site(1, "residual")) + out(o_HTD.transpose(0, 1).flatten(1)) - old_TE
    with torch.inference_mode(), watch(model) as record:
        model.network.onward(stream_TE[None], Site(1, "residual"))
    q_TD = record.only().queries(Site(2))[3]
    torch.testing.assert_close(found.source.queries(Site(2))[3], q_TD, rtol=1e-9, atol=1e-11)
    by_hand = Freeze(layer=2, head=3, what="query", source=record.only())
    torch.testing.assert_close(logits(model, found), logits(model, by_hand), rtol=1e-9, atol=1e-11)
    assert not torch.allclose(logits(model, found), logits(model, sender), atol=1e-3)
    with pytest.raises(OptionError, match="it must come before the reader"):
        ch.path(model, TEXT, sender, layer=0, head=3, what="query")
    with pytest.raises(OptionError, match="a path begins at one site"):
        ch.path(model, TEXT, [sender, Ablate(layer=1)], layer=2, head=3)
    with pytest.raises(OptionError, match="layer 0 has parts that are not sites"):
        ch.path(model_of("lstm-attention"), TEXT, Ablate(layer=0, kind="embedding"), layer=1, head=0, what="query")


def test_a_direction_is_the_difference_of_means_at_the_last_tokens() -> None:
    model = model_of(DECODER)
    toward, away = ["I love it", "so good"], ["no"]
    ends = [
        [ch.observe(model, text, keep=KEPT).output(Site(1, "residual"))[-1] for text in side] for side in (toward, away)
    ]
    expected_E = (ends[0][0] + ends[0][1]) / 2 - ends[1][0]
    found = ch.direction(model, toward, away, layer=1)
    torch.testing.assert_close(torch.tensor(found.vector, dtype=torch.float64), expected_E)
    assert ch.edit(model, 'steer 1 by 4 toward "I love it" "so good" away no') == Steer(direction=found, factor=4.0)
    with pytest.raises(OptionError, match="no residual stream at layer 9"):
        ch.direction(model, "a", "b", layer=9)
    with pytest.raises(OptionError, match="the means over both sides are equal"):
        ch.direction(model, "a", "a", layer=1)


def test_steering_a_generation_is_steering_each_of_its_passes() -> None:
    model = model_of(DECODER)
    steer = Steer(direction=ch.direction(model, "I love it", "no", layer=1), factor=5.0)
    found = ch.generate(model, "ab", edits=steer, max_tokens=6, temperature=0)
    ids = model.encode("ab")
    for token in found.ids:
        with torch.inference_mode(), watch(model, steer):
            assert token == int(model.network(torch.tensor([ids]))[0, -1, : BYTES.vocab_size].argmax())
        ids.append(token)
    assert found.ids != ch.generate(model, "ab", max_tokens=6, temperature=0).ids
    both = ch.generate(model, ["ab cd", "cd ab"], edits=Knockout(layer=1, query=-1, key="ab"), max_tokens=1)
    hidden = [int((each.record[1, 0][5] == 0).nonzero()[0]) for each in both if each.record]
    assert hidden == [2, 5]


def test_what_a_sweep_cannot_do_is_refused() -> None:
    model, source = model_of(DECODER), source_of(DECODER)
    longer = ch.observe(model, OTHER + "?", keep=KEPT)
    she = ch.diff("a", "b")
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ("haeds", {}, "no 'haeds' to go over; did you mean 'heads'"),
        ("edges", {"source": source}, "edges are knocked out, which takes nothing from a source"),
        ([], {}, "there is no edit; give at least one"),
        ([Ablate(layer=1)], {"source": source}, "edits bring their own"),
        ("heads", {"by": "magic"}, "by is 'magic'; it is run or gradient"),
        ("heads", {"place": 8}, "place 8: the text has places 0 to 7"),
        ("heads", {"place": "see"}, "place 'see': it must be a number: places count from 0, and -1 is the last"),
        (
            "places",
            {"source": longer},
            "the source has 9 tokens and the text 8; both must have the same number, since each",
        ),
        ("heads", {"source": OTHER}, "source is 'see it!'; it must be one text of a record"),
    ]
    for edits, options, message in cases:
        with pytest.raises(OptionError, match=message):
            ch.sweep(model, TEXT, edits, she, **options)
    with pytest.raises(OptionError, match="its gradient is 0 without edits"):
        ch.sweep(model, TEXT, "heads", ch.kl, by="gradient")
    with pytest.raises(OptionError, match=r"token 'ab': it has 2 tokens in this model; give a text of one token"):
        ch.sweep(model, TEXT, "heads", ch.diff("ab", "a"))
    for measure in ("a", len, None):
        with pytest.raises(OptionError, match=r"sweep: .* was given as a measure; it takes diff\(yes, no\), logprob"):
            ch.sweep(model, TEXT, "heads", measure)  # pyright: ignore[reportArgumentType]
        with pytest.raises(OptionError, match=r"effect: .* was given as a measure; it takes diff\(yes, no\), logprob"):
            ch.effect(model, TEXT, Ablate(layer=1), measures=[measure])  # pyright: ignore[reportArgumentType]
    for given in (1.5, None):
        with pytest.raises(OptionError, match=rf"token {given}: it must be an id, or a text of one token"):
            ch.sweep(model, TEXT, "heads", ch.logprob(given))  # pyright: ignore[reportArgumentType]
    for by in ("run", "gradient"):
        for edit, message in (
            (Patch(layer=1, head=0, source=longer), "text 0 has 8 places and the source 9"),
            (Ablate(layer=1, text=1), "each text is swept alone, as number 0; leave `text` out"),
            (Ablate(layer=1, at=8), "the text has places 0 to 7"),
            (Ablate(layer=1, head=4), "decoder.1.self has 4 heads"),
        ):
            with pytest.raises(WatchError, match=message):
                ch.sweep(model, TEXT, [edit], she, by=by)
    with pytest.raises(OptionError, match="the text has 0 masks; write one, or name the place"):
        ch.sweep(model_of(ENCODER), TEXT, "heads", she)


def test_a_sweep_is_a_pass_with_a_hook_for_each_head_in_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = lively("biases, learned places")
    hub.save(tmp_path / "gpt2", model)
    peer = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "gpt2").eval()
    source = ch.observe(model, OTHER, keep="heads")
    a, b = (BYTES.encode(letter)[0] for letter in "ab")

    @torch.no_grad()
    def by_hook(layer: int, head: int, new_TD: Tensor | float) -> float:
        def change(module: object, given: tuple[Tensor]) -> tuple[Tensor]:
            x_BTX = given[0].clone()
            x_BTX[0, :, 7 * head : 7 * head + 7] = new_TD
            return (x_BTX,)

        hook = peer.transformer.h[layer].attn.c_proj.register_forward_pre_hook(change)
        logits_V = peer(model.ids(TEXT)).logits[0, -1]
        hook.remove()
        return float(logits_V[a] - logits_V[b])

    for entry in ch.sweep(model, TEXT, "heads", ch.diff("a", "b")).entries:
        layer, head = entry.edits[0].layer, entry.edits[0].head
        assert head is not None
        assert entry.value == pytest.approx(by_hook(layer, head, 0.0), abs=1e-4)
    for entry in ch.sweep(model, TEXT, "heads", ch.diff("a", "b"), source=source).entries:
        layer, head = entry.edits[0].layer, entry.edits[0].head
        assert head is not None
        assert entry.value == pytest.approx(by_hook(layer, head, source.head_outputs(Site(layer))[head]), abs=1e-4)


def test_an_edit_is_made_again_from_its_plain_values_or_its_text() -> None:
    model = model_of(DECODER)
    for form in (
        'ablate 1.2 mean "see it!" "it is"',
        'patch 1 pattern from "see it!"',
        "scale 0.embedding by 2 at see",
    ):
        edit = ch.edit(model, form)
        for again in (ch.edit(model, spelled(edit)), ch.edit(model, json.loads(json.dumps(to_dict(edit))))):
            assert torch.equal(*(ch.observe(model, TEXT, edits=each, keep=KEPT).output(Site(2, "residual"))
                                 for each in (edit, again)))  # fmt: skip
