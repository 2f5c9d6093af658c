"""The whole model: logits, fresh weights, dropout, compilation, bad requests."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from clearhead.attend import documents
from clearhead.errors import RequestError
from clearhead.model import ModelConfig, Network, build, skeleton
from clearhead.model.parts.block import BlockInputs
from clearhead.tap import Site
from clearhead.watching import watch
from shapes import GPT2, MODELS, QWEN3, configs, lively, text

CONTEXT = QWEN3.context


class TestLogits:
    def test_a_model_that_adds_nothing_by_hand(self) -> None:
        """Attention and feed-forward of zero: the logits are rms(e) . e', whatever came before."""
        model = build(replace(QWEN3, vocabulary=3, width=2), seed=0)
        with torch.no_grad():
            for parameter in model.blocks.parameters():
                parameter.zero_()
            model.embedding.weight.copy_(torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, -5.0]]))
        logits_BTV = model(torch.tensor([[2, 0, 0]]))
        first = [-4 * math.sqrt(2), 0.0, 5 * math.sqrt(2)]  # (0, -5) has root mean square 5 / sqrt 2
        second = [25 / math.sqrt(12.5), 3 / math.sqrt(12.5), -20 / math.sqrt(12.5)]
        torch.testing.assert_close(logits_BTV, torch.tensor([[first, second, second]]))

    @pytest.mark.parametrize("tied", [True, False])
    @torch.no_grad()
    def test_read_from_the_last_layer(self, tied: bool) -> None:
        model = lively(replace(QWEN3, tied=tied), dtype=torch.float64)
        ids_BT = text(QWEN3, 2, 7)
        x_BTE = model.hidden(ids_BT)
        matrix_VE = model.embedding.weight if model.head is None else model.head.weight
        assert (model.head is None) == tied
        torch.testing.assert_close(model(ids_BT), x_BTE @ matrix_VE.T)
        torch.testing.assert_close(model.unembed(x_BTE[:, 3:5]), model(ids_BT)[:, 3:5])
        last = model(ids_BT, last=True)
        assert last.shape == (2, 1, QWEN3.vocabulary)
        torch.testing.assert_close(last, model(ids_BT)[:, -1:])

    @torch.no_grad()
    def test_soft_caps_reach_the_heads(self) -> None:
        """Gemma 2's rule (2024, 2.1) in the first layer: softmax(c tanh(s / c)) with c = 1.5."""
        model = lively(replace(MODELS["soft cap"], layers=1), dtype=torch.float64)
        with watch(model) as record:
            model(text(QWEN3, 1, 7))
        (call,) = record._calls[Site(0)]
        for head in range(4):
            s_QK = call.q_BHQD[0, head] @ call.k_BGKD[0, head // 2].T / math.sqrt(6)
            s_QK = (1.5 * (s_QK / 1.5).tanh()).masked_fill(torch.ones(7, 7).triu(1).bool(), -math.inf)
            torch.testing.assert_close(record[0, head][:, :].double(), s_QK.softmax(dim=-1), rtol=0, atol=1e-6)

    @settings(max_examples=60)
    @given(config=configs(), seed=st.integers(0, 3))
    @torch.no_grad()
    def test_every_combination_of_parts_runs(self, config: ModelConfig, seed: int) -> None:
        model = build(config, seed=seed).eval()
        ids_BT = text(config, 2, config.context, seed)
        headless = not config.abilities & {"next tokens", "masked tokens"}
        run, wide = (model.hidden, config.width) if headless else (model, config.vocabulary)
        out_BTX = run(ids_BT)
        assert out_BTX.shape == (2, config.context, wide)
        assert out_BTX.isfinite().all()
        with watch(model) as record:
            assert torch.equal(run(ids_BT), out_BTX)
        for site, head in record:
            assert record.map(site, head, text=1).row_sum_error() < 1e-5

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
    @torch.no_grad()
    def test_in_other_dtypes(self, dtype: torch.dtype) -> None:
        model = lively(QWEN3)
        ids_BT = text(QWEN3, 2, 7)
        expected = model(ids_BT)
        found = model.to(dtype)(ids_BT)
        assert found.dtype == dtype
        tolerance = 40 * max(torch.finfo(dtype).eps, 1e-7)
        torch.testing.assert_close(
            found.float(), expected, rtol=tolerance, atol=tolerance * float(expected.abs().max())
        )

    def test_int32_ids_are_ids(self) -> None:
        model, ids_BT = lively(QWEN3), text(QWEN3, 2, 7)
        assert torch.equal(model(ids_BT.int()), model(ids_BT))

    def test_copies_are_independent_and_alike(self) -> None:
        model, ids_BT = lively(QWEN3), text(QWEN3, 1, 7)
        before = model(ids_BT)
        twin = copy.deepcopy(model)
        assert torch.equal(twin(ids_BT), before)
        with torch.no_grad():
            twin.norm.weight.zero_()
        assert torch.equal(model(ids_BT), before)

    def test_generating_first_does_not_hinder_training(self) -> None:
        """What is kept from a pass in inference mode must not be unfit for a backward pass."""
        for config in (QWEN3, GPT2, MODELS["window"]):
            model, ids_BT = lively(config), text(config, 1, 7)
            with torch.inference_mode():
                model(ids_BT)
            model(ids_BT).sum().backward()
            assert all(parameter.grad is not None for parameter in model.parameters())


class TestLoss:
    @pytest.mark.parametrize("name", ["Qwen 3", "untied", "Gemma 3", "norms after"])
    def test_is_the_sum_over_the_counted_targets(self, name: str) -> None:
        model, ids_BT = lively(MODELS[name], dtype=torch.float64), text(QWEN3, 2, 7)
        targets_BT = ids_BT.roll(-1, dims=1)
        targets_BT[0, 3:] = -100
        loss = model(ids_BT, targets_BT=targets_BT)
        expected = F.cross_entropy(model(ids_BT).flatten(0, 1), targets_BT.flatten(), reduction="sum")
        torch.testing.assert_close(loss, expected)
        parameters = tuple(model.parameters())
        ours, theirs = torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)

    def test_a_wrapper_around_the_module_sees_it(self) -> None:
        """One call of the module: what wraps it, or hooks it, has the loss and not the hidden states."""
        model, ids_BT = lively(QWEN3), text(QWEN3, 2, 7)
        seen: list[Tensor] = []
        model.register_forward_hook(lambda *passed: seen.append(passed[-1]))
        loss = model(ids_BT, targets_BT=ids_BT)
        assert seen == [loss]
        assert loss.shape == ()

    def test_of_experts_is_nats_whatever_their_balance_weighs(self) -> None:
        """While training its gradient has the balance; its value never has."""
        ids_BT = text(QWEN3, 2, 7)
        experts = MODELS["experts"].feed_forward.experts
        assert experts is not None
        values, gradients = [], []
        for balance in (0.0, 0.5):
            feed_forward = replace(MODELS["experts"].feed_forward, experts=replace(experts, balance=balance))
            model = lively(replace(QWEN3, feed_forward=feed_forward)).train()
            loss = model(ids_BT, targets_BT=ids_BT)
            (gradient,) = torch.autograd.grad(loss, model.blocks[0].feed_forward.router.weight)
            values.append(loss)
            gradients.append(gradient)
            assert torch.equal(model.eval()(ids_BT, targets_BT=ids_BT), loss)
        assert torch.equal(values[0], values[1])
        assert not torch.allclose(gradients[0], gradients[1])


