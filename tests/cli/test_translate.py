"""The verbs of translators: translate, eval --pairs, train --pairs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from calling import Command, call

import clearhead as ch
import little_multilingual
from clearhead import hub
from clearhead.generation import Translation, score, translate
from clearhead.language_model import LanguageModel
from clearhead.watching import read_record
from little_translators import made_up, translator, write_pairs

COMMAND = str(Path(sys.executable).with_name("clearhead"))
TEXTS = ["the cat", "you", "x", "a dog", "b b b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("translator") / "model"
    hub.save(place, translator())
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return hub.load(folder)


def lines(found: list[Translation]) -> str:
    return "".join(" ".join(each.text.splitlines()) + "\n" for each in found)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of many languages."""
    place = tmp_path_factory.mktemp("many") / "nllb"
    little_multilingual.write(place, "nllb")
    return place


class TestLanguages:
    def test_translate(self, command: Command, many: Path) -> None:
        """As in Python; from the folder's own language unless one is named."""
        model = hub.load(many)
        for source in (None, "deu_Latn"):
            named = [] if source is None else ["--from", source]
            done = command("translate", many, "one two", *named, "--to", "fra_Latn", "--json", "--threads", 1)
            assert (done.code, done.err) == (0, "")
            found = translate(model.with_languages(source=source, target="fra_Latn"), "one two")
            written = json.loads(done.out)
            assert written["text"] == found.text
            assert written["logprob"] == pytest.approx(found.logprob)

    def test_look(self, command: Command, many: Path, tmp_path: Path) -> None:
        options = ["--from", "deu_Latn", "--to", "fra_Latn", "--threads", 1]
        done = command("look", many, "one two", "--target", "nine", "--out", "record.safetensors", *options)
        assert done.code == 0, done.err
        model = hub.load(many).with_languages(source="deu_Latn", target="fra_Latn")
        record, expected = (
            read_record(tmp_path / "record.safetensors").only(),
            ch.observe(model, "one two", target="nine"),
        )
        assert (record.ids, record.of("encoder").ids) == (expected.ids, expected.of("encoder").ids)
        aligned = command("look", many, "one two", "--target", "nine", "--alignment", *options)
        assert aligned.code == 0
        assert "fra_Latn" in aligned.out
        done = command("look", "record.safetensors", "--to", "fra_Latn")
        assert (done.code, done.out) == (2, "")
        assert "--pair, --target, --from, --to, --edit and --by gradient need a model and a text" in done.err

    def test_refused(self, command: Command, folder: Path, many: Path) -> None:
        done = command("translate", many, "one", "--threads", 1)
        assert (done.code, done.out) == (2, "")
        assert "the language to translate into is missing; name it with --to" in done.err
        assert "zul_Latn" in done.err
        done = command("translate", many, "one", "--to", "german", "--threads", 1)
        assert (done.code, done.out) == (2, "")
        assert "there is no language 'german'" in done.err
        done = command("translate", folder, "one", "--from", "en_XX", "--threads", 1)
        assert (done.code, done.out) == (2, "")
        assert "language 'en_XX': this model's tokenizer has no tokens for languages" in done.err
        done = command("look", many, "one", "--by", "gradient", "--layer", 0, "--threads", 1)
        assert (done.code, done.out) == (2, "")
        assert "leave out --pair, --layer and --head" in done.err

    def test_pairs(self, command: Command, folder: Path, many: Path, tmp_path: Path) -> None:
        """A model of many languages is evaluated on pairs, and trained on them, in languages that are named."""
        write_pairs(tmp_path / "p.tsv", 30)
        options = ["--pairs", "p.tsv", "--threads", 1]
        done = command("eval", many, *options, "--from", "deu_Latn", "--to", "fra_Latn", "--json")
        assert done.code == 0, done.err
        model = hub.load(many).with_languages(source="deu_Latn", target="fra_Latn")
        expected = ch.evaluate_pairs(model, tmp_path / "p.tsv").evaluation
        assert json.loads(done.out)["nats_per_token"] == pytest.approx(expected.loss)
        done = command("eval", many, *options)
        assert "the language to translate into is missing" in done.err
        done = command("eval", many, "text.txt", "--to", "fra_Latn", "--threads", 1)
        assert "--to: applies to sentence pairs (--pairs) only" in done.err
        done = command("train", *options, "--from", many, "--out", "run", "--steps", 1)
        assert done.code == 2
        assert "pairs: this model translates between many languages; name those of the pairs" in done.err
        languages = ["text.source_language=deu_Latn", "text.target_language=fra_Latn"]
        settings = [word for each in languages for word in ("--set", each)]
        done = command("train", *options, "--from", many, "--out", "run", "--steps", 1, *settings)
        assert done.code == 0, done.err
        done = command("translate", "run", "the cat", "--threads", 1)
        assert done.code == 0, done.err


