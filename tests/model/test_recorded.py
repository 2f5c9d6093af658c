"""A decoding step from a recording gives the bits of the pass itself, and only where that pass would be the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from clearhead.errors import RequestError
from clearhead.model import Cache, DecoderConfig, ExpertsConfig, Network, build, quantise, transformer
from clearhead.model.config import LayerConfig
from clearhead.model.parts.config import FeedForwardConfig, NormConfig, PositionConfig
from clearhead.native import library
from clearhead.products import choosing
from clearhead.tap import Site
from clearhead.watching import Ablate, Record, watch
from little_configs import GPT2, QWEN3

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler, or a processor without AVX2")

SIZES = {"vocabulary": 96, "width": 64, "context": 64}
GPT = replace(
    GPT2,
    **SIZES,
    attention=replace(GPT2.attention, heads=4, kv_heads=4, head_width=16),
    feed_forward=replace(GPT2.feed_forward, width=96),
)
QWEN = replace(
    QWEN3,
    **SIZES,
    attention=replace(QWEN3.attention, heads=4, kv_heads=2, head_width=16),
    feed_forward=FeedForwardConfig(width=96),
)
CONFIGS = {
    "GPT-2": GPT,
    "Qwen 3": QWEN,
    "Llama": replace(QWEN, tied=False, attention=replace(QWEN.attention, head_norm="none")),
    "Gemma 3": replace(
        QWEN,
        feed_forward=FeedForwardConfig(kind="geglu-tanh", width=96),
        arrangement="sandwich",
        embedding_scale=8.0,
        logit_softcap=30.0,
        norm=NormConfig(offset=1.0),
        pattern=(LayerConfig(window=5), LayerConfig()),
    ),
    "gpt-oss": replace(QWEN, attention=replace(QWEN.attention, sinks=True, window=5)),
    "OLMo 2": replace(QWEN, arrangement="output", attention=replace(QWEN.attention, head_norm="projection")),
    "GPT-NeoX": replace(GPT, arrangement="parallel", positions=PositionConfig(rotated=0.5)),
    "the paper's": replace(
        GPT,
        arrangement="post",
        positions=PositionConfig(kind="sinusoidal"),
        feed_forward=FeedForwardConfig(kind="relu", width=96, bias=True),
    ),
}
NUMBERS = {"float32": None, "bfloat16": None, "float16": None, "8 bits": 8, "4 bits": 4}
IDS = torch.randint(0, 96, (1, 40), generator=torch.Generator().manual_seed(0))


def made(config: DecoderConfig, numbers: str = "float32") -> Network:
    network = build(config, seed=0).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    if NUMBERS[numbers] is not None:
        quantise(network, NUMBERS[numbers])
        return network
    return network.to(getattr(torch, numbers))


def begun(network: Network, places: int = 10) -> Cache:
    state = network.state(1, 48)
    assert isinstance(state, Cache)
    network(IDS[:, :places], state=state)
    return state


def written(network: Network, state: Cache, places: range = range(10, 40)) -> Tensor:
    return torch.cat([network(IDS[:, place : place + 1], state=state) for place in places], dim=1)


@pytest.fixture(autouse=True)
def _inferring() -> Iterator[None]:
    with torch.no_grad():
        yield


def unrecorded(network: Network, places: range = range(10, 40)) -> Tensor:
    """What the passes themselves give."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "recordable", lambda *given: False)
        return written(network, begun(network), places)


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("name", CONFIGS)
def test_it_gives_the_bits_of_the_pass(name: str, numbers: str) -> None:
    network = made(CONFIGS[name], numbers)
    state = begun(network)
    found = written(network, state)
    assert state.recorded.refused is None
    assert state.length == 40
    assert torch.equal(found, unrecorded(network))


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_the_pass_over_the_whole_text_up_to_rounding(name: str) -> None:
    network = made(CONFIGS[name])
    torch.testing.assert_close(written(network, begun(network)), network(IDS)[:, 10:], rtol=0, atol=2e-5)


def test_logits_given_before_do_not_change() -> None:
    network = made(GPT)
    state = begun(network)
    first = [network(IDS[:, place : place + 1], state=state) for place in range(10, 13)]
    copies = [each.clone() for each in first]
    written(network, state, range(13, 20))
    assert all(map(torch.equal, first, copies))


