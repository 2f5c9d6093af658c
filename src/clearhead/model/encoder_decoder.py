"""An encoder-decoder: reads one text and predicts another, token by token (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from clearhead.attend import FULL, Mask, band
from clearhead.errors import ConfigError
from clearhead.model.config import DecoderConfig, TransformerConfig, check_positive
from clearhead.model.decoder import Decoder
from clearhead.model.parts.block import BlockInputs
from clearhead.model.parts.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, check_sizes
from clearhead.model.parts.cross_block import CROSS_BLOCKS, CrossBlock
from clearhead.model.parts.linear import Embedding
from clearhead.model.parts.norms import norm
from clearhead.model.parts.source import Source
from clearhead.model.parts.stream import Maps, Step
from clearhead.model.registry import register
from clearhead.model.sizing import nearest_heads, nearest_in_size
from clearhead.model.state import State
from clearhead.model.transformer import Transformer, cached
from clearhead.model.translator import Translator
from clearhead.tap import Site


@dataclass(frozen=True, kw_only=True)
class SourceConfig(TransformerConfig):
    """The encoder's part of an ``EncoderDecoderConfig``; not a kind of its own."""

    kind: ClassVar[str] = "source"

    embedding_norm: bool = False

    def parameters(self) -> int:
        """Number of trained parameters."""
        return super().parameters() + (self.norm.parameters(self.width) if self.embedding_norm else 0)

    @property
    def abilities(self) -> frozenset[str]:
        """Empty: it only reads."""
        return frozenset()

    def state_numbers(self, places: int) -> int:
        """0: it does not generate."""
        return 0


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig(DecoderConfig):
    """A decoder that also attends to what an encoder has read. Entries without ``encoder`` are the decoder's.

    context: the longest text on either side, in tokens
    """

    kind: ClassVar[str] = "encoder-decoder"
    learns: ClassVar[str] = "text to text"

    encoder_layers: int  # number of the encoder's layers
    encoder_heads: int | None = None  # heads of an encoder that splits the same width into others; None = the decoder's
    encoder_inner: int | None = None  # inner width of the encoder's feed-forwards; None = the decoder's
    source_vocabulary: int | None = None  # token ids of an encoder with an embedding of its own; None = shared
    embedding_norm: bool = False  # a norm on the embedding of each stack (mBART)
    output_bias: bool = False  # a trained number per token id, added to its logit
    output_scale: float | None = None  # factor on what the output layer reads (T5: width ** -0.5); None = none

    def check(self) -> None:
        """Raises ConfigError for parts that do not fit one another."""
        super().check()
        if self.arrangement not in CROSS_BLOCKS:
            raise ConfigError(
                f"model: arrangement {self.arrangement!r}; an encoder-decoder's is {' or '.join(CROSS_BLOCKS)}"
            )
        if self.attention.sinks or self.feed_forward.experts:
            raise ConfigError("model: an encoder-decoder has neither sinks nor experts; leave them out")
        check_positive(self, "output_scale")
        given = ("encoder_heads", "encoder_inner", "source_vocabulary")
        check_sizes("model", self, "encoder_layers", *(name for name in given if getattr(self, name) is not None))
        a = self.attention
        if self.encoder_heads is not None and (a.kv_heads != a.heads or a.heads * a.head_width % self.encoder_heads):
            raise ConfigError(
                f"model: encoder_heads is {self.encoder_heads}; it must divide {a.heads} heads x {a.head_width}, and "
                f"there must be as many kv_heads ({a.kv_heads}) as heads"
            )

    @classmethod
    def equal(cls, decoder: DecoderConfig) -> EncoderDecoderConfig:
        """Marian's shape, half of the layers in each stack.

        (Junczys-Dowmunt et al. 2018: the Transformer of Vaswani et al. 2017 with swish.)
        """
        width = decoder.width
        heads = nearest_heads(width, decoder.attention.head_width)

        def made(inner: int) -> EncoderDecoderConfig:
            return cls(
                vocabulary=decoder.vocabulary,
                context=decoder.context,
                layers=max(1, decoder.layers // 2),
                encoder_layers=-(-decoder.layers // 2),
                width=width,
                attention=AttentionConfig(
                    heads=heads, kv_heads=heads, head_width=width // heads, bias=True, out_bias=True, head_norm="none"
                ),
                feed_forward=FeedForwardConfig(kind="silu", width=inner, bias=True),
                norm=NormConfig(kind="layer", eps=1e-5),
                positions=PositionConfig(kind="sinusoidal"),
                arrangement="post",
                embedding_scale=math.sqrt(width),
                output_bias=True,
                tied=decoder.tied,
                dropout=decoder.dropout,
            )

        return nearest_in_size(made, decoder.parameters())

    @property
    def source_ids(self) -> int:
        """Number of token ids that a text to translate may have."""
        return self.source_vocabulary or self.vocabulary

    @property
    def encoder(self) -> SourceConfig:
        """The encoder's config."""
        shared: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(TransformerConfig)}
        a, n = self.attention, self.encoder_heads or self.attention.heads
        heads = {} if n == a.heads else {"heads": n, "kv_heads": n, "head_width": a.heads * a.head_width // n}
        own: dict[str, Any] = {
            "layers": self.encoder_layers,
            "attention": replace(a, **heads),
            "feed_forward": replace(self.feed_forward, width=self.encoder_inner or self.feed_forward.width),
            "vocabulary": self.source_ids,
            "embedding_norm": self.embedding_norm,
            "tied": True,
        }
        return SourceConfig(**{**shared, **own})

    @property
    def abilities(self) -> frozenset[str]:
        """It translates."""
        return frozenset({"text to text"})

    def parameters(self) -> int:
        """Number of trained parameters, shared embeddings counted once."""
        encoder = self.encoder
        count = super().parameters() + encoder.parameters()
        if self.source_vocabulary is None:
            count -= self.vocabulary * self.width
        norm = self.norm.parameters(self.width)
        crossing = self.attention.parameters(self.width) + norm
        count += norm if self.embedding_norm else 0
        return count + self.layers * crossing + (self.vocabulary if self.output_bias else 0)

    def inner_parameters(self) -> int:
        """Number of weights without token embeddings and the output layer."""
        source = 0 if self.source_vocabulary is None else self.source_vocabulary * self.width
        return super().inner_parameters() - source

    def state_numbers(self, places: int) -> int:
        """The keys and values of every layer, for the text written and for a source that fills the context."""
        return super().state_numbers(places) + super().state_numbers(self.context)

    def pass_numbers(self) -> int:
        """Those of the larger stack."""
        return max(super().pass_numbers(), self.encoder.pass_numbers())

    def training_numbers(self) -> int:
        """Those of both stacks, and of cross-attention."""
        crossing = self.layers * (3 * self.width + 3 * sum(self.attention.projections))
        return super().training_numbers() + self.encoder.training_numbers() + crossing

    @property
    def depth(self) -> str:
        """How many layers there are in both stacks, in words."""
        return f"{self.encoder_layers} + {self.layers} layers"

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        whole, encoder = super().described(), self.encoder
        whole["layers"] = f"{encoder.layers} in the encoder, {self.layers} in the decoder, of width {self.width}"
        for part in ("attention", "feed-forward"):
            if encoder.described()[part] != whole[part]:
                whole[part] = f"{encoder.described()[part]} in the encoder, {whole[part]} in the decoder"
        if self.source_vocabulary is not None:
            whole["embeddings"] = "one for the source, one for the target"
        return whole


class Reader(Transformer):
    """The encoder: every token of the source sees all of it."""

    stack: ClassVar[str] = "encoder"
    ahead: ClassVar[bool] = True
    config: SourceConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def __init__(self, config: SourceConfig, embedding: Embedding | None = None) -> None:
        super().__init__(config, embedding)
        self.embedding_norm = norm(config.norm, config.width) if config.embedding_norm else nn.Identity()

    def embed(self, ids_BT: Tensor, places_BT: Tensor | int, types_BT: Tensor | None) -> Tensor:
        """As ``Transformer.embed``, with the config's norm."""
        return self.embedding_norm(super().embed(ids_BT, places_BT, types_BT))

    def own_mask(self, size: int | None) -> Mask:
        """The window, to both sides; all keys if there is none."""
        return FULL if size is None else band(size)


class EncoderDecoder(Translator, Decoder):
    """Two stacks of Transformer blocks, which share an embedding unless the config says otherwise."""

    config: EncoderDecoderConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__(config)
        self.encoder = Reader(config.encoder, self.embedding if config.source_vocabulary is None else None)
        self.embedding_norm = norm(config.norm, config.width) if config.embedding_norm else nn.Identity()
        self.bias = nn.Parameter(torch.zeros(config.vocabulary)) if config.output_bias else None

    def block(self, site: Site) -> CrossBlock:
        """Makes the layer whose self-attention is at this site."""
        return CROSS_BLOCKS[self.config.arrangement](self.config, site)

    def embed(self, ids_BT: Tensor, places_BT: Tensor | int, types_BT: Tensor | None) -> Tensor:
        """As ``Transformer.embed``, with the config's norm."""
        return self.embedding_norm(super().embed(ids_BT, places_BT, types_BT))

    def read(self, source_BS: Tensor, mask: Mask = FULL, *, keep: bool = False) -> Source:
        """As ``Translator.read``."""
        x_BSE = self.encoder.hidden(source_BS, mask=mask)
        return Source(x_BSE=x_BSE, mask=mask, kept={} if keep else None)

    def project(self, source: Source) -> None:
        """As ``Translator.project``."""
        for layer in self.blocks:
            cross = cast(CrossBlock, layer).cross
            source.projected(cross.site.layer, cross.project)

    def replayed(self, ids_BT: Tensor, state: State) -> Tensor | None:
        """As ``Translator.replayed``: the pass that was recorded with the state."""
        cache = cached(state)
        given = BlockInputs(mask=FULL, state=cache, source=None if cache is None else cache.source)
        return self._recorded(ids_BT, given)

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
        source_BS: Tensor | None = None,
        source_mask: Mask = FULL,
    ) -> Tensor:
        """x_BTE of the target, as the output layer reads it; arguments as those of ``forward``."""
        source = self.source(state, source_BS, source_mask)
        given = BlockInputs(mask=mask, state=cached(state), source=source)
        return self._through(ids_BT, given, places_BT, types_BT)

    def sites(self) -> dict[Site, int]:
        """Every site that a pass shows, with its number of query heads, or 0, the encoder's first."""
        return self.encoder.sites() | super().sites()

    def projections(self) -> dict[Site, Tensor]:
        """weight_EF of each attention's output projection, W_O, the encoder's first."""
        return self.encoder.projections() | super().projections()

    def stream(self) -> list[Step]:
        """What happens to the decoder's residual stream, in order."""
        return super().stream() + ([] if self.config.output_scale is None else [Maps(self._scaled)])

    def finish(self, x_BTE: Tensor) -> Tensor:
        """The final norm, and the config's scale."""
        return self._scaled(super().finish(x_BTE))

    def _scaled(self, x_BTE: Tensor) -> Tensor:
        scale = self.config.output_scale
        return x_BTE if scale is None else x_BTE * scale

    @property
    def source_embedding(self) -> Embedding:
        """The encoder's embedding."""
        return self.encoder.embedding

    @property
    def output_bias(self) -> Tensor | None:
        """bias_V, if the config has one."""
        return self.bias

    def fresh(self, name: str) -> tuple[float, float]:
        """As ``Transformer.fresh``; the depth that scales an initial std is the stack's own."""
        mean, std = super().fresh(name.removeprefix("encoder."))
        if name.startswith("encoder.") and name.endswith(("out.weight", "down.weight")):
            std *= math.sqrt(self.config.layers / self.config.encoder_layers)
        return mean, std


register(EncoderDecoderConfig, EncoderDecoder)
