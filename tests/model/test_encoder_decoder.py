"""Encoder-decoders: sizes, caches, padding, what logits depend on, torch's own Transformer, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from clearhead.attend import padding
from clearhead.errors import ConfigError, OptionError, RequestError
from clearhead.model import (
    AttentionConfig,
    EncoderDecoderConfig,
    FeedForwardConfig,
    LayerConfig,
    Network,
    PositionConfig,
    build,
)
from clearhead.tap import Site
from clearhead.watching import watch
from little_configs import TRANSLATOR
from shapes import QWEN3, lively

# Rotary positions, RMSNorm before each part, gates, heads normalised and in groups.
MODERN = EncoderDecoderConfig(
    vocabulary=31,
    context=23,
    layers=2,
    encoder_layers=1,
    width=20,
    attention=AttentionConfig(heads=4, kv_heads=2, head_width=6),
    feed_forward=FeedForwardConfig(width=17),
)
CONFIGS = {
    "Marian": TRANSLATOR,
    "two vocabularies": replace(TRANSLATOR, source_vocabulary=37),
    "another encoder": replace(TRANSLATOR, encoder_heads=10, encoder_inner=11, tied=False),
    "learned positions": replace(TRANSLATOR, positions=PositionConfig(kind="learned"), source_vocabulary=7),
    "norms before": replace(TRANSLATOR, arrangement="pre", output_bias=False, logit_softcap=3.0),
    "mBART": replace(
        TRANSLATOR, arrangement="pre", embedding_norm=True, positions=PositionConfig(kind="learned", first=2)
    ),
    "M2M-100": replace(TRANSLATOR, arrangement="pre", positions=PositionConfig(kind="fairseq", first=2)),
    "modern": MODERN,
    "heads normalised together": replace(MODERN, attention=replace(MODERN.attention, head_norm="projection")),
    "windows": replace(MODERN, pattern=(LayerConfig(window=3), LayerConfig())),
}
LENGTHS = [9, 4, 1]


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Network:
    return lively(CONFIGS[request.param], dtype=torch.float64)


def source(config: EncoderDecoderConfig, lengths: list[int] = LENGTHS) -> Tensor:
    """source_BS."""
    size = config.source_vocabulary or config.vocabulary
    return torch.randint(size, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(3))


def target(batch: int = 3, places: int = 7) -> Tensor:
    """ids_BT."""
    return torch.randint(31, (batch, places), generator=torch.Generator().manual_seed(4))


def rows(source_BS: Tensor, lengths: list[int] = LENGTHS) -> list[list[int]]:
    return [ids[:length].tolist() for ids, length in zip(source_BS, lengths, strict=True)]


def test_it_has_as_many_weights_as_its_config_says(model: Network) -> None:
    config, own = model.config, dict(model.named_parameters())
    assert config.parameters() == sum(each.numel() for each in own.values())
    outer = {"embedding.weight", "encoder.embedding.weight", "head.weight"}
    assert config.inner_parameters() == sum(each.numel() for name, each in own.items() if name not in outer)


def test_a_state_is_as_large_as_its_config_says(model: Network) -> None:
    config = model.config
    state = model.translating([[1] * config.context], 5)
    with torch.no_grad():
        model(target(1, 5), state=state)
    kept = [*state.source.kept.values(), (state.k_LBGKD, state.v_LBGKD)]
    assert config.state_numbers(5) == sum(part.numel() for pair in kept for part in pair)


@torch.no_grad()
def test_token_by_token_as_at_once(model: Network) -> None:
    """With the sources read once, and beside texts of other lengths."""
    source_BS, ids_BT = source(model.config), target()
    whole = model(ids_BT, source_BS=source_BS, source_mask=padding(torch.tensor(LENGTHS)))
    state = model.translating(rows(source_BS), 7)
    steps = [model(ids_BT[:, place : place + 1], state=state) for place in range(7)]
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_beside_longer_sources_as_alone(model: Network) -> None:
    source_BS, ids_BT = source(model.config), target()
    together = model(ids_BT, source_BS=source_BS, source_mask=padding(torch.tensor(LENGTHS)))
    for row, ids in enumerate(rows(source_BS)):
        alone = model(ids_BT[row : row + 1], source_BS=torch.tensor([ids]))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_rows_that_are_chosen_go_on_with_their_own_source(model: Network) -> None:
    source_BS, ids_BT, rows_R = source(model.config), target(), torch.tensor([2, 0, 0, 1])
    mask = padding(torch.tensor(LENGTHS)[rows_R])
    whole = model(ids_BT[rows_R], source_BS=source_BS[rows_R], source_mask=mask)
    for before in (0, 3):  # places that were written, and whose source was looked at, before
        state = model.translating(rows(source_BS), 7)
        if before:
            model(ids_BT[:, :before], state=state)
        state.select(rows_R, 0)
        after = model(ids_BT[rows_R, before:], state=state)
        torch.testing.assert_close(after, whole[:, before:], rtol=1e-11, atol=1e-11)


def reached(model: Network, row: int, place: int) -> tuple[Tensor, Tensor]:
    """Bool (B, S) and (B, T): in which tokens' embeddings one place's logits have a gradient that is not 0."""
    embedded: list[Tensor] = []
    for each in {model.embedding, model.encoder.embedding}:
        each.register_forward_hook(lambda _, __, x_BTE: embedded.append(x_BTE) or None)
    logits_BTV = model(target(), source_BS=source(model.config), source_mask=padding(torch.tensor(LENGTHS)))
    logits_BTV[row, place].square().sum().backward(inputs=embedded)
    return tuple((x_BTE.grad != 0).any(dim=-1) for x_BTE in embedded)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_logit_depends_on_the_whole_source_and_on_the_tokens_before_it(name: str) -> None:
    """Gradients are 0 to the bit in later tokens, in padding and in the other texts."""
    for row, length in enumerate(LENGTHS):
        read_BS, written_BT = reached(lively(CONFIGS[name]), row, 4)
        assert read_BS.tolist() == [[row == other and place < length for place in range(9)] for other in range(3)]
        assert written_BT.tolist() == [[row == other and place <= 4 for place in range(7)] for other in range(3)]


@torch.no_grad()
def test_who_sees_whom_in_the_three_kinds_of_attention() -> None:
    """With windows of 3: both sides in the encoder, one in the decoder, none from the target to the source."""
    config = replace(MODERN, attention=replace(MODERN.attention, window=3))
    model = lively(config)
    with watch(model) as record:
        model(target(1), source_BS=source(config)[:1])
    back_SS, back_TT = (torch.arange(n)[:, None] - torch.arange(n) for n in (9, 7))
    text = record.only()
    assert torch.equal(text.map(Site(0, "self", "encoder"), 1)[:, :] > 0, back_SS.abs() < 3)
    assert torch.equal(text.map(Site(1), 1)[:, :] > 0, (back_TT >= 0) & (back_TT < 3))
    assert (text.map(Site(1, "cross"), 1)[:, :] > 0).all()


@torch.no_grad()
def test_a_watched_pass_has_the_same_bits(model: Network) -> None:
    given = {"source_BS": source(model.config), "source_mask": padding(torch.tensor(LENGTHS))}
    alone = model(target(), **given)
    with watch(model):
        assert torch.equal(model(target(), **given), alone)


class TestAsInTorch:
    """Norms before each part, against nn.Transformer(norm_first=True), whose layers know no positions."""

    CONFIG = replace(
        TRANSLATOR,
        arrangement="pre",
        feed_forward=FeedForwardConfig(kind="relu", width=17, bias=True),
        positions=PositionConfig(kind="learned"),
        embedding_scale=None,
    )

    @pytest.mark.filterwarnings("ignore:enable_nested_tensor")
    @torch.no_grad()
    def test_logits(self) -> None:
        config = self.CONFIG
        model = lively(config, dtype=torch.float64)
        peer = nn.Transformer(
            20, 4, 3, 2, 17, dropout=0.0, batch_first=True, norm_first=True, dtype=torch.float64
        ).eval()
        peer.load_state_dict(dict(self.named(model)))
        source_BS, ids_BT, lengths_B = source(config), target(), torch.tensor(LENGTHS)
        hidden_BS = torch.arange(9) >= lengths_B[:, None]
        x_BSE, x_BTE = (
            positions[: ids.shape[1]] + model.embedding.weight[ids]
            for positions, ids in ((model.encoder.positions.weight, source_BS), (model.positions.weight, ids_BT))
        )
        later_TT = torch.ones(7, 7, dtype=torch.bool).triu(1)
        hidden_BTE = peer(
            x_BSE, x_BTE, tgt_mask=later_TT, src_key_padding_mask=hidden_BS, memory_key_padding_mask=hidden_BS
        )
        expected = hidden_BTE @ model.embedding.weight.T + model.bias
        found = model(ids_BT, source_BS=source_BS, source_mask=padding(lengths_B))
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)

    def named(self, model: Network):
        """Torch's names of our weights."""
        own = model.state_dict()
        for part in ("weight", "bias"):
            for stack, ours in (("encoder", "encoder."), ("decoder", "")):
                yield f"{stack}.norm.{part}", own[f"{ours}norm.{part}"]
                for layer in range(3 if ours else 2):
                    there, here = f"{stack}.layers.{layer}", f"{ours}blocks.{layer}"
                    norms = ["attention_norm", "cross_norm", "feed_forward_norm"]
                    if ours:
                        del norms[1]
                    for number, name in enumerate(norms, start=1):
                        yield f"{there}.norm{number}.{part}", own[f"{here}.{name}.{part}"]
                    yield f"{there}.self_attn.in_proj_{part}", own[f"{here}.attention.qkv.{part}"]
                    yield f"{there}.self_attn.out_proj.{part}", own[f"{here}.attention.out.{part}"]
                    yield f"{there}.linear1.{part}", own[f"{here}.feed_forward.up.{part}"]
                    yield f"{there}.linear2.{part}", own[f"{here}.feed_forward.down.{part}"]
                    if not ours:
                        both = [own[f"{here}.cross.{name}.{part}"] for name in ("query", "kv")]
                        yield f"{there}.multihead_attn.in_proj_{part}", torch.cat(both)
                        yield f"{there}.multihead_attn.out_proj.{part}", own[f"{here}.cross.out.{part}"]