def test_watched_in_between_it_goes_on() -> None:
    network = made(QWEN)
    state = begun(network)
    found = written(network, state, range(10, 20))
    with watch(network) as record:
        found = torch.cat((found, written(network, state, range(20, 25))), dim=1)
    found = torch.cat((found, written(network, state, range(25, 40))), dim=1)
    assert torch.equal(found, unrecorded(network))
    assert {frozenset(names) for names in record.backends().values()} == {frozenset({"token"})}


def watched(network: Network, **options: object) -> tuple[Record, Tensor]:
    """A record of a text that is read and continued, and the logits."""
    with watch(network, **options) as record:
        return record, written(network, begun(network))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_record_of_recorded_steps_is_that_of_the_passes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = made(CONFIGS[name])
    record, found = watched(network)
    monkeypatch.setattr(transformer, "recordable", lambda *given: False)
    other, expected = watched(network)
    assert torch.equal(found, expected)
    assert record.calls().keys() == other.calls().keys()
    assert record.texts == other.texts
    for site, calls in record.calls().items():
        assert len(calls) == len(other.calls()[site]) == 31
        for mine, theirs in zip(calls, other.calls()[site], strict=True):
            assert torch.equal(mine.q_BHQD, theirs.q_BHQD)
            assert torch.equal(mine.k_BGKD, theirs.k_BGKD)
            assert (mine.mask.parts, mine.spans) == (theirs.mask.parts, theirs.spans)
            assert repr(mine.seen) == repr(theirs.seen)
        assert torch.equal(record.map(site, 1)[:], other.map(site, 1)[:])


def test_a_watched_cache_can_be_rewound() -> None:
    """A closed record keeps its keys; an open one forgets the places."""
    network = made(QWEN)
    with watch(network) as first:
        state = begun(network)
        written(network, state, range(10, 30))
        state.rewind(20)
        written(network, state, range(20, 25))
    before = first.map(Site(1), 0)[:].clone()
    assert before.shape == (25, 25)
    state.rewind(12)
    written(network, state, range(30, 40))
    assert torch.equal(first.map(Site(1), 0)[:], before)


@pytest.mark.parametrize("options", [{"keep": "parts"}, {"edits": Ablate(layer=0, head=1)}], ids=["kept", "edited"])
def test_what_needs_more_of_a_pass_is_not_recorded(options: dict) -> None:
    network = made(QWEN)
    record, found = watched(network, **options)
    assert torch.equal(found, unrecorded(network)) == ("keep" in options)
    if "keep" in options:
        assert len(record.kept(Site(0, "feed_forward"), "part", 0)) == 31


def test_hooks_are_called_at_each_step() -> None:
    network = made(GPT)
    state = begun(network)
    written(network, state, range(10, 13))
    seen = list[Tensor]()
    part = network.get_submodule("blocks.1.feed_forward.up")
    handle = part.register_forward_hook(lambda module, given, found: seen.append(found))
    written(network, state, range(13, 16))
    assert len(seen) == 3
    handle.remove()
    found = written(network, state, range(16, 20))
    assert len(seen) == 3
    assert torch.equal(found, unrecorded(network)[:, 6:10])


def test_what_a_hook_gives_is_not_recorded() -> None:
    """One that puts a tensor in a part's place, and is then removed."""
    network = made(GPT)
    state = begun(network)
    handle = network.get_submodule("blocks.0.attention").register_forward_hook(
        lambda module, given, found: torch.zeros(1, 1, 64)
    )
    written(network, state, range(10, 14))
    handle.remove()
    state.rewind(10)
    assert torch.equal(written(network, state), unrecorded(network))


def test_what_a_hook_keeps_does_not_change() -> None:
    network = made(GPT)
    state = begun(network)
    kept = list[Tensor]()
    handle = network.get_submodule("blocks.0.attention").register_forward_hook(
        lambda module, given, found: kept.append(found)
    )
    written(network, state, range(10, 13))
    copies = [each.clone() for each in kept]
    handle.remove()
    written(network, state, range(13, 20))
    assert all(map(torch.equal, kept, copies))


