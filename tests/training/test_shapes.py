"""Every kind of model has as many weights as the dial's Transformer."""

from dataclasses import replace
from typing import Any

import pytest

from clearhead.errors import OptionError
from clearhead.model import DecoderConfig, skeleton
from clearhead.training.shapes import LADDER, MODELS, equal, shape

RIVALS = [kind for kind in MODELS if kind != "transformer"]


@pytest.mark.parametrize("kind", RIVALS)
@pytest.mark.parametrize("vocabulary", [65, 4096])
def test_weights_are_equal_within_a_fiftieth_with_and_without_the_embedding(kind: str, vocabulary: int) -> None:
    for rung in range(len(LADDER)):
        peer, found = shape(rung, vocabulary, 256), shape(rung, vocabulary, 256, kind)
        assert found.kind == kind
        assert found.parameters() == sum(p.numel() for p in skeleton(found).parameters())
        assert found.parameters() == pytest.approx(peer.parameters(), rel=0.02)
        assert found.inner_parameters() == pytest.approx(peer.inner_parameters(), rel=0.02)


def test_settings_that_are_not_sizes_are_kept() -> None:
    peer: Any = replace(shape(0, 65, 64), dropout=0.1, tied=False)
    found: Any = equal(peer, "lstm-attention")
    for name in ("vocabulary", "context", "width", "dropout", "tied", "norm", "attention"):
        assert getattr(found, name) == getattr(peer, name)


def test_a_kind_without_a_rule_is_refused() -> None:
    peer = shape(0, 65, 64)
    assert isinstance(peer, DecoderConfig)
    with pytest.raises(OptionError, match=r"^model.kind 'encoder': sizes can only be chosen for transformer, lstm,"):
        equal(peer, "encoder")
