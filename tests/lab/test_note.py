"""The experiments of ``clearhead lab``: one small session, and its numbers computed again by other means."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from clearhead import corpora, hub, runs
from clearhead.drawing.report import Curves, Heatmap, Link, Report, Table
from clearhead.errors import FolderError, OptionError
from clearhead.lab import note, plan
from clearhead.lab.bins import Bin
from clearhead.lab.note import activation, context, heads, next_word, recalling, senses, variants
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Phrases, texts_of
from clearhead.lab.question import Question, asked
from clearhead.plain import from_dict, to_dict
from clearhead.runs import steps
from verbs import called

SMALL: dict[str, Any] = {
    "context": 64,
    "layers": 1,
    "width": 32,
    "attention": {"heads": 2, "kv_heads": 2, "head_width": 16},
    "feed_forward": {"kind": "swiglu", "width": 64},
}
STEPS = 12
LITTLE: dict[str, Any] = {
    "model": SMALL,
    "train": {"batch": 4, "evaluations": 2, "evaluation_tokens": 200, "final_tokens": 400},
}
SETTING = note.Setting(corpus="world-en", megabytes=0.2, minutes=1)


def few_evaluations(settings: list[dict[str, Any]], **options: Any) -> Question:
    """The question, for runs that are evaluated twice, on few tokens."""
    return asked(settings=[{"train": {**LITTLE["train"], **settings[0]["train"]}}], **options)


class Session:
    """A session's folder and findings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings = {
            each.experiment: each
            for each in note.carry_out(list(note.EXPERIMENTS), folder, SETTING, note.LabEvents(), threads=1)
        }

    def found(self, name: str) -> Any:
        return self.findings[name].found


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Every experiment on little models and little text, for a fixed number of steps: no clock decides."""
    asked = Bench.asked

    def by_steps(bench: Bench, name: str, **options: Any) -> runs.Asked:
        if "minutes" in options:
            del options["minutes"]
            options |= {"steps": STEPS, "settings": LITTLE}
        return asked(bench, name, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "asked", by_steps)
        for module in (variants, heads, activation):
            patch.setattr(module, "SHAPE", SMALL)
        patch.setattr(variants, "_steps", lambda *_: STEPS)
        patch.setattr(variants, "EVALUATIONS", 3)
        patch.setattr(activation, "STEPS", 30)
        patch.setattr(plan, "_enough", lambda *_: STEPS)
        patch.setattr(context, "SMALL", LITTLE)
        patch.setattr(context, "RATES", (0.01,))
        patch.setattr(steps, "SAMPLE", replace(steps.SAMPLE, max_tokens=2))
        patch.setattr(senses, "STORIES", 400)
        patch.setattr(context, "STORIES", 20)
        patch.setattr(recalling, "ROWS", 4)
        patch.setattr(recalling, "asked", few_evaluations)
        patch.setattr(next_word, "STORIES", 10)
        yield Session(tmp_path_factory.mktemp("lab") / "out")


def peer(session: Session) -> Any:
    """The trained model in transformers."""
    return AutoModelForCausalLM.from_pretrained(session.folder / "runs" / "model", attn_implementation="eager").eval()


@pytest.mark.parametrize("name", note.EXPERIMENTS)
def test_a_page_follows_from_the_numbers_beside_it(session: Session, name: str) -> None:
    read = note.read(session.folder, name)
    assert read.found == session.found(name)
    page = (session.folder / f"{name}.html").read_text(encoding="utf-8")
    for language in ("en", "zh"):
        report = read.report(language)
        assert _seen(report.verdict) in page
        for block in report.blocks:
            if isinstance(block, Table):
                assert all(_seen(cell) in page for row in block.rows for cell in row)
            if isinstance(block, Link):
                assert (session.folder / block.file).exists()
    assert (session.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert f'href="{name}.html"' in (session.folder / "index.html").read_text(encoding="utf-8")


def _seen(text: str) -> str:
    """As the page has it."""
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("'", "&#x27;")
    )


@pytest.mark.parametrize("name", note.EXPERIMENTS)
def test_another_number_makes_another_page(session: Session, name: str) -> None:
    """What a report says is not written in it."""
    finding = session.findings[name]
    changed = replace(finding, found=from_dict(type(finding.found), _scaled(to_dict(finding.found))))
    for language in ("en", "zh"):
        assert changed.report(language).verdict != finding.report(language).verdict


def _scaled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _scaled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_scaled(each) for each in value]
    return value * 0.625 + 0.0625 if isinstance(value, float) else value


@pytest.mark.parametrize("name", note.EXPERIMENTS)
def test_both_languages_say_the_same(name: str) -> None:
    english, chinese = (texts_of(name)[language] for language in ("en", "zh"))
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        if isinstance(text, list):
            assert len(text) == len(chinese[key])
        else:
            assert _fields(text) == _fields(chinese[key]), key


def _fields(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


@pytest.mark.parametrize("name", note.EXPERIMENTS)
def test_every_phrase_is_used(name: str) -> None:
    """No phrase is left over."""
    source = "".join(path.read_text(encoding="utf-8") for path in Path(note.__file__).parent.glob("*.py"))
    for key in texts_of(name)["en"]:
        parts = {
            key,
            key.removesuffix("_note"),
            key.removesuffix("_x"),
            key.removesuffix("_y"),
            key.split()[0] + " {each.name}",
        }
        quoted = [f"{mark}{part}{mark}" for part in parts for mark in ("'", '"')]
        assert any(each in source for each in quoted), key


def test_the_mask_of_the_page_is_that_of_transformers(session: Session) -> None:
    found = session.found("mask")
    model, other = hub.load(session.folder / "runs" / "model", dtype="float32"), peer(session)
    ids = model.ids(found.text)
    with torch.no_grad():
        attentions = other(ids, output_attentions=True).attentions
    mean_TT = torch.stack(attentions).mean((0, 1, 2))
    for row, weights in enumerate(found.weights_TT):
        assert [value is None for value in weights] == [column > row for column in range(len(weights))]
        seen = [value for value in weights if value is not None]
        assert seen == pytest.approx(mean_TT[row, : row + 1].tolist(), abs=1e-5)
    assert found.later == 0
    assert all(value == 0 for row, values in enumerate(found.gradients_TT) for value in values[row + 1 :])
    assert all(max(values) == 1 for values in found.gradients_TT)
    assert session.findings["mask"].report("en").holds == "yes"


def test_a_model_that_sees_later_words_refutes_the_mask(session: Session) -> None:
    finding = session.findings["mask"]
    seeing = replace(finding, found=replace(finding.found, later=0.25))
    assert seeing.report("en").holds == "no"
    assert "0.25" in seeing.report("zh").verdict


def test_the_steps_follow_from_one_another(session: Session) -> None:
    found = session.found("qkv")
    keys_KD, values_KD = np.array(found.keys_KD), np.array(found.values_KD)
    products_K = keys_KD @ np.array(found.query_D)
    assert found.products == pytest.approx(products_K.tolist(), abs=1e-4)
    scores_K = products_K * found.scale
    assert found.scale == pytest.approx(len(found.query_D) ** -0.5)
    powers_K = np.array([0.0 if why else math.exp(s) for s, why in zip(scores_K, found.hidden, strict=True)])
    weights_K = powers_K / powers_K.sum()
    assert found.weights == pytest.approx(weights_K.tolist(), abs=1e-5)
    assert found.mixed_D == pytest.approx((weights_K @ values_KD).tolist(), abs=1e-5)
    assert found.tokens[found.place].strip("·").isalpha(), "the last word asks, not the full stop"


def test_splitting_joins_again_and_wo_mixes(session: Session) -> None:
    found = session.found("heads")
    rows = np.arange(3000).reshape(3, 1000)
    split = np.stack(np.split(rows, 8, axis=1))
    assert found.split == split.shape == (8, 3, 125)
    assert (split[found.owner][:, found.inside] == rows[:, found.column]).all()
    weights = load_file(session.folder / "runs" / "model" / "model.safetensors")
    model = hub.load(session.folder / "runs" / "model", dtype="float32")
    count = model.config.attention.heads  # pyright: ignore[reportAttributeAccessIssue]
    out_EF = weights[f"model.layers.{found.layer}.self_attn.o_proj.weight"].double().numpy()
    squares_HE = np.stack([(part**2).sum(1) for part in np.split(out_EF, count, axis=1)])
    shares_HE = squares_HE / squares_HE.sum(0)
    assert np.array(found.shares) == pytest.approx(shares_HE[:, :8], abs=1e-6)
    assert found.even == 1 / count
    assert [int(each.name) for each in found.variants] == [1, 2, 4, 8, 16]
    assert max(each.weights for each in found.variants) <= 1.02 * min(each.weights for each in found.variants)


def test_a_hundred_rotations_are_one(session: Session) -> None:
    found = session.found("activation")
    assert 0 < found.apart < 1e-12
    assert found.many > found.one
    weights = [each.weights for each in found.variants]
    assert max(weights) <= 1.02 * min(weights)
    assert {each.kind for each in found.networks} == {each.name for each in found.variants} == set(activation.COMPARED)


def test_without_activations_the_network_adds_up_what_each_token_gives() -> None:
    """logits(a, c) - logits(b, c) is the same for every c, exactly when the network is linear."""
    for kind, linear in (("identity", True), ("relu", False)):
        network = activation.OnlyActivation(kind).double()
        with torch.no_grad():
            one, two, three, four = network(torch.tensor([[1, 5], [2, 5], [1, 7], [2, 7]]))
        assert torch.allclose(one - two, three - four) == linear


def test_the_loss_of_the_next_word_is_that_of_transformers(session: Session) -> None:
    found = session.found("next")
    model, other = hub.load(session.folder / "runs" / "model", dtype="float32"), peer(session)
    nats: list[float] = []
    right = 0
    for story in islice(corpora.get("world-en").stories(1), 10):
        ids_1T = torch.tensor([model.tokenizer.encode_document(story.text)[: model.config.context + 1]])
        with torch.no_grad():
            logits_TV = other(ids_1T[:, :-1]).logits[0].double()
        nats += F.cross_entropy(logits_TV, ids_1T[0, 1:], reduction="none").tolist()
        right += int((logits_TV.argmax(-1) == ids_1T[0, 1:]).sum())
    assert found.predicted == len(nats)
    assert found.nats == pytest.approx(sum(nats) / len(nats), abs=1e-4)
    assert found.likeliest == pytest.approx(right / len(nats), abs=2 / len(nats))
    assert list(found.tempered[1]) == pytest.approx(list(found.probabilities), abs=1e-5)
    assert found.kept_k == next_word.TOP_K


def test_vectors_before_training_are_those_of_the_seed(session: Session) -> None:
    found = session.found("vectors")
    names = [each.name for each in found.tables]
    assert names == ["start", "model", "counted"]
    assert found.moved_table > 0.5
    model = hub.load(session.folder / "runs" / "model", dtype="float32")
    table_VE = load_file(session.folder / "runs" / "model" / "model.safetensors")["model.embed_tokens.weight"].double()
    a, b, c, answer = (
        [i for i in model.tokenizer.encode(f" {word}") if model.labels([i]) != ["·"]] for word in found.analogy
    )
    rows = [table_VE[ids].mean(0) for ids in (a, b, c, answer)]
    trained = found.tables[1]
    assert trained.cosine == pytest.approx(
        float(F.cosine_similarity(rows[1] - rows[0], rows[3] - rows[2], dim=0)), abs=1e-5
    )
    assert trained.lengths == pytest.approx(
        [float((rows[1] - rows[0]).norm()), float((rows[3] - rows[2]).norm())], abs=1e-5
    )


def test_a_causal_model_cannot_tell_a_word_that_comes_first(session: Session) -> None:
    found = session.found("senses")
    assert found.ahead_apart[0] < 1e-6 < found.ahead_apart[1]
    assert [each.causal for each in found.told] == [True, False]
    assert all(each.majority < 1 for each in found.told)
    assert session.findings["senses"].report("en").holds != "yes"


def test_the_comparison_has_three_models_of_one_size(session: Session) -> None:
    found = session.found("context")
    assert {each.name for each in found.models} == set(context.MODELS)
    weights = [each.weights for each in found.models]
    assert max(weights) <= 1.02 * min(weights)
    even = [each.tokens for each in found.models if each.at == "tokens"]
    assert len(set(even)) == 1
    assert (session.folder / context.FOLDER / "comparison.json").exists()


def test_recall_is_asked_of_four_models_of_one_size(session: Session) -> None:
    """Every model read the same rows; the share is the mean over the distances, of 3,000 rows with 4 keys each."""
    found = session.found("context").recallers
    assert [each.name for each in found] == [*recalling.ATTEND, *recalling.DO_NOT]
    weights = [each.weights for each in found]
    assert max(weights) <= 1.02 * min(weights)
    assert {each.tokens for each in found} == {STEPS * 4 * 32}
    for each in found:
        assert sum(bin.count for bin in each.by_distance) == 3000 * 4
        assert sum(bin.count * bin.mean for bin in each.by_distance) == pytest.approx(each.right * 3000 * 4)


@pytest.mark.parametrize(
    ("shares", "recall", "leads", "holds"),
    [
        ((0.99, 0.99, 0.2, 0.1), "yes", True, "yes"),
        ((0.99, 0.99, 0.2, 0.1), "yes", False, "partly"),
        ((0.89, 0.99, 0.2, 0.1), "open", False, "open"),
        ((0.99, 0.99, 0.5, 0.1), "open", True, "partly"),
        ((0.99, 0.99, 0.9, 0.1), "no", True, "partly"),
        ((0.99, 0.99, 0.2, 0.95), "no", False, "no"),
    ],
)
def test_the_verdict_on_context_follows_by_its_rule(
    shares: tuple[float, ...], recall: str, leads: bool, holds: str, session: Session
) -> None:
    found = session.found("context")
    recallers = tuple(replace(each, right=share) for each, share in zip(found.recallers, shares, strict=True))
    ahead = {"transformer": leads}
    models = tuple(
        replace(
            each,
            loss=1.0 if ahead.get(each.name, not leads) else 2.0,
            recalled=(Bin(low=32, high=63, count=400, mean=0.6 if ahead.get(each.name, False) else 0.1),),
        )
        for each in found.models
    )
    assert recalling.judged(recallers) == recall
    changed = replace(session.findings["context"], found=replace(found, recallers=recallers, models=models))
    assert changed.report("en").holds == changed.report("zh").holds == holds


def test_a_lead_is_larger_than_chance() -> None:
    assert context.leads((0.6, 400), [(0.4, 400), (0.5, 400)])
    assert not context.leads((0.6, 40), [(0.4, 40), (0.5, 40)])  # 0.1 is less than 2 sqrt(0.49 / 40)
    assert not context.leads(None, [(0.4, 40)])
    assert context.leads((0.5, 40), [None])


def test_charts_show_what_was_found(session: Session) -> None:
    """Every point of a curve and every cell of a matrix has its number on the page."""
    for name, finding in session.findings.items():
        page = (session.folder / f"{name}.html").read_text(encoding="utf-8")
        report: Report = finding.report("en")
        for block in report.blocks:
            if isinstance(block, Curves):
                for curve in block.curves:
                    if curve.level:
                        assert f" {curve.y[0]:.3f}</li>" in page
                        continue
                    named = [block.ticks[int(x)] if block.ticks else f"{x:,g}" for x in curve.x]
                    assert all(f": {x}, {y:.4g}</title>" in page for x, y in zip(named, curve.y, strict=True))
            if isinstance(block, Heatmap):
                assert all(f": {v:.6g}</title>" in page for row in block.values for v in row if v is not None)


def test_what_is_known_is_not_measured_again(session: Session) -> None:
    said: list[str] = []

    class Told(note.LabEvents):
        def say(self, line: str) -> None:
            said.append(line)

    before = (session.folder / "mask.json").stat().st_mtime_ns
    note.carry_out(["mask"], session.folder, SETTING, Told())
    assert said == [f"mask: measured before; delete {session.folder}/mask.json to measure it again"]
    assert (session.folder / "mask.json").stat().st_mtime_ns == before


def test_a_comparison_goes_on_with_the_minutes_it_began_with(session: Session) -> None:
    """They may differ: once a session has trained what it needs, the others get its minutes."""
    before = session.found("context")
    (session.folder / "context.json").unlink()
    (again,) = note.carry_out(["context"], session.folder, SETTING, note.LabEvents(), threads=1)
    assert again.found == before


def test_another_setting_and_altered_numbers_are_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(
        FolderError, match=r"mask.json is of another setting: seed was 0 and is now 3|is of another setting"
    ):
        note.carry_out(["mask"], session.folder, replace(SETTING, seed=3), note.LabEvents())
    table = json.loads((session.folder / "mask.json").read_text(encoding="utf-8"))
    for changed, why in (
        ({**table, "schema": "clearhead.lab/0"}, "it is not a finding of mask"),
        ({**table, "found": {**table["found"], "later": "none"}}, "later"),
        ({**table, "found": {}}, "missing"),
    ):
        (tmp_path / "mask.json").write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(FolderError, match=why):
            note.read(tmp_path, "mask")
    with pytest.raises(FolderError, match="cannot be read"):
        note.read(tmp_path, "next")


def test_worlds_only() -> None:
    with pytest.raises(OptionError, match="python-docs"):
        note.Setting(corpus="python-docs", minutes=1)
    with pytest.raises(OptionError, match="minutes is 0"):
        note.Setting(corpus="world-en", minutes=0)


def test_lab_lists_the_claims(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for language, word in (("en", "cannot grasp context"), ("zh", "上下文")):
        assert called(monkeypatch, "lab", "--language", language) == 0
        out = capsys.readouterr().out
        assert [line.split()[0] for line in out.splitlines() if re.match("[a-z]", line)] == list(note.EXPERIMENTS)
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["masks"], "there is no experiment 'masks'; did you mean 'mask'?"),
        (["mask", "--all"], "--all runs every experiment"),
        (["mask", "--language", "fr"], "language 'fr' is not known"),
        (["mask", "--corpus", "mqar-64-4"], "is not a world with known facts"),
    ],
)
def test_lab_refuses(
    arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "lab", *arguments) == 2
    assert why in capsys.readouterr().err


def test_phrases_fill_in() -> None:
    says = Phrases("mask", "en")
    assert says("speed", places=3) == "Milliseconds for 3 places"
    assert says.listed("checks_header") == ("check", "measured", "expected")
