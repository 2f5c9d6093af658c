"""``clearhead words``: what it prints, its JSON, its errors, the models of a run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calling import Command, Done

import clearhead as ch
from clearhead import corpora, hub
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import QWEN3

PAIRS = corpora.analogies("en")["gender"]
COUPLES = " ".join(word for pair in PAIRS for word in pair)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose tokenizer has the couples as tokens."""
    folder = tmp_path_factory.mktemp("models") / "couples"
    tokenizer = Tokenizer.train_bpe([f" {COUPLES} {COUPLES} 国王"] * 9, 700)
    network = build(replace(QWEN3, vocabulary=tokenizer.vocab_size), seed=2)
    hub.save(folder, LanguageModel(network, tokenizer))
    return folder


def test_the_nearest_words_go_to_standard_output(command: Command, model: Path):
    done = command("words", model, "nearest", "king", "--top", 3)
    assert done.code == 0, done.err
    heading, *rows = done.out.splitlines()
    assert heading == f"{model}, input table"
    assert len(rows) == 3
    loaded = hub.load(model)
    table_VE = loaded.network.embedding.weight.detach().double().numpy()
    (king,), (best,) = (loaded.tokenizer.encode(f" {word}") for word in ("king", rows[0].split()[1]))
    cosine = table_VE[king] @ table_VE[best] / np.linalg.norm(table_VE[king]) / np.linalg.norm(table_VE[best])
    assert float(rows[0].split()[0]) == pytest.approx(cosine, abs=1e-4)
    assert "words of one token" in done.err


def test_a_word_of_several_tokens_is_reported(command: Command, model: Path):
    done = command("words", model, "nearest", "kingqueen")
    assert re.search(
        r"^kingqueen: [23] tokens \(·king qu ?een\); its vector is the mean of theirs$", done.err, re.MULTILINE
    )


def test_answers_that_are_pieces_are_reported_and_a_text_is_advised(command: Command, model: Path, tmp_path: Path):
    pytest.importorskip("scipy")
    lexicon = ch.words(hub.load(model))
    assert lexicon.vocabulary
    share = (
        f"pieces of words: {lexicon.long_words} of {lexicon.vocabulary} ({lexicon.long_words / lexicon.vocabulary:.0%})"
    )
    done = command("words", model, "analogy", "man", "woman", "king", "--top", 2)
    assert share in done.err
    assert "--text book.txt takes the answers from the words of a text instead" in done.err
    (tmp_path / "couples.txt").write_text("the king saw the queen. a man saw a woman. " * 9)
    done = command("words", model, "analogy", "man", "woman", "king", "--top", 2, "--text", "couples.txt")
    assert done.code == 0, done.err
    assert "pieces of words" not in done.err


def test_an_analogy_is_printed_with_its_controls(command: Command, model: Path):
    done = command("words", model, "analogy", "man", "woman", "king", "--top", 2)
    assert done.code == 0, done.err
    assert "man : woman = king : ?" in done.out
    for line in ("with the question's own words allowed: ", "nearest to king without any analogy: ",
                 "cosine of the differences woman - man and "):  # fmt: skip
        assert line in done.out


def test_the_score_in_json_is_what_the_table_prints(command: Command, model: Path):
    found = json.loads(command("words", model, "score", "--questions", "world-en", "--json").out)
    done = command("words", model, "score")
    assert "questions: world-en" in done.err
    gender = found["relations"][0]
    assert (gender["relation"], gender["questions"]) == ("gender", len(PAIRS) * (len(PAIRS) - 1))
    assert gender["covered"] > 0
    asked = gender["covered"] - gender["degenerate"]
    cells = done.out.splitlines()[2].split()
    assert cells[:4] == ["gender", str(gender["questions"]), str(gender["covered"]), str(asked)]
    assert cells[4:7] == [f"{gender[key] / asked:.1%}" for key in ("correct", "free", "neighbour")]
    assert cells[7:] == [f"{gender[key]:.3f}" for key in ("agreement", "shuffled")]
    assert found["total"]["questions"] == sum(each["questions"] for each in found["relations"])


