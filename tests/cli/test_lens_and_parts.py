"""``clearhead lens``, ``parts`` and ``look --by integrated-gradient``: what they print, write and refuse."""

from pathlib import Path

import pytest
from calling import Done, call

from clearhead import hub
from heads import lively


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("runs")
    hub.save(at / "book", lively("grouped, normed, rotated"))
    hub.save(at / "gpt", lively("biases, learned places"))
    hub.save(at / "bert", lively("sees both sides"))
    (at / "book.txt").write_text("see it, I see it. " * 40, encoding="utf-8")
    return at


def clearhead(folder: Path, *words: object, stdin: bytes = b"") -> Done:
    return call(*words, "--threads", 1, stdin=stdin, folder=folder)


def test_the_lens_is_written(folder: Path):
    done = clearhead(folder, "lens", "bert", "-", "--out", "l.html", "--language", "zh", stdin=b"see")
    assert (done.code, done.out) == (0, "")
    assert "l.html：4 个位置、4 个读数处最可能的词元" in done.err


def test_a_tuned_lens_is_trained_then_used_and_refused_for_another_model(folder: Path):
    done = clearhead(folder, "lens", "book", "--train", "book.txt", "--steps", 3, "--batch", 2, "-o", "t.safetensors")
    assert done.code == 0, done.err
    assert "t.safetensors: a tuned lens, trained on 138 tokens" in done.err
    assert [line.split()[0] for line in done.out.splitlines()[2:]] == ["embedding", "layer", "layer"]
    done = clearhead(folder, "lens", "book", "see", "--tuned", "t.safetensors")
    assert (done.code, done.err) == (0, "")
    assert "(tuned lens)" in done.out
    done = clearhead(folder, "lens", "gpt", "see", "--tuned", "t.safetensors")
    assert done.code == 2
    assert "t.safetensors: it was trained for book, with other layers or another width" in done.err


def test_the_parts_are_printed(folder: Path):
    done = clearhead(folder, "parts", "book", "see it", "--token", "x", "--against", "y", "--query", "see")
    assert (done.code, done.err) == (0, "")
    assert "what adds to the logit of x less that of y, at place 3 e" in done.out


def test_an_integrated_gradient_is_printed(folder: Path):
    done = clearhead(folder, "look", "book", "see it", "--by", "integrated-gradient", "--baseline", "z")
    assert (done.code, done.err) == (0, "")
    assert "They sum to" in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lens", "nowhere"], "lens: give a text to read, or --train FILE to train a tuned lens"),
        (["lens", "nowhere", "a", "--out", "x.txt"], "the ending '.txt' is not known"),
        (["lens", "nowhere", "a", "--language", "fr"], "language 'fr' is not known"),
        (["lens", "nowhere", "--train", "book.txt"], "--train writes a tuned lens to --out FILE"),
        (
            ["lens", "nowhere", "a", "--train", "b", "--out", "x.safetensors"],
            "takes no text, --tuned, --target, --from or --to",
        ),
        (["lens", "nowhere", "--train", "b", "--out", "x.html"], "end the name in .safetensors"),
        (["lens", "book", "a", "--tuned", "none.safetensors"], "none.safetensors: there is no such file"),
        (["parts", "nowhere", "a", "--out", "x.html"], "the ending '.html' is not known"),
        (["parts", "book", "ab", "--query", "7"], "query 7: the places are 0 to 2"),
        (["look", "nowhere", "a", "--baseline", "zero"], "--baseline zero belongs to --by integrated-gradient"),
        (
            ["look", "nowhere", "a", "--by", "integrated-gradient", "--layer", "1"],
            "--by integrated-gradient explains",
        ),
    ],
)
def test_mistakes_are_refused_with_the_rule(folder: Path, words: list[str], message: str):
    done = clearhead(folder, *words)
    assert done.code in (1, 2)
    assert message in " ".join(done.err.split())
    assert done.out == ""
