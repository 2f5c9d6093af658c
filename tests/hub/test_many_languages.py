"""Folders of models of many languages, whole: which language each text is in, and into which it is translated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import clearhead as ch
import little_multilingual
import little_pieces
from clearhead import hub
from clearhead.errors import FolderError, OptionError, TextError
from clearhead.generation import Sampling, forced, source_ids, translate
from clearhead.runs import evaluate_pairs
from clearhead.text import Tokenizer
from clearhead.training import Stepped
from little_multilingual import CODES
from little_translators import translator, write_pairs

SENTENCES = ["one two three", "Hello, world!", "It's 2024; 你好 é x", "nine"]


@pytest.fixture(scope="module", params=CODES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """The kind, the folder, and transformers' model."""
    folder = tmp_path_factory.mktemp("many") / request.param
    return request.param, folder, little_multilingual.write(folder, request.param)


def theirs(kind: str, folder: Path, peer: Any, text: str, source: str, target: str, **options: Any) -> tuple[Any, list]:
    """What transformers reads and writes, as its documentation says for the kind."""
    words = AutoTokenizer.from_pretrained(folder, src_lang=CODES[kind][source])
    given = words(text, return_tensors="pt")
    language = words.convert_tokens_to_ids(little_multilingual.token(kind, target))
    forced = {"forced_bos_token_id": language}
    if kind == "mbart":  # here the token before a translation is never in one
        forced = {"decoder_start_token_id": language, "bad_words_ids": [[language]]}
    most = {"max_new_tokens": 3 * given["input_ids"].shape[1] + 10}
    out = peer.generate(**given, do_sample=False, **forced, **{**most, **options}, use_cache=False)
    ids = out[0, 1:].tolist()
    return given["input_ids"][0].tolist(), ids[: ids.index(2) + 1] if 2 in ids else ids


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("de", "en")])
@pytest.mark.parametrize("beams", [1, 3])
def test_it_translates_as_transformers_does(both: Any, source: str, target: str, beams: int) -> None:
    """The ids that are read and written; the language is not in the text."""
    kind, folder, peer = both
    ours = hub.load(folder).with_languages(source=CODES[kind][source], target=CODES[kind][target])
    for text, found in zip(SENTENCES, translate(ours, SENTENCES, beams=beams), strict=True):
        read, written = theirs(kind, folder, peer, text, source, target, num_beams=beams, early_stopping=False)
        assert source_ids(ours, text) == read
        assert list(found.ids) == written
        inner = written[: -1 if written[-1] == 2 else None]
        if kind != "mbart":
            assert inner.pop(0) == ours.languages[CODES[kind][target]]
        assert found.text == ours.tokenizer.decode(inner).strip()


def test_languages_matter(both: Any) -> None:
    kind, folder, _ = both
    model, codes = hub.load(folder), CODES[kind]
    pairs = [("en", "de"), ("en", "en"), ("de", "de")]
    made = [model.with_languages(source=codes[source], target=codes[target]) for source, target in pairs]
    found = {tuple(round(each.logprob, 3) for each in translate(one, SENTENCES, beams=1)) for one in made}
    assert len(found) == 3


def test_a_source_that_is_not_named_is_the_folder_s(both: Any) -> None:
    """English in all, as in transformers."""
    kind, folder, _ = both
    model = hub.load(folder)
    assert source_ids(model, "nine") == AutoTokenizer.from_pretrained(folder)("nine")["input_ids"]
    assert model.with_languages() is model
    named = [source_ids(model.with_languages(source=CODES[kind][each]), "nine") for each in ("en", "de")]
    assert named[0] == source_ids(model, "nine") != named[1]


