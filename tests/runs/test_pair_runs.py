"""Runs of sentence pairs: the folder opens in transformers and translates, and what a run has works for them too."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, MarianMTModel

import clearhead as ch
from clearhead import hub
from clearhead.errors import ClearheadError, OptionError
from clearhead.generation import Search, score, translate
from clearhead.language_model import LanguageModel
from clearhead.recipes import read_file, resolved
from clearhead.runs import Interrupted, evaluate_pairs
from clearhead.runs.proof import difference
from clearhead.tap import Site
from clearhead.training import Evaluated, Report, Stepped
from little_translators import made_up, write_pairs

SETTINGS = {
    "model.layers": 1,
    "model.encoder_layers": 1,
    "model.width": 16,
    "model.context": 32,
    "model.attention": {
        "heads": 2,
        "kv_heads": 2,
        "head_width": 8,
        "bias": True,
        "out_bias": True,
        "head_norm": "none",
    },
    "model.feed_forward.width": 32,
    "model.embedding_scale": 4.0,
    "train.batch": 8,
    "train.evaluations": 2,
}
SMALL = {"steps": 40, "threads": 1, "vocabulary": 290, "settings": SETTINGS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ch.Run:
    folder = tmp_path_factory.mktemp("pairs")
    return ch.train(pairs=write_pairs(folder / "p.tsv"), out=folder / "run", **SMALL)


def test_it_opens_in_transformers_with_equal_ids_and_logits(whole: ch.Run):
    peer = MarianMTModel.from_pretrained(whole.folder).eval()
    model = whole.model
    start, end = model.target_edges
    assert (peer.config.decoder_start_token_id, peer.config.eos_token_id) == (start, end)
    source = [*model.tokenizer.encode("one two three"), end]
    assert [*AutoTokenizer.from_pretrained(whole.folder)("one two three")["input_ids"], end] == source
    ids_BT, source_BS = torch.tensor([[start, *model.tokenizer.encode("eins zwei")]]), torch.tensor([source])
    with torch.no_grad():
        theirs = peer(input_ids=source_BS, decoder_input_ids=ids_BT).logits
        torch.testing.assert_close(model(ids_BT, source_BS=source_BS), theirs, rtol=1e-5, atol=1e-5)


def test_the_run_learns_and_says_so(whole: ch.Run):
    evaluated = [report for report in whole.reports if isinstance(report, Evaluated)]
    assert evaluated[-1].valid_loss < evaluated[0].valid_loss - 1
    assert all(" -> " in report.sample for report in evaluated)
    assert all(0 <= report.bleu <= 100 and 0 <= report.chrf <= 100 for report in evaluated)
    assert whole.evaluation.unit == "token"
    recipe = resolved(read_file(whole.folder / "recipe.toml"))
    assert recipe.text.layout == "pairs"
    assert recipe.train.label_smoothing == 0.1
    assert recipe.model.abilities == {"text to text"}
    assert (whole.folder / "loss.svg").exists()
    assert "nats a token" in repr(whole)


def test_sentences_held_out_are_not_trained_on(tmp_path: Path):
    said: list[str] = []
    run = ch.train(
        pairs=write_pairs(tmp_path / "p.tsv"), out=tmp_path / "run", **{**SMALL, "steps": 1}, say=said.append
    )
    lines = "\n".join(said)
    assert "pairs: 200 of 200" in lines
    assert "text: 180 pairs to train on, 20 to validate on;" in lines
    assert f"all {run.evaluation.tokens} validation tokens" in lines


def test_the_last_line_counts_the_tokens_that_were_predicted(tmp_path: Path):
    said: list[str] = []
    small = {**SMALL, "steps": 1, "settings": {**SETTINGS, "train.final_tokens": 30}}
    run = ch.train(pairs=write_pairs(tmp_path / "p.tsv"), out=tmp_path / "run", **small, say=said.append)
    assert f"on the first {run.evaluation.tokens} of " in "\n".join(said)
    assert 30 <= run.evaluation.tokens < 60


@pytest.mark.parametrize("end", ["stopped", "cut off"])
def test_a_run_that_is_resumed_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str):
    """Stopped after step 3, whose state is saved; or ended at step 7, with the state of an earlier evaluation."""
    monkeypatch.chdir(tmp_path)
    write_pairs(Path("p.tsv"))
    small = {**SMALL, "steps": 8, "settings": {**SETTINGS, "model.dropout": 0.1, "train.evaluations": 4}}
    ch.train(pairs="p.tsv", out="whole", **small)

    def ended(report: Report) -> None:
        if isinstance(report, Stepped) and end == "stopped" and report.step == 3:
            signal.raise_signal(signal.SIGINT)
        if isinstance(report, Stepped) and end == "cut off" and report.step == 7:
            raise SystemExit

    with pytest.raises(Interrupted if end == "stopped" else SystemExit):
        ch.train(pairs="p.tsv", out="parts", **small, report=ended)
    ch.resume("parts")
    assert difference(Path("whole"), Path("parts")) is None


def test_parallel_files_and_json_lines_give_the_run_of_a_table(tmp_path: Path):
    table = write_pairs(tmp_path / "p.tsv")
    for side, name in enumerate(("a.en", "a.de")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in made_up()))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"en": a, "de": b}) + "\n" for a, b in made_up()))
    given = [
        {"pairs": table},
        {"source": tmp_path / "a.en", "target": tmp_path / "a.de"},
        {"pairs": [tmp_path / "p.jsonl"], "field": "en,de"},
    ]
    small = {**SMALL, "steps": 2}
    found = [ch.train(**each, out=tmp_path / str(n), **small).model for n, each in enumerate(given)]
    for other in found[1:]:
        state = other.network.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in found[0].network.state_dict().items())


def test_a_unigram_tokenizer_for_both_languages(tmp_path: Path):
    """The folder opens in transformers with equal ids."""
    run = ch.train(
        pairs=write_pairs(tmp_path / "p.tsv", 60), tokenizer="unigram", out=tmp_path / "run", **{**SMALL, "steps": 2}
    )
    peer, texts = AutoTokenizer.from_pretrained(tmp_path / "run"), ["one two three", "fünf 你"]
    assert run.model.tokenizer.kind == "unigram"
    assert peer(texts, add_special_tokens=False)["input_ids"] == [run.model.tokenizer.encode(text) for text in texts]
    assert translate(run.model, "one two", beams=1, max_tokens=3).ids


class TestValidation:
    def test_pairs_of_their_own(self, tmp_path: Path):
        train, valid = write_pairs(tmp_path / "p.tsv", 60), write_pairs(tmp_path / "v.tsv", 10, first=60)
        run = ch.train(pairs=train, valid=valid, out=tmp_path / "run", **{**SMALL, "steps": 1})
        found = evaluate_pairs(run.model, valid)
        assert run.evaluation.nats == pytest.approx(found.evaluation.nats, rel=1e-6)
        assert run.evaluation.tokens == found.evaluation.tokens

    def test_source_sentences_on_both_sides_are_an_error(self, tmp_path: Path):
        train, valid = write_pairs(tmp_path / "p.tsv", 60), write_pairs(tmp_path / "v.tsv", 10, first=58)
        small = {**SMALL, "steps": 1}
        said = (
            r"^2 source sentences of the validation pairs also stand in the training pairs, such as '.*text.overlap=tr"
        )
        with pytest.raises(OptionError, match=said):
            ch.train(pairs=train, valid=valid, out=tmp_path / "run", **small)
        small["settings"] = {**SETTINGS, "text.overlap": True}
        assert ch.train(pairs=train, valid=valid, out=tmp_path / "run", **small).folder.exists()

    def test_parallel_files_are_two(self, tmp_path: Path):
        for name in ("a.en", "a.de", "v.en"):
            (tmp_path / name).write_text("x\n")
        with pytest.raises(OptionError, match=r"parallel text is two files, .*--valid dev.en --valid dev.de$"):
            ch.train(
                source=tmp_path / "a.en", target=tmp_path / "a.de", valid=tmp_path / "v.en", out=tmp_path / "r", **SMALL
            )


class TestEvaluation:
    def test_figures_are_of_the_model_s_own_translations(self, whole: ch.Run, tmp_path: Path):
        lines = write_pairs(tmp_path / "v.tsv", 8, first=190).read_text().splitlines()
        (tmp_path / "v.tsv").write_text("\n".join([lines[0], "no column", *lines[1:], "\tno source", ""]))
        found = evaluate_pairs(whole.model, [str(tmp_path / "v.tsv")], Search(beams=2), most=5)
        sources, targets = zip(*(line.split("\t") for line in lines[:4]), strict=True)
        made = translate(whole.model, list(sources), beams=2)
        assert [each.text for each in found.translations] == [each.text for each in made]
        assert found.references == targets
        assert found.scores == score([each.text for each in made], targets)
        assert found.evaluation.loss == pytest.approx(self.by_hand(whole.model, sources, targets), rel=1e-5)
        assert found.evaluation.text_bytes == sum(len(target.encode()) for target in targets)

    @torch.no_grad()
    def by_hand(self, model: LanguageModel, sources: tuple[str, ...], targets: tuple[str, ...]) -> float:
        """Mean nats a token, each pair alone; labels are not smoothed."""
        start, end = model.target_edges
        nats, tokens = 0.0, 0
        for source, target in zip(sources, targets, strict=True):
            ids = model.tokenizer.encode(target)
            logits_TV = model(
                torch.tensor([[start, *ids]]), source_BS=torch.tensor([[*model.tokenizer.encode(source), end]])
            )[0]
            nats -= float(logits_TV.log_softmax(-1)[range(len(ids) + 1), [*ids, end]].sum())
            tokens += len(ids) + 1
        return nats / tokens

    def test_a_sentence_longer_than_the_context_is_an_error(self, whole: ch.Run, tmp_path: Path):
        (tmp_path / "v.tsv").write_text("one\teins\nno\t" + "x" * 40)
        with pytest.raises(
            ClearheadError,
            match=r"v.tsv: a sentence has 41 tokens with the special tokens around it; the model's context is 32",
        ):
            evaluate_pairs(whole.model, [str(tmp_path / "v.tsv")])


class TestObserved:
    TEXT, TARGET = "one two three", "eins zwei"

    def test_maps_of_both_texts(self, whole: ch.Run):
        model = whole.model
        record = ch.observe(model, self.TEXT, target=self.TARGET)
        source = [*model.tokenizer.encode(self.TEXT), model.target_edges[1]]
        target = [model.target_edges[0], *model.tokenizer.encode(self.TARGET)]
        shapes = {
            Site(0, "self", "encoder"): (len(source), len(source)),
            Site(0): (len(target), len(target)),
            Site(0, "cross"): (len(target), len(source)),
        }
        for site, shape in shapes.items():
            for head in range(2):
                weights_QK = record.map(site, head)[:, :]
                assert weights_QK.shape == shape
                torch.testing.assert_close(weights_QK.sum(1), torch.ones(shape[0]), rtol=0, atol=1e-5)
        assert record.tokens == model.labels(target)

    def test_its_own_translation_if_there_is_no_target(self, whole: ch.Run):
        own = translate(whole.model, self.TEXT).text
        one, other = ch.observe(whole.model, self.TEXT), ch.observe(whole.model, self.TEXT, target=own)
        assert one.tokens == other.tokens
        assert torch.equal(one.map(Site(0, "cross"), 1)[:, :], other.map(Site(0, "cross"), 1)[:, :])

    def test_what_is_refused(self, whole: ch.Run):
        with pytest.raises(OptionError, match=r"^observe: a target was given with 2 texts; give it with one text$"):
            ch.observe(whole.model, ["a", "b"], target="c")  # pyright: ignore[reportCallIssue, reportArgumentType]
        with pytest.raises(OptionError, match=r"^the text is empty"):
            ch.observe(whole.model, "")
        with pytest.raises(ClearheadError, match=r"^the text .* has 33 tokens; the model translates up to 31 at once"):
            ch.observe(whole.model, "~" * 33)


class TestRefused:
    def refused(self, tmp_path: Path, said: str, *texts: Path, **asked: object) -> None:
        write_pairs(tmp_path / "p.tsv")
        (tmp_path / "a.txt").write_text("some text. " * 50)
        with pytest.raises(ClearheadError, match=said):
            ch.train(*texts, out=tmp_path / "run", **{"steps": 2, "threads": 1, **asked})
        assert not (tmp_path / "run").exists()

    def test_kinds_of_text_that_exclude_each_other(self, tmp_path: Path):
        text, pairs = tmp_path / "a.txt", tmp_path / "p.tsv"
        self.refused(tmp_path, r"^text and pairs: give one of them$", text, pairs=pairs)
        self.refused(tmp_path, r"^pairs and source and target: give one of th", pairs=pairs, source=text, target=text)
        self.refused(tmp_path, r"^source and target: only one was given; ", source=text)
        self.refused(tmp_path, r"^source and target: only one was given; ", target=text)
        self.refused(tmp_path, r"were both given", pairs=pairs, corpus="world-en")

    def test_models_that_do_not_translate(self, tmp_path: Path):
        pairs, text = tmp_path / "p.tsv", tmp_path / "a.txt"
        self.refused(
            tmp_path,
            r"^--model lstm: does not translate; for sentence pairs there is transformer, convolution, gru",
            pairs=pairs,
            model="lstm",
        )
        self.refused(
            tmp_path, r"^--masked: masks are filled in plain text, not in sentence pairs", pairs=pairs, masked=True
        )
        settings = {"model.kind": "encoder-decoder"}
        self.refused(tmp_path, r"this model translates, so it learns from sentence pairs", text, settings=settings)
        self.refused(tmp_path, r"kind 'decoder' does not translate", pairs=pairs, settings={"model.kind": "decoder"})

    def test_what_is_for_text_alone(self, tmp_path: Path):
        pairs = tmp_path / "p.tsv"
        self.refused(tmp_path, r"^field 'en,de': applies to .jsonl files", pairs=pairs, field="en,de")
        self.refused(tmp_path, r"label_smoothing is 1.0; it must", pairs=pairs, settings={"train.label_smoothing": 1.0})
        self.refused(tmp_path, r"p2.tsv: no such file", pairs=tmp_path / "p2.tsv")

    def test_a_translator_predicts_no_text(self, whole: ch.Run, tmp_path: Path):
        (tmp_path / "a.txt").write_text("some text. " * 50)
        for call in (
            lambda: ch.evaluate(whole.model, tmp_path / "a.txt"),
            lambda: ch.generate(whole.model, "one"),
        ):
            with pytest.raises(OptionError, match=r"needs a model that|is measured on sentence pairs"):
                call()


def test_it_trains_further(whole: ch.Run, tmp_path: Path):
    run = ch.train(
        pairs=write_pairs(tmp_path / "p.tsv"),
        out=tmp_path / "further",
        origin=whole.folder,
        steps=3,
        threads=1,
        settings={"train.evaluations": 1, "train.batch": 8},
    )
    first = next(report for report in run.reports if isinstance(report, Evaluated))
    assert first.valid_loss == pytest.approx(whole.best.valid_loss, rel=1e-5)


def test_norms_before_each_part_are_written_natively_and_open_again(tmp_path: Path):
    small = {**SMALL, "steps": 2, "settings": {**SETTINGS, "model.arrangement": "pre", "model.tied": False}}
    run = ch.train(pairs=write_pairs(tmp_path / "p.tsv"), out=tmp_path / "run", **small)
    again = ch.load(run.folder)
    assert hub.family(again.config) == "clearhead"
    assert translate(again, "one two", max_tokens=3) == translate(run.model, "one two", max_tokens=3)
