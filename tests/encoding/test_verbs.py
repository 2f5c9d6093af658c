"""The command on an encoder: which verbs work, and which refuse it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

import clearhead as ch
from clearhead import cli
from little_encoders import saved


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("encoders") / "bert"
    saved(place, "BERT", pooler=True)
    return place


def called(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """The exit code of ``clearhead`` with these words."""
    monkeypatch.setattr(sys, "argv", ["clearhead", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_fill(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["paris is [MASK] .", "[MASK] of [MASK]"]
    assert called(monkeypatch, "fill", folder, *texts, "--top", "2", "--threads", "1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    model = ch.load(folder)
    (one,), (first, second) = (ch.fill(model, text, top=2) for text in texts)
    rows = [[f"{guess.probability:8.4f}  {guess.token}" for guess in mask.guesses] for mask in (one, first, second)]
    expected = [texts[0], *rows[0], "", texts[1], "mask 1, place 1", *rows[1], "mask 2, place 3", *rows[2]]
    assert out.splitlines() == expected


def test_fill_as_json(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(monkeypatch, "fill", folder, "[MASK]", "a [MASK]", "--json", "--threads", "1") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["[MASK]", "a [MASK]"]
    assert [mask["place"] for mask in lines[1]["masks"]] == [2]
    guesses = lines[0]["masks"][0]["guesses"]
    assert [sorted(guess) for guess in guesses] == [["id", "probability", "token"]] * 5
    assert guesses == sorted(guesses, key=lambda guess: -guess["probability"])


def test_heads(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(monkeypatch, "heads", folder, "--kind", "next", "--top", "1", "--threads", "1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, head, loss, *_, last = out.splitlines()
    kinds = ["previous", "next", "duplicate", "induction", "sink", "positional", "copying"]
    assert first.split()[:-1] == ["head", *kinds, "loss", "without"]
    best = ch.find_heads(ch.load(folder)).ranked("next")[0]
    assert head.split()[0] == f"{best.site.layer}.{best.head}"
    assert loss.startswith("loss on random tokens")
    assert last.split()[0] == "copying"
    assert called(monkeypatch, "heads", folder, "--kind", "retrieval", "--threads", "1") == 2
    assert (
        "'retrieval' heads cannot be found in this model; those that can are previous, next" in capsys.readouterr().err
    )


def test_show(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(monkeypatch, "show", folder) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    rows = {name: value.strip() for name, value in rows.items()}
    assert rows["family"] == "bert"
    assert rows["memory"] == "0.0 MB in float32"
    assert rows["encoder"] == "every token sees both sides of the text"
    assert rows["heads"] == "masked tokens (clearhead fill), pooler"
    assert rows["token types"] == "2"
    assert rows["around a text"] == "[CLS] text [SEP]"


def test_show_with_a_step_that_is_not_known(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "modules.json").write_text(json.dumps([{"type": "x.Transformer"}, {"type": "x.CNN"}]))
    assert called(monkeypatch, "show", tmp_path / "model") == 0
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "vectors none: " in out
    assert "modules.json: not supported: CNN; the steps must be Transformer, Pooling and, optionally, Normalize" in out


def test_look_at_the_text_s_last_token(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "look", folder, "paris is germany", "--threads", "1") == 0
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "what place 4 “##y” attends to, of 6 tokens" in out
    assert "0 [CLS] 1 paris 2 is 3 german 4 ##y 5 [SEP]" in out


def test_look_at_a_pair(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "pair.json"
    assert called(monkeypatch, "look", folder, "paris", "--pair", "berlin .", "--out", out, "--threads", "1") == 0
    record = json.loads(out.read_text(encoding="utf-8"))
    assert record["tokens"] == ["[CLS]", "paris", "[SEP]", "berlin", ".", "[SEP]"]
    assert "place 3" in capsys.readouterr().err  # the last word, not the full stop


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (["look", "巴黎 is france"], "note: 2 of 6 tokens are unknown to this tokenizer\n"),
        (["look", "巴", "--pair", "paris"], "note: 1 of 5 tokens is unknown to this tokenizer\n"),
        (["fill", "巴黎 is [MASK]"], "note: 2 of 6 tokens are unknown to this tokenizer\n"),
        (["look", "paris"], ""),
    ],
)
def test_unknown_tokens_are_reported(
    words: list[str], note: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, words[0], folder, *words[1:], "--threads", "1") == 0
    assert capsys.readouterr().err == note


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["chat"],
            "chat needs a model that predicts the next token; with this one you can fill masks (clearhead fill) or",
        ),
        (
            ["generate", "paris"],
            "generate needs a model that predicts the next token; with this one you can fill masks (clearhead fill) or",
        ),
        (
            ["eval", "text.txt", "--stride", "3"],
            "stride 3: is for models that predict the next token; this one sees both sides of every window; leave it",
        ),
        (["eval", "text.txt", "--mask-rate", "1"], "--mask-rate is 1.0; it must be above 0 and below 1"),
        (["fill", "paris"], "error: 'paris': has no mask; write [MASK] where a token is missing"),
        (["look", "paris", "--pair", ""], "the text is empty"),
    ],
)
def test_refused(
    words: list[str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("text.txt").write_text("paris is the capital of france .", encoding="utf-8")
    assert called(monkeypatch, words[0], folder, *words[1:], "--threads", "1") == 2
    assert said in capsys.readouterr().err


def test_eval(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of masked tokens, always the same ones: 3 of 10 tokens by default, or as many as asked."""
    monkeypatch.chdir(folder.parent)
    Path("ten.txt").write_text("paris is the capital of france . " * 10, encoding="utf-8")
    found = []
    for options in ([], [], ["--mask-rate", "0.1"]):
        assert called(monkeypatch, "eval", folder, "ten.txt", "--threads", "1", "--json", *options) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert [figures["predicted"] for figures in found] == ["masked token"] * 3
    assert [figures["tokens"] / 70 for figures in found] == [pytest.approx(0.3, abs=0.03)] * 2 + [
        pytest.approx(0.1, abs=0.03)
    ]
    assert called(monkeypatch, "eval", folder, "ten.txt", "--threads", "1") == 0
    out = capsys.readouterr().out
    assert f"{found[0]['nats_per_token']:.4f} nats a masked token\n" in out
    assert f"over {found[0]['tokens']} masked tokens, " in out


def test_fill_under_edits(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    texts, edit = ["paris is [MASK] .", "[MASK] is a"], "ablate all.0 at is"
    assert called(monkeypatch, "fill", folder, *texts, "--edit", edit, "--json", "--threads", "1") == 0
    model = ch.load(folder)
    for line, text in zip(capsys.readouterr().out.splitlines(), texts, strict=True):
        masks = ch.fill(model, text, edits=ch.Ablate(layer=None, head=0, at="is"))
        assert [guess["id"] for guess in json.loads(line)["masks"][0]["guesses"]] == [
            guess.id for guess in masks[0].guesses
        ]
        assert masks != ch.fill(model, text)
    assert called(monkeypatch, "fill", "no folder", "[MASK]", "--edit", "ablate 2-1") == 1
    assert "the layers 2-1 go down; write the lower one first, 1-2" in capsys.readouterr().err
