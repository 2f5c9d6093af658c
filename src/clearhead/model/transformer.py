"""A stack of Transformer blocks, assembled from its config. Shared by decoders and encoders."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from clearhead import tap
from clearhead.attend import FULL, Mask
from clearhead.errors import RequestError
from clearhead.model.cache import Cache
from clearhead.model.config import TransformerConfig
from clearhead.model.parts.block import Block, BlockInputs, block
from clearhead.model.parts.experts import Loads
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.parts.norms import norm
from clearhead.model.parts.places import check_no_types, is_text, reach_of
from clearhead.model.parts.positions import Turn, added, relative, rotary
from clearhead.model.parts.stream import Maps, Step
from clearhead.model.protocol import Network
from clearhead.model.recorded import Recorded, recordable
from clearhead.model.state import State
from clearhead.native import token
from clearhead.tap import Site


class Transformer(Network):
    """ids -> logits through an embedding, blocks and a final norm. Some or all layers may attend within a window.

    embedding: shared with another stack, which owns it; None = its own
    """

    resumes: ClassVar[bool] = True
    stack: ClassVar[str]  # the name in its sites
    ahead: ClassVar[bool]  # whether a place may see later ones
    config: TransformerConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def __init__(self, config: TransformerConfig, embedding: Embedding | None = None) -> None:
        super().__init__(config)
        if embedding is None:
            self.embedding = Embedding(config.vocabulary, config.width)
        else:
            object.__setattr__(self, "embedding", embedding)  # setattr would register it, and save it twice
        self.positions = added(config.width, config.positions, config.context)
        self.relative = relative(config.attention.heads, config.positions, ahead=self.ahead)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(self.block(site) for site in self._places(config))
        self.norm = nn.Identity() if config.arrangement == "post" else norm(config.norm, config.width)
        self.head = None if config.matrices == 1 else Linear(config.width, config.vocabulary)
        # Distinct position rules and windows: each mask and each turn is computed only once.
        kinds = [(kind.positions or config.positions, kind.window) for kind in config.kinds]
        rules, windows = (list(dict.fromkeys(each)) for each in zip(*kinds, strict=True))
        self._rotaries = [rotary(config.attention.head_width, rule, config.context) for rule in rules]
        self._biased = [rule.kind == "relative" for rule in rules]
        self._windows = windows
        self._kinds = [(rules.index(rule), windows.index(size)) for rule, size in kinds]
        self.border = next((each.border for each in self._rotaries if each is not None and each.border), None)

    def block(self, site: Site) -> Block:
        """Makes the layer whose self-attention is at this site."""
        return block(self.config, site)

    @abstractmethod
    def own_mask(self, size: int | None) -> Mask:
        """The model's own mask in layers with a window of this size."""

    def embed(self, ids_BT: Tensor, places_BT: Tensor | int, types_BT: Tensor | None) -> Tensor:
        """The input x_BTE of the first block, before dropout. Raises RequestError if the model has no token types.

        places_BT: a number if it is that of every token, as in ``Rotary.turn``
        """
        check_no_types(types_BT)
        x_BTE, scale = self.embedding(ids_BT), self.config.embedding_scale
        if scale is not None and token.takes(x_BTE, most=token.ROWS):
            x_BTE = token.scale(x_BTE, scale)
        elif scale is not None:
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
        smoothing: float = 0.0,
    ) -> Tensor:
        """As ``Network.forward``. In training, the loss also has the gradient of the experts' balance loss.

        Its value stays the cross-entropy: balance loss times number of targets is added, and subtracted detached.
        """
        experts = self.config.feed_forward.experts
        weighed = targets_BT is not None and self.training and experts is not None and experts.balance > 0
        loads = Loads() if weighed else None
        given = BlockInputs(mask=mask, state=cached(state), loads=loads)
        if targets_BT is None and places_BT is None and types_BT is None and not mask.parts:
            logits_11V = self._recorded(ids_BT, given)
            if logits_11V is not None:
                return logits_11V
        x_BTE = self._through(ids_BT, given, places_BT, types_BT)
        if targets_BT is None:
            return self.unembed(x_BTE[:, -1:] if last else x_BTE)
        nats = self.loss(x_BTE, targets_BT, smoothing)
        if loads is None or experts is None:
            return nats
        extra = experts.balance * (targets_BT >= 0).sum() * loads.imbalance()
        return nats + (extra - extra.detach())

    def _recorded(self, ids_BT: Tensor, given: BlockInputs) -> Tensor | None:
        """The logits of a single new token, from the pass recorded with its cache; None if it runs normally."""
        cache = given.state
        if cache is None or not recordable(self, ids_BT, cache):
            return None
        self.check_ids(ids_BT, cache.length)
        known = cache.recorded
        if known is None or not known.holds(self, cache):
            cache.recorded = Recorded(self, cache, self.stack)
            return None

        def forward(ids_11: Tensor) -> Tensor:
            return self.unembed(self._through(ids_11, given, None, None))

        return known.logits(ids_BT, cache, forward)

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
    ) -> Tensor:
        """x_BTE after the final norm."""
        return self._through(ids_BT, BlockInputs(mask=mask, state=cached(state)), places_BT, types_BT)

    def _through(self, ids_BT: Tensor, given: BlockInputs, places_BT: Tensor | None, types_BT: Tensor | None) -> Tensor:
        """x_BTE after the final norm. ``given``: the caller's mask, without the model's own, and no turn."""
        mask, state, loads = given.mask, given.state, given.loads
        start = 0 if state is None else state.length
        self.check_ids(ids_BT, start)
        B, T = ids_BT.shape
        if loads is not None and mask.parts:
            loads.text_N = is_text(mask, B, T, ids_BT.device).flatten()
        places: Tensor | int
        if places_BT is not None:
            places, reach = places_BT, reach_of(places_BT, ids_BT, self.config.context)
        elif T == 1 and B <= token.ROWS and self.border is None and token.usable(self.embedding.weight):
            places, reach = start, start + 1 if state is None else state.capacity
        else:
            places, reach = torch.arange(start, start + T, device=ids_BT.device).unsqueeze(0), start + T
        if start and self.border is not None and isinstance(places, Tensor):
            self._check_border(places, self.border)
        if tap.watchers():
            tap.begin(T, start, mask.spans(B, start + T), state, self.stack)
        x_BTE = tap.shown(Site(0, "embedding", self.stack), self.dropout(self.embed(ids_BT, places, types_BT)))
        x_BTE = self._blocks(x_BTE, 0, given, places, reach)
        if state is not None:
            state.advance(T)
        return self.finish(x_BTE)

    def _blocks(self, x_BTE: Tensor, first: int, given: BlockInputs, places_BT: Tensor | int, reach: int) -> Tensor:
        """x_BTE through the blocks from ``first`` on."""
        turns = [None if rotary is None else rotary.turn(places_BT, reach) for rotary in self._rotaries]
        bias_HN = None if self.relative is None else self.relative()
        biases = [bias_HN if biased else None for biased in self._biased]
        masks = [self.own_mask(size) & given.mask for size in self._windows]
        rules = [replace(given, turn=turn, bias_HN=bias) for turn, bias in zip(turns, biases, strict=True)]
        passes = [[replace(rule, mask=mask) for mask in masks] for rule in rules]
        for layer, (rule, seen) in list(zip(self.blocks, self._kinds, strict=True))[first:]:
            x_BTE = layer(x_BTE, passes[rule][seen])
        return x_BTE

    def onward(self, x_BTE: Tensor, after: Site) -> Tensor:
        """As ``Network.onward``."""
        B, T, _ = x_BTE.shape
        if tap.watchers():
            tap.begin(T, 0, FULL.spans(B, T), None, self.stack)
        x_BTE = tap.shown(after, x_BTE)
        first = 0 if after.kind == "embedding" else after.layer + 1
        places_BT = torch.arange(T, device=x_BTE.device)[None]
        return self.finish(self._blocks(x_BTE, first, BlockInputs(mask=FULL), places_BT, T))

    def finish(self, x_BTE: Tensor) -> Tensor:
        """The final norm."""
        return self.norm(x_BTE)

    def _check_border(self, places_BT: Tensor, border: int) -> None:
        """Raises RequestError if cached keys would have to be rotated again."""
        crossing_B = (places_BT[:, 0] <= border) & (places_BT[:, -1] >= border)
        if bool(crossing_B.any()):
            raise RequestError(
                f"model: the text reaches place {border}, from which LongRoPE rotates all its places differently; "
                "empty the cache (rewind to 0) and pass the whole text"
            )

    def _places(self, config: TransformerConfig) -> list[Site]:
        return [Site(layer, stack=self.stack) for layer in range(config.layers)]

    def sites(self) -> dict[Site, int]:
        """Every site that a pass shows, with its number of query heads, or 0."""
        sites = {Site(0, "embedding", self.stack): 0}
        for layer in self.blocks:
            sites |= cast(Block, layer).sites()
        return sites

    def stream(self) -> list[Step]:
        """What happens to the residual stream, in order."""
        return [*(step for layer in self.blocks for step in cast(Block, layer).steps()), Maps(self.norm)]

    def turn(self, layer: int, places_BT: Tensor) -> Turn | None:
        """The rotations of queries and keys in a layer, at these places; None if it rotates none."""
        rotary = self._rotaries[self._kinds[layer][0]]
        return None if rotary is None else rotary.turn(places_BT, reach_of(places_BT, places_BT, self.config.context))

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
        """As ``Network.fresh``, but projections into the residual stream have their std scaled by 1/sqrt(2 L).

        (Radford et al. 2019, 2.3.)
        """
        mean, std = super().fresh(name)
        if name.endswith(("out.weight", "down.weight")):
            std /= math.sqrt(2 * self.config.layers)
        return (mean - self.config.norm.offset if mean else mean), std


def cached(state: State | None) -> Cache | None:
    """The state as a KV cache. Raises RequestError if it is of another kind of model."""
    if state is not None and not isinstance(state, Cache):
        raise RequestError(f"model: the state is a {type(state).__name__}; make one with model.state(batch, capacity)")
    return state
