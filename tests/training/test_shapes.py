"""Every kind of model has as many weights as the dial's Transformer."""

from dataclasses import replace
from typing import Any

import pytest

from clearhead.errors import OptionError
from clearhead.hub.families import family_for, modernbert
from clearhead.model import DecoderConfig, EncoderConfig, skeleton
from clearhead.training.shapes import LADDER, equal, kinds, shape

RIVALS = sorted(kinds() - {DecoderConfig.kind})


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
    with pytest.raises(OptionError, match=r"^model.kind 'toy': sizes can only be chosen for convolution, convol"):
        equal(peer, "toy")


def test_an_encoder_has_a_released_shape_with_the_decoder_s_layers_and_width() -> None:
    for rung in range(len(LADDER)):
        peer, found = shape(rung, 4096, 256), shape(rung, 4096, 256, "encoder")
        assert isinstance(found, EncoderConfig)
        assert isinstance(peer, DecoderConfig)
        assert family_for(found) is modernbert
        assert (found.layers, found.width, found.context) == (peer.layers, peer.width, peer.context)
        assert found.attention.heads * found.attention.head_width == found.width
        assert abs(found.attention.head_width - peer.attention.head_width) <= 12
        assert found.feed_forward.kind == peer.feed_forward.kind
        assert "masked tokens" in found.abilities
