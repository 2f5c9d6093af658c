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


def test_next_under_edits_is_the_effects_prediction(folder: Path):
    words = ["--edit", "ablate 1.2", "--top", 3]
    assert clearhead(folder, "next", "book", "我 see", *words, "--layers", "--out", "n.json").code == 0
    read = json.loads((folder / "n.json").read_text(encoding="utf-8"))
    model = hub.load(folder / "book")
    found = ch.effect(model, "我 see", ch.Ablate(layer=1, head=2), top=3)
    after = {each.id: each.after for each in found.candidates}
    assert [each["probability"] for each in read["candidates"]] == pytest.approx(
        [after[each["id"]] for each in read["candidates"]], rel=1e-5
    )
    assert read["model"] == "book with ablate 1.2"
    assert read["layers"][-1]["candidates"][0]["probability"] == pytest.approx(read["candidates"][0]["probability"])
    plain = ch.next_words(model, "我 see", top=3)
    assert plain.candidates != ch.next_words(model, "我 see", top=3, edits=ch.Ablate(layer=1, head=2)).candidates


def test_look_under_edits_shows_the_edited_pass(folder: Path):
    edit = ["--edit", "ablate 0.1", "--edit", "knockout 2 query -1 key 0"]
    done = clearhead(folder, "look", "book", "我 see", *edit)
    assert (done.code, done.err) == (0, "")
    assert "book with ablate 0.1; knockout 2 query 7 key 0: what place" in " ".join(done.out.split())
    assert clearhead(folder, "look", "book", "我 see", *edit, "--out", "r.safetensors").code == 0
    model = hub.load(folder / "book")
    edits = [ch.Ablate(layer=0, head=1), ch.Knockout(layer=2, query=-1, key=0)]
    expected, saved = ch.observe(model, "我 see", edits=edits), ch.read_record(folder / "r.safetensors").only()
    assert saved[2, 0][-1][0] == 0
    assert saved[2, 3][-1].tolist() == expected[2, 3][-1].tolist()
    assert saved[1, 0][-1].tolist() != ch.observe(model, "我 see")[1, 0][-1].tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["look", "nowhere", "ab", "--edit", "ablat 1"], "there is no 'ablat'; did you mean 'ablate'?"),
        (["look", "nowhere", "ab", "--edit", "ablate 1", "--by", "gradient"], "drop it, or --by gradient"),
        (["look", "book", "ab", "--edit", "ablate 3.1"], "the model has no site of layer 3"),
        (["next", "nowhere", "ab", "--edit", "ablat 1"], "there is no 'ablat'; did you mean 'ablate'?"),
        (["next", "book", "ab", "--edit", "scale 1 by 1"], "factor"),
        (["effect", "nowhere", "ab"], "there is no edit; give at least one, such as --edit 'ablate 0.0'"),
        (["effect", "nowhere", "ab", "--edit", "ablat 1"], "there is no 'ablat'; did you mean 'ablate'?"),
        (["effect", "nowhere", "ab", "--edit", "ablate 1", "--against", "b"], "--against needs --token"),
        (["effect", "nowhere", "ab", "--edit", "ablate 1", "--out", "x.png"], "'.png' is not known"),
        (["effect", "book", "ab", "--edit", "ablate 3.1"], "the model has no site of layer 3"),
        (["effect", "book", "ab", "--edit", "ablate 1 at 9"], "the watched text has places 0 to 2"),
        (["effect", "book", "ab", "--edit", 'patch 1 from "abc"'], "text 0 has 3 places and the source 4"),
        (["generate", "nowhere", "ab", "--edit", "scale 1 by x"], "by is 'x'; it must be a number"),
        (["generate", "book", "ab", "--edit", "ablate 1 at boy"], "the text has no such word"),
        (["sweep", "nowhere", "ab", "--over", "edges", "--source", "cd"], "drop --source"),
        (["sweep", "nowhere", "ab", "--measure", "nll", "--token", "a"], "--measure and --token both say"),
        (["sweep", "nowhere", "ab", "--out", "x.gif"], "'.gif' is not known"),
        (["sweep", "book", "ab", "--by", "gradient"], "its gradient is 0 without edits"),
        (["sweep", "book", "ab", "--source", "abc"], "the source has 4 tokens and the text 3"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_way_out(folder: Path, words: list[str], message: str):
    done = clearhead(folder, *words)
    assert done.code in (1, 2)
    assert message in done.err
    assert done.out == ""