def test_saved_and_opened_by_transformers(both: Any, tmp_path: Path) -> None:
    """The folder says which languages, to transformers too."""
    kind, folder, peer = both
    codes = CODES[kind]
    ours = hub.load(folder).with_languages(source=codes["de"], target=codes["en"])
    hub.save(tmp_path, ours)
    back, words = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval(), AutoTokenizer.from_pretrained(tmp_path)
    again = hub.load(tmp_path)
    for text in SENTENCES:
        read, written = theirs(kind, folder, peer, text, "de", "en", num_beams=1)
        assert words(text)["input_ids"] == read == source_ids(again, text)
        given = words(text, return_tensors="pt")
        most = 3 * len(read) + 10
        never = [[again.target_edges[0]]] if kind == "mbart" else None
        out = back.generate(**given, do_sample=False, max_new_tokens=most, bad_words_ids=never, use_cache=False)
        out = out[0, 1:].tolist()
        assert out[: len(written)] == written == list(translate(again, text, beams=1).ids)


def test_without_generation_config_the_languages_are_in_config_json(both: Any, tmp_path: Path) -> None:
    """Where transformers looks for them, too, if there is no such file."""
    kind, folder, peer = both
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "generation_config.json").unlink()
    hub.save(tmp_path / "again", hub.load(tmp_path / "bare").with_languages(target=CODES[kind]["de"]))
    assert not (tmp_path / "again" / "generation_config.json").exists()
    name = "decoder_start_token_id" if kind == "mbart" else "forced_bos_token_id"
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    again = hub.load(tmp_path / "again")
    assert written[name] == again.languages[CODES[kind]["de"]]
    _, ids = theirs(kind, folder, peer, "nine", "en", "de", num_beams=1)
    assert list(translate(again, "nine", beams=1).ids) == ids


@pytest.mark.parametrize("legacy", [False, True])
def test_the_language_s_place_is_that_of_transformers_class(legacy: bool, tmp_path: Path) -> None:
    """NLLB's released tokenizer.json puts it behind, which transformers does only if legacy_behaviour says so."""
    words = little_multilingual.tokenizer("nllb")
    words.save_pretrained(tmp_path)
    state, settings = (
        json.loads((tmp_path / name).read_text()) for name in ("tokenizer.json", "tokenizer_config.json")
    )
    first, *others = state["post_processor"]["single"]
    state["post_processor"]["single"] = [*others, first]
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    changed = {**settings, "legacy_behaviour": legacy, "src_lang": "fra_Latn"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(changed))
    ours = Tokenizer.load(tmp_path)
    assert ours.around_source is not None
    front, back = ours.around_source
    expected = AutoTokenizer.from_pretrained(tmp_path)("nine")["input_ids"]
    assert [*front, *ours.encode("nine"), *back] == expected
    assert (ours.languages["fra_Latn"] in back) == legacy


def test_a_source_language_that_the_tokenizer_lacks(tmp_path: Path) -> None:
    little_multilingual.tokenizer("nllb").save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "src_lang": "xyz_Latn"}))
    with pytest.raises(FolderError, match=r"src_lang is 'xyz_Latn', or the end '</s>', and the tokenizer has no such"):
        Tokenizer.load(tmp_path)


class TestErrors:
    def test_no_target(self, both: Any) -> None:
        kind, folder, _ = both
        model = hub.load(folder)
        known = ", ".join(model.languages)
        for call in (translate, ch.observe):
            with pytest.raises(OptionError, match=rf"^the language to translate into is missing; name .* {known}$"):
                call(model, "nine")
        named = model.with_languages(target=CODES[kind]["de"])
        assert translate(named, "nine").source == "nine"

    def test_an_unknown_one(self, both: Any) -> None:
        kind, folder, _ = both
        model = hub.load(folder)
        code, known = CODES[kind]["de"], ", ".join(model.languages)
        for side in ("source", "target"):
            with pytest.raises(OptionError, match=rf"^there is no language '{code}x'; this model knows {known}$"):
                model.with_languages(**{side: f"{code}x"})

    def test_a_model_without(self) -> None:
        with pytest.raises(OptionError, match=r"^language 'de_DE': this model's tokenizer has no tokens for languages"):
            translator().with_languages(target="de_DE")
        assert translator().languages == {}

    def test_a_text_as_long_as_the_context_and_one_longer(self, both: Any) -> None:
        kind, folder, _ = both
        model = hub.load(folder).with_languages(target=CODES[kind]["de"])
        piece = model.tokenizer.decode(model.tokenizer.encode("e")[-1:])
        text = piece
        while len(model.tokenizer.encode(text)) < 62:
            text += " " + piece
        assert translate(model, text, beams=1, max_tokens=2).ids
        with pytest.raises(TextError, match=r"tokens; the model translates up to 62 at once"):
            translate(model, f"{text} {text}")