class TestBuild:
    def test_a_seed_is_a_model(self) -> None:
        one, same, other = (build(QWEN3, seed=seed).state_dict() for seed in (3, 3, 4))
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert not torch.equal(one["embedding.weight"], other["embedding.weight"])

    def test_the_global_random_state_is_left_alone(self) -> None:
        before = torch.get_rng_state()
        model = build(QWEN3, seed=3)
        model(text(QWEN3, 1, 5))
        skeleton(QWEN3)
        assert torch.equal(torch.get_rng_state(), before)

    def test_threads_do_not_matter(self) -> None:
        threads = torch.get_num_threads()
        config = replace(QWEN3, width=160, vocabulary=500)  # above the 16 numbers that are drawn one by one
        models = []
        try:
            for count in (1, 2):
                torch.set_num_threads(count)
                models.append(build(config, seed=1).state_dict())
        finally:
            torch.set_num_threads(threads)
        assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])

    @pytest.mark.parametrize("config", [QWEN3, GPT2], ids=["Qwen 3", "GPT-2"])
    def test_how_wide_the_weights_are(self, config: ModelConfig) -> None:
        """Radford et al. (2019, 2.3): 0.02, and 0.02 / sqrt(2 x 8) for what writes to the stream of 8 layers."""
        wide = replace(
            config,
            vocabulary=400,
            context=300,
            layers=8,
            width=96,
            tied=False,
            attention=replace(config.attention, heads=6, kv_heads=6, head_width=16, bias=True, out_bias=True),
            feed_forward=replace(config.feed_forward, width=128, bias=True),
        )
        for name, parameter in build(wide, seed=0).state_dict().items():
            if name.endswith("bias"):
                assert (parameter == 0).all(), name
            elif "norm" in name:
                assert (parameter == 1).all(), name
            else:
                std = 0.005 if name.endswith(("attention.out.weight", "feed_forward.down.weight")) else 0.02
                error = 4 / math.sqrt(2 * parameter.numel())  # four standard errors
                assert float(parameter.std()) == pytest.approx(std, rel=error), name
                assert abs(float(parameter.mean())) < 4 * std / math.sqrt(parameter.numel()), name

    def test_a_fresh_model_knows_nothing(self) -> None:
        """Its loss is ln V: 3.43 nats for 31 tokens."""
        for config in MODELS.values():
            model, ids_BT = build(config, seed=0), text(config, 8, CONTEXT)
            loss = F.cross_entropy(model(ids_BT)[:, :-1].flatten(0, 1), ids_BT[:, 1:].flatten())
            assert loss.item() == pytest.approx(math.log(31), rel=0.02)

    def test_a_skeleton_takes_no_memory(self) -> None:
        huge = replace(QWEN3, vocabulary=10**6, width=10**5)
        model = skeleton(huge)
        assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
        assert sum(parameter.numel() for parameter in model.parameters()) == huge.parameters()

    def test_sites(self) -> None:
        sites = {Site(0, "embedding"): 0}
        for layer in range(3):
            sites |= {Site(layer): 4, Site(layer, "feed_forward"): 0, Site(layer, "residual"): 0}
        assert skeleton(QWEN3).sites() == sites