class TestSeeing:
    """Each verb shows what its function in Python finds, of the text and the translation that are named."""

    TEXT, TARGET = "the cat", "tthhee"

    def seen(self, command: Command, verb: str, folder: Path, *options: object) -> dict[str, Any]:
        done = command(verb, folder, self.TEXT, "--target", self.TARGET, *options, "--out", "x.json", "--threads", 1)
        assert done.code == 0, done.err
        return json.loads((folder.parent / "x.json").read_text(encoding="utf-8"))

    @pytest.fixture
    def here(self, folder: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "model"))

    def test_lens(self, command: Command, here: Path, model: LanguageModel) -> None:
        found, expected = self.seen(command, "lens", here), ch.lens(model, self.TEXT, target=self.TARGET)
        assert (found["source"], found["text"], found["ids"]) == (self.TEXT, self.TARGET, expected.tokenized.ids)
        assert found["top"] == expected.ids_RTN.tolist()
        done = command("lens", here, self.TEXT, "--target", self.TARGET, "--threads", 1)
        assert "layer 1" in done.out

    def test_next(self, command: Command, here: Path, model: LanguageModel) -> None:
        found = self.seen(command, "next", here, "--layers", "--top", 3)
        expected = ch.next_words(model, self.TEXT, target=self.TARGET, top=3, layers=True)
        assert (found["source"], found["text"]) == (self.TEXT, self.TARGET)
        assert [each["id"] for each in found["candidates"]] == [each.id for each in expected.candidates]
        assert len(found["layers"]) == len(expected.layers)
        done = command("next", here, self.TEXT, "--threads", 1)
        assert f"what comes after “{self.TEXT} → " in " ".join(done.out.split())
        assert command("next", here, self.TEXT, "--layers", "--out", "n.png", "--threads", 1).code == 0

    def test_parts(self, command: Command, here: Path, model: LanguageModel) -> None:
        found = self.seen(command, "parts", here, "--token", "z", "--query", 2)
        expected = ch.logit_parts(model, self.TEXT, target=self.TARGET, query=2, token="z")
        assert (found["source"], found["text"], found["place"]) == (self.TEXT, self.TARGET, 2)
        assert [each["kind"] for each in found["shares"]] == [each.kind for each in expected.shares]
        assert [each["value"] for each in found["shares"]] == pytest.approx([each.value for each in expected.shares])
        done = command("parts", here, self.TEXT, "--target", self.TARGET, "--threads", 1, "--language", "zh")
        assert "交叉头 1.2" in done.out
        assert command("parts", here, self.TEXT, "--out", "p.png", "--threads", 1).code == 0

    def test_a_gradient(self, command: Command, here: Path, model: LanguageModel) -> None:
        for by in ("gradient", "integrated-gradient"):
            found = self.seen(command, "look", here, "--by", by, "--query", 3)
            expected = ch.attribution(model, self.TEXT, target=self.TARGET, query=3, by=by)
            assert found["products"] == pytest.approx(expected.products)
            assert found["source"]["products"] == pytest.approx(expected.source_products)
            assert found["source"]["tokens"] == model.labels(ch.observe(model, self.TEXT).of("encoder").ids)
        done = command("look", here, self.TEXT, "--target", self.TARGET, "--by", "gradient", "--threads", 1)
        lines = done.out.splitlines()
        assert lines.index("text") < lines.index("translation")
        for file in ("g.html", "g.png"):
            assert command("look", here, self.TEXT, "--by", "gradient", "--out", file, "--threads", 1).code == 0
        page = (here.parent / "g.html").read_text(encoding="utf-8")
        assert page.count('class="token"') == len(ch.observe(model, self.TEXT).ids) + len(self.TEXT) + 1

    def test_sweeps_and_effects(self, command: Command, here: Path, model: LanguageModel) -> None:
        source = ch.observe(model, "dog cat", target=self.TARGET, keep=["heads", "parts", "residual", "values"])
        for over in ("heads", "places"):
            found = self.seen(command, "sweep", here, "--source", "dog cat", "--over", over, "--token", "z")
            expected = ch.sweep(model, self.TEXT, over, ch.logprob("z"), target=self.TARGET, source=source)
            changes = [entry.change for entry in expected.entries]
            assert [each["change"] for each in found["entries"]] == pytest.approx(changes, abs=1e-5)
            done = command("sweep", here, self.TEXT, "--over", over, "--out", f"{over}.html", "--threads", 1)
            assert done.code == 0, done.err
        found = self.seen(command, "effect", here, "--edit", "ablate 1.cross.2")
        expected = ch.effect(model, self.TEXT, ch.Ablate(layer=1, kind="cross", head=2), target=self.TARGET)
        assert found["kl"] == pytest.approx(expected.kl, abs=1e-5)
        done = command("effect", here, self.TEXT, "--target", self.TARGET, "--edit", "ablate 1.cross", "--threads", 1)
        assert f"{self.TEXT} → {self.TARGET}" in done.out

    def test_a_language(self, command: Command, many: Path, tmp_path: Path) -> None:
        options = ["--from", "deu_Latn", "--to", "fra_Latn", "--target", "nine", "--threads", 1, "--out", "l.json"]
        assert command("lens", many, "one two", *options).code == 0
        model = hub.load(many).with_languages(source="deu_Latn", target="fra_Latn")
        assert json.loads((tmp_path / "l.json").read_text())["ids"] == ch.observe(model, "one two", target="nine").ids

    def test_refused(self, command: Command, folder: Path) -> None:
        done = command("heads", folder, "--threads", 1)
        assert done.code == 2
        assert "look --alignment shows what cross-attention aligns" in done.err
        done = command("translate", folder, "x", "--temperature", 1, "--early-stopping", "true", "--threads", 1)
        assert done.code == 2
        assert "early_stopping True: is for beams, not for drawn tokens" in done.err
        done = command("lens", folder, "--train", "x.txt", "--out", "x.safetensors", "--target", "x")
        assert done.code == 2
        assert "it takes no text, --tuned, --target, --from or --to" in done.err


