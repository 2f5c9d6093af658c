"""Translators that are not Transformers in every room: trained, resumed, saved, translating, looked at, evaluated."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import clearhead as ch
from clearhead import hub
from clearhead.analysis.room import record_bytes
from clearhead.generation import Sampling, translate
from clearhead.model import ModelConfig
from clearhead.plain import from_dict
from clearhead.runs import Asked, Interrupted, evaluate_pairs
from clearhead.runs.proof import difference
from clearhead.runs.resolve import resolve
from clearhead.tap import Site
from clearhead.training import Evaluated, Report, Stepped
from clearhead.watching import watch
from little_translators import write_pairs
from verbs import called

RIVALS = ("lstm-attention", "gru-attention", "convolution")
SETTINGS: dict[str, Any] = {
    "model.layers": 2,
    "model.encoder_layers": 1,
    "model.width": 16,
    "model.hidden": 12,
    "model.context": 32,
    "train.batch": 8,
    "train.evaluations": 2,
}
HEADS = {"model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8}}


def options(kind: str, **settings: Any) -> dict[str, Any]:
    """Of a small run."""
    own = {"model.attention_heads": 2} if kind == "convolution" else HEADS
    return {"model": kind, "threads": 1, "vocabulary": 290, "settings": {**SETTINGS, **own, **settings}}


@pytest.fixture(scope="module", params=RIVALS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(kind: str, tmp_path_factory: pytest.TempPathFactory) -> ch.Run:
    folder = tmp_path_factory.mktemp("pairs")
    return ch.train(pairs=write_pairs(folder / "p.tsv"), out=folder / "run", steps=40, **options(kind))


def test_the_run_learns(whole: ch.Run) -> None:
    evaluated = [report for report in whole.reports if isinstance(report, Evaluated)]
    assert evaluated[-1].valid_loss < evaluated[0].valid_loss - 1
    assert all(" -> " in report.sample for report in evaluated)
    assert whole.recipe.train.label_smoothing == 0.1


def test_a_run_that_is_stopped_and_cut_off_ends_with_the_same_bits(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after step 2, whose state is saved; then ended at step 5, with the state of an earlier evaluation."""
    monkeypatch.chdir(tmp_path)
    write_pairs(Path("p.tsv"), 60)
    given = {"steps": 6, **options(kind, **{"model.dropout": 0.1, "train.evaluations": 3})}
    ch.train(pairs="p.tsv", out="whole", **given)

    def ended(report: Report) -> None:
        if isinstance(report, Stepped) and report.step == 2:
            signal.raise_signal(signal.SIGINT)
        if isinstance(report, Stepped) and report.step == 5:
            raise SystemExit

    with pytest.raises(Interrupted):
        ch.train(pairs="p.tsv", out="parts", **given, report=ended)
    with pytest.raises(SystemExit):
        ch.resume("parts", report=ended)
    ch.resume("parts")
    assert difference(Path("whole"), Path("parts")) is None


def test_it_is_written_in_our_own_layout_and_opens_with_the_same_bits(whole: ch.Run) -> None:
    again = ch.load(whole.folder)
    assert hub.family(again.config) == "clearhead"
    assert again.config == whole.model.config
    ids_BT = torch.tensor([[whole.model.target_edges[0], 7, 8]])
    with torch.no_grad():
        assert torch.equal(again(ids_BT, source_BS=ids_BT), whole.model(ids_BT, source_BS=ids_BT))


def test_sentences_together_are_translated_as_alone_and_watched_as_unwatched(whole: ch.Run) -> None:
    model, texts = whole.model, ["one two three", "ten", "five eight two one", "six six"]
    found = translate(model, texts, beams=3)
    for text, each in zip(texts, found, strict=True):
        alone = translate(model, text, beams=3)
        assert (alone.ids, alone.complete) == (each.ids, each.complete)
        assert alone.logprob == pytest.approx(each.logprob, abs=1e-4)
    alone = translate(model, texts[0], beams=1)
    with watch(model.network) as record:
        assert translate(model, texts[0], beams=1) == alone
        assert [each.ids for each in translate(model, texts, beams=3)] == [each.ids for each in found]
    assert record[0].map(Site(1, "cross"), 1).shape == (len(alone.ids), len(model.tokenizer.encode(texts[0])) + 1)
    drawn = translate(model, texts, sampling=Sampling(seed=3))
    assert [translate(model, text, sampling=Sampling(seed=3)).ids for text in texts] == [each.ids for each in drawn]


