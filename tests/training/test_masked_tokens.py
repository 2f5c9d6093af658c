"""Masked tokens: which are chosen, what replaces them, the loss by definition, and that only context can answer."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import Texts, Watcher, whole_state

import little_configs
from clearhead.errors import ConfigError, OptionError, TextError
from clearhead.model import EncoderConfig, FeedForwardConfig, NormConfig, build
from clearhead.text import NOT_COUNTED, Tokenizer, Tokens, Windows, sequential, tokenize
from clearhead.training import (
    MaskConfig,
    MaskedTokens,
    OptimizerConfig,
    TrainConfig,
    batch_loss,
    evaluate,
    fit,
    objective_of,
)

BYTES = Tokenizer.bytes().with_mask()
SEPARATOR, MASK = 256, 257
ENCODER = EncoderConfig(
    vocabulary=258,
    context=12,
    layers=2,
    width=32,
    attention=replace(little_configs.ATTENTION, heads=4, kv_heads=4, head_width=8, head_norm="none"),
    feed_forward=FeedForwardConfig(width=48),
    norm=NormConfig(kind="layer", eps=1e-5, bias=False),
    prediction=little_configs.BERT.prediction,
)


def stream(*texts: str) -> Tokens:
    return tokenize([Texts(*texts)], BYTES)


def objective(seed: int = 0, **masks) -> MaskedTokens:
    return MaskedTokens.of(BYTES, MaskConfig(**masks), seed)


def lively(config: EncoderConfig = ENCODER) -> torch.nn.Module:
    model = build(config, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(8)
    return model.double()


TOKENS = stream("the quick brown fox jumps over the lazy dog. " * 40, "a", "", "and another document " * 30)
WINDOWS = Windows(TOKENS, context=50, batch=8, seed=0)


@given(step=st.integers(0, 10_000), rate=st.floats(0.01, 0.99), seed=st.integers(0, 2**62))
def test_the_chosen_are_the_rate_of_each_window_and_never_special(step: int, rate: float, seed: int):
    windows = WINDOWS.at(step)
    found = objective(seed, rate=rate).batch(windows, step)
    chosen_BT = found.targets_BT != NOT_COUNTED
    can_BT = windows.ids_BT < SEPARATOR
    for chosen_T, can_T in zip(chosen_BT, can_BT, strict=True):
        assert chosen_T.sum() == min(max(1, np.rint(rate * can_T.sum())), can_T.sum())
    assert not (chosen_BT & ~can_BT).any()
    np.testing.assert_array_equal(found.targets_BT[chosen_BT], windows.ids_BT[chosen_BT])
    np.testing.assert_array_equal(found.ids_BT[~chosen_BT], windows.ids_BT[~chosen_BT])


def test_masks_depend_on_the_seed_and_the_step_alone():
    windows = WINDOWS.at(3)
    found = objective(seed=5).batch(windows, 3)
    again = objective(seed=5)
    again.batch(WINDOWS.at(9), 9)
    np.testing.assert_array_equal(again.batch(windows, 3).ids_BT, found.ids_BT)
    for other in (objective(seed=6).batch(windows, 3), objective(seed=5).batch(windows, 4)):
        assert (other.targets_BT != found.targets_BT).any()


@pytest.mark.parametrize(("masked", "random"), [(0.8, 0.1), (1.0, 0.0), (0.0, 0.5)])
def test_the_chosen_are_replaced_in_the_given_shares(masked: float, random: float):
    counts = np.zeros(3)
    for step in range(60):
        windows = WINDOWS.at(step)
        found = objective(masked=masked, random=random).batch(windows, step)
        chosen_BT = found.targets_BT != NOT_COUNTED
        new, old = found.ids_BT[chosen_BT], windows.ids_BT[chosen_BT]
        counts += [(new == MASK).sum(), ((new != MASK) & (new != old)).sum(), (new == old).sum()]
        assert (new[new != MASK] < SEPARATOR).all()  # a random token is no special one
    shares = counts / counts.sum()
    # a random token is by chance the right one in 1 of 256; six deviations of some 7,000 draws are 0.035
    assert shares == pytest.approx([masked, random, 1 - masked - random], abs=0.035)


def test_whole_words_are_masked_whole():
    text = "the cat sat on the mats and the carpenters sat on a rat " * 20
    tokenizer = Tokenizer.train_bpe([text], 270).with_mask()
    ids = tokenizer.encode(text)
    tokens = replace(TOKENS, ids=np.array(ids, np.uint16), lengths=tokenizer.byte_lengths())
    windows = next(iter(sequential(tokens, context=len(ids) - 1, batch=1)))
    found = MaskedTokens.of(tokenizer, MaskConfig(whole_words=True, rate=0.2)).batch(windows, 0)
    pieces = [tokenizer.decode([token]) for token in windows.ids_BT[0]]
    chosen_T = found.targets_BT[0] != NOT_COUNTED
    assert len(pieces) > 1.2 * text.count(" ")  # some words have several pieces
    for place in range(1, len(pieces)):
        if not pieces[place].startswith(" ") and pieces[place].isalpha() and pieces[place - 1][-1:].isalpha():
            assert chosen_T[place] == chosen_T[place - 1]


class TestEvaluation:
    def test_masks_are_the_same_however_many_windows_are_read_at_once(self):
        wanted = [[*objective().in_order(TOKENS, context=40, batch=size, stride=None)] for size in (1, 3, 100)]
        joined = [np.concatenate([batch.ids_BT for batch in batches]) for batches in wanted]
        for ids_NT, batches in zip(joined, wanted, strict=True):
            np.testing.assert_array_equal(ids_NT, joined[0])
            assert sum(batch.text_bytes for batch in batches) == sum(batch.text_bytes for batch in wanted[0])

    def test_every_token_is_read_once_and_the_masked_ones_are_masked(self):
        batches = [*objective(rate=0.25).in_order(TOKENS, context=40, batch=4, stride=None)]
        ids, targets = (
            np.concatenate([getattr(batch, name).ravel() for batch in batches])[: len(TOKENS)]
            for name in ("ids_BT", "targets_BT")
        )
        chosen = targets != NOT_COUNTED
        assert (ids[chosen] == MASK).all()
        np.testing.assert_array_equal(np.where(chosen, targets, ids), TOKENS.ids)
        assert chosen.sum() == pytest.approx(0.25 * (TOKENS.ids < SEPARATOR).sum(), rel=0.02)
        assert sum(batch.text_bytes for batch in batches) == chosen.sum()  # each token is a byte

    def test_the_score_is_the_mean_of_the_log_probabilities(self):
        model, nats, count = lively().eval(), 0.0, 0
        for batch in objective().in_order(TOKENS, context=12, batch=1, stride=None):
            numbers = np.zeros(12) if batch.documents_BT is None else batch.documents_BT[0]
            starts = [0, *np.flatnonzero(np.diff(numbers)) + 1]
            for first, last in zip(starts, [*starts[1:], 12], strict=True):  # each document of a window alone
                ids_T, targets_T = batch.ids_BT[0, first:last], batch.targets_BT[0, first:last]
                (places,) = np.nonzero(targets_T != NOT_COUNTED)
                with torch.no_grad():
                    logs_TV = model(torch.from_numpy(ids_T.copy())[None])[0].log_softmax(-1)
                nats -= sum(logs_TV[place, targets_T[place]].item() for place in places)
                count += len(places)
        found = evaluate(model, TOKENS, objective=objective())
        assert found.tokens == count
        assert found.nats == pytest.approx(nats, rel=1e-9)
        assert found.unit == "masked token"

    def test_a_stride_is_refused(self):
        with pytest.raises(OptionError, match=r"^stride 6: is for models .* sees both sides of every window; leave it"):
            evaluate(lively(), TOKENS, stride=6, objective=objective())

    def test_a_text_without_a_token_to_mask_is_refused(self):
        special = replace(TOKENS, ids=np.full(30, SEPARATOR, np.uint16), starts=np.arange(30))
        with pytest.raises(TextError, match="the text has no token that can be masked"):
            [*objective().in_order(special, context=10, batch=2, stride=None)]


def test_no_masked_token_is_predicted_from_another_document():
    """By gradient, exactly 0."""
    model, windows = lively(), Windows(stream("abcdef", "ghijkl"), context=12, batch=1, seed=0).at(0)
    batch = objective(rate=0.9).batch(windows, 0)
    first = int(np.flatnonzero(np.diff(windows.documents_BT[0]))[0]) + 1
    batch.targets_BT[:, first:] = NOT_COUNTED  # only the first document is predicted
    embedded = []
    model.embedding.register_forward_hook(lambda module, given, out: embedded.append(out) or out.retain_grad())
    batch_loss(model, batch).backward()
    (gradient,) = (each.grad for each in embedded)
    assert (gradient[0, first:] == 0).all()
    assert (gradient[0, :first] != 0).any(dim=-1).all()


def triples(count: int) -> str:
    """Words of three letters, the middle one set by both neighbours: amc, and, boc, bpd.

    One neighbour leaves two letters to choose from: a model that reads one side is right half of the time.
    """
    random = np.random.default_rng(0)
    left, right = random.integers(2, size=(2, count))
    return "".join(f"{'ab'[i]}{'mnop'[2 * i + j]}{'cd'[j]} " for i, j in zip(left, right, strict=True))


@pytest.fixture(scope="module")
def text() -> Tokens:
    return stream(triples(2000))


TRAIN = TrainConfig(
    steps=350,
    batch=16,
    optimizer=OptimizerConfig(lr=0.02, adamw_lr=0.02),
    evaluations=1,
    evaluation_tokens=600,
    threads=1,
    masks=MaskConfig(),
)


def trained(folder: Path, text: Tokens, config: TrainConfig, *, stop: int | None = None, resumed: bool = False):
    model = build(ENCODER, seed=0)
    folder.mkdir(exist_ok=True)
    state = whole_state(folder) if resumed else None
    watcher = Watcher(stop_after=stop)
    learns = objective_of(config.masks, BYTES, config.seed)
    fit(model, config, text, text, folder=folder, hooks=watcher.hooks(), objective=learns, state=state)
    return model.eval(), watcher


def test_it_learns_what_only_both_sides_give(tmp_path: Path, text: Tokens):
    model, watcher = trained(tmp_path / "run", text, TRAIN)
    assert watcher.evaluations[0].valid_loss == pytest.approx(math.log(258), rel=0.02)
    assert watcher.evaluations[0].unit == "masked token"
    for left, middle, right in ("amc", "and", "boc", "bpd"):
        ids = [*b"amc ", ord(left), MASK, ord(right), *b" bpd"]
        with torch.no_grad():
            p_V = model(torch.tensor([ids]))[0, 5].softmax(-1)
        assert p_V[ord(middle)] > 0.8, (left, right)  # half without one of the neighbours


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path: Path, text: Tokens):
    config = replace(TRAIN, steps=12, evaluations=3)
    whole, _ = trained(tmp_path / "whole", text, config)
    trained(tmp_path / "parts", text, config, stop=5)
    parts, _ = trained(tmp_path / "parts", text, config, resumed=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({"rate": 0.0}, "rate is 0.0; it must be above 0 and below 1; 0.15 to 0.3 is usual"),
        ({"rate": 1.0}, "rate is 1.0; it must be above 0 and below 1"),
        ({"rate": math.nan}, "rate is nan"),
        ({"masked": 1.1}, "masked is 1.1; it must be a fraction, from 0 to 1"),
        ({"random": 0.3}, "masked 0.8 and random 0.3 add up to more than 1"),
    ],
)
def test_masks_out_of_range_are_refused(masks: dict[str, float], said: str):
    with pytest.raises(ConfigError, match=said):
        MaskConfig(**masks)


def test_a_tokenizer_without_a_mask_token_is_refused():
    with pytest.raises(OptionError, match=r"its tokenizer has no mask token, .*; name the token as mask_token in"):
        objective_of(MaskConfig(), Tokenizer.bytes())


def test_a_model_that_predicts_next_tokens_does_not_learn_this(tmp_path: Path, text: Tokens):
    decoder = build(replace(little_configs.QWEN3, vocabulary=258), seed=0)
    with pytest.raises(OptionError, match="training here needs a model that predicts masked tokens"):
        fit(decoder, TRAIN, text, text, folder=tmp_path, hooks=Watcher().hooks(), objective=objective())
