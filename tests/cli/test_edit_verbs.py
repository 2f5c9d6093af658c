"""Edits on the command line: ``effect``, ``sweep``, ``generate --edit``, and what they refuse before loading."""

import json
from pathlib import Path

import pytest
from calling import Done, call

import clearhead as ch
from clearhead import hub
from heads import lively


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("runs")
    hub.save(at / "book", lively("grouped, normed, rotated"))
    return at


def clearhead(folder: Path, *words: object, stdin: bytes = b"") -> Done:
    return call(*words, "--threads", 1, stdin=stdin, folder=folder)


def test_a_sweep_is_printed_or_written(folder: Path):
    done = clearhead(folder, "sweep", "book", "我 see")
    assert (done.code, done.err) == (0, "")
    assert "KL from the unedited prediction, nats: 0.0000 without edits" in done.out
    words = ["--source", "see it!", "--over", "places", "--token", "a", "--against", "b", "--by", "gradient"]
    done = clearhead(folder, "sweep", "book", "-", *words, "--out", "x.json", stdin="我 see".encode())
    assert (done.code, done.out) == (0, "")
    read = json.loads((folder / "x.json").read_text(encoding="utf-8"))
    assert (read["by"], read["measure"], len(read["entries"])) == ("gradient", "logit of 'a' minus logit of 'b'", 32)


def test_an_effect_is_printed_or_written(folder: Path):
    edits = ["--edit", "ablate 1.2", "--edit", 'patch 2 pattern from "see it!"']
    done = clearhead(folder, "effect", "book", "我 see", *edits, "--token", "a", "--top", 2)
    assert (done.code, done.err) == (0, "")
    assert "patch 2 pattern" in done.out
    assert "log-probability of 'a', nats: " in done.out
    assert clearhead(folder, "effect", "book", "我 see", *edits, "--out", "e.json").code == 0
    model = hub.load(folder / "book")
    expected = ch.effect(model, "我 see", [ch.edit(model, edits[1]), ch.edit(model, edits[3])]).kl
    assert json.loads((folder / "e.json").read_text(encoding="utf-8"))["kl"] == pytest.approx(expected, rel=1e-4)


def test_generation_under_edits_is_that_of_python(folder: Path):
    edit = 'steer 1 by 5 toward "I love it" away no'
    words = ["--temperature", 0, "--max-tokens", 5, "--json"]
    done = clearhead(folder, "generate", "book", "ab", "cd", "--edit", edit, *words)
    assert done.code == 0, done.err
    model = hub.load(folder / "book")
    expected = ch.generate(model, ["ab", "cd"], edits=ch.edit(model, edit), temperature=0, max_tokens=5)
    assert [json.loads(line)["ids"] for line in done.out.splitlines()] == [list(each.ids) for each in expected]
    plain = clearhead(folder, "generate", "book", "ab", *words)
    assert json.loads(plain.out)["ids"] != list(expected[0].ids)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["effect", "nowhere", "ab"], "there is no edit; give at least one, such as --edit 'ablate 0.0'"),
        (["effect", "nowhere", "ab", "--edit", "ablat 1"], "there is no 'ablat'; did you mean 'ablate'?"),
        (["effect", "nowhere", "ab", "--edit", "ablate 1", "--against", "b"], "--against goes with --token"),
        (["effect", "nowhere", "ab", "--edit", "ablate 1", "--out", "x.png"], "'.png' is not known"),
        (["effect", "book", "ab", "--edit", "ablate 3.1"], "the model has no site of layer 3"),
        (["effect", "book", "ab", "--edit", "ablate 1 at 9"], "the watched text has places 0 to 2"),
        (["effect", "book", "ab", "--edit", 'patch 1 from "abc"'], "text 0 has 3 places and the source 4"),
        (["generate", "nowhere", "ab", "--edit", "scale 1 by x"], "by is 'x'; it must be a number"),
        (["generate", "book", "ab", "--edit", "ablate 1 at boy"], "the text has no such word"),
        (["sweep", "nowhere", "ab", "--over", "edges", "--source", "cd"], "drop --source"),
        (["sweep", "nowhere", "ab", "--measure", "nll", "--token", "a"], "--measure and --token both say"),
        (["sweep", "nowhere", "ab", "--out", "x.html"], "'.html' is not known"),
        (["sweep", "book", "ab", "--by", "gradient"], "its gradient is 0 without edits"),
        (["sweep", "book", "ab", "--source", "abc"], "text 0 has 3 places and the source 4"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_way_out(folder: Path, words: list[str], message: str):
    done = clearhead(folder, *words)
    assert done.code in (1, 2)
    assert message in done.err
    assert done.out == ""