def test_the_loss_on_pairs_is_that_of_transformers(both: Any, tmp_path: Path) -> None:
    """With the languages around both texts; the target's is predicted, too, where it is not what comes before."""
    kind, folder, peer = both
    codes = CODES[kind]
    model = hub.load(folder).with_languages(source=codes["de"], target=codes["en"])
    pairs = [("one two", "nine"), ("three", "ten two one"), ("four", "x")]
    (tmp_path / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    found = evaluate_pairs(model, tmp_path / "pairs.tsv")
    nats, tokens = 0.0, 0
    words, target = AutoTokenizer.from_pretrained(folder, src_lang=codes["de"]), model.languages[codes["en"]]
    for source, written in pairs:
        ids = words(written, add_special_tokens=False)["input_ids"]
        labels = [*ids, 2] if kind == "mbart" else [target, *ids, 2]
        start = target if kind == "mbart" else 2
        with torch.no_grad():
            logits_1TV = peer(
                **words(source, return_tensors="pt"), decoder_input_ids=torch.tensor([[start, *labels[:-1]]])
            ).logits
        nats += float(torch.nn.functional.cross_entropy(logits_1TV[0], torch.tensor(labels), reduction="sum"))
        tokens += len(labels)
    assert found.evaluation.tokens == tokens
    assert found.evaluation.loss == pytest.approx(nats / tokens, rel=1e-5)
    assert [each.text for each in found.translations] == [translate(model, source).text for source, _ in pairs]


def test_it_is_trained_further(both: Any, tmp_path: Path) -> None:
    """In the named languages, which the run's folder then names; resumed, it ends in the same bits."""
    kind, folder, _ = both
    codes = CODES[kind]
    named = {"text.source_language": codes["de"], "text.target_language": codes["en"]}
    (tmp_path / "v.tsv").write_text("one two\tnine\nthree\tten two one\nfour\tx\n")
    given: dict[str, Any] = {
        "pairs": write_pairs(tmp_path / "p.tsv", 60),
        "valid": tmp_path / "v.tsv",
        "origin": folder,
        "steps": 3,
        "threads": 1,
        "settings": {"train.batch": 8, "train.evaluations": 2, "text.overlap": True, **named},
    }
    run = ch.train(out=tmp_path / "run", **given)
    model, again = hub.load(folder).with_languages(source=codes["de"], target=codes["en"]), hub.load(tmp_path / "run")
    assert (again.target_edges, forced(again)) == (model.target_edges, forced(model))
    assert not torch.equal(again.network.embedding.weight, model.network.embedding.weight)
    found = evaluate_pairs(again, tmp_path / "v.tsv").evaluation
    assert (run.evaluation.tokens, run.evaluation.loss) == (found.tokens, pytest.approx(found.loss, rel=1e-5))
    peer = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").eval()
    for text in SENTENCES:
        read, written = theirs(kind, tmp_path / "run", peer, text, "de", "en", num_beams=1)
        assert source_ids(again, text) == read
        assert list(translate(again, text, beams=1).ids) == written

    def stop(report: object) -> None:
        if isinstance(report, Stepped) and report.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ch.train(out=tmp_path / "parts", report=stop, **given)
    resumed = ch.resume(tmp_path / "parts").model.network
    assert all(map(torch.equal, resumed.parameters(), run.model.network.parameters()))


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ({}, r"translates between many languages; name those of the pairs: --set text.source_language=CODE .* out of"),
        ({"text.target_language": "xx"}, r"^there is no language 'xx'; this model knows"),
        ({"text.source_language": "xx"}, r"^there is no language 'xx'; this model knows"),
    ],
)
def test_training_asks_for_languages(named: dict[str, str], why: str, both: Any, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "p.tsv", 10)
    with pytest.raises(OptionError, match=why):
        ch.train(pairs=pairs, origin=both[1], out=tmp_path / "run", steps=1, settings=named)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["source_language", "target_language"])
