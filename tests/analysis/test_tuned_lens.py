"""The tuned lens: better than the logit lens on held-out text, saved whole, refused for another model."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import shapes
from clearhead.analysis import TunedLens, lens, read_lens, tune_lens
from clearhead.analysis.tuned_lens import fingerprint
from clearhead.errors import FolderError, OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.tensorfile import write_tensors
from little_configs import QWEN3, RIVALS
from looked import BYTES

CONFIG = replace(QWEN3, vocabulary=BYTES.vocab_size, context=32, width=32)


def prose(seed: int, sentences: int) -> str:
    rng = random.Random(seed)
    who, does, what = ("Tom", "Lily", "the cat", "she"), ("saw", "ate", "lost"), ("a cake.", "the ball.", "two hats.")
    return " ".join(f"{rng.choice(who)} {rng.choice(does)} {rng.choice(what)}" for _ in range(sentences))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(prose(0, 600), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def lm(book: Path) -> LanguageModel:
    """A little model trained on the book for 80 steps."""
    network = build(CONFIG, seed=0)
    ids_N = torch.tensor(BYTES.encode(book.read_text(encoding="utf-8")))
    adam = torch.optim.Adam(network.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(80):
        starts = torch.randint(len(ids_N) - 33, (16,), generator=generator).tolist()
        window_BT = torch.stack([ids_N[start : start + 33] for start in starts])
        loss = network(window_BT[:, :-1], targets_BT=window_BT[:, 1:]) / window_BT[:, 1:].numel()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return LanguageModel(network.eval(), BYTES, name="little")


@pytest.fixture(scope="module")
def tuned(lm: LanguageModel, book: Path) -> TunedLens:
    return tune_lens(lm, book, steps=60, batch=8)


def test_it_is_nearer_to_the_models_own_prediction_than_the_logit_lens(lm: LanguageModel, tuned: TunedLens) -> None:
    text = prose(9, 2)[:31]  # drawn anew
    plain, better = lens(lm, text), lens(lm, text, tuned=tuned)
    assert (better.tuned, plain.tuned) == (True, False)
    for row in range(len(plain.sites) - 1):
        assert better.kl_RT[row].mean() < 0.8 * plain.kl_RT[row].mean()
    assert torch.equal(better.ids_RTN[-1], plain.ids_RTN[-1])  # the last layer needs no map
    assert (tuned.after_S < 0.8 * tuned.before_S).all()
    assert repr(tuned) == "TunedLens(little: 3 layers, 15,360 tokens)"


def test_it_starts_as_the_logit_lens(lm: LanguageModel, book: Path) -> None:
    first = tune_lens(lm, book, steps=1, batch=1, rate=1e-9)
    assert torch.allclose(first.before_S, first.after_S, atol=1e-5)


def test_the_same_seed_gives_the_same_lens_and_the_model_stays(lm: LanguageModel, book: Path) -> None:
    before = fingerprint(lm.network)
    one, other = (tune_lens(lm, [str(book)], steps=2, batch=2, seed=3) for _ in range(2))
    assert torch.equal(one.weight_SEE, other.weight_SEE)
    assert fingerprint(lm.network) == before
    assert all(parameter.grad is None or not lm.network.training for parameter in lm.network.parameters())


def test_it_is_read_as_it_was_saved(lm: LanguageModel, tuned: TunedLens, tmp_path: Path) -> None:
    tuned.save(tmp_path / "lens.safetensors")
    again = read_lens(tmp_path / "lens.safetensors", lm)
    for name in ("weight_SEE", "bias_SE", "before_S", "after_S"):
        assert torch.equal(getattr(again, name), getattr(tuned, name))
    assert (again.sites, again.fingerprint, again.tokens, again.name) == (
        tuned.sites,
        tuned.fingerprint,
        tuned.tokens,
        "little",
    )
    half = LanguageModel(build(CONFIG, seed=0).to(torch.bfloat16), BYTES)
    half.network.load_state_dict(lm.network.state_dict())
    again.check(half)  # the same weights, rounded


def test_another_model_is_refused(lm: LanguageModel, tuned: TunedLens, tmp_path: Path) -> None:
    path = tmp_path / "lens.safetensors"
    tuned.save(path)
    other = LanguageModel(build(CONFIG, seed=1), BYTES)
    for use in (lambda: read_lens(path, other), lambda: lens(other, "ab", tuned=tuned)):
        with pytest.raises(OptionError, match="it was trained for little, whose weights have the fingerprint"):
            use()
    wider = LanguageModel(build(replace(CONFIG, width=34), seed=0), BYTES)
    with pytest.raises(OptionError, match="with other layers or another width; this model has 3 layers of width 34"):
        read_lens(path, wider)


def test_what_is_no_lens_is_refused(lm: LanguageModel, tuned: TunedLens, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(FolderError, match="there is no such file"):
        read_lens(path, lm)
    write_tensors(path, {"x": torch.zeros(2)})
    with pytest.raises(FolderError, match="not a tuned lens; train one with clearhead lens MODEL --train"):
        read_lens(path, lm)
    tuned.save(path)
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(FolderError, match="altered since it was written"):
        read_lens(path, lm)


@pytest.mark.parametrize("options", [{"steps": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": 2.0}], ids=str)
def test_options_out_of_range_are_refused(lm: LanguageModel, book: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="tuned lens: steps "):
        tune_lens(lm, book, **options)


def test_a_text_that_is_too_short_is_refused(lm: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("abc", encoding="utf-8")
    with pytest.raises(TextError, match="tuned lens: the text has 4 tokens; it takes more than 35"):
        tune_lens(lm, tmp_path / "short.txt")


def test_a_model_without_attention_has_one_too(book: Path) -> None:
    lm = LanguageModel(shapes.lively(replace(RIVALS["convolution"], vocabulary=BYTES.vocab_size)), BYTES)
    found = tune_lens(lm, book, steps=15, batch=4, rate=1e-2)
    assert (found.after_S < found.before_S).all()
