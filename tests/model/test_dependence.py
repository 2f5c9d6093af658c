"""What a whole model's outputs depend on, and their gradients.

Shown twice (docs/design.md, "Bit-for-bit reproducibility"): the gradient in what may not be read is exactly 0, and when
that changes, values stay the same within rounding.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from clearhead.attend import FULL, Mask, documents
from clearhead.model import Network
from clearhead.watching import watch
from shapes import MODELS, QWEN3, assert_same, lively, text

CONTEXT = QWEN3.context


def reached(model: Network, ids_BT: Tensor, row: int, places: slice | int, mask: Mask = FULL) -> Tensor:
    """Bool (B, T): in which tokens' embeddings the logits of some places of one text have a gradient that is not 0."""
    embedded: list[Tensor] = []
    model.embedding.register_forward_hook(lambda _, __, x_BTE: embedded.append(x_BTE) or None)
    model(ids_BT, mask=mask)[row, places].square().sum().backward(inputs=embedded)
    assert embedded[0].grad is not None
    return (embedded[0].grad != 0).any(dim=-1)


@pytest.mark.parametrize("name", MODELS)
class TestWhatDependsOnWhat:
    @torch.no_grad()
    def test_later_tokens_change_nothing_before(self, name: str) -> None:
        model = lively(MODELS[name])
        ids_BT = text(model.config, 2, CONTEXT)
        before = model(ids_BT)
        for place in range(CONTEXT):
            others_BT = ids_BT.clone()
            others_BT[:, place:] = text(model.config, 2, CONTEXT - place, seed=place + 1)
            others_BT[:, place] = (ids_BT[:, place] + 1) % model.config.vocabulary
            after = model(others_BT)
            if place:
                assert_same(after[:, :place], before[:, :place], model.config)
            assert ((after[:, place] - before[:, place]).abs().amax(dim=-1) > 0.1).all()

    @pytest.mark.parametrize("place", [0, 9, CONTEXT - 1])
    def test_gradients_flow_back_only(self, name: str, place: int) -> None:
        model = lively(MODELS[name])
        reached_BT = reached(model, text(model.config, 2, CONTEXT), 1, place)
        window = model.config.attention.window
        first = 0 if window is None else max(0, place - model.config.layers * (window - 1))
        assert reached_BT.tolist() == [[False] * CONTEXT, [first <= other <= place for other in range(CONTEXT)]]

    @torch.no_grad()
    def test_texts_of_a_batch_do_not_meet(self, name: str) -> None:
        model = lively(MODELS[name])
        ids_BT = text(model.config, 3, 11)
        before = model(ids_BT)
        ids_BT[1] = text(model.config, 1, 11, seed=5)
        after = model(ids_BT)
        assert_same(after[[0, 2]], before[[0, 2]], model.config)
        assert (after[1] - before[1]).abs().max() > 0.1

    @torch.no_grad()
    def test_a_watched_pass_has_the_same_bits(self, name: str) -> None:
        model = lively(MODELS[name])
        ids_BT = text(model.config, 2, 11)
        alone = model(ids_BT)
        with watch(model) as record:
            assert torch.equal(model(ids_BT), alone)
        assert len(list(record)) == model.config.layers * model.config.attention.heads

    def test_a_watched_pass_trains_with_the_same_bits(self, name: str) -> None:
        gradients: list[list[Tensor]] = []
        for watched in (False, True):
            model = lively(MODELS[name])
            if watched:
                with watch(model):
                    loss = model(text(model.config, 2, 11)).square().mean()
            else:
                loss = model(text(model.config, 2, 11)).square().mean()
            gradients.append(list(torch.autograd.grad(loss, tuple(model.parameters()))))
        assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", MODELS)
