"""Rotary positions and biases by hand, and against transformers; learned positions by their definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen3Config
from transformers.models.m2m_100.modeling_m2m_100 import M2M100SinusoidalPositionalEmbedding
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding, apply_rotary_pos_emb
from transformers.models.t5.modeling_t5 import T5Attention

from clearhead.model import PositionConfig, skeleton
from clearhead.model.parts.positions import FairseqSinusoids, Learned, Relative, Rotary, Sinusoids, rotary
from little_configs import TRANSLATOR
from shapes import GPT2, QWEN3

EPS = torch.finfo(torch.float32).eps  # of a cosine near 1; libraries give cosines to one of these


def at(*places: int) -> torch.Tensor:
    """places_BT of one text."""
    return torch.tensor([places])


def turning(head_width: int, theta: float, context: int) -> Rotary:
    return Rotary(head_width, PositionConfig(theta=theta), context)


class TestRotary:
    def test_one_angle_by_hand(self) -> None:
        """The first pair turns by one radian per place, the second of two by theta**-0.5: here a hundredth."""
        rotary = turning(4, 10_000.0, 100)
        x_BTXD = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 4)  # pairs (x0, x2) and (x1, x3)
        turned = rotary.turn(at(3), 4)(x_BTXD)
        expected = [math.cos(3), math.cos(0.03), math.sin(3), math.sin(0.03)]
        torch.testing.assert_close(turned.flatten(), torch.tensor(expected))

    def test_a_quarter_turn(self) -> None:
        """(1, 2) turned by 90 degrees is (-2, 1); theta is chosen so that the second pair does it at place 7."""
        theta = (14 / math.pi) ** 2
        turned = turning(4, theta, 10).turn(at(7), 8)(torch.tensor([0.0, 1.0, 0.0, 2.0]).view(1, 1, 1, 4))
        torch.testing.assert_close(turned.flatten(), torch.tensor([0.0, -2.0, 0.0, 1.0]), atol=1e-6, rtol=0)

    def test_place_0_turns_nothing(self) -> None:
        x_BTXD = torch.randn(2, 1, 3, 8)
        assert torch.equal(turning(8, 500.0, 10).turn(at(0), 1)(x_BTXD), x_BTXD)

    @given(q=st.integers(0, 500), k=st.integers(0, 500), shift=st.integers(0, 500), theta=st.floats(2.0, 1e6))
    def test_a_product_depends_on_the_distance_only(self, q: int, k: int, shift: int, theta: float) -> None:
        rotary = turning(6, theta, 1001)
        generator = torch.Generator().manual_seed(q)
        q_D, k_D = torch.randn(2, 6, generator=generator, dtype=torch.float64)

        def product(q_place: int, k_place: int) -> float:
            both = torch.stack((q_D, k_D)).view(1, 2, 1, 6)
            turned = rotary.turn(at(q_place, k_place), 1001)(both)
            return float(turned[0, 0, 0] @ turned[0, 1, 0])

        # angles are float32: 1,000 radians are known to 6e-5, twice each, times lengths of up to 16
        assert product(q, k) == pytest.approx(product(q + shift, k + shift), abs=5e-3)

    def test_lengths_stay(self) -> None:
        x_BTXD = torch.randn(2, 50, 3, 10, dtype=torch.float64)
        turned = turning(10, 100.0, 50).turn(torch.arange(50).view(1, 50), 50)(x_BTXD)
        torch.testing.assert_close(turned.norm(dim=-1), x_BTXD.norm(dim=-1), rtol=1e-6, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("theta", [10_000.0, 1_000_000.0, 77.7])
    def test_as_transformers(self, theta: float, dtype: torch.dtype) -> None:
        """The same angles, far out too: one that is rounded otherwise is off by 2e-4 at place 4,095.

        Cosines and sums may round otherwise: of another number of places, a library's vectors have other ends.
        """
        heads, width, places = 3, 16, torch.tensor([[0, 1, 2, 700, 4095], [5, 4, 3, 2, 1]])
        config = Qwen3Config(
            head_dim=width, rope_parameters={"rope_type": "default", "rope_theta": theta}, max_position_embeddings=4096
        )
        q_BHTD = torch.randn(2, heads, 5, width).to(dtype)
        cos_BTD, sin_BTD = Qwen3RotaryEmbedding(config)(q_BHTD.float(), places)
        theirs, _ = apply_rotary_pos_emb(q_BHTD, q_BHTD, cos_BTD.to(dtype), sin_BTD.to(dtype))
        turn = turning(width, theta, 4096).turn(places, 4096)
        torch.testing.assert_close(turn.cos_BT1D[:, :, 0], cos_BTD, rtol=0, atol=2 * EPS)
        ours = turn(q_BHTD.transpose(1, 2)).transpose(1, 2)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=2 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps)

    def test_the_table_grows_with_what_is_asked(self) -> None:
        """A context of a million places costs nothing until it is used."""
        rotary, whole = (
            turning(8, 10_000.0, 1_000_000),
            turning(8, 10_000.0, 5000),
        )
        for last in (3, 1023, 1024, 4999, 7):
            turn, expected = rotary.turn(at(last), last + 1), whole.turn(at(last), 5000)
            torch.testing.assert_close(turn.cos_BT1D, expected.cos_BT1D, rtol=0, atol=2 * EPS)
            torch.testing.assert_close(turn.sin_BT1D, expected.sin_BT1D, rtol=0, atol=2 * EPS)
        (table,) = rotary._tables.values()
        assert [len(values_KD) for values_KD in table] == [8192, 8192]
        assert len(next(iter(whole._tables.values()))[0]) == 5000


class TestLearned:
    def test_each_place_adds_its_vector(self) -> None:
        learned = Learned(5, 3)
        with torch.no_grad():
            learned.weight.copy_(torch.arange(15.0).view(5, 3))
        x_BTE = torch.zeros(2, 2, 3)
        added = learned(x_BTE, torch.tensor([[4, 0], [1, 1]]))
        assert added.tolist() == [[[12, 13, 14], [0, 1, 2]], [[3, 4, 5], [3, 4, 5]]]
        shared = learned(x_BTE, at(0, 2))
        assert shared.tolist() == [[[0, 1, 2], [6, 7, 8]]] * 2


class TestSinusoids:
    @pytest.mark.parametrize("width", [6, 7])
    @pytest.mark.parametrize("theta", [10_000.0, 50.0])
    def test_each_number_by_the_formula(self, width: int, theta: float) -> None:
        """In float64, far out too: sines in the first half, of which an odd width has one more, then cosines."""
        config, context = PositionConfig(kind="sinusoidal", theta=theta), 5000
        places = [0, 1, 17, 4999]
        added = Sinusoids(width, config, context)(torch.zeros(1, 4, width, dtype=torch.float64), at(*places))
        half = math.ceil(width / 2)
        for row, place in zip(added[0].tolist(), places, strict=True):
            angles = [place / theta ** (2 * i / width) for i in range(half)]
            expected = [*map(math.sin, angles), *map(math.cos, angles[: width // 2])]
            assert row == pytest.approx(expected, abs=EPS)

    def test_they_are_added_in_the_stream_s_dtype(self) -> None:
        x_BTE = torch.randn(2, 3, 8, dtype=torch.bfloat16)
        given = Sinusoids(8, PositionConfig(kind="sinusoidal"), 9)(x_BTE, at(0, 1, 2))
        assert given.dtype == torch.bfloat16
        assert torch.equal(given[:, 0, :4], x_BTE[:, 0, :4])


class TestRelative:
    def of(self, buckets: int, distance: int, ahead: bool) -> Relative:
        config = PositionConfig(kind="relative", buckets=buckets, distance=distance)
        return Relative(2, config, ahead=ahead)

    @pytest.mark.parametrize("ahead", [False, True])
    @pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (32, 17), (7, 5), (4, 300), (6, 1000)])
    def test_buckets_are_those_of_transformers(self, buckets: int, distance: int, ahead: bool) -> None:
        away = torch.arange(-300, 301)
        theirs = T5Attention._relative_position_bucket(away, ahead, buckets, distance)
        assert torch.equal(self.of(buckets, distance, ahead).bucket(away), theirs)

    def test_a_bucket_for_each_of_the_nearest_and_wider_ones_beyond(self) -> None:
        """Of 8 on a side, places 0 to 3 have one each; the others begin at 4, 4 * 2 = 8, 16 and 32."""
        away = torch.tensor([0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 99])
        wanted = torch.tensor([0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7])
        assert self.of(8, 64, False).bucket(-away).tolist() == wanted.tolist()
        assert not self.of(8, 64, False).bucket(away).any()
        assert self.of(16, 64, True).bucket(-away).tolist() == wanted.tolist()
        assert self.of(16, 64, True).bucket(away[1:]).tolist() == (8 + wanted[1:]).tolist()

    def test_a_bias_for_each_distance_with_gradients_by_bucket(self) -> None:
        relative = self.of(4, 3, False)
        with torch.no_grad():
            relative.weight.copy_(torch.arange(8.0).view(2, 4))
        bias_HN = relative()
        assert bias_HN.tolist() == [[3, 2, 1, 0, 0, 0, 0], [7, 6, 5, 4, 4, 4, 4]]
        bias_HN.sum().backward()
        assert relative.weight.grad is not None
        assert relative.weight.grad.tolist() == [[4, 1, 1, 1]] * 2


class TestFairseqSinusoids:
    def test_by_hand(self) -> None:
        """Rates from 1 to 1 / theta, here 1 and a hundredth; place 0 counts as 2; the last of an odd width has none."""
        sinusoids = FairseqSinusoids(5, PositionConfig(kind="fairseq", theta=100.0, first=2), 10)
        found = sinusoids(torch.ones(1, 2, 5), at(0, 7))[0] - 1
        expected = [[math.sin(n), math.sin(n / 100), math.cos(n), math.cos(n / 100), 0.0] for n in (2, 9)]
        torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=3e-7)

    def test_as_transformers(self) -> None:
        """All places of M2M-100; where angles were not rounded as there, they would differ by up to 6e-5."""
        sinusoids = FairseqSinusoids(64, PositionConfig(kind="fairseq", first=2), 1024)
        found_KE = sinusoids(torch.zeros(1, 1024, 64), torch.arange(1024)[None])[0]
        theirs_KE = M2M100SinusoidalPositionalEmbedding.get_embedding(1026, 64, 1)[2:]
        torch.testing.assert_close(found_KE, theirs_KE, rtol=0, atol=1e-6)


def test_the_config_chooses() -> None:
    assert rotary(7, GPT2.positions, 23) is None
    rule = rotary(6, PositionConfig(theta=123.0), 23)
    assert rule is not None
    assert (rule.width, rule.config.theta, rule.context) == (6, 123.0, 23)
    assert isinstance(skeleton(GPT2).positions, Learned)
    assert isinstance(skeleton(TRANSLATOR).positions, Sinusoids)
    assert skeleton(QWEN3).positions is None
