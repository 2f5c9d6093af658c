"""A stack of Transformer blocks assembled from the parts its config names: what decoders and encoders share."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from clearhead import tap
from clearhead.attend import FULL, Mask
from clearhead.errors import RequestError
from clearhead.model.cache import Cache
from clearhead.model.config import TransformerConfig
from clearhead.model.parts.block import Block, Pass, block
from clearhead.model.parts.experts import Loads
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.parts.norms import norm
from clearhead.model.parts.places import is_text
from clearhead.model.parts.positions import Learned, rotary
from clearhead.model.protocol import Network
from clearhead.model.state import State
from clearhead.tap import Site


class Transformer(Network):
    """ids -> logits through an embedding, blocks and a last norm. A window narrows attention, in all layers or some."""

    stack: ClassVar[str]  # the name that its sites bear
    config: TransformerConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embedding = Embedding(config.vocabulary, config.width)
        learned = config.positions.kind == "learned"
        self.positions = Learned(config.context, config.width, config.positions.first) if learned else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(block(config, site) for site in self._places(config))
        self.norm = nn.Identity() if config.arrangement == "post" else norm(config.norm, config.width)
        self.head = None if config.matrices == 1 else Linear(config.width, config.vocabulary)
        # What sets layers apart, each once: masks and turns are made once for each.
        kinds = [(kind.positions or config.positions, kind.window) for kind in config.kinds]
        rules, windows = (list(dict.fromkeys(each)) for each in zip(*kinds, strict=True))
        self._rotaries = [rotary(config.attention.head_width, rule, config.context) for rule in rules]
        self._windows = windows
        self._kinds = [(rules.index(rule), windows.index(size)) for rule, size in kinds]
        self.border = next((each.border for each in self._rotaries if each is not None and each.border), None)

    @abstractmethod
    def own_mask(self, size: int | None) -> Mask:
        """What the model itself lets a token see, in layers with a window of this size."""

    def embed(self, ids_BT: Tensor, places_BT: Tensor, types_BT: Tensor | None) -> Tensor:
        """x_BTE that goes into the first block, before dropout. Raises RequestError for token types there are not."""
        if types_BT is not None:
            raise RequestError("model: token types were given, and this model has none; leave them out")
        x_BTE, scale = self.embedding(ids_BT), self.config.embedding_scale
        if scale is not None:
            x_BTE = x_BTE * torch.tensor(scale, dtype=x_BTE.dtype, device=x_BTE.device)
        return x_BTE if self.positions is None else self.positions(x_BTE, places_BT)

    def forward(
        self,
        ids_BT: Tensor,
        *,
        targets_BT: Tensor | None = None,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
        last: bool = False,
    ) -> Tensor:
        """As ``Network.forward``. While training, the loss has the gradient of the experts' balance as well.

        Its value stays nats: the balance, times the counted targets, is added and taken off again.
        """
        experts = self.config.feed_forward.experts
        weighed = targets_BT is not None and self.training and experts is not None and experts.balance > 0
        loads = Loads() if weighed else None
        x_BTE = self._through(ids_BT, mask, places_BT, types_BT, state, loads)
        if targets_BT is None:
            return self.unembed(x_BTE[:, -1:] if last else x_BTE)
        nats = self.loss(x_BTE, targets_BT)
        if loads is None or experts is None:
            return nats
        extra = experts.balance * (targets_BT >= 0).sum() * loads.imbalance()
        return nats + (extra - extra.detach())

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
    ) -> Tensor:
        """x_BTE after the last norm."""
        return self._through(ids_BT, mask, places_BT, types_BT, state, None)

    def _through(
        self,
        ids_BT: Tensor,
        mask: Mask,
        places_BT: Tensor | None,
        types_BT: Tensor | None,
        state: State | None,
        loads: Loads | None,
    ) -> Tensor:
        if state is not None and not isinstance(state, Cache):
            raise RequestError(f"model: a {type(state).__name__} was given as its state; make one with `state`")
        start = 0 if state is None else state.length
        self.check_ids(ids_BT, start)
        B, T = ids_BT.shape
        if loads is not None and mask.parts:
            loads.text_N = is_text(mask, B, T, ids_BT.device).flatten()
        if places_BT is None:
            places_BT, reach = torch.arange(start, start + T, device=ids_BT.device).unsqueeze(0), start + T
        else:
            reach = self._reach(ids_BT, places_BT)
        if start and self.border is not None:
            self._check_border(places_BT, self.border)
        if tap.watchers():
            tap.begin(T, start, mask.spans(B, start + T), state)
        x_BTE = tap.shown(Site(0, "embedding", self.stack), self.dropout(self.embed(ids_BT, places_BT, types_BT)))
        turns = [None if rotary is None else rotary.turn(places_BT, reach) for rotary in self._rotaries]
        masks = [self.own_mask(size) & mask for size in self._windows]
        passes = [[Pass(mask=m, turn=turn, state=state, loads=loads) for m in masks] for turn in turns]
        for layer, (turn, seen) in zip(self.blocks, self._kinds, strict=True):
            x_BTE = layer(x_BTE, passes[turn][seen])
        if state is not None:
            state.advance(T)
        return self.norm(x_BTE)

    def _check_border(self, places_BT: Tensor, border: int) -> None:
        """Raises RequestError when keys in the cache would have to be turned anew."""
        crossing_B = (places_BT[:, 0] <= border) & (places_BT[:, -1] >= border)
        if bool(crossing_B.any()):
            raise RequestError(
                f"model: the text comes to place {border}, from where LongRoPE turns all its places otherwise; "
                "empty the cache (rewind to 0) and pass the whole text"
            )

    def _reach(self, ids_BT: Tensor, places_BT: Tensor) -> int:
        """A bound above the given places. Raises RequestError when they do not fit the ids or the context."""
        if places_BT.dim() != 2 or places_BT.shape[1] != ids_BT.shape[1] or places_BT.shape[0] not in (1, len(ids_BT)):
            raise RequestError(
                f"model: places of shape {tuple(places_BT.shape)} for ids of shape {tuple(ids_BT.shape)}; "
                "every id needs one, or all texts the same"
            )
        if torch.compiler.is_compiling():
            return self.config.context
        first, last = (int(place) for place in places_BT.aminmax())
        if first < 0 or last >= self.config.context:
            raise RequestError(
                f"model: places from {first} to {last}; they must be at least 0 and below the context, "
                f"{self.config.context}"
            )
        return last + 1

    @property
    def output(self) -> Embedding | Linear:
        """The output layer: the embedding where it is tied (Press and Wolf 2017)."""
        return self.embedding if self.head is None else self.head

    def unembed(self, x_BTE: Tensor) -> Tensor:
        """logits_BTV: each place's product with the output layer."""
        return self.embedding.logits(x_BTE) if self.head is None else self.head(x_BTE)

    def _places(self, config: TransformerConfig) -> list[Site]:
        return [Site(layer, stack=self.stack) for layer in range(config.layers)]

    def sites(self) -> dict[Site, int]:
        """What a pass shows, each with its number of query heads; 0 where it has none."""
        sites = {Site(0, "embedding", self.stack): 0}
        for layer in self.blocks:
            sites |= cast(Block, layer).sites()
        return sites

    def empty_state(self, batch: int, capacity: int) -> Cache:
        """A key-value cache."""
        a = self.config.attention
        return Cache(
            layers=self.config.layers,
            kv_heads=a.kv_heads,
            head_width=a.head_width,
            batch=batch,
            capacity=capacity,
            dtype=self.dtype,
            device=self.device,
        )

    def fresh(self, name: str) -> tuple[float, float]:
        """As ``Network.fresh``; the parts that write to the residual stream are 1/sqrt(2 L) of the others' width.

        (Radford et al. 2019, 2.3.)
        """
        mean, std = super().fresh(name)
        if name.endswith(("out.weight", "down.weight")):
            std /= math.sqrt(2 * self.config.layers)
        return (mean - self.config.norm.offset if mean else mean), std