def test_languages_for_models_and_texts_without(name: str, tmp_path: Path) -> None:
    named: dict[str, Any] = {"settings": {f"text.{name}": "de"}, "steps": 1, "out": tmp_path / "run"}
    pairs = write_pairs(tmp_path / "p.tsv", 10)
    (tmp_path / "text.txt").write_text("a text " * 100)
    for given in ({"pairs": pairs}, {"text": tmp_path / "text.txt"}):
        with pytest.raises(OptionError, match=f"^{name} 'de': applies to sentence pairs and a model of many languages"):
            ch.train(**given, **named)
    little_pieces.marian_model(tmp_path / "opus")
    with pytest.raises(OptionError, match=r"no tokens for languages|puts no language beside a text"):
        ch.train(pairs=pairs, origin=tmp_path / "opus", **named)


def test_one_is_trained_from_scratch_with_such_a_tokenizer(both: Any, tmp_path: Path) -> None:
    kind, folder, _ = both
    codes = CODES[kind]
    named = {"text.source_language": codes["de"], "text.target_language": codes["en"]}
    settings = {"text.tokenizer": str(folder), "model.width": 16, "model.layers": 2, "train.batch": 8, **named}
    (tmp_path / "v.tsv").write_text("one two\tnine\nthree\tten two one\nfour\tx\n")
    given = {"pairs": write_pairs(tmp_path / "p.tsv", 60), "valid": tmp_path / "v.tsv"}
    run = ch.train(out=tmp_path / "run", steps=2, threads=1, settings={**settings, "text.overlap": True}, **given)
    again, model = hub.load(tmp_path / "run"), hub.load(folder).with_languages(source=codes["de"], target=codes["en"])
    assert (again.target_edges, forced(again).first) == (model.target_edges, forced(model).first)
    assert source_ids(again, "nine") == source_ids(model, "nine")
    found = evaluate_pairs(again, tmp_path / "v.tsv").evaluation
    assert run.evaluation.loss == pytest.approx(found.loss, rel=1e-5)


def test_a_tokenizer_that_takes_no_mask(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a text " * 100)
    settings = {"text.tokenizer": str(little_pieces.m2m_100(tmp_path / "m2m"))}
    with pytest.raises(OptionError, match=r"^masked: this tokenizer of SentencePiece files has no mask token"):
        ch.train(tmp_path / "text.txt", masked=True, out=tmp_path / "run", steps=1, settings=settings)


def test_a_pass_is_shown_with_its_languages(both: Any) -> None:
    """The encoder's tokens are what it reads, and the decoder's begin with the target's language."""
    kind, folder, peer = both
    codes = CODES[kind]
    model = hub.load(folder).with_languages(source=codes["de"], target=codes["en"])
    record = ch.observe(model, "one two", target="nine")
    assert record.of("encoder").ids == source_ids(model, "one two")
    start = [model.languages[codes["en"]]] if kind == "mbart" else [2, model.languages[codes["en"]]]
    assert record.ids == [*start, *model.tokenizer.encode("nine")]
    peer.set_attn_implementation("eager")
    with torch.no_grad():
        out = peer(
            input_ids=torch.tensor([record.of("encoder").ids]),
            decoder_input_ids=torch.tensor([record.ids]),
            output_attentions=True,
        )
    for layer in range(2):
        for head in range(4):
            found_QK = record.of("cross")[layer, head][:, :]
            torch.testing.assert_close(found_QK, out.cross_attentions[layer][0, head], rtol=0, atol=1e-6)


def test_drawn_translations_begin_with_the_language(both: Any) -> None:
    kind, folder, _ = both
    model = hub.load(folder).with_languages(target=CODES[kind]["de"])
    for found in translate(model, SENTENCES, beams=1, sampling=Sampling(seed=1), max_tokens=6):
        assert kind == "mbart" or found.ids[0] == model.languages[CODES[kind]["de"]]
        assert CODES[kind]["de"] not in found.text