class TestTranslate:
    def test_under_edits(self, command: Command, folder: Path, model: LanguageModel) -> None:
        """Of all texts, and of the second alone."""
        every, one = "ablate encoder.all.1 at -1", "scale 1.cross by 0.2 text 1"
        done = command("translate", folder, *TEXTS, "--edit", every, "--edit", one, "--threads", 1)
        assert (done.code, done.err) == (0, "")
        edits = [
            ch.Ablate(layer=None, head=1, stack="encoder", at=-1),
            ch.Scale(layer=1, kind="cross", factor=0.2, text=1),
        ]
        assert done.out == lines(translate(model, TEXTS, edits=edits)) != lines(translate(model, TEXTS))
        done = command("translate", folder, "x", "--edit", "ablate all.1", "--threads", 1)
        assert (done.code, done.out) == (1, "")
        assert "it could mean encoder.0.self or decoder.0.self; name the stack" in done.err

    def test_arguments(self, command: Command, folder: Path, model: LanguageModel) -> None:
        done = command("translate", folder, *TEXTS, "--threads", 1)
        assert (done.code, done.err) == (0, "")
        assert done.out == lines(translate(model, TEXTS))

    def test_a_file_and_standard_input_line_by_line(
        self, command: Command, folder: Path, model: LanguageModel, tmp_path: Path
    ) -> None:
        """In order; an empty line stays one."""
        given = ["", *TEXTS, "", "  ", "dog"]
        (tmp_path / "in.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(given).encode())
        expected = lines(translate(model, given))
        assert expected.count("\n") == len(given)
        from_file = command("translate", folder, "--file", "in.txt", "--together", 2, "--threads", 1)
        from_pipe = command("translate", folder, "--threads", 1, stdin="\n".join(given).encode() + b"\n")
        assert (from_file.out, from_pipe.out) == (expected, expected)
        assert command("translate", folder, "--threads", 1).out == ""

    def test_a_line_that_is_typed_is_translated_at_once(self, folder: Path, model: LanguageModel) -> None:
        terminal, inside = os.openpty()
        command = [COMMAND, "translate", str(folder), "--threads", "1"]
        with subprocess.Popen(command, stdin=inside, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for text in ("you", "x"):
                os.write(terminal, f"{text}\n".encode())
                assert process.stdout.readline() == lines([translate(model, text)])
            os.write(terminal, b"\x04")  # the end of what is typed
            assert process.stdout.read() == ""
        os.close(terminal)
        os.close(inside)
        assert process.returncode == 0

    def test_a_translation_is_one_line(self, command: Command, folder: Path, model: LanguageModel) -> None:
        """What it writes may hold a line end; JSON has it."""
        text = "a\nb"
        raw = translate(model, text).text
        assert "\n" in raw
        done = command("translate", folder, text, "you", "--threads", 1)
        assert done.out == " ".join(raw.splitlines()) + "\n" + lines([translate(model, "you")])
        best = command("translate", folder, text, "--best", 2, "--threads", 1)
        assert best.out.count("\n") == 2
        assert json.loads(command("translate", folder, text, "--json", "--threads", 1).out)["text"] == raw

    def test_the_best_with_their_scores(self, command: Command, folder: Path, model: LanguageModel) -> None:
        done = command("translate", folder, "you", "x", "--best", 3, "--beams", 4, "--threads", 1)
        expected = ""
        for found in translate(model, ["you", "x"], beams=4, best=3):
            expected += "".join(f"{each.score:9.4f}  {each.text}\n" for each in (found, *found.others))
        assert done.out == expected
        wide = command("translate", folder, "you", "--best", 7, "--threads", 1)  # as many beams as are needed
        assert wide.out.count("\n") == 7

    def test_json(self, command: Command, folder: Path, model: LanguageModel) -> None:
        done = command("translate", folder, "you", "--json", "--best", 2, "--max-tokens", 3, "--threads", 1)
        found = translate(model, "you", best=2, max_tokens=3)
        told = {"text": found.text, "score": pytest.approx(found.score), "logprob": pytest.approx(found.logprob)}
        (other,) = found.others
        others = [{"text": other.text, "score": pytest.approx(other.score), "logprob": pytest.approx(other.logprob)}]
        assert json.loads(done.out) == {"source": "you", **told, "complete": False, "others": others}

    def test_each_option_is_the_one_of_python(self, command: Command, folder: Path, model: LanguageModel) -> None:
        for options, settings in (
            (["--beams", 1], {"beams": 1}),
            (["--length-penalty", 0], {"length_penalty": 0.0}),
            (["--no-repeat", 1], {"no_repeat": 1}),
            (["--prefix", "zz"], {"prefix": "zz"}),
            (["--max-tokens", 2], {"max_tokens": 2}),
        ):
            done = command("translate", folder, *TEXTS, *options, "--threads", 1)
            assert done.out == lines(translate(model, TEXTS, **settings)) != lines(translate(model, ["a"] * len(TEXTS)))
        found = set[str]()
        for word, value in (("true", True), ("false", False), ("never", "never")):
            options = ["--early-stopping", word, "--length-penalty", 3, "--threads", 1]
            done = command("translate", folder, *TEXTS, *options)
            assert done.out == lines(translate(model, TEXTS, early_stopping=value, length_penalty=3.0))
            found.add(done.out)
        assert len(found) == 3
        drawn = [command("translate", folder, "you", "--temperature", 2, "--seed", seed).out for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["a", "--file", "in.txt"], "text and --file in.txt: both were given; give one of them"),
            (["a", "--seed", "3"], "top_p and seed apply only to sampling; also give --temperature"),
            (["a", "--top-p", "0.5"], "top_p and seed apply only to sampling; also give --temperature"),
            (["a", "--temperature", "1", "--beams", "2"], "beams 2: tokens are drawn with one beam"),
            (
                ["a", "--temperature", "1", "--best", "2"],
                "best is 2; it must be a whole number from 1 to 1, the number of beams",
            ),
            (
                ["a", "--beams", "2", "--best", "3"],
                "best is 3; it must be a whole number from 1 to 2, the number of beams",
            ),
            (["a", "--beams", "0"], "beams is 0; it must be a whole number of at least 1"),
            (["a", "--together", "0"], "together is 0; it must be at least 1"),
            (["--file", "none.txt"], "none.txt: no such file"),
            (["a" * 41], "has 41 tokens; the model translates up to 40 at once"),
        ],
    )
    def test_refused(self, command: Command, folder: Path, arguments: list[str], said: str) -> None:
        done = command("translate", folder, *arguments, "--threads", 1)
        assert done.code in (1, 2)
        assert done.out == ""
        assert done.err.startswith("error: ")
        assert said in done.err
        assert done.err.count("\n") == 1

    def test_a_model_that_does_not_translate(self, command: Command, trained: tuple) -> None:
        done = command("translate", trained[0], "a")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: translate needs a model that ")


