"""The objective of translators: losses of batches against each pair alone, smoothing, and batches for timing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import Watcher
from torch.nn import functional as F

from clearhead.errors import OptionError, TextError
from clearhead.model import Network, build
from clearhead.text import PairFile, Pairs, Tokenizer, split_pairs, tokenize_pairs
from clearhead.training import TARGET_TOKENS, TrainConfig, evaluate, fit
from clearhead.training.objective import batch_loss
from little_configs import TRANSLATOR
from little_translators import write_pairs

END = 256
CONFIG = replace(TRANSLATOR, vocabulary=257, context=32)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    source = PairFile(str(write_pairs(folder / "p.tsv", 40)))
    return tokenize_pairs([source], Tokenizer.bytes(), start=END, end=END, cache=folder)


def alone(network: Network, pairs: Pairs, smoothing: float = 0.0) -> float:
    """Nats over all targets, each pair by itself."""
    nats = 0.0
    for source, target in pairs.sentences():
        ids, targets_T = [END, *target.encode()], torch.tensor([*target.encode(), END])
        with torch.no_grad():
            logits_TV = network(torch.tensor([ids]), source_BS=torch.tensor([[*source.encode(), END]]))[0]
        nats += float(F.cross_entropy(logits_TV, targets_T, reduction="sum", label_smoothing=smoothing))
    return nats


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_costs_what_its_pairs_cost_alone(pairs: Pairs, smoothing: float) -> None:
    """Padding of neither side counts."""
    network = build(CONFIG, seed=0).double().eval()
    batches = list(TARGET_TOKENS.in_order(pairs, context=32, batch=8, stride=None))
    assert any(batch.source_lengths_B is not None for batch in batches)
    with torch.no_grad():
        losses = [float(batch_loss(network, each, reduction="sum", smoothing=smoothing)) for each in batches]
    assert sum(losses) == pytest.approx(alone(network, pairs, smoothing), rel=1e-9)


def test_an_evaluation_does_not_depend_on_how_many_are_read_at_once(pairs: Pairs) -> None:
    network = build(CONFIG, seed=0).double().eval()
    found = evaluate(network, pairs, objective=TARGET_TOKENS)
    assert found.nats == pytest.approx(alone(network, pairs), rel=1e-9)
    assert (found.tokens, found.text_bytes) == (len(pairs), len(pairs) - pairs.count)


def test_only_the_training_loss_is_smoothed(pairs: Pairs, tmp_path: Path) -> None:
    found = []
    for smoothing in (0.0, 0.3):
        watcher, config = Watcher(), TrainConfig(steps=1, batch=4, threads=1, label_smoothing=smoothing)
        folder = tmp_path / str(smoothing)
        folder.mkdir()
        fit(
            build(CONFIG, seed=0),
            config,
            *split_pairs(pairs),
            folder=folder,
            hooks=watcher.hooks(),
            objective=TARGET_TOKENS,
        )
        found.append((watcher.steps[0].loss, watcher.evaluations[0].valid_loss))
    (plain, valid), (smoothed, other) = found
    assert valid == other
    assert smoothed != plain


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 5), (8, 256), (2, 31)])
def test_a_batch_for_timing_has_about_as_many_tokens(shape: tuple[int, int]) -> None:
    ids_BT = np.zeros(shape, dtype=np.int64)
    batch = TARGET_TOKENS.trial(ids_BT)
    assert batch.source_BS is not None
    assert batch.source_BS.shape == batch.ids_BT.shape == batch.targets_BT.shape
    size = batch.source_BS.size + batch.ids_BT.size
    assert size <= ids_BT.size
    if ids_BT.size > 32:
        assert size > ids_BT.size - 32


def test_what_is_refused(pairs: Pairs) -> None:
    with pytest.raises(
        OptionError, match=r"^stride 3: is for models that predict the next token of a text; leave it o"
    ):
        TARGET_TOKENS.in_order(pairs, context=32, batch=8, stride=3)
    with pytest.raises(TextError, match=r"^there are no pairs to evaluate on; give more, or name others with --valid$"):
        TARGET_TOKENS.check(pairs.part(0, 0))
