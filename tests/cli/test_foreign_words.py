"""Text from someone else's folder is shown, and the terminal obeys none of it."""

import ast
import io
import json
import os
import shutil
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from calling import Command

from clearhead import cli, hub
from clearhead.cli import printing
from clearhead.cli.printing import Screen, message, rows, visible, write, write_json
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.tensorfile import read_tensors, write_tensors
from clearhead.text import Tokenizer
from little_configs import QWEN3

# Clear the screen, a title, a C1 control, reversed writing, a byte that is not a character, a line separator.
EVIL = "a\x1b[2J\x1b]0;x\x07\r\x7f\x9b1m\u202eb\udcff\u2028c\u2066"
SHOWN = "a␛[2J␛]0;x␇␍␡<U+009B>1m<U+202E>b<0xFF><U+2028>c<U+2066>"


def obeyed(text: str) -> set[str]:
    """The characters that a terminal would obey instead of showing."""
    return {each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}


def test_what_a_terminal_would_obey_is_spelled_out():
    assert visible(EVIL) == SHOWN
    assert visible(SHOWN) == SHOWN


@pytest.mark.parametrize("text", ["", "two\nlines\tand a tab", "你好 ,ñ", "می\u200cخواهم", "👩\u200d👧"])
def test_ordinary_text_is_unchanged(text: str):
    assert visible(text) == text


def test_every_control_character_of_unicode_is_made_visible():
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert obeyed(visible(every)) == {"\t", "\u200c", "\u200d"}


def test_a_message_cannot_pass_for_two(capsys: pytest.CaptureFixture[str]):
    message(f"error: x\nerror: {EVIL}")
    assert capsys.readouterr().err == f"error: x\n  error: {SHOWN}\n"


def test_a_row_is_one_line(capsys: pytest.CaptureFixture[str]):
    rows({"family": "x\nweights  0", "w\x1bn": "1"})
    assert capsys.readouterr().out == "family  x⏎weights  0\nw␛n     1\n"


def test_a_rich_console_shows_them_too():
    screen = Screen()
    screen.file = io.StringIO()
    screen.print("[bold]" + EVIL.replace("\r", "").replace("\x07", ""))  # rich removes these two
    assert obeyed(screen.file.getvalue()) == set()
    assert screen.file.getvalue().startswith("[bold]a␛[2J")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_texts_are_exact_except_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    for stream, expected in ((io.StringIO(), EVIL), (Terminal(), SHOWN)):
        monkeypatch.setattr(sys, "stdout", stream)
        write(EVIL)
        assert stream.getvalue() == expected


def test_json_reads_back_and_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]):
    values = {"text": f'{EVIL}\n\t"\\ 你', EVIL: [1, None]}
    write_json(values)
    line = capsys.readouterr().out
    assert json.loads(line) == values
    assert obeyed(line) == set()
    assert "你" in line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose templates and generation settings contain control characters."""
    place = tmp_path / "foreign"
    evil = "x\x1b[2J\x9b\u202e\ny"
    tokenizer = Tokenizer.characters(["abc"])
    hub.save(place, LanguageModel(build(replace(QWEN3, vocabulary=tokenizer.vocab_size), seed=0), tokenizer))
    settings = json.loads((place / "tokenizer_config.json").read_text())
    settings["chat_template"] = [
        {"name": "default", "template": "{{ raise_exception(" + json.dumps(evil) + ") }}"},
        {"name": evil, "template": "{% " + evil + " %}"},
    ]
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    (place / "generation_config.json").write_text(json.dumps({evil: evil, "temperature": 0.5}))
    return place


@pytest.mark.parametrize("verb", [["show"], ["generate", "--threads", "1"], ["chat", "--threads", "1"]], ids=" ".join)
def test_a_foreign_folder_cannot_control_the_terminal(command: Command, folder: Path, verb: list[str]):
    done = command(verb[0], folder, *verb[1:], stdin=b"abc\n")
    assert "x␛[2J<U+009B><U+202E>" in done.out + done.err
    assert obeyed(done.err) == set()
    assert verb[0] != "show" or obeyed(done.out) == set()


def test_tensors_with_odd_names_cannot_control_the_terminal(command: Command, folder: Path):
    tensors, notes = read_tensors(folder / "model.safetensors")
    first = next(iter(tensors))
    write_tensors(folder / "model.safetensors", {**tensors, EVIL.replace("\udcff", ""): tensors[first]}, notes)
    done = command("show", folder)
    assert done.code == 1
    assert obeyed(done.err) == set()


def test_a_recipe_with_odd_names_cannot_control_the_terminal(command: Command, tmp_path: Path, trained):
    shutil.copytree(trained[0], tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").write_text('"\\u001b[2J\\u202e" = 1\n')
    done = command("show", "run")
    assert done.code == 2
    assert "␛[2J<U+202E>: unknown" in done.err
    assert obeyed(done.err) == set()


def test_files_with_odd_names_cannot_control_the_terminal(command: Command, tmp_path: Path):
    for name in ("a\x1b[2J.png", "b\u202e\n.txt"):
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_bytes(b"\xff")
    done = command("train", "texts", "--steps", 1)
    assert done.code == 1
    assert "a␛[2J.png" in done.err
    assert "b<U+202E>\n  .txt: byte 0 (0xff) is not utf-8" in done.err
    assert obeyed(done.err) == set()


def test_all_output_of_the_verbs_goes_through_printing():
    """No print, typer.echo, rich Console or write to a stream elsewhere in the command."""
    found: list[str] = []
    for path in sorted(Path(cli.__file__).parent.glob("*.py")):
        if path == Path(printing.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "Console", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"):
                found.append(f"{path.name}:{node.lineno} {name}")
    assert found == []


@pytest.mark.parametrize("verb", ["show", "generate"])
def test_a_name_that_is_not_utf8_is_reported(command: Command, trained, tmp_path: Path, verb: str):
    name = os.fsdecode(b"run\xff")
    shutil.copytree(trained[0], tmp_path / name)
    done = command(verb, name)
    assert done.code == 1
    assert "error: run<0xFF>/model.safetensors: this name is not UTF-8; rename it, or choose another" in done.err


def test_a_name_that_is_not_utf8_is_refused_before_training(command: Command, tmp_path: Path):
    done = command("train", "text.txt", "--steps", 1, "--out", os.fsdecode(b"o\xff"))
    assert (done.code, done.err) == (1, "error: o<0xFF>: this name is not UTF-8; rename it, or choose another\n")
    text = os.fsdecode(b"t\xff.txt")
    (tmp_path / text).write_text("abc")
    done = command("train", text, "--steps", 1)
    assert done.code == 2
    assert "text.sources.0: 't\\udcff.txt' is not UTF-8, and a recipe is; rename the file" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {text, "text.txt"}


def test_a_text_in_a_folder_may_have_any_name(command: Command, trained, tmp_path: Path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / os.fsdecode(b"\xff.txt")).write_text("The dog sleeps on.")
    assert command("eval", trained[0], "texts", "--threads", 1).code == 0