def test_a_hook_on_all_modules_is_called() -> None:
    network = made(GPT)
    state = begun(network)
    written(network, state, range(10, 13))
    seen = list[nn.Module]()
    handle = nn.modules.module.register_module_forward_hook(lambda module, given, found: seen.append(module))
    try:
        written(network, state, range(13, 14))
    finally:
        handle.remove()
    assert network.get_submodule("blocks.1.feed_forward.up") in seen


def _in_place(network: Network) -> None:
    network.get_parameter("blocks.0.feed_forward.up.weight").mul_(2)


def _data(network: Network) -> None:
    parameter = network.get_parameter("blocks.0.feed_forward.up.weight")
    parameter.data = parameter.data * 2


def _parameter(network: Network) -> None:
    up = network.get_submodule("blocks.0.feed_forward.up")
    up.weight = nn.Parameter(up.weight * 2, requires_grad=False)


def _module(network: Network) -> None:
    network.get_submodule("blocks").__setitem__(0, network.get_submodule("blocks.1"))


def _rows(network: Network) -> None:
    """More logits than the vocabulary has."""
    weight = network.embedding.weight
    network.embedding.weight = nn.Parameter(torch.cat((weight, weight)), requires_grad=False)


def _fewer_rows(network: Network) -> None:
    network.embedding.weight = nn.Parameter(network.embedding.weight[:95], requires_grad=False)


def _columns_first(network: Network) -> None:
    weight = network.embedding.weight
    network.embedding.weight = nn.Parameter(weight.t().contiguous().t(), requires_grad=False)


def _strided_bias(network: Network) -> None:
    norm = network.get_submodule("blocks.0.attention_norm")
    norm.bias = nn.Parameter(torch.stack((norm.bias, norm.bias + 1), dim=1)[:, 0], requires_grad=False)


def _dropping(network: Network) -> None:
    for part in network.modules():
        part.training = "attention" in type(part).__name__.lower()


CHANGES = [_in_place, _data, _parameter, _module, _rows, _fewer_rows, _columns_first, _strided_bias, _dropping]


