"""Recurrent and convolutional models: equal to PyTorch's modules, the same in pieces and whole, causal."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.attend import documents, left_padding, window
from clearhead.errors import ConfigError, RequestError
from clearhead.model import ConvolutionConfig, LSTMConfig, ModelConfig, Network, build, skeleton
from clearhead.plain import from_dict, to_dict
from clearhead.training import OptimizerConfig
from clearhead.training.optimizer import Optimizer, matrices
from clearhead.watching import watch
from little_configs import RIVALS

T = 17
EVERY = pytest.mark.parametrize("kind", RIVALS)


def lively(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    """Wide weights, so that what comes before matters."""
    model = build(replace(RIVALS[kind], **options), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(2 if "recurrence" in name else 12)
    return model.to(dtype).eval()


def text(batch: int = 2, places: int = T, seed: int = 0) -> Tensor:
    return torch.randint(31, (batch, places), generator=torch.Generator().manual_seed(seed))


def reached(model: Network, ids_BT: Tensor, row: int, place: int, **options: Any) -> Tensor:
    """bool (B, T): the embeddings in which a logit has a gradient that is not exactly 0."""
    leaves: list[Tensor] = []

    def leaf(module: nn.Module, given: object, x_BTE: Tensor) -> Tensor:
        leaves.append(x_BTE.detach().requires_grad_())
        return leaves[0]

    hook = model.embedding.register_forward_hook(leaf)
    logits_BTV = model(ids_BT, **options)
    hook.remove()
    (g_BTE,) = torch.autograd.grad(logits_BTV[row, place].square().sum(), leaves)
    return (g_BTE != 0).any(dim=-1)


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@torch.no_grad()
def test_a_recurrence_gives_what_pytorchs_module_gives(kind: str) -> None:
    model = lively(kind)
    c = model.config
    x_BTE = F.embedding(text(), model.embedding.weight)
    for layer in model.layers:
        peer = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](c.width, c.hidden, batch_first=True, dtype=torch.float64)
        peer.load_state_dict(layer.recurrence.fused.state_dict())
        x_BTE = x_BTE + peer(rms(x_BTE, layer.norm.weight))[0] @ layer.out.weight.T
    output = model.embedding.weight if c.tied else model.head.weight
    torch.testing.assert_close(model(text()), rms(x_BTE, model.norm.weight) @ output.T, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_an_lstm_gives_what_its_equations_give() -> None:
    """Gers et al. 2000, one layer and one place at a time."""
    model = lively("lstm", layers=1)
    w, H = {name: p.numpy() for name, p in model.named_parameters()}, model.config.hidden
    h, c, sigmoid = torch.zeros(H).double(), torch.zeros(H).double(), torch.sigmoid
    for token in text(1)[0]:
        x = torch.from_numpy(w["embedding.weight"][token])
        z = torch.from_numpy(w["layers.0.recurrence.fused.weight_ih_l0"]) @ rms(x, model.layers[0].norm.weight)
        z = z + torch.from_numpy(w["layers.0.recurrence.fused.weight_hh_l0"]) @ h
        z = z + torch.from_numpy(w["layers.0.recurrence.fused.bias_ih_l0"] + w["layers.0.recurrence.fused.bias_hh_l0"])
        i, f, g, o = z.split(H)
        c = sigmoid(f) * c + sigmoid(i) * torch.tanh(g)
        h = sigmoid(o) * torch.tanh(c)
    x = rms(model.embedding.weight[text(1)[0, -1]] + model.layers[0].out.weight @ h, model.norm.weight)
    torch.testing.assert_close(model(text(1))[0, -1], model.embedding.weight @ x, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_a_convolution_gives_what_pytorchs_module_gives() -> None:
    model = lively("convolution")
    c = model.config
    x_BTE = F.embedding(text(), model.embedding.weight)
    for n, layer in enumerate(model.layers):
        peer = nn.Conv1d(c.width, 2 * c.hidden, c.kernel, dilation=c.dilation(n), dtype=torch.float64)
        weight = layer.convolution.weight.view(2 * c.hidden, c.kernel, c.width).transpose(1, 2)
        peer.load_state_dict({"weight": weight, "bias": layer.convolution.bias})
        y_BET = peer(F.pad(rms(x_BTE, layer.norm.weight).transpose(1, 2), (c.past(n), 0)))
        x_BTE = x_BTE + F.glu(y_BET, dim=1).transpose(1, 2) @ layer.out.weight.T
    expected = rms(x_BTE, model.norm.weight) @ model.embedding.weight.T
    torch.testing.assert_close(model(text()), expected, rtol=1e-11, atol=1e-11)


@EVERY
class TestEveryKind:
    def test_counts_what_is_built(self, kind: str) -> None:
        for config in (RIVALS[kind], replace(RIVALS[kind], tied=not RIVALS[kind].tied, layers=1)):
            assert config.parameters() == sum(p.numel() for p in skeleton(config).parameters())

    def test_comes_back_from_its_table(self, kind: str) -> None:
        table = to_dict(RIVALS[kind])
        assert table["kind"] == kind
        assert from_dict(ModelConfig, table) == RIVALS[kind]

    @pytest.mark.parametrize("cuts", [(1,) * T, (5, 1, 1, 7, 3)], ids=["one by one", "in pieces"])
    @torch.inference_mode()
    def test_in_pieces_it_gives_what_it_gives_whole(self, kind: str, cuts: tuple[int, ...]) -> None:
        model = lively(kind)
        state = model.state(2, T)
        found = torch.cat([model(part, state=state) for part in text().split(list(cuts), dim=1)], dim=1)
        torch.testing.assert_close(found, model(text()), rtol=1e-10, atol=1e-10)
        assert state.length == T

    @torch.no_grad()
    def test_a_document_is_as_if_alone(self, kind: str) -> None:
        model, ids_BT = lively(kind), text()
        numbers_BT = torch.tensor([[0] * 5 + [1] + [2] * (T - 6), [0] * 9 + [1] * (T - 9)])
        packed = model(ids_BT, mask=documents(numbers_BT))
        for row, parts in enumerate(((5, 1, T - 6), (9, T - 9))):
            alone = torch.cat([model(part) for part in ids_BT[row : row + 1].split(list(parts), dim=1)], dim=1)
            torch.testing.assert_close(packed[row : row + 1], alone, rtol=1e-10, atol=1e-10)

    def test_no_gradient_comes_from_later_or_foreign_tokens(self, kind: str) -> None:
        model, ids_BT = lively(kind), text()
        c = model.config
        reach = c.reach or T
        whole_BT = reached(model, ids_BT, 1, 12)
        assert whole_BT.tolist() == [[False] * T, [12 - reach < t <= 12 for t in range(T)]]
        inside_BT = reached(model, ids_BT, 0, 12, mask=documents(torch.tensor([[0] * 9 + [1] * (T - 9)] * 2)))
        assert inside_BT.tolist() == [[max(8, 12 - reach) < t <= 12 for t in range(T)], [False] * T]

    @torch.inference_mode()
    def test_a_padded_batch_equals_each_text_alone_and_stays_so(self, kind: str) -> None:
        """Also after the longer text is dropped, and the padding with it."""
        model, ids_BT = lively(kind), text()
        start_B = torch.tensor([0, 6])
        state = model.state(2, T + 4)
        read = [model(ids_BT[:, :9], mask=left_padding(start_B), state=state)]
        read += [model(ids_BT[:, t : t + 1], mask=left_padding(start_B), state=state) for t in range(9, 11)]
        torch.testing.assert_close(torch.cat(read, dim=1)[1:, 6:], model(ids_BT[1:, 6:11]), rtol=1e-10, atol=1e-10)
        state.select(torch.tensor([1]), 6)
        assert state.length == 5
        found = torch.cat([model(ids_BT[1:, t : t + 1], state=state) for t in range(11, T)], dim=1)
        torch.testing.assert_close(found, model(ids_BT[1:, 6:])[:, 5:], rtol=1e-10, atol=1e-10)

    @torch.inference_mode()
    def test_a_state_is_copied_whole_and_rewound_only_to_the_start(self, kind: str) -> None:
        model, ids_BT = lively(kind), text()
        state, other = model.state(2, T), model.state(2, T)
        model(ids_BT[:, :9], state=state)
        other.take(state, 9)
        rest = model(ids_BT[:, 9:], state=other)
        torch.testing.assert_close(rest, model(ids_BT)[:, 9:], rtol=1e-10, atol=1e-10)
        with pytest.raises(RequestError, match=r"^state: 9 places were read; it cannot be rewound to 4, only to 0"):
            state.rewind(4)
        with pytest.raises(RequestError, match=r"^state: 4 of 9 places cannot be copied; take all or none$"):
            model.state(2, T).take(state, 4)
        state.rewind(0)
        torch.testing.assert_close(model(ids_BT, state=state), model(ids_BT), rtol=1e-10, atol=1e-10)

    def test_gradients_are_those_of_finite_differences(self, kind: str) -> None:
        model, ids_BT = lively(kind), text(places=7)
        mask = documents(torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0] * 7]))
        parameters = {name: p.detach().requires_grad_() for name, p in model.named_parameters()}

        def loss(*values: Tensor) -> Tensor:
            weights = dict(zip(parameters, values, strict=True))
            logits_BTV = torch.func.functional_call(model, weights, (ids_BT,), {"mask": mask})
            return F.cross_entropy(logits_BTV.flatten(0, 1), ids_BT.flatten())

        assert torch.autograd.gradcheck(loss, tuple(parameters.values()), fast_mode=True)

    @torch.no_grad()
    def test_watched_it_has_the_same_bits(self, kind: str) -> None:
        model = lively(kind, torch.float32)
        alone = model(text())
        with watch(model, keep="residual") as record:
            assert torch.equal(model(text()), alone)
        assert len(record) == 2

    def test_dropout_acts_only_in_training(self, kind: str) -> None:
        model = lively(kind, torch.float32, dropout=0.5)
        assert torch.equal(model(text()), model(text()))
        model.train()
        assert not torch.equal(model(text()), model(text()))

    def test_muon_trains_every_inner_matrix_and_each_gate_separately(self, kind: str) -> None:
        model = build(RIVALS[kind], seed=0)
        optimizer = Optimizer(model, OptimizerConfig())
        slabs = list(matrices(model))
        for name, p in model.named_parameters():
            rows = [row for slab in slabs if slab.parameter is p for row in range(slab.start, slab.start + slab.rows)]
            inner = p.dim() == 2 and name not in ("embedding.weight", "head.weight")
            assert rows == (list(range(len(p))) if inner else []), name
            assert (p in optimizer.adamw.state) != inner
        heights = {slab.rows for slab in slabs if any(p is slab.parameter for p in _recurrent(model))}
        assert heights == ({11} if "convolution" not in kind else set())

    def test_an_unsupported_mask_is_refused(self, kind: str) -> None:
        with pytest.raises(RequestError, match=rf"^model: the mask has a Window, but models of kind '{kind}' can only"):
            lively(kind)(text(), mask=window(3))

    @torch.no_grad()
    def test_it_computes_in_bfloat16_and_under_autocast(self, kind: str) -> None:
        exact = build(RIVALS[kind], seed=0)(text())
        half = build(RIVALS[kind], seed=0).to(torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = build(RIVALS[kind], seed=0)(text(), mask=documents(torch.tensor([[0] * 5 + [1] * (T - 5)] * 2)))
        assert half(text()).dtype == torch.bfloat16
        # logits are about 0.3; bfloat16 keeps 8 bits, and errors of a few layers add up
        torch.testing.assert_close(half(text()).float(), exact, rtol=0.05, atol=0.02)
        assert mixed.isfinite().all()


def _recurrent(model: Network) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if "recurrence" in name]


def test_forget_gates_start_open_and_recurrent_matrices_orthogonal() -> None:
    model: Any = build(RIVALS["lstm"], seed=0)
    fused, H = model.layers[1].recurrence.fused, 11
    assert (fused.bias_ih_l0 + fused.bias_hh_l0).tolist() == [0.0] * H + [1.0] * H + [0.0] * 2 * H
    for gate in fused.weight_hh_l0.split(H):
        torch.testing.assert_close(gate @ gate.T, torch.eye(H), rtol=0, atol=1e-5)
    assert float(fused.weight_ih_l0.detach().std()) == pytest.approx(1 / math.sqrt(14), rel=0.1)
    again: Any = build(RIVALS["lstm"], seed=0)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))


def test_the_reach_of_a_convolution_is_reported() -> None:
    config = RIVALS["convolution"]
    assert isinstance(config, ConvolutionConfig)
    assert config.reach == 1 + 2 * 1 + 2 * 2 + 2 * 1
    assert config.described()["reach"] == "a prediction depends on the last 9 tokens"
    assert config.described()["convolution"] == "GLU of 11 channels, 3 places each, dilated by 1, 2"
    assert "unbounded" in RIVALS["gru"].described()["reach"]
    assert RIVALS["gru"].reach is None
    assert RIVALS["gru"].dilated(64) is RIVALS["gru"]


def test_a_convolution_is_dilated_to_a_reach() -> None:
    config = replace(RIVALS["convolution"], dilations=(1,))
    assert config.dilated(7) is config  # three layers of three places reach 7 tokens as they are
    assert config.dilated(8).reach == 1 + 2 * (1 + 2 + 4)
    assert replace(config, layers=1).dilated(3).reach == 3
    for change in ({"layers": 1}, {"kernel": 1}):
        with pytest.raises(ConfigError, match="cannot be dilated to reach 8 tokens; that takes two layers or more"):
            replace(config, **change).dilated(8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": 0}, r"^model: kernel is 0; it must be at least 1"),
        ({"dilations": ()}, r"^model: dilations are \(\); give at least one, each at least 1$"),
        ({"dilations": (1, 0)}, r"^model: dilations are \(1, 0\); give at least one"),
        ({"dilations": (2**24,)}, r"^model: kernel 3 and dilations \(16777216,\) reach .* tokens; the most that is a"),
        ({"hidden": 0}, r"^model: hidden is 0; it must be at least 1"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(RIVALS["convolution"], **options)


def test_a_state_does_not_grow_with_the_text() -> None:
    lstm, convolution = RIVALS["lstm"], RIVALS["convolution"]
    assert isinstance(lstm, LSTMConfig)
    assert lstm.state_numbers(5) == lstm.state_numbers(5000) == 2 * 2 * 11
    assert convolution.state_numbers(5000) == (2 + 4 + 2) * 14
    assert RIVALS["gru-attention"].state_numbers(5) == 2 * 11 + 5 * 2 * 15
    for kind, config in RIVALS.items():
        state: Any = build(config, seed=0).state(1, 23)
        numbers = sum(t.numel() for carry in state.layers for t in carry) + state.k_LBGKD.numel() * 2
        assert numbers == config.state_numbers(23), kind