class TestDropout:
    CONFIG = replace(QWEN3, dropout=0.3)

    def test_acts_while_training_only(self) -> None:
        model, plain, ids_BT = lively(self.CONFIG), lively(QWEN3), text(QWEN3, 2, 7)
        assert torch.equal(model(ids_BT), plain(ids_BT))
        model.train()
        torch.manual_seed(0)
        one, other = model(ids_BT), model(ids_BT)
        torch.manual_seed(0)
        assert torch.equal(model(ids_BT), one)
        assert not torch.equal(one, other)

    def test_on_the_embedding_and_on_what_each_part_adds(self) -> None:
        """With weights that write ones to the stream, what is dropped is 0 and what stays is 1 / 0.7."""
        model = build(replace(self.CONFIG, width=1000, layers=1, norm=GPT2.norm), seed=0).train()
        block = model.blocks[0]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        x_BTE = torch.zeros(1, 1, 1000)
        for part in (block.attention, block.feed_forward):
            handle = part.register_forward_hook(lambda *_: torch.ones(1, 1, 1000))
            added = block(x_BTE, BlockInputs(mask=model.own_mask(None))).flatten()
            handle.remove()
            assert torch.isclose(added, torch.zeros(1)).sum() + torch.isclose(added, torch.ones(1) / 0.7).sum() == 1000
            assert 0.2 < float((added == 0).float().mean()) < 0.4
        with torch.no_grad():
            model.embedding.weight.fill_(1.0)
        seen: list[Tensor] = []
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        model(torch.zeros(1, 1, dtype=torch.long))
        assert 0.2 < float((seen[0] == 0).float().mean()) < 0.4

    def test_learned_places_are_dropped_with_the_embedding(self) -> None:
        """As in GPT-2: after the sum."""
        model = build(replace(GPT2, dropout=0.3, width=999, attention=replace(GPT2.attention, head_width=333)), seed=0)
        with torch.no_grad():
            model.embedding.weight.zero_()
            model.positions.weight.fill_(1.0)
        seen: list[Tensor] = []
        model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        model.train()(torch.zeros(1, 1, dtype=torch.long))
        assert 0.2 < float((seen[0] == 0).float().mean()) < 0.4

    def test_without_it_nothing_random_is_drawn(self) -> None:
        model = build(QWEN3, seed=0).train()
        before = torch.get_rng_state()
        model(text(QWEN3, 2, 7))
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["Qwen 3", "GPT-2", "soft cap"])
class TestCompiled:
    """backend="eager" traces the model as any compiler does and runs the same operations: one graph, the same bits."""

    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        torch.compiler.reset()

    @torch.no_grad()
    def test_equal_logits(self, name: str) -> None:
        model = lively(replace(MODELS[name], layers=1))
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        ids_BT = text(model.config, 2, 11)
        assert torch.equal(compiled(ids_BT), model(ids_BT))
        packed = documents(torch.tensor([[0] * 5 + [1] * 6, [0] * 11]))
        assert torch.equal(compiled(ids_BT, mask=packed), model(ids_BT, mask=packed))
        places_BT = torch.arange(11).flip(0).unsqueeze(0)
        assert torch.equal(compiled(ids_BT, places_BT=places_BT), model(ids_BT, places_BT=places_BT))

    def test_equal_gradients(self, name: str) -> None:
        """Compiled, RMSNorm is PyTorch's own: the gradients agree within rounding."""
        model = lively(replace(MODELS[name], layers=1))
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        ids_BT, parameters = text(model.config, 2, 11), tuple(model.parameters())
        ours = torch.autograd.grad(model(ids_BT).square().mean(), parameters)
        theirs = torch.autograd.grad(compiled(ids_BT).square().mean(), parameters)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class TestRefused:
    @pytest.fixture
    def model(self) -> Network:
        return build(QWEN3, seed=0)

    def test_a_text_longer_than_the_context(self, model: Network) -> None:
        with pytest.raises(RequestError, match=r"^model: the text has 24 tokens; the context is 23; shorten the text$"):
            model(text(QWEN3, 1, 24))

    @pytest.mark.parametrize(
        ("ids", "shown"),
        [
            (torch.tensor([1, 2]), r"\(2,\) and torch.int64"),
            (torch.tensor(1), r"\(\) and torch.int64"),
            (torch.zeros(1, 2), r"\(1, 2\) and torch.float32"),
            (torch.zeros(1, 2, dtype=torch.bool), r"\(1, 2\) and torch.bool"),
            (torch.zeros(2, 0, dtype=torch.long), r"\(2, 0\) and torch.int64"),
            (torch.zeros(0, 2, dtype=torch.long), r"\(0, 2\) and torch.int64"),
        ],
        ids=["one text", "one id", "floats", "switches", "empty", "none"],
    )
    def test_what_are_no_ids(self, model: Network, ids: Tensor, shown: str) -> None:
        with pytest.raises(
            RequestError, match=rf"^model: ids of shape {shown}; they must be int64 or int32 of shape \(B"
        ):
            model(ids)

    @pytest.mark.parametrize("ids", [[3, 31], [-1, 3]], ids=["beyond", "negative"])
    def test_ids_outside_the_vocabulary(self, model: Network, ids: list[int]) -> None:
        message = rf"^model: ids from {min(ids)} to {max(ids)}; they must be at least 0 and below the vocabulary, 31$"
        with pytest.raises(RequestError, match=message):
            model(torch.tensor([ids]))

    @pytest.mark.parametrize("config", [QWEN3, GPT2], ids=["rotary", "learned"])
    @pytest.mark.parametrize("places", [[0, 23], [-1, 3]], ids=["beyond", "negative"])
    def test_places_outside_the_context(self, config: ModelConfig, places: list[int]) -> None:
        message = rf"^model: places from {places[0]} to {places[1]}; they must be .* below the context, 23$"
        with pytest.raises(RequestError, match=message):
            build(config, seed=0)(text(config, 1, 2), places_BT=torch.tensor([places]))

    @pytest.mark.parametrize("shape", [(2, 4), (3, 5), (5,), (2, 5, 1)], ids=str)
    def test_places_of_another_shape(self, model: Network, shape: tuple[int, ...]) -> None:
        with pytest.raises(
            RequestError, match=r"^model: places of shape .* for ids of shape \(2, 5\); give one row per batch row"
        ):
            model(text(QWEN3, 2, 5), places_BT=torch.zeros(shape, dtype=torch.long))
