"""What a model shows besides attention: the residual stream adds up, and edits of parts equal those by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clearhead import tap
from clearhead.errors import OptionError, WatchError
from clearhead.model import ModelConfig, build
from clearhead.tap import Site, short_names
from clearhead.watching import Ablate, Scale, watch
from little_configs import BERT, GPT2, QWEN3

CONFIGS = {
    "Qwen 3": QWEN3,
    "GPT-2": GPT2,
    "BERT": BERT,
    **{name: replace(QWEN3, arrangement=name) for name in ("output", "sandwich", "parallel")},
}


def made(config: ModelConfig) -> tuple[torch.nn.Module, Tensor]:
    model = build(config, seed=3).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    return model, torch.arange(14).view(2, 7) % config.vocabulary


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_the_stream_is_the_embedding_and_what_each_part_adds(config: ModelConfig) -> None:
    model, ids_BT = made(config)
    with watch(model, keep="parts residual") as record:
        last_BTE = model.hidden(ids_BT)
    stack = next(iter(model.sites())).stack
    for text in (0, 1):
        seen = record[text]
        x_TE = seen.output(Site(0, "embedding", stack))
        assert x_TE.shape == (7, config.width)
        for layer in range(config.layers):
            added = [seen.output(Site(layer, kind, stack)) for kind in ("self", "feed_forward")]
            after_TE = seen.output(Site(layer, "residual", stack))
            if config.arrangement != "post":  # there a norm stands behind each sum
                torch.testing.assert_close(after_TE, x_TE + added[0] + added[1])
            x_TE = after_TE
        torch.testing.assert_close(model.norm(x_TE), last_BTE[text])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_a_part_that_is_ablated_adds_nothing_and_one_that_is_scaled_adds_so_much(config: ModelConfig) -> None:
    model, ids_BT = made(config)
    hooked = model.blocks[1].feed_forward

    def by_hand(factor: float) -> Tensor:
        norm = {"output": "feed_forward_norm", "sandwich": "feed_forward_out_norm"}.get(config.arrangement)
        module = hooked if norm is None else getattr(model.blocks[1], norm)
        handle = module.register_forward_hook(lambda _, inputs, output: output * factor)
        try:
            return model.hidden(ids_BT)
        finally:
            handle.remove()

    for edit, factor in (
        (Ablate(layer=1, kind="feed_forward"), 0.0),
        (Scale(layer=1, kind="feed_forward", factor=3.0), 3.0),
    ):
        with watch(model, edits=[edit]):
            edited_BTE = model.hidden(ids_BT)
        torch.testing.assert_close(edited_BTE, by_hand(factor), rtol=0, atol=1e-12)


@torch.no_grad()
def test_ablating_every_head_is_ablating_the_attention_where_it_has_no_bias() -> None:
    model, ids_BT = made(QWEN3)
    with watch(model, edits=[Ablate(layer=2, head=head) for head in range(4)]):
        heads = model(ids_BT)
    with watch(model, edits=[Ablate(layer=2)]):
        assert torch.equal(model(ids_BT), heads)


@torch.no_grad()
def test_an_edit_of_one_text_leaves_the_others() -> None:
    model, ids_BT = made(QWEN3)
    plain_BTV = model(ids_BT)
    for edit in (Ablate(layer=0, head=1, text=1), Scale(layer=1, kind="residual", factor=2.0, text=1)):
        with watch(model, edits=[edit]):
            edited_BTV = model(ids_BT)
        assert torch.equal(edited_BTV[0], plain_BTV[0])
        assert not torch.equal(edited_BTV[1], plain_BTV[1])


@torch.no_grad()
def test_the_heads_outputs_are_what_the_output_projection_reads() -> None:
    model, ids_BT = made(GPT2)
    read: list[Tensor] = []
    handle = model.blocks[1].attention.out.register_forward_hook(lambda _, inputs, output: read.append(inputs[0]))
    with watch(model, keep="heads") as record:
        model(ids_BT)
    handle.remove()
    for text in (0, 1):
        o_HTD = record[text].head_outputs(Site(1))
        assert o_HTD.shape == (3, 7, 7)
        assert torch.equal(o_HTD.transpose(0, 1).flatten(1), read[0][text])


@torch.no_grad()
def test_what_was_not_kept_is_reported_with_the_way_out() -> None:
    model, ids_BT = made(QWEN3)
    with watch(model) as record:
        model(ids_BT)
    with pytest.raises(
        WatchError, match=r"nothing was kept at decoder.1.residual; ask for it, watch\(model, keep='residual'\)"
    ):
        record[0].output(Site(1, "residual"))
    with (
        pytest.raises(OptionError, match="watch: there is no 'stream' to keep; known: heads, parts, residual"),
        watch(model, keep="stream"),
    ):
        pass
    for keep in (True, 5, ["heads", 3]):
        message = rf"watch: keep is {re.escape(repr(keep))}; it must be names of what to keep: heads, values, parts"
        with pytest.raises(OptionError, match=message), watch(model, keep=keep):  # pyright: ignore[reportArgumentType]
            pass


@torch.no_grad()
def test_a_stream_shown_outside_a_pass_is_an_error_that_says_what_is_missing() -> None:
    model, _ = made(QWEN3)
    missing = r"^decoder.0.residual: shown outside a pass; a model calls tap.begin"
    with watch(model, keep="residual"), pytest.raises(WatchError, match=missing):
        tap.shown(Site(0, "residual"), torch.zeros(1, 7, QWEN3.width))


def test_an_edit_of_a_stack_the_model_has_not_is_refused() -> None:
    model, _ = made(QWEN3)
    with (
        pytest.raises(WatchError, match="the model has no site of layer 1 and kind 'self'"),
        watch(model, edits=[Ablate(layer=1, stack="encoder")]),
    ):
        pass


def test_short_names_say_what_tells_sites_apart() -> None:
    assert list(short_names([Site(0), Site(5, "feed_forward")]).values()) == ["0", "5.feed_forward"]
    assert list(short_names([Site(0, "self", "encoder"), Site(1, "self", "encoder")]).values()) == ["0", "1"]
    two = [Site(1, "self", "encoder"), Site(1), Site(1, "cross")]
    assert list(short_names(two).values()) == ["encoder.1", "decoder.1", "decoder.1.cross"]
