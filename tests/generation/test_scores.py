"""BLEU and chrF: sacrebleu's own, with the tokenizer that the language asks for."""

from __future__ import annotations

import builtins

import pytest
import sacrebleu

from clearhead.errors import MissingExtraError, OptionError
from clearhead.generation import has_scores, score

MADE = ["the cat sat on the mat .", "a dog, it barks", "", "He said 1,000."]
RIGHT = ["the cat sat on a mat .", "a dog , it barks", "nothing", "He said 1,000!"]
MADE_ZH = ["猫坐在垫子上。", "他说了一千。"]
RIGHT_ZH = ["猫坐在垫子上面。", "他说了1000。"]
CASES = {
    "English": (MADE, RIGHT, "13a"),
    "Chinese": (MADE_ZH, RIGHT_ZH, "zh"),
    "Chinese with a name": (MADE_ZH, ["猫坐在 mat 上面。", "他说了 PyTorch 一千遍。"], "zh"),
    "Japanese": (["猫がマットの上にいる。"], ["猫はマットの上に座った。"], "char"),
    "Korean": (["고양이 가"], ["고양이 가 앉다"], "13a"),
    "English with a sign": (MADE[:1], ["the 猫 sat on a mat ."], "13a"),
    "numbers alone": (["1 2 3"], ["1 2 4"], "13a"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_figures_are_sacrebleu_s(case: str) -> None:
    made, right, tokenizer = CASES[case]
    found = score(made, right)
    assert found.bleu == sacrebleu.corpus_bleu(made, [right], tokenize=tokenizer).score
    assert found.chrf == sacrebleu.corpus_chrf(made, [right]).score
    assert f"|tok:{tokenizer}|" in found.bleu_signature
    assert found.chrf_signature.startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|")


def test_another_tokenizer() -> None:
    found = score(MADE, RIGHT, tokenizer="char")
    assert found.bleu == sacrebleu.corpus_bleu(MADE, [RIGHT], tokenize="char").score
    assert score(MADE_ZH, RIGHT_ZH, tokenizer="13a").bleu != score(MADE_ZH, RIGHT_ZH).bleu


def test_equal_texts_have_all_points() -> None:
    found = score(RIGHT, RIGHT)
    assert found.bleu == pytest.approx(100)
    assert found.chrf == pytest.approx(100)


def test_what_cannot_be_scored() -> None:
    with pytest.raises(OptionError, match=r"^tokenizer 'jieba': sacrebleu has .*zh.*13a"):
        score(MADE, RIGHT, tokenizer="jieba")
    for made, right in (([], []), (MADE, RIGHT[:2])):
        with pytest.raises(
            OptionError, match=rf"^{len(made)} translations and {len(right)} references; each needs one$"
        ):
            score(made, right)


@pytest.mark.parametrize("name", ["ja-mecab", "ko-mecab"])
def test_a_tokenizer_that_needs_more_says_what(name: str) -> None:
    """Its dictionary is a package that the extra does not bring."""
    with pytest.raises(MissingExtraError, match=rf"^tokenizer '{name}': .*pip install"):
        score(MADE, RIGHT, tokenizer=name)


def test_without_sacrebleu_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: object, **named: object) -> object:
        if name.split(".")[0] == "sacrebleu":
            raise ImportError(name)
        return real(name, *rest, **named)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(builtins, "__import__", absent)
    assert not has_scores()
    with pytest.raises(
        MissingExtraError, match=r"^BLEU and chrF need sacrebleu: pip install 'clearhead\[translate\]'$"
    ):
        score(MADE, RIGHT)