def test_questions_from_a_file_that_the_model_does_not_cover(command: Command, model: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text(": mine\nParis France Rome Italy\n")
    done = command("words", model, "score", "--questions", "mine.txt")
    assert done.code == 0, done.err
    assert done.out.splitlines()[2].split() == ["mine", "1", "0", "0", "-", "-", "-", "-", "-"]
    assert "no question is covered" in done.err


def test_a_text_gives_the_candidates_and_counted_vectors(command: Command, model: Path, tmp_path: Path):
    pytest.importorskip("scipy")
    (tmp_path / "couples.txt").write_text("the king saw the queen. a man saw a woman. 国王看见女王。 " * 9)
    done = command("words", model, "nearest", "国王", "--text", "couples.txt", "--json")
    assert done.code == 0, done.err
    ours, counted = map(json.loads, done.out.splitlines())
    words = {"the", "king", "saw", "queen", "a", "man", "woman", "看", "见", "女", "王"}
    assert {each["word"] for each in ours["nearest"]} <= words
    assert {each["word"] for each in counted["nearest"]} <= words
    assert (ours["heading"], counted["heading"]) == ("", "counted from the text")
    lacking = command("words", model, "nearest", "kingg", "--text", "couples.txt")
    assert lacking.code == 1
    assert "'kingg' is not among the words of PPMI-SVD" in lacking.err
    assert "nearest spellings: king" in lacking.err
    assert lacking.out == ""


@pytest.mark.parametrize("name", ["words.png", "words.html"])
@pytest.mark.parametrize("asked", [("nearest", "king"), ("analogy", "man", "woman", "king"), ("score",)])
def test_a_map_is_drawn(command: Command, model: Path, tmp_path: Path, name: str, asked: tuple[str, ...]):
    pytest.importorskip("sklearn")
    done = command("words", model, *asked, "--map", name)
    assert done.code == 0, done.err
    assert f"{name}: " in done.err
    assert (tmp_path / name).stat().st_size > 1000


def test_every_kept_model_of_a_run_is_asked(command: Command, trained: tuple[Path, Done]):
    done = command("words", trained[0], "nearest", "a", "--top", 1, "--run")
    assert done.code == 0, done.err
    headings = [line for line in done.out.splitlines() if line.startswith("step ")]
    assert headings[0].startswith("step 0 with ")
    assert len(headings) in (2, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nearest"], "words nearest: 0 words were given; it takes one word"),
        (["analogy", "man", "woman"], "it takes three words: man woman king"),
        (["score", "king"], "it takes no words"),
        (["nearst", "king"], "there is no question 'nearst'; did you mean 'nearest'?"),
        (["nearest", "king", "--questions", "world-en"], "--questions applies only to score"),
        (["nearest", "king", "--table", "middle"], "table 'middle': there is no such table"),
        (["nearest", "king", "--map", "x.svg"], "end the name in .png, .html"),
        (["nearest", "king", "--map", "x.html", "--run"], "leave out one of --run and --map"),
        (["nearest", "king", "--text", "text.txt", "--corpus", "world-en"], "leave out one of them"),
        (["nearest", "king", "--top", "0"], "error: --top is 0; it must be at least 1"),
        (["nearest", " "], "words nearest: a word is empty"),
    ],
)
def test_wrong_usage_is_reported(command: Command, model: Path, words: list[str], message: str):
    done = command("words", model, *words)
    assert done.code == 2
    assert message in done.err
    assert "candidates" not in done.err
    assert done.out == ""


def test_a_folder_without_a_run_has_no_steps(command: Command, model: Path):
    done = command("words", model, "nearest", "king", "--run")
    assert done.code == 1
    assert "not a run folder" in done.err