class TestDocuments:
    """Two texts in one row: places 0 to 8 and 9 to 22."""

    CUT = 9
    IDS = torch.tensor([[0] * CUT + [1] * (CONTEXT - CUT)])
    RESTARTED = torch.cat((torch.arange(CUT), torch.arange(CONTEXT - CUT))).unsqueeze(0)

    @torch.no_grad()
    def test_neither_changes_the_other(self, name: str) -> None:
        model = lively(MODELS[name])
        ids_BT = text(model.config, 1, CONTEXT)
        before = model(ids_BT, mask=documents(self.IDS))
        for changed, kept in (
            (slice(0, self.CUT), slice(self.CUT, CONTEXT)),
            (slice(self.CUT, CONTEXT), slice(0, self.CUT)),
        ):
            others_BT = ids_BT.clone()
            others_BT[:, changed] = (
                others_BT[:, changed] + 1 + torch.arange(CONTEXT)[changed]
            ) % model.config.vocabulary
            after = model(others_BT, mask=documents(self.IDS))
            assert_same(after[:, kept], before[:, kept], model.config)
            assert (after[:, changed] - before[:, changed]).abs().max() > 0.1

    @torch.no_grad()
    def test_each_text_is_as_if_alone(self, name: str) -> None:
        """Within rounding: another length is another order of sums. In float64 that is 1e-11."""
        model = lively(MODELS[name], dtype=torch.float64)
        ids_BT = text(model.config, 1, CONTEXT)
        packed = model(ids_BT, mask=documents(self.IDS), places_BT=self.RESTARTED)
        alone = [model(ids_BT[:, : self.CUT]), model(ids_BT[:, self.CUT :])]
        torch.testing.assert_close(packed, torch.cat(alone, dim=1), rtol=1e-11, atol=1e-11)

    @torch.no_grad()
    def test_turned_places_need_no_restart(self, name: str) -> None:
        """Rotary positions and biases tell distances only, up to the rounding of angles; learned ones must restart."""
        model = lively(MODELS[name], dtype=torch.float64)
        ids_BT = text(model.config, 1, CONTEXT)
        packed = model(ids_BT, mask=documents(self.IDS))[:, self.CUT :]
        alone = model(ids_BT[:, self.CUT :])
        if model.config.positions.kind in ("rotary", "relative"):
            torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)
        else:
            assert (packed - alone).abs().max() > 0.1

    def test_gradients_do_not_leak(self, name: str) -> None:
        for own, other in (
            (slice(0, self.CUT), slice(self.CUT, CONTEXT)),
            (slice(self.CUT, CONTEXT), slice(0, self.CUT)),
        ):
            model = lively(MODELS[name])
            reached_BT = reached(model, text(model.config, 1, CONTEXT), 0, own, documents(self.IDS))
            assert reached_BT[0, own].all()
            assert not reached_BT[0, other].any()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_the_whole_model(name: str) -> None:
    """Every parameter at once, against finite differences in float64."""
    model = lively(MODELS[name], dtype=torch.float64)
    ids_BT = text(model.config, 2, 7)
    targets_BT = text(model.config, 2, 7, seed=1)
    mask = documents(torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0] * 7]))
    parameters = {name: parameter.detach().requires_grad_() for name, parameter in model.named_parameters()}

    def loss(*values: Tensor) -> Tensor:
        weights = dict(zip(parameters, values, strict=True))
        logits_BTV = functional_call(model, weights, (ids_BT,), {"mask": mask})
        return F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())

    assert torch.autograd.gradcheck(loss, tuple(parameters.values()), fast_mode=True)


@pytest.mark.parametrize("name", ["Qwen 3", "GPT-2"])
def test_gradients_one_number_at_a_time(name: str) -> None:
    """The fast check above looks along one direction; here are single weights of every part of the second layer."""
    model = lively(MODELS[name], dtype=torch.float64)
    ids_BT = text(model.config, 1, 7)

    def loss() -> Tensor:
        return F.cross_entropy(model(ids_BT)[0, :-1], ids_BT[0, 1:])

    loss().backward()
    step = 1e-6
    with torch.no_grad():
        for parameter in model.blocks[1].parameters():
            assert parameter.grad is not None
            flat, index = parameter.view(-1), parameter.numel() // 3
            kept = float(flat[index])
            values = []
            for moved in (kept + step, kept - step):
                flat[index] = moved
                values.append(float(loss()))
            flat[index] = kept
            slope = (values[0] - values[1]) / (2 * step)
            assert float(parameter.grad.view(-1)[index]) == pytest.approx(slope, rel=1e-5, abs=1e-8)
