"""``clearhead steps`` and ``clearhead next``: what they print, what they write, and what they refuse before loading."""

import json
from pathlib import Path

import pytest
from calling import call

from clearhead import hub
from heads import lively


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("runs")
    hub.save(at / "book", lively("grouped, normed, rotated"))
    hub.save(at / "bert", lively("sees both sides"))
    return at


def test_the_steps_go_to_standard_output(folder: Path):
    done = call("steps", "book", "我爱你", "--layer", 1, "--head", 2, "--query", "爱", folder=folder)
    assert (done.code, done.err) == (0, "")
    assert "layer 1, head 2: what “爱₃” (place 6) attends to" in " ".join(done.out.split())
    assert "Query heads 2 to 3 share key and value head 1 of 2." in " ".join(done.out.split())
    assert done.out.count("comes later") == 3
    chinese = call("steps", "book", "我爱你", "--language", "zh", folder=folder)
    assert "第 0 层，第 0 头" in chinese.out


def test_the_page_and_the_numbers_are_written(folder: Path):
    done = call("steps", "book", "-", "--out", "x.html", stdin="我爱你".encode(), folder=folder)
    assert (done.code, done.out) == (0, "")
    assert "x.html: layer 0, head 0, 10 tokens" in done.err
    assert (folder / "x.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert call("steps", "bert", "ab", "--out", "x.json", folder=folder).code == 0
    assert json.loads((folder / "x.json").read_text(encoding="utf-8"))["site"] == "encoder.0.self"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "ab", "--out", "x.png"], "the ending '.png' is not known"),
        (["nowhere", "ab", "--language", "fr"], "language 'fr' is not known"),
        (["book", "ab", "--layer", "3"], "layer 3: the model has layers 0 to 2"),
        (["book", "ab", "--head", "4"], "head 4: the model has heads 0 to 3"),
        (["book", "ab", "--query", "5"], "query 5: the places are 0 to 2"),
        (["book", "a" * 30], "the model's context is 23"),
    ],
)
def test_steps_refuses_with_the_rule(folder: Path, words: list[str], message: str):
    done = call("steps", *words, folder=folder)
    assert done.code in (1, 2)
    assert message in done.err
    assert done.out == ""


def test_the_next_tokens_go_to_standard_output(folder: Path):
    done = call("next", "book", "法国", "--top", 3, "--temperature", 0.5, "--layers", folder=folder)
    assert (done.code, done.err) == (0, "")
    assert "what comes after “法国" in done.out
    assert "254 other tokens" in done.out
    assert "layer 2" in done.out
    done = call("next", "book", "-", "--out", "n.json", stdin=b"ab", folder=folder)
    assert (done.code, done.out) == (0, "")
    assert "n.json: the 10 likeliest next tokens" in done.err
    assert len(json.loads((folder / "n.json").read_text(encoding="utf-8"))["candidates"]) == 10


def test_next_refuses_with_the_way_out(folder: Path):
    assert "clearhead fill" in call("next", "bert", "ab", folder=folder).err
    assert "'.html' is not known" in call("next", "nowhere", "ab", "--out", "x.html", folder=folder).err
    assert "--top is 0" in call("next", "book", "ab", "--top", 0, folder=folder).err