def test_both_stacks_start_as_wide_as_their_depth_asks() -> None:
    """Projections into the stream start narrower the more layers add to it, each stack by its own number."""
    config = replace(TRANSLATOR, width=100, layers=2, encoder_layers=8, arrangement="pre")
    model = build(replace(config, attention=replace(config.attention, head_width=25)), seed=0)
    encoder, decoder = (float(each.blocks[0].attention.out.weight.detach().std()) for each in (model.encoder, model))
    assert encoder / decoder == pytest.approx(0.5, rel=0.1)


class TestRefused:
    def test_no_source(self) -> None:
        model = lively(TRANSLATOR)
        for state in (None, model.state(1, 5)):
            with pytest.raises(RequestError, match=r"^model: this one reads a source, and none was given; pass source"):
                model(target(1, 1), state=state)

    def test_two_sources(self) -> None:
        model = lively(TRANSLATOR)
        with pytest.raises(RequestError, match=r"^model: source_BS was given beside a state whose source was read; gi"):
            model(target(1, 1), state=model.translating([[1, 2]], 5), source_BS=target(1))

    def test_a_source_that_is_too_long_or_has_unknown_ids(self) -> None:
        model = lively(replace(TRANSLATOR, source_vocabulary=37))
        for ids in ([1] * 24, [37]):
            with pytest.raises(RequestError):
                model(target(1), source_BS=torch.tensor([ids]))
        model(target(1), source_BS=torch.tensor([[36]]))

    def test_a_decoder_does_not_translate(self) -> None:
        with pytest.raises(OptionError, match=r"^translating needs a model that "):
            lively(QWEN3).translating([[1]], 5)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"arrangement": "sandwich"}, "arrangement 'sandwich'; an encoder-decoder's is pre or post"),
            ({"arrangement": "parallel"}, "arrangement 'parallel'; an encoder-decoder's is pre or post"),
            ({"encoder_heads": 3}, "encoder_heads is 3; it must divide 4 heads x 5"),
            ({"encoder_heads": 0}, "encoder_heads is 0; it must be at least 1"),
            ({"encoder_layers": 0}, "encoder_layers is 0; it must be at least 1"),
            ({"encoder_inner": 0}, "encoder_inner is 0; it must be at least 1"),
            ({"source_vocabulary": 0}, "source_vocabulary is 0; it must be at least 1"),
            ({"attention": replace(TRANSLATOR.attention, sinks=True)}, "has neither sinks nor experts"),
        ],
    )
    def test_parts_that_do_not_fit(self, change: dict, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            replace(TRANSLATOR, **change)

    def test_other_heads_for_the_encoder_of_grouped_ones(self) -> None:
        with pytest.raises(ConfigError, match=r"there must be as many kv_heads \(2\) as heads"):
            replace(MODERN, encoder_heads=2)
