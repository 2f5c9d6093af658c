"""``clearhead senses``: what it prints, its file, its pictures, its errors."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from calling import Command

from clearhead import corpora, hub
from clearhead.drawing.inline import SWITCH, page_file
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import BERT, QWEN3

TEXTS = ["Server, may I have the check?", "I crashed the server."]


@pytest.fixture(scope="module", params=["causal", "encoder"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / request.param
    tokenizer = Tokenizer.train_bpe([" ".join([*TEXTS, "bats <>&"]) * 9], 300)
    config = QWEN3 if request.param == "causal" else BERT
    network = build(replace(config, vocabulary=tokenizer.vocab_size, context=128), seed=2)
    hub.save(folder, LanguageModel(network, tokenizer))
    return folder


def test_distances_and_heads_are_printed_with_the_control(command: Command, model: Path):
    done = command("senses", model, "server", *TEXTS, "--control", "I painted the server.", "--top", 2)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == f"{model}: server"
    assert lines[1].startswith("1  [Server], may I have the check?")
    assert lines[2].startswith("2  I crashed the [server].")
    assert [line.split()[0] for line in lines[5:9]] == ["embedding", "layer", "layer", "layer"]
    assert ("In 1 the word comes first." in done.out) == (model.name == "causal")
    assert done.out.count("   head ") == (2 if model.name == "causal" else 4)
    assert done.out.count("control: ") == done.out.count("   head ")
    if model.name == "causal":
        assert "   no other word" in done.out


@pytest.mark.parametrize(
    ("model", "ending"),
    [("encoder", "json"), ("causal", "html"), ("encoder", "png"), ("causal", "svg")],
    indirect=["model"],
)
def test_labelled_uses_are_scored_and_drawn(command: Command, model: Path, tmp_path: Path, ending: str):
    words = ("--language", "zh") if ending == "html" else ()
    done = command(*words, "senses", model, "server", "--corpus", "world-en", "--stories", 500, "--out", f"x.{ending}")
    assert done.code == 0, done.err
    assert (tmp_path / f"x.{ending}").stat().st_size > 3000
    uses = [use for use in corpora.usages("world-en", stories=500) if use.word == "server"]
    assert (f"：1 个词的 {len(uses)} 个用例" if words else f": {len(uses)} uses of 1 words in 2 senses") in done.out
    if ending == "json":
        check_numbers(json.loads((tmp_path / "x.json").read_text(encoding="utf-8")), done.out, len(uses))
    if ending == "html":
        page = (tmp_path / "x.html").read_text(encoding="utf-8")
        assert '<html lang="zh" data-chosen="zh">' in page
        assert SWITCH in page
        assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [page_file("languages.js")]
        assert "Senses told right, by layer; held out by scene" in page
        assert "各层判对义项的比例；按场景留出" in page


def check_numbers(content: dict, printed: str, count: int) -> None:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    """The printed shares follow from what the file says is told of each use."""
    assert content["schema"] == "clearhead.sense-score/1"
    assert len(content["truth"]) == count
    rows = [line.split() for line in printed.splitlines() if line.startswith(("layer", "embedding"))]
    told = [each for split in content["splits"] for each in split["told"] if each["vectors"] in content["levels"]]
    assert len(rows) == len(told) == 8
    for row, each in zip(rows, told, strict=True):
        shares = [sum(map(int.__eq__, each[way], content["truth"])) / count for way in ("nearest", "centroid")]
        assert row[-4:-2] == [f"{share:.3f}" for share in shares]
    assert [len(plane["places"]) for plane in content["planes"] if plane] == [count] * len(
        list(filter(None, content["planes"]))
    )


def test_a_page_of_sentences_shows_text_as_text(command: Command, model: Path, tmp_path: Path):
    pytest.importorskip("sklearn")
    done = command("senses", model, "server", *TEXTS, "<b>the server</b>", "--out", "x.html")
    assert done.code == 0, done.err
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;the [server]&lt;/b&gt;" in page
    assert "default-src 'none'" in page
    assert page.count("<article") == 2
    assert "http" not in page.replace("http-equiv", "")


def test_a_table_of_uses_is_scored(command: Command, model: Path, tmp_path: Path):
    rows = [f"server\t{sense}\tA server {number}." for number in range(3) for sense in ("person", "computer")]
    (tmp_path / "uses.tsv").write_text("\n".join(["word\tsense\tsentence", *rows]))
    done = command("senses", model, "--file", "uses.tsv")
    assert "every use" not in done.err
    assert done.code == 0, done.err
    assert "held out by sentence" in done.out
    assert command("senses", model, "bat", "--file", "uses.tsv").err.endswith(
        "no use of 'bat' is labelled; known: server\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a word and sentences with it, or labelled uses"),
        (["server"], "give a word and sentences with it, or labelled uses"),
        (["server", "A server.", "--corpus", "world-en"], "go with no --file or --corpus"),
        (["--file", "x.tsv", "--corpus", "world-en"], "a file of uses is given too"),
        (["--corpus", "python-docs"], "python-docs"),
        (["--corpus", "world-en", "--unit", "word"], "--unit 'word': there is no such unit"),
        (["server", *TEXTS, "--top", "0"], "top is 0; it must be at least 1"),
        (["server", *TEXTS, "--out", "x.gif"], "end the name in .png, .svg, .html, .json"),
        (["server", *TEXTS, "--out", "x.png", "--language", "fr"], "language 'fr' is not known"),
    ],
)
def test_wrong_usage_is_reported(command: Command, model: Path, words: list[str], message: str):
    done = command("senses", model, *words)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""
