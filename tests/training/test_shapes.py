"""Every kind of model has as many weights as the dial's Transformer."""

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from clearhead.errors import OptionError
from clearhead.hub.families import family_for, modernbert
from clearhead.model import DecoderConfig, EncoderConfig, LSTMConfig, ModelConfig, skeleton
from clearhead.runs.resolve import Asked, resolve
from clearhead.training.shapes import LADDER, architectures, equal, shape

RIVALS = sorted({kind for kinds in architectures().values() for kind in kinds.values()} - {DecoderConfig.kind})


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


class NamelessConfig(LSTMConfig):
    kind: ClassVar[str] = "nameless"
    architecture: ClassVar[str] = ""


class NamedConfig(LSTMConfig):
    kind: ClassVar[str] = "named"
    architecture: ClassVar[str] = "new"


def test_a_kind_that_is_added_with_an_architecture_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for config in (NamelessConfig, NamedConfig):
        monkeypatch.setitem(ModelConfig.classes, config.kind, config)
    asked = Asked(sources=["a.txt"], model="new", settings=[{"model": {"context": 32}}], minutes=1)
    assert resolve(asked).table["model"] == {"kind": "named", "context": 32}
    assert isinstance(shape(1, 65, 32, "named"), NamedConfig)
    with pytest.raises(OptionError, match=r"sizes can only be chosen for convolution, .*, named; set the whole"):
        shape(1, 65, 32, "nameless")


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