class TestPairs:
    def test_figures_as_json_and_in_words(self, command: Command, folder: Path, tmp_path: Path) -> None:
        pairs = [("ab", "aabb"), ("you", "yyoouu"), ("x", "x"), ("dog", "ddoogg")]
        (tmp_path / "p.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs))
        (tmp_path / "p.en").write_text("".join(f"{a}\n" for a, _ in pairs))
        (tmp_path / "p.de").write_text("".join(f"{b}\n" for _, b in pairs))
        model, path = hub.load(folder), str(tmp_path / "p.tsv")
        found = ch.evaluate_pairs(model, [path])
        done = command("eval", folder, "--pairs", "p.tsv", "--json", "--threads", 1)
        scores = score([str(each) for each in translate(model, [a for a, _ in pairs])], [b for _, b in pairs])
        assert json.loads(done.out) == {
            **vars(scores),
            "predicted": "token",
            "nats_per_token": pytest.approx(found.evaluation.loss),
            "bits_per_byte": pytest.approx(found.evaluation.bits_per_byte),
            "perplexity": pytest.approx(found.evaluation.perplexity),
            "tokens": sum(len(b) + 1 for _, b in pairs),
            "bytes": sum(len(b) for _, b in pairs),
        }
        parallel = command("eval", folder, "--source", "p.en", "--target", "p.de", "--json", "--threads", 1)
        assert parallel.out == done.out
        told = command("eval", folder, "--pairs", "p.tsv", "--threads", 1).out.splitlines()
        assert told[0] == f"{scores.bleu:.2f} BLEU  {scores.bleu_signature}"
        assert told[1] == f"{scores.chrf:.2f} chrF  {scores.chrf_signature}"
        assert told[-1] == "over 21 tokens, 17 bytes"
        first = json.loads(command("eval", folder, "--pairs", "p.tsv", "--first", 2, "--beams", 1, "--json").out)
        assert first["tokens"] == 5 + 7

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["text.txt", "--beams", "2"], "--beams: applies to sentence pairs (--pairs) only; leave it out"),
            (["--pairs", "p.tsv", "--window", "9"], "--window: applies to plain text only; leave it out"),
            (["text.txt", "--pairs", "p.tsv"], "text and pairs: give one of them"),
            (["--source", "p.tsv"], "source and target: only one was given"),
            ([], "nothing to evaluate on: name a text, or --pairs FILE for a translator"),
            (["--pairs", "p.tsv", "--beams", "0"], "beams is 0; it must be a whole number of at least 1"),
            (["--pairs", "p.tsv", "--first", "0"], "most (--first) is 0; it must be at least 1"),
            (["--pairs", "p.tsv", "--first", "-1"], "most (--first) is -1; it must be at least 1"),
            (["--pairs", "p.tsv", "--tokenizer", "jieba"], "tokenizer 'jieba': sacrebleu has"),
            (["--pairs", "p.tsv", "--field", "a,b"], "field 'a,b': applies to .jsonl files"),
        ],
    )
    def test_refused(self, command: Command, folder: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
        (tmp_path / "p.tsv").write_text("ab\taabb\nx\txx\n")
        done = command("eval", folder, *arguments, "--threads", 1)
        assert done.code in (1, 2)
        assert done.out == ""
        assert said in done.err

    def test_train_then_evaluate_then_translate(self, tmp_path: Path) -> None:
        """From a table with Windows line ends, a line without a tab, and one pair twice."""
        table = write_pairs(tmp_path / "p.tsv", 60)
        again = "{}\t{}\r\n".format(*made_up()[0])
        table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n") + b"no tab\r\n" + again.encode())
        settings = [
            *("model.layers=1", "model.encoder_layers=1", "model.width=16", "model.context=32", "train.batch=8"),
            "model.attention={heads=2,kv_heads=2,head_width=8,bias=true,out_bias=true,head_norm='none'}",
            "model.feed_forward.width=32",
        ]
        small = ["--steps", 2, "--vocabulary", 290, "--threads", 1, *(w for each in settings for w in ("--set", each))]
        done = call("train", "--pairs", "p.tsv", "--out", "run", *small, folder=tmp_path)
        assert done.code == 0, done.err
        assert done.out == "run\n"
        assert "60 of 62 are kept; left out: 1 without a second column, 1 repeated" in done.err
        figures = json.loads(call("eval", "run", "--pairs", "p.tsv", "--json", "--threads", 1, folder=tmp_path).out)
        assert 0 <= figures["bleu"] <= 100
        text = call("translate", "run", "one two", "", "--max-tokens", 4, "--threads", 1, folder=tmp_path)
        assert text.code == 0
        assert text.out.count("\n") == 2