def test_the_record_of_a_translation_has_a_row_for_each_token_and_a_column_for_each_that_was_read(
    whole: ch.Run,
) -> None:
    model = whole.model
    record = ch.observe(model, "one two three", target="eins zwei")
    shape = (1 + len(model.tokenizer.encode("eins zwei")), len(model.tokenizer.encode("one two three")) + 1)
    for layer in range(2):
        for head in range(2):
            weights_TS = record.map(Site(layer, "cross"), head)[:, :]
            assert weights_TS.shape == shape
            torch.testing.assert_close(weights_TS.sum(1), torch.ones(shape[0]), rtol=0, atol=1e-5)
    for keep in ("", "values", "heads"):
        kept = ch.observe(model, "one two three", target="eins zwei", keep=keep or ())
        assert record_bytes(model, [shape], keep) == kept.nbytes()
    edited = ch.observe(model, "one two three", target="eins", edits=ch.Ablate(layer=0, kind="cross", head=1))
    assert list(edited.seen()) == [Site(0, "cross"), Site(1, "cross")]


def test_every_verb_takes_it(
    whole: ch.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(Path("v.tsv"), 8, first=190)
    run = str(whole.folder)
    for verb in (
        ["translate", run, "one two three", "--beams", "2"],
        ["eval", run, "--pairs", "v.tsv"],
        ["show", run],
        ["look", run, "one two", "--target", "eins zwei", "--alignment"],
        ["look", run, "one two", "--target", "eins zwei", "--alignment", "--out", "x.svg"],
        ["look", run, "one two", "--target", "eins zwei", "--out", "x.html"],
        ["look", run, "one two", "--target", "eins zwei", "--out", "x.safetensors"],
        ["look", "x.safetensors", "--alignment"],
        ["atlas", run, "one two"],
    ):
        assert called(monkeypatch, *verb) == 0, (verb, capsys.readouterr().err)
    out = capsys.readouterr().out
    assert "what each token was predicted from: layer 0, the mean of its heads" in out
    assert "1 in the encoder, 2 in the decoder, of width 16" in out
    for verb, said in (
        (["generate", run, "one"], "needs a model that"),
        (["lens", run, "one"], "no residual stream to read at each layer"),
        (
            ["look", run, "one", "--target", "eins", "--alignment", "--layer", "5"],
            "there is no layer 5 with cross-attention",
        ),
    ):
        assert called(monkeypatch, *verb) == 2
        assert said in capsys.readouterr().err


def test_figures_are_of_its_own_translations(whole: ch.Run, tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "v.tsv", 4, first=190)
    found = evaluate_pairs(whole.model, table)
    sources = [line.split("\t")[0] for line in table.read_text().splitlines()]
    assert [each.text for each in found.translations] == [each.text for each in translate(whole.model, sources)]


def test_it_trains_further(whole: ch.Run, tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "p.tsv")
    settings = {"train.evaluations": 1, "train.batch": 8}
    run = ch.train(pairs=table, out=tmp_path / "further", origin=whole.folder, steps=1, threads=1, settings=settings)
    first = next(report for report in run.reports if isinstance(report, Evaluated))
    assert first.valid_loss == pytest.approx(whole.best.valid_loss, rel=1e-5)


@pytest.mark.parametrize("recipe", [None, "tiny", "small"])
def test_a_recipe_gives_a_translator_with_as_many_weights(kind: str, recipe: str | None) -> None:
    def model(name: str) -> ModelConfig:
        table = resolve(Asked(layout="pairs", sources=["p.tsv"], steps=3, recipe=recipe, model=name)).table
        return from_dict(ModelConfig, {"vocabulary": 500, **table["model"]})

    peer, found = model("transformer"), model(kind)
    assert found.abilities == {"text to text"}
    assert found.parameters() == pytest.approx(peer.parameters(), rel=0.02)
    assert replace(found, context=peer.context) == found
