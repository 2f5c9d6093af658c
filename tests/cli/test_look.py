"""``clearhead look``: standard output, standard error, exit codes, and the order of checks."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

import clearhead as ch
from clearhead import cli, hub
from clearhead.cli.look import look_at
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build
from clearhead.text import Tokenizer

TEXT = "I crashed the server. 服务员"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "book"
    tokenizer = Tokenizer.train_bpe(["I crashed the server. The server brought the check. 服务员把账单给我。"] * 5, 320)
    config = DecoderConfig(
        vocabulary=tokenizer.vocab_size,
        context=32,
        layers=2,
        width=16,
        attention=AttentionConfig(heads=3, kv_heads=1, head_width=8),
        feed_forward=FeedForwardConfig(width=8),
    )
    hub.save(folder, LanguageModel(build(config, seed=3), tokenizer))
    return folder


def called(*words: str | Path) -> int:
    """The exit code of ``clearhead look`` with these words."""
    sys.argv = ["clearhead", "look", *map(str, words)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("COLUMNS", "80")


def test_the_table_goes_to_standard_output(run: Path, capsys: pytest.CaptureFixture[str]):
    assert called(run, TEXT, "--query", "server") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "what place 4 “·server” attends to" in re.sub(r"\s+", " ", out)
    assert len(re.findall(r"^[01]\.[012] ", out, re.MULTILINE)) == 6
    assert max(map(cell_len, out.splitlines())) <= 80


def test_layer_and_head_narrow_the_table(run: Path, capsys: pytest.CaptureFixture[str]):
    assert called(run, TEXT, "--layer", "1", "--head", "2", "-q", "-1") == 0
    assert re.findall(r"^(\d\.\d) ", capsys.readouterr().out, re.MULTILINE) == ["1.2"]


def test_standard_input_is_read(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("the 服务员".encode())))
    assert called(run, "-") == 0
    assert "服" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc\xff")))
    assert called(run, "-") == 1
    assert "standard input: byte 3 is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["svg", "html", "json"])
def test_a_picture_is_written_and_reported_on_standard_error(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
):
    path = tmp_path / f"x.{ending}"
    assert called(run, TEXT, "--out", path, "--layer", "1", "--head", "0", "--query", "2") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"{path}: all heads, and layer 1, head 0 at place 2\n"
    assert TEXT in path.read_text(encoding="utf-8")
    assert str(run) in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", ["svg", "html", "json"])
def test_a_picture_from_python_names_the_model_as_the_verb_does(run: Path, tmp_path: Path, ending: str):
    verb, python = tmp_path / f"verb.{ending}", tmp_path / f"python.{ending}"
    assert called(run, "the server", "--out", verb) == 0
    ch.draw(ch.observe(ch.load(run), "the server"), python)
    named = [line for line in verb.read_text(encoding="utf-8").splitlines() if str(run) in line]
    assert named
    assert {line.split('"heads"')[0] for line in named} <= {
        line.split('"heads"')[0] for line in python.read_text(encoding="utf-8").splitlines()
    }


def test_a_picture_in_json_holds_what_was_asked(run: Path, tmp_path: Path):
    assert called(run, TEXT, "-o", tmp_path / "x.json", "--query", "server") == 0
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert found["chosen"]["row"] == 4
    assert found["tokens"][4] == "·server"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("{run}", ""), 2, "the text is empty"),
        (("{run}", "the " * 40), 1, r"tokens with the separator in front; the model's context is 32"),
        (("{run}", "the the", "--query", "the"), 2, "it ends at 2 places, "),
        (("{run}", "a", "--query", "b"), 2, r"the text has no such word; the tokens are 0 <\|endoftext\|>, 1 a"),
        (("{run}", "a", "--query", "7"), 2, "the places are 0 to 1"),
        (("{run}", "a", "--layer", "2"), 2, "the model has layers 0 to 1"),
        (("{run}", "a", "--head", "3"), 2, "the model has heads 0 to 2"),
        (("{run}", "a", "--layer", "2", "--out", "x.json"), 2, "the model has layers 0 to 1"),
        (("{run}", "a", "--out", "x.gif"), 2, r"end the name in \.png, \.svg, \.html, \.json"),
        (("nowhere", "a", "--out", "x.gif"), 2, "the ending '.gif' is not known"),  # before anything is loaded
        (
            ("nowhere", "a", "--by", "gradient", "--out", "x.svg"),
            2,
            r"the ending .\.svg. is not known; end the name in \.png, \.html, \.json",
        ),
        (("nowhere", "a"), 1, "nowhere"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    message: str,
):
    monkeypatch.chdir(tmp_path)
    assert called(*[word.format(run=run) for word in words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(message, err)
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_record_is_saved_and_looked_at_without_the_model(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    record = tmp_path / "r.safetensors"
    assert called(run, TEXT, "--out", record) == 0
    assert (
        capsys.readouterr().err
        == f"{record}: the record, 6 heads over {len(ch.observe(hub.load(run), TEXT).tokens)} tokens\n"
    )
    assert called(run, TEXT, "--query", "server") == 0
    wanted = capsys.readouterr().out
    assert called(record, "--query", "server") == 0
    assert capsys.readouterr().out == wanted
    for source in ((run, TEXT), (record,)):
        assert called(*source, "--out", tmp_path / f"{len(source)}.json") == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "look: the text is missing; give it after the model"),
        (["r.safetensors", TEXT], "r.safetensors: a record has its own text; leave the text out"),
        (["r.safetensors"], "r.safetensors: there is no such file"),
        (["r.safetensors", "--by", "gradient"], "r.safetensors: there is no such file"),
    ],
)
def test_what_does_not_go_with_a_record(
    run: Path,
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    assert called(*(words or [run])) in (1, 2)
    assert message in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_a_record_has_no_model_and_no_query(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert called(run, TEXT, "--out", "r.safetensors", "--layer", "0") == 2
    assert "a record has all heads and queries; drop --query" in re.sub(r"\s+", " ", capsys.readouterr().err)
    assert called(run, TEXT, "--out", "r.safetensors") == 0
    for words in (["--by", "gradient"], ["--pair", "x"]):
        assert called("r.safetensors", *words) == 2
    assert "need a model and a text, not a record" in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_a_record_on_a_disk_is_shown_and_saved_like_one_in_memory(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spilled").mkdir()
    for spill in ([], ["--spill", "spilled"]):
        assert called(run, TEXT, "--out", f"{len(spill)}.safetensors", *spill) == 0
        assert called(run, TEXT, "--query", "server", *spill) == 0
    assert Path("0.safetensors").read_bytes() == Path("2.safetensors").read_bytes()
    assert list(Path("spilled").iterdir()) == []
    capsys.readouterr()
    assert called(run, TEXT, "--query", "server") == 0
    shown = [
        re.findall(r"[·a-z]+", capsys.readouterr().out)
    ]  # weights differ by rounding at most, so words are compared
    assert called(run, TEXT, "--query", "server", "--spill", "spilled") == 0
    shown += [re.findall(r"[·a-z]+", capsys.readouterr().out)]
    for words, message in (
        ((run, TEXT, "--spill", "nowhere"), "nowhere: there is no folder nowhere"),
        (("0.safetensors", "--spill", "spilled"), "a saved record is read into memory; give the model and the text"),
        (("x", "a", "--by", "gradient", "--spill", "spilled"), "--spill keeps a record of attention; drop it, or --by"),
    ):
        assert called(*words) in (1, 2)
        assert message in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_no_color_and_a_terminal(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    model = hub.load(run)
    monkeypatch.setenv("FORCE_COLOR", "1")
    look_at(model, "the server")
    assert re.search(r"\x1b\[[0-9;]*36m", capsys.readouterr().out)
    monkeypatch.setenv("NO_COLOR", "1")
    look_at(model, "the server")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7])m", capsys.readouterr().out)


def test_help_needs_no_torch():
    program = (
        "import sys; from clearhead.cli import look; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, env=dict(os.environ))
    assert done.returncode == 0
