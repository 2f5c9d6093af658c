"""The loss and the evaluation against plain definitions in numpy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import BYTES, shape, stream

from clearhead.errors import TextError
from clearhead.model import build
from clearhead.text import Batch, sequential
from clearhead.training import Evaluation, batch_loss, evaluate
from clearhead.training.objective import evaluate_batches


def nats(logits_V: np.ndarray, target: int) -> float:
    """-log softmax(logits)[target] in float64."""
    wide = logits_V.astype(np.float64)
    top = wide.max()
    return float(np.log(np.exp(wide - top).sum()) + top - wide[target])


def sharp(dropout: float = 0.0):
    """A model whose predictions differ much from place to place."""
    model = build(shape(layers=2, dropout=dropout), seed=1)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 2:
                p.mul_(15)
    return model


def test_the_loss_is_the_mean_over_counted_targets():
    model = sharp()
    x_BTE = torch.randn(2, 3, model.config.width, generator=torch.Generator().manual_seed(0))
    logits_BTV = x_BTE.numpy().astype(np.float64) @ model.embedding.weight.detach().numpy().astype(np.float64).T
    targets_BT = np.array([[1, 256, -100], [-100, 0, 2]])
    batch = Batch(ids_BT=np.zeros((2, 3), dtype=np.int64), targets_BT=targets_BT, documents_BT=None)
    each = [nats(logits_BTV[b, t], targets_BT[b, t]) for b, t in [(0, 0), (0, 1), (1, 1), (1, 2)]]

    model.norm.register_forward_hook(lambda *_: x_BTE)
    assert batch_loss(model, batch).item() == pytest.approx(sum(each) / 4, rel=1e-6)
    summed = batch_loss(model, batch, reduction="sum")
    assert summed.item() == pytest.approx(sum(each), rel=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_it_trains_is_the_model_that_answers(tied):
    """The loss never sees the logits that ``model(ids)`` gives: both must be of the same output layer."""
    model = build(shape(tied=tied), seed=5)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)
    ids_BT, targets_BT = np.array([[1, 2, 3, 4]]), np.array([[2, 3, 4, 5]])
    batch = Batch(ids_BT=ids_BT, targets_BT=targets_BT, documents_BT=None)
    logits_TV = model(torch.from_numpy(ids_BT))[0].detach().numpy()
    each = [nats(logits_TV[t], targets_BT[0, t]) for t in range(4)]
    assert batch_loss(model, batch).item() == pytest.approx(sum(each) / 4, rel=1e-6)


def test_no_token_is_predicted_from_another_document():
    """A window of three documents costs what each costs alone (rotary positions know distances only)."""
    model = sharp().eval()
    ids = [256, 97, 98, 99, 256, 97, 256, 104, 105, 106, 107]
    window = Batch(
        ids_BT=np.array([ids]),
        targets_BT=np.array([[97, 98, 99, -100, 97, -100, 104, 105, 106, 107, 108]]),
        documents_BT=np.array([[0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]]),
    )
    alone = [([256, 97, 98], [97, 98, 99]), ([256], [97]), ([256, 104, 105, 106, 107], [104, 105, 106, 107, 108])]
    total = 0.0
    for i, t in alone:
        batch = Batch(ids_BT=np.array([i]), targets_BT=np.array([t]), documents_BT=None)
        total += batch_loss(model, batch, reduction="sum").item()
    assert batch_loss(model, window, reduction="sum").item() == pytest.approx(total, rel=1e-5)
    blind = Batch(ids_BT=window.ids_BT, targets_BT=window.targets_BT, documents_BT=None)
    assert batch_loss(model, blind, reduction="sum").item() != pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("texts", [("the quick brown fox " * 9,), ("ab", "", "the quick brown fox jumps", "over")])
def test_the_score_counts_every_token_once(texts):
    model = sharp().eval()
    tokens = stream(*texts)
    ids = tokens.ids.astype(np.int64)
    context, total = model.config.context, 0.0
    for place in range(1, len(ids)):
        window = (place - 1) // context * context
        document = max((start for start in tokens.starts if start < place), default=0)
        seen = torch.from_numpy(ids[max(window, document) : place]).unsqueeze(0)
        with torch.no_grad():
            total += nats(model(seen)[0, -1].numpy(), ids[place])
    found = evaluate(model, tokens)
    assert found.nats == pytest.approx(total, rel=1e-5)
    assert found.tokens == len(ids) - 1
    assert found.text_bytes == sum(len(text) for text in texts)


def test_the_score_does_not_depend_on_how_many_windows_are_read_at_once():
    model, tokens = sharp(), stream("the quick brown fox jumps over the lazy dog " * 5)
    found = {
        batch: evaluate_batches(model, sequential(tokens, context=11, batch=batch), window=11).nats
        for batch in (1, 2, 3, 100)
    }
    assert list(found.values()) == pytest.approx([found[1]] * 4, rel=1e-6)


def test_a_model_that_knows_nothing_by_hand():
    """Uniform over 257 ids: ln 257 nats a token, log2 257 bits a byte where every byte is a token."""
    model = build(shape(), seed=0)
    with torch.no_grad():
        model.embedding.weight.zero_()
    found = evaluate(model, stream("abcdefgh" * 20))
    assert found.tokens == found.text_bytes == 160
    assert found.loss == pytest.approx(math.log(257), rel=1e-6)
    assert found.bits_per_byte == pytest.approx(math.log2(257), rel=1e-6)
    assert found.perplexity == pytest.approx(257, rel=1e-5)
    twice = evaluate(model, stream("abcdefgh" * 10, "abcdefgh" * 10))  # a separator more to predict, no byte more
    assert twice.bits_per_byte == pytest.approx(math.log2(257) * 161 / 160, rel=1e-6)


def test_figures_by_hand():
    evaluation = Evaluation(nats=6 * math.log(2), tokens=3, text_bytes=12, window=3)
    assert (evaluation.loss, evaluation.bits_per_byte) == pytest.approx((2 * math.log(2), 0.5))
    assert evaluation.perplexity == pytest.approx(4)
    assert Evaluation(nats=1e6, tokens=1, text_bytes=1, window=1).perplexity == math.inf


def test_dropout_is_off_while_measuring_and_on_again_after():
    model, tokens = sharp(dropout=0.5).train(), stream("the quick brown fox " * 4)
    state = torch.get_rng_state()
    first = evaluate(model, tokens)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)  # an evaluation must not change what is learned after it
    assert evaluate(model, tokens) == first
    assert evaluate(model.eval(), tokens) == first
    assert not model.training


def test_a_model_continues_training_after_a_measurement_that_was_interrupted():
    def batches():
        raise KeyboardInterrupt
        yield

    model = sharp(dropout=0.5).train()
    with pytest.raises(KeyboardInterrupt):
        evaluate_batches(model, batches(), window=1)
    assert model.training


def test_the_loss_of_a_model_whose_logits_are_capped():
    """cap tanh(logit / cap), as Gemma 2 has it, in float64."""
    model = build(replace(shape(layers=2), logit_softcap=0.5), seed=1)
    plain = build(shape(layers=2), seed=1)
    for network in (model, plain):
        with torch.no_grad():
            network.embedding.weight.mul_(40)
    ids = np.arange(11)[None]
    targets = ids + 1
    capped = 0.5 * np.tanh(plain(torch.from_numpy(ids)).detach().double().numpy()[0] / 0.5)
    expected = np.mean([nats(capped[place], targets[0, place]) for place in range(11)])
    batch = Batch(ids_BT=ids, targets_BT=targets, documents_BT=None)
    assert float(batch_loss(model, batch).detach()) == pytest.approx(expected, abs=1e-5)
    assert abs(expected - float(batch_loss(plain, batch).detach())) > 0.1


def test_text_that_cannot_be_measured_is_refused():
    model = sharp()
    with pytest.raises(TextError, match="has 1 token"):
        evaluate(model, stream(""))
    with pytest.raises(TextError, match=r"has 3 tokens; .* separators do not count as text"):
        evaluate(model, stream("", "", ""))
    assert BYTES.separator == 256
