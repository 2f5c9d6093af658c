"""The key-value cache: a text in pieces gives what the text at once gives, alone and beside others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import accumulate, pairwise, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clearhead.attend import left_padding
from clearhead.errors import RequestError
from clearhead.model import Cache, Network
from clearhead.watching import watch
from shapes import MODELS, QWEN3, assert_same, lively, text

TRANSFORMERS = {name: lively(config, dtype=torch.float64) for name, config in MODELS.items()}
CONTEXT = QWEN3.context
names = st.sampled_from(sorted(MODELS))
Mode = Callable[[], AbstractContextManager]
pieces = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def cuts(sizes: list[int]) -> list[tuple[int, int]]:
    """Where the pieces begin and end; what would go beyond the context is left out."""
    ends = [end for end in accumulate(sizes) if end <= CONTEXT]
    return list(pairwise([0, *ends]))


@torch.no_grad()
def in_pieces(model: Network, ids_BT: Tensor, sizes: list[int], capacity: int = CONTEXT) -> Tensor:
    cache = model.state(len(ids_BT), capacity)
    parts = [model(ids_BT[:, start:stop], state=cache) for start, stop in cuts(sizes)]
    assert cache.length == cuts(sizes)[-1][1]
    return torch.cat(parts, dim=1)


@settings(max_examples=60)
@given(name=names, sizes=pieces, seed=st.integers(0, 5))
def test_in_pieces_as_at_once(name: str, sizes: list[int], seed: int) -> None:
    model = TRANSFORMERS[name]
    ids_BT = text(model.config, 2, cuts(sizes)[-1][1], seed)
    with torch.no_grad():
        whole = model(ids_BT)
    torch.testing.assert_close(in_pieces(model, ids_BT, sizes), whole, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_one_token_at_a_time(name: str) -> None:
    """As text is generated: a prompt, then single tokens, in float32."""
    model = lively(MODELS[name])
    ids_BT = text(model.config, 3, CONTEXT)
    with torch.no_grad():
        whole = model(ids_BT)
    torch.testing.assert_close(in_pieces(model, ids_BT, [5] + [1] * (CONTEXT - 5)), whole, rtol=1e-4, atol=1e-4)


@settings(max_examples=60)
@given(name=names, lengths=st.lists(st.integers(1, 8), min_size=1, max_size=4), sizes=pieces, seed=st.integers(0, 5))
def test_texts_of_different_lengths_padded_on_the_left(
    name: str, lengths: list[int], sizes: list[int], seed: int
) -> None:
    """Each text is written on for as long as the context allows, and gives what it gives alone."""
    model, longest = TRANSFORMERS[name], max(lengths)
    spans = [(longest + start, longest + stop) for start, stop in cuts(sizes) if longest + stop <= CONTEXT]
    total = spans[-1][1] if spans else longest
    starts_B = torch.tensor([longest - length for length in lengths])
    ids_BT = text(model.config, len(lengths), total, seed)
    places_BT = (torch.arange(total) - starts_B[:, None]).clamp(min=0)
    mask, cache = left_padding(starts_B), model.state(len(lengths), total)
    with torch.no_grad():
        parts = [
            model(ids_BT[:, start:stop], mask=mask, places_BT=places_BT[:, start:stop], state=cache)
            for start, stop in [(0, longest), *spans]
        ]
        together = torch.cat(parts, dim=1)
        at_once = model(ids_BT, mask=mask, places_BT=places_BT)
        for row, start in enumerate(starts_B.tolist()):
            alone = model(ids_BT[row : row + 1, start:])
            torch.testing.assert_close(together[row : row + 1, start:], alone, rtol=1e-11, atol=1e-11)
            torch.testing.assert_close(at_once[row : row + 1, start:], alone, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_padding_says_nothing(name: str) -> None:
    """Other ids in the padding change nothing in the text behind it, which has no gradient in them."""
    model = lively(MODELS[name])
    starts_B = torch.tensor([0, 4])
    places_BT = (torch.arange(11) - starts_B[:, None]).clamp(min=0)
    ids_BT = text(model.config, 2, 11)
    others_BT = ids_BT.clone()
    others_BT[1, :4] = (others_BT[1, :4] + 1) % model.config.vocabulary
    with torch.no_grad():
        one, other = (model(ids, mask=left_padding(starts_B), places_BT=places_BT) for ids in (ids_BT, others_BT))
    assert_same(one[0], other[0], model.config)
    assert_same(one[1, 4:], other[1, 4:], model.config)
    assert (one[1, :4] - other[1, :4]).abs().max() > 0.1
    embedded: list[Tensor] = []
    model.embedding.register_forward_hook(lambda _, __, x_BTE: embedded.append(x_BTE) or None)
    logits_BTV = model(ids_BT, mask=left_padding(starts_B), places_BT=places_BT)
    logits_BTV[1, 4:].square().sum().backward(inputs=embedded)
    assert embedded[0].grad is not None
    assert (embedded[0].grad != 0).any(dim=-1).tolist() == [[False] * 11, [place >= 4 for place in range(11)]]


@settings(max_examples=40)
@given(name=names, prompt=st.integers(1, 9), guessed=st.integers(1, 7), right=st.integers(0, 7))
def test_rewinding_forgets(name: str, prompt: int, guessed: int, right: int) -> None:
    """Guesses that were wrong are written over, as when text is guessed ahead."""
    model, right = TRANSFORMERS[name], min(right, guessed)
    ids_BT = text(model.config, 1, CONTEXT)
    cache = model.state(1, CONTEXT)
    with torch.no_grad():
        model(ids_BT[:, :prompt], state=cache)
        wrong = ids_BT[:, prompt : prompt + guessed].clone()
        wrong[:, right:] = (wrong[:, right:] + 1) % model.config.vocabulary
        model(wrong, state=cache)
        cache.rewind(prompt + right)
        rest = model(ids_BT[:, prompt + right :], state=cache)
        whole = model(ids_BT)
    torch.testing.assert_close(rest, whole[:, prompt + right :], rtol=1e-11, atol=1e-11)


@settings(max_examples=40)
@given(
    name=names,
    starts=st.lists(st.integers(0, 6), min_size=2, max_size=4),
    kept=st.permutations([0, 1]),
    both=st.booleans(),
)
def test_going_on_with_some_texts(name: str, starts: list[int], kept: list[int], both: bool) -> None:
    """Texts are dropped and reordered, and the padding that all who stay have in common with them."""
    model, written = TRANSFORMERS[name], 9
    kept = kept if both else kept[:1]
    ids_BT = text(model.config, len(starts), written + 3)
    starts_B, kept_R = torch.tensor(starts), torch.tensor(kept)
    places_BT = (torch.arange(written + 3) - starts_B[:, None]).clamp(min=0)
    cache = model.state(len(starts), written + 3)
    with torch.no_grad():
        model(ids_BT[:, :written], mask=left_padding(starts_B), places_BT=places_BT[:, :written], state=cache)
        first = min(starts[row] for row in kept)
        cache.select(kept_R, first)
        assert (cache.length, cache.capacity) == (written - first, written + 3)
        on = model(
            ids_BT[kept_R, written:],
            mask=left_padding(starts_B[kept_R] - first),
            places_BT=places_BT[kept_R, written:],
            state=cache,
        )
        for row, text_number in enumerate(kept):
            alone = model(ids_BT[text_number : text_number + 1, starts[text_number] :])
            torch.testing.assert_close(on[row], alone[0, -3:], rtol=1e-11, atol=1e-11)


def test_a_watched_text_in_pieces_has_the_same_bits() -> None:
    model = lively(QWEN3)
    ids_BT, sizes = text(QWEN3, 2, 12), [5, 1, 1, 4, 1]
    alone = in_pieces(model, ids_BT, sizes)
    with watch(model):
        assert torch.equal(in_pieces(model, ids_BT, sizes), alone)


@pytest.mark.parametrize("name", ["GPT-2", "Qwen 3"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_record_stays_as_it_was_when_its_cache_is_rewound(
    name: str, mode: Callable[[], AbstractContextManager]
) -> None:
    """And the cache goes on as one that nobody watched."""
    model = TRANSFORMERS[name]
    ids_BT, others_BT = text(model.config, 1, 6), text(model.config, 1, 5, seed=1)
    with mode():
        cache, plain = model.state(1, 9), model.state(1, 9)
        with watch(model) as record:
            model(ids_BT, state=cache)
        before = {place: record.map(*place)[:, :].clone() for place in record}
        plain_logits = model(ids_BT, state=plain)
        for length in (4, 2):
            cache.rewind(length)
            plain.rewind(length)
            logits = model(others_BT, state=cache)
            plain_logits = model(others_BT, state=plain)
            assert torch.equal(logits, plain_logits)
        for place, weights_QK in before.items():
            assert torch.equal(record.map(*place)[:, :], weights_QK)


def test_an_unwatched_cache_is_rewound_in_place() -> None:
    model = TRANSFORMERS["Qwen 3"]
    cache = model.state(1, 9)
    place = cache.k_LBGKD.data_ptr()
    with torch.no_grad():
        model(text(QWEN3, 1, 5), state=cache)
        cache.rewind(2)
        assert cache.k_LBGKD.data_ptr() == place
        with watch(model):
            model(text(QWEN3, 1, 5), state=cache)
        cache.rewind(7)  # nothing is forgotten
        assert cache.k_LBGKD.data_ptr() == place
        cache.rewind(2)
        place = cache.k_LBGKD.data_ptr()
        cache.rewind(1)  # this copy nobody refers to
        assert cache.k_LBGKD.data_ptr() == place


def test_its_bytes_are_known_before_it_is_made() -> None:
    for model in (TRANSFORMERS["Qwen 3"], TRANSFORMERS["GPT-2"]):
        cache = model.state(3, 7)
        assert model.state_bytes(3, 7) == cache.k_LBGKD.nbytes + cache.v_LBGKD.nbytes


class TestRefused:
    @pytest.fixture
    def model(self) -> Network:
        return TRANSFORMERS["Qwen 3"]

    def test_more_places_than_the_context(self, model: Network) -> None:
        with pytest.raises(RequestError, match=r"state: 24 places were asked for; the model's context is 23 tokens"):
            model.state(1, 24)

    def test_more_tokens_than_places(self, model: Network) -> None:
        cache = model.state(2, 7)
        model(text(QWEN3, 2, 5), state=cache)
        before = model(text(QWEN3, 2, 2), state=cache)
        cache.rewind(5)
        with pytest.raises(RequestError, match=r"cache: 8 places are needed; 7 were allocated"):
            model(text(QWEN3, 2, 3), state=cache)
        assert cache.length == 5  # and nothing was written
        assert torch.equal(model(text(QWEN3, 2, 2), state=cache), before)

    def test_a_text_longer_than_the_context(self, model: Network) -> None:
        cache = model.state(1, CONTEXT)
        model(text(QWEN3, 1, 20), state=cache)
        with pytest.raises(RequestError, match=r"model: the text has 24 tokens; the context is 23; shorten the text"):
            model(text(QWEN3, 1, 4), state=cache)

    @pytest.mark.parametrize("texts", [1, 3])
    def test_another_number_of_texts(self, model: Network, texts: int) -> None:
        cache = model.state(2, 7)
        with pytest.raises(RequestError, match=rf"cache: made for 2 rows; {texts} were given"):
            model(text(QWEN3, texts, 3), state=cache)

    @pytest.mark.parametrize("length", [-1, 6])
    def test_rewinding_to_where_it_never_was(self, model: Network, length: int) -> None:
        cache = model.state(1, 7)
        model(text(QWEN3, 1, 5), state=cache)
        with pytest.raises(RequestError, match=rf"cache: 5 places are filled; it cannot be rewound to {length}"):
            cache.rewind(length)


def test_what_is_handed_out_is_the_cache_itself() -> None:
    """No copy of all keys per token; a record refers to them."""
    sizes = {"layers": 3, "kv_heads": 2, "head_width": 6, "batch": 1, "capacity": 9}
    cache = Cache(**sizes, dtype=torch.float32, device=torch.device("cpu"))
    k_BGTD, v_BGTD = torch.randn(2, 1, 2, 3, 6)
    first_k, first_v = cache.extend(0, k_BGTD, v_BGTD)
    cache.advance(3)
    second_k, second_v = cache.extend(0, k_BGTD, v_BGTD)
    for first, second, new in ((first_k, second_k, k_BGTD), (first_v, second_v, v_BGTD)):
        assert first.data_ptr() == second.data_ptr()
        assert torch.equal(second, torch.cat((new, new), dim=2))


@pytest.mark.parametrize("modes", list(permutations([torch.inference_mode, torch.no_grad, torch.enable_grad], 2)))
def test_a_pass_that_was_interrupted_may_be_made_again_in_another_mode(modes: tuple[Mode, Mode]) -> None:
    """PyTorch forbids writing to views that were made in another mode."""

    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    model = TRANSFORMERS["GPT-2"]
    ids_BT = text(model.config, 1, 6)
    with torch.no_grad():
        wanted = model(ids_BT)
    cache = model.state(1, 9)
    first, second = modes
    hook = model.get_submodule("blocks.1").register_forward_pre_hook(interrupt)
    with first(), pytest.raises(KeyboardInterrupt):
        model(ids_BT, state=cache)
    hook.remove()
    with second():
        torch.testing.assert_close(model(ids_BT, state=cache), wanted, rtol=1e-11, atol=1e-11)
