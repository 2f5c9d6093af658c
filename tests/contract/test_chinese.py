"""Everything the command says has its Chinese: catalogue and code agree, and real output has no English prose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import write_docs
from clearhead.catalogue import COUNTED, FIELD, LETTERS, Catalogue
from clearhead.cli import VERBS
from cli.calling import SMALL, TEXT, call
from messages import messages

# English that stays: names of files, options, settings and kinds, code, and what users wrote.
STAYS = re.compile(
    r"`[^`]*`|'[^']*'|\"[^\"]*\"|\(https?:[^)]*\)|--?[\w-]+|clearhead [a-z]+(?: \S+)?|\S*[/.=_]\S*|[A-Z]+\b|<[a-z ]+>|"
    r"(?:logit|tuned) lens|direct logit( attribution)?|man woman king|words [a-z]+"
)
PROSE = re.compile(r"\b[A-Za-z]?[a-z]+ [a-z]{2,}\b")


def test_a_message_is_translated_by_its_own_entry() -> None:
    """Of those with too little text of their own, such as "{0} and {1}", several may have the same form."""
    entries = {str(each.id): str(each.string) for each in write_docs.catalogue() if each.id}
    chinese, wrong = Catalogue(entries), list[str]()
    for text in messages():
        if not FIELD.search(text) or sum(map(str.isalpha, FIELD.sub("", text))) < LETTERS:
            continue

        def fill(field: re.Match[str], counted: bool = COUNTED.fullmatch(text) is not None) -> str:
            return f"'F{field[1]}'" if field[2] == "r" else "7" if counted else f"F{field[1]}"

        got, meant = chinese.line(FIELD.sub(fill, text)), FIELD.sub(fill, entries[text])
        if got != meant:
            wrong.append(f"{text!r} gives {got!r}")
    assert wrong == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run."""
    made = tmp_path_factory.mktemp("chinese")
    (made / "text.txt").write_text(TEXT)
    (made / "empty.txt").write_text("")
    done = call("--language", "zh", "train", "text.txt", "--steps", 4, *SMALL, folder=made)
    assert (done.code, english(done.err)) == (0, []), done.err
    return made


def english(text: str) -> list[str]:
    """The lines with English prose. Lines of a sample begin with a bar."""
    lines = [line for line in text.splitlines() if not line.startswith("   | ")]
    return [line for line in lines if PROSE.search(STAYS.sub("·", line))]


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_help_is_chinese(words: list[str], tmp_path: Path) -> None:
    done = call("--language", "zh", *words, folder=tmp_path)
    assert done.code == 0
    assert english(done.out) == []


@pytest.mark.parametrize(
    "words",
    [
        ["show", "runs/text"],
        ["eval", "runs/text", "text.txt"],
        ["corpora"],
        ["generate", "runs/text", "The", "--max-tokens", "3"],
        ["export", "runs/text", "out"],
        ["doctor"],
    ],
    ids=lambda words: words[0],
)
def test_what_verbs_print_is_chinese(words: list[str], folder: Path) -> None:
    done = call("--language", "zh", *words, folder=folder)
    assert done.code == 0, done.err
    assert english(done.err + ("" if words[0] == "generate" else done.out)) == []


@pytest.mark.parametrize(
    "words",
    [
        ["trian"],
        ["train"],
        ["train", "--stps", "3"],
        ["train", "none.txt"],
        ["train", "empty.txt"],
        ["train", "text.txt", "--steps", "0"],
        ["train", "text.txt", "--steps", "x"],
        ["train", "text.txt", "--model", "lstmx"],
        ["train", "text.txt", "--set", "model.layer=3"],
        ["train", "text.txt", "--steps", "2", "--minutes", "1"],
        ["train", "--resume", "none"],
        ["show"],
        ["show", "text.txt"],
        ["show", "a", "b"],
        ["eval", "runs/text"],
        ["eval", "runs/text", "text.txt", "--stride", "0"],
        ["generate", "runs/text", "--temperature", "-1"],
        ["generate", "runs/text", "--edit", "ablat 0.0"],
        ["look", "runs/text", "fox", "--query", "dog"],
        ["look", "runs/text", "fox", "--layer", "7"],
        ["look", "runs/text", "fox", "--out", "x.gif"],
        ["look", "runs/text", "fox", "--by", "colour"],
        ["atlas", "runs/text", "fox", "--sort", "size"],
        ["steps", "runs/text", ""],
        ["effect", "runs/text", "fox"],
        ["words", "runs/text", "nearest"],
        ["corpora", "world-fr"],
        ["prove", "none"],
        ["translate", "runs/text", "fox"],
        ["fill", "runs/text", "fox"],
        ["chat", "runs/text"],
        ["compare", "text.txt", "--seeds", "0"],
    ],
    ids=" ".join,
)
def test_errors_are_chinese(words: list[str], folder: Path) -> None:
    plain = call(*words, folder=folder)
    done = call("--language", "zh", *words, folder=folder)
    assert done.code == plain.code != 0
    assert plain.err.startswith("error: ")
    assert "错误：" in done.err
    assert english(done.err) == []


def test_debug_shows_the_error_as_it_was_raised(folder: Path) -> None:
    with pytest.raises(Exception, match=r"^corpus|^no corpus 'world-fr'"):
        call("--language", "zh", "corpora", "world-fr", "--debug", folder=folder)