@pytest.mark.parametrize("change", CHANGES)
def test_weights_changed_in_between_are_those_used(change) -> None:
    network, other = made(GPT), made(GPT)
    states = begun(network), begun(other)
    written(network, states[0], range(10, 15))
    written(other, states[1], range(10, 15))
    change(network)
    change(other)
    found = written(network, states[0], range(15, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "recordable", lambda *given: False)
        assert torch.equal(found, written(other, states[1], range(15, 20)))


def test_dropout_switched_on_in_between_is_not_left_out() -> None:
    network = made(replace(GPT, dropout=0.5))
    state = begun(network)
    written(network, state, range(10, 15))
    network.get_submodule("blocks").train()
    found = [written(network, state, range(15, 16))]
    state.rewind(15)
    found.append(written(network, state, range(15, 16)))
    assert not torch.equal(*found)


def test_steps_in_inference_mode_and_outside_of_it() -> None:
    network = made(GPT)
    state = begun(network)
    with torch.inference_mode():
        found = written(network, state, range(10, 15)).clone()
    found = torch.cat((found, written(network, state, range(15, 40))), dim=1)
    assert torch.equal(found, unrecorded(network))


def test_a_long_cache_is_recorded_in_a_process_that_has_no_tables_yet() -> None:
    network = made(replace(QWEN, context=4096))
    state = network.state(1, 3000)
    network(IDS[:, :3], state=state)
    written(network, state, range(3, 6))
    assert state.recorded.refused is None
    assert state.recorded._tape is not None


def test_products_are_not_measured_in_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made(QWEN)
    state = begun(network)
    monkeypatch.setattr(choosing, "SMALLEST", 0)
    choosing.chosen.cache_clear()
    written(network, state, range(10, 13))
    assert state.recorded.refused in (None, "aten.linear.default", "aten.mm.default", "aten.mv.default")


def test_a_copy_of_a_cache_goes_on_by_itself() -> None:
    network = made(GPT)
    state = begun(network)
    written(network, state, range(10, 20))
    other = copy.deepcopy(state)
    assert other.recorded is None
    found = [written(network, each, range(20, 40)) for each in (state, other)]
    assert torch.equal(*found)
    assert torch.equal(found[0], unrecorded(network)[:, 10:])


@pytest.mark.parametrize("kv_heads", [2, 1])
def test_a_cache_of_another_shape_is_refused(kv_heads: int) -> None:
    network = made(QWEN)
    other = made(replace(QWEN, attention=replace(QWEN.attention, kv_heads=3 - kv_heads)))
    state = other.state(1, 8)
    mine = network if kv_heads == 2 else made(replace(QWEN, attention=replace(QWEN.attention, kv_heads=4)))
    with pytest.raises(RuntimeError, match=r"expanded size|must match|doesn't match"):
        mine(IDS[:, :1], state=state)


def test_a_cache_of_another_dtype_does_not_lose_its_bounds() -> None:
    state = made(GPT, "bfloat16").state(1, 8)
    around = torch.zeros(2, *state.k_LBGKD.shape, dtype=torch.bfloat16)
    state.k_LBGKD, state.v_LBGKD = around[0], around[1]
    state.length = 7
    with pytest.raises(RequestError, match="dtype"):
        made(GPT)(IDS[:, :1], state=state)
    assert not around[1, :, :, :, :7].any()


def test_two_texts_in_turn() -> None:
    network = made(QWEN)
    states = begun(network), begun(network)
    found = [[written(network, state, range(place, place + 1)) for state in states] for place in range(10, 20)]
    expected = unrecorded(network, range(10, 20))
    for both, logits in zip(found, expected.split(1, dim=1), strict=True):
        assert all(torch.equal(each, logits) for each in both)


def test_a_rewound_cache_is_written_again() -> None:
    network = made(QWEN)
    state = begun(network)
    found = written(network, state)
    state.rewind(12)
    assert torch.equal(written(network, state, range(12, 40)), found[:, 2:])


def test_a_record_of_earlier_steps_keeps_its_keys() -> None:
    """The cache goes on with a copy, of which the recorded pass knows nothing."""
    network = made(QWEN)
    state = begun(network)
    found = written(network, state, range(10, 20))
    state.k_LBGKD, state.v_LBGKD = state.k_LBGKD.clone(), state.v_LBGKD.clone()
    state._opened = None
    assert torch.equal(torch.cat((found, written(network, state, range(20, 40))), dim=1), unrecorded(network))


def test_another_number_of_threads() -> None:
    network = made(GPT)
    state, before = begun(network), torch.get_num_threads()
    found = written(network, state, range(10, 20))
    try:
        torch.set_num_threads(before % 2 + 1)
        found = torch.cat((found, written(network, state, range(20, 40))), dim=1)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found, unrecorded(network))


@pytest.mark.parametrize("before", [0, 1, 2, 5])
@pytest.mark.parametrize("outside", [-1, 96])
def test_an_id_outside_the_vocabulary(outside: int, before: int) -> None:
    """As the first, the second or a later token."""
    network = made(GPT)
    state = begun(network)
    found = [written(network, state, range(10, 10 + before))] if before else []
    with pytest.raises(RequestError, match=f"ids from {outside} to {outside}; they must be at least 0 and below"):
        network(torch.tensor([[outside]]), state=state)
    assert state.length == 10 + before
    found.append(written(network, state, range(10 + before, 40)))
    assert torch.equal(torch.cat(found, dim=1), unrecorded(network))


def test_a_full_cache() -> None:
    network = made(GPT)
    state = begun(network)
    written(network, state, range(10, 40))
    written(network, state, range(8))
    with pytest.raises(RequestError, match="cache: 49 places are needed; 48 were allocated"):
        written(network, state, range(1))


def test_with_gradients_nothing_is_recorded() -> None:
    network = made(GPT)
    with torch.enable_grad():
        state = network.state(1, 8)
        network(IDS[:, :4], state=state)
        assert network(IDS[:, 4:5], state=state).requires_grad
    assert state.recorded is None


def test_experts_are_not_recorded() -> None:
    network = made(replace(QWEN, feed_forward=FeedForwardConfig(width=96, experts=ExpertsConfig(count=4, active=2))))
    state = begun(network)
    found = written(network, state)
    assert state.recorded.refused.startswith("aten.")
    assert torch.equal(found, unrecorded(network))


def test_a_pass_over_one_token_compiles_in_one_graph() -> None:
    network = made(QWEN)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(IDS[:, :1]), network(IDS[:, :1]), rtol=0, atol=2e-5)
