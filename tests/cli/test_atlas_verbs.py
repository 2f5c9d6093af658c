"""``clearhead atlas`` and ``clearhead heads``: tables, JSON, pictures and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import Done, call

from clearhead import hub
from clearhead.analysis.heads import HEAD_KINDS
from clearhead.language_model import LanguageModel
from looked import BYTES, HEADS, LAYERS, assert_same_atlas, small

TEXT = "a cat saw a cat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    hub.save(folder / "run", LanguageModel(small(), BYTES))
    return folder


def asked(folder: Path, *words: str, stdin: bytes = b"") -> Done:
    return call(*words, "--threads", "1", folder=folder, stdin=stdin)


def test_the_table_is_sorted_and_cut(folder: Path) -> None:
    whole = asked(folder, "atlas", "run", TEXT)
    assert (whole.code, whole.err) == (0, "")
    lines = whole.out.splitlines()
    names = lines[0].split()
    assert names[0] == "head"
    assert len([line for line in lines if line.lstrip()[:1].isdigit()]) == LAYERS * HEADS
    cut = asked(folder, "atlas", "run", TEXT, "--sort", "reach", "--top", "3").out.splitlines()
    values = [float(line.split()[names.index("reach")]) for line in lines[1 : 1 + LAYERS * HEADS]]
    assert [float(line.split()[names.index("reach")]) for line in cut[1:4]] == sorted(values, reverse=True)[:3]
    assert cut[4] == ""


def test_json_and_standard_input(folder: Path) -> None:
    given = json.loads(asked(folder, "atlas", "run", TEXT, "--json").out)
    piped = json.loads(asked(folder, "atlas", "run", "-", "--json", stdin=TEXT.encode()).out)
    assert given == piped
    assert len(given["heads"]) == LAYERS * HEADS
    assert "moved" in given["columns"]


def test_a_saved_record_gives_the_same_atlas(folder: Path) -> None:
    assert asked(folder, "look", "run", TEXT, "--out", "r.safetensors").code == 0
    found, wanted = asked(folder, "atlas", "r.safetensors", "--json"), asked(folder, "atlas", "run", TEXT, "--json")
    assert_same_atlas(json.loads(found.out), json.loads(wanted.out))


def test_a_record_on_a_disk_gives_the_same_atlas(folder: Path) -> None:
    (folder / "spilled").mkdir()
    wanted = asked(folder, "atlas", "run", TEXT, "--json")
    found = asked(folder, "atlas", "run", TEXT, "--json", "--spill", "spilled")
    assert_same_atlas(json.loads(found.out), json.loads(wanted.out))
    assert list((folder / "spilled").iterdir()) == []
    assert "nowhere: there is no folder nowhere" in asked(folder, "atlas", "run", TEXT, "--spill", "nowhere").err
    assert asked(folder, "look", "run", TEXT, "--out", "s.safetensors").code == 0
    assert "a saved record is read into memory" in asked(folder, "atlas", "s.safetensors", "--spill", "spilled").err


def test_a_picture_is_reported_on_standard_error(folder: Path) -> None:
    done = asked(folder, "atlas", "run", TEXT, "--out", "x.html")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"x.html: {LAYERS * HEADS} heads by 12 measures\n"
    assert (folder / "x.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sort", "reech"), "there is no column 'reech'; did you mean 'reach'"),
        (("--top", "0"), "the first 0 heads were asked for"),
        (("--out", "x.gif"), "the ending '.gif' is not known"),
        (("--out", "y.html", "--json"), "--json prints and --out saves; give one of them"),
    ],
)
def test_refusals_before_the_model_is_loaded(folder: Path, words: tuple[str, ...], message: str) -> None:
    done = asked(folder, "atlas", "nowhere", TEXT, *words)
    assert done.code == 2
    assert message in done.err


def test_heads(folder: Path) -> None:
    ranked = asked(folder, "heads", "run", "--kind", "previous", "--top", "2").out.splitlines()
    assert ranked[0].split()[: 1 + len(HEAD_KINDS)] == ["head", *HEAD_KINDS]
    assert ranked[3].startswith("loss on random tokens")
    given = json.loads(asked(folder, "heads", "run", "--json").out)
    best = sorted(given["heads"], key=lambda head: -head["previous"])[:2]
    assert [line.split()[0] for line in ranked[1:3]] == [f"{head['layer']}.{head['head']}" for head in best]


def test_heads_refuses(folder: Path) -> None:
    assert "did you mean 'sink'" in asked(folder, "heads", "nowhere", "--kind", "sinks").err
    assert "--top is 0; it must be at least 1" in asked(folder, "heads", "nowhere", "--top", "0").err
