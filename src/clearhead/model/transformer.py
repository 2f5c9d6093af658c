"""The Transformer, decoder or encoder, assembled from the parts its config names."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clearhead.attend import FULL, Mask, band, causal, window
from clearhead.errors import RequestError
from clearhead.model.cache import Cache
from clearhead.model.config import ModelConfig
from clearhead.model.encoder import Encoder, needs_decoder
from clearhead.model.parts.attention import site
from clearhead.model.parts.block import block
from clearhead.model.parts.linear import linear
from clearhead.model.parts.norms import norm
from clearhead.model.parts.positions import Learned, rotary
from clearhead.tap import Site


class Transformer(nn.Module):
    """ids -> logits: of the next token, or in an encoder of the token itself, which is asked for where it is masked.

    A decoder's attention is causal, an encoder's is not; a window narrows it, in all layers or in some.

    Made by ``build`` or ``skeleton``: its own weights mean nothing yet.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        # from_pretrained draws no random weights, which on the meta device imports sympy: 0.9 s and 77 MB.
        self.embedding = nn.Embedding.from_pretrained(torch.empty(config.vocabulary, config.width), freeze=False)
        learned = config.positions.kind == "learned"
        self.positions = Learned(config.context, config.width, config.positions.first) if learned else None
        self.encoder = None if config.encoder is None else Encoder(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(block(config, layer) for layer in range(config.layers))
        self.norm = nn.Identity() if config.arrangement == "post" else norm(config.norm, config.width)
        self.head = None if config.matrices == 1 else nn.Linear(config.width, config.vocabulary, bias=False)
        # What sets layers apart, each once: masks and turns are made once for each.
        kinds = [(kind.positions or config.positions, kind.window) for kind in config.kinds]
        rules, windows = (list(dict.fromkeys(each)) for each in zip(*kinds, strict=True))
        self._rotaries, self._windows = [rotary(config, rule) for rule in rules], windows
        self._kinds = [(rules.index(rule), windows.index(size)) for rule, size in kinds]
        # The first place that changes the angles of all places of its text; a cache cannot be filled across it.
        self.border = next((each.border for each in self._rotaries if each is not None and each.border), None)

    def forward(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        cache: Cache | None = None,
        last: bool = False,
    ) -> Tensor:
        """logits_BTV in the weights' dtype (logits_B1V of the last place when ``last``).

        ``mask`` is joined with the model's own. With a cache, ``ids_BT`` are the newest places only, and the mask
        speaks of all. ``places_BT`` says where the tokens stand when that is not 0, 1, 2, ... (padding on the left),
        ``types_BT`` which text of a pair they are of, where an encoder has token types.
        Raises RequestError when the text is longer than the context, or ids or places are outside their range.
        (On CUDA an id outside the vocabulary is found by the kernel: looking would cost a wait for the device.)
        """
        x_BTE = self.hidden(ids_BT, mask=mask, places_BT=places_BT, types_BT=types_BT, cache=cache)
        return self.unembed(x_BTE[:, -1:] if last else x_BTE)

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """x_BTE after the last norm, from which the logits are read."""
        start = 0 if cache is None else cache.length
        self._check(ids_BT, start)
        T = ids_BT.shape[1]
        if places_BT is None:
            places_BT, reach = torch.arange(start, start + T, device=ids_BT.device).unsqueeze(0), start + T
        else:
            reach = self._reach(ids_BT, places_BT)
        if start and self.border is not None:
            self._check_border(places_BT, self.border)
        x_BTE = self._embed(ids_BT)
        if self.positions is not None:
            x_BTE = self.positions(x_BTE, places_BT)
        if self.encoder is not None:
            x_BTE = self.encoder.embed(x_BTE, types_BT)
        elif types_BT is not None:
            raise RequestError("model: token types were given; a decoder has none, leave them out")
        x_BTE = self.dropout(x_BTE)
        turns = [None if rotary is None else rotary.turn(places_BT, reach) for rotary in self._rotaries]
        masks = [self.own_mask(size) & mask for size in self._windows]
        for layer, (turn, seen) in zip(self.blocks, self._kinds, strict=True):
            x_BTE = layer(x_BTE, turn=turns[turn], mask=masks[seen], cache=cache)
        if cache is not None:
            cache.advance(T)
        return self.norm(x_BTE)

    def _check(self, ids_BT: Tensor, start: int) -> None:
        """Raises RequestError for what can be told without reading the ids."""
        if ids_BT.dim() != 2 or 0 in ids_BT.shape or ids_BT.dtype not in (torch.int64, torch.int32):
            raise RequestError(
                f"model: ids of shape {tuple(ids_BT.shape)} and {ids_BT.dtype}; they must be int64 or int32 of shape "
                "(B, T), one row per text, none empty"
            )
        if start + ids_BT.shape[1] > self.config.context:
            raise RequestError(
                f"model: the text has {start + ids_BT.shape[1]} tokens; the context is {self.config.context}; "
                "shorten the text"
            )

    def _check_border(self, places_BT: Tensor, border: int) -> None:
        """Raises RequestError when keys in the cache would have to be turned anew."""
        crossing_B = (places_BT[:, 0] <= border) & (places_BT[:, -1] >= border)
        if bool(crossing_B.any()):
            raise RequestError(
                f"model: the text comes to place {border}, from where LongRoPE turns all its places otherwise; "
                "empty the cache (rewind to 0) and pass the whole text"
            )

    def _embed(self, ids_BT: Tensor) -> Tensor:
        try:
            x_BTE = self.embedding(ids_BT)
        except IndexError:
            raise RequestError(
                f"model: ids from {int(ids_BT.min())} to {int(ids_BT.max())}; they must be at least 0 and below the "
                f"vocabulary, {self.config.vocabulary}"
            ) from None
        scale = self.config.embedding_scale
        return x_BTE if scale is None else x_BTE * torch.tensor(scale, dtype=x_BTE.dtype, device=x_BTE.device)

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
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.embedding.weight.dtype

    @property
    def output_weight(self) -> Tensor:
        """weight_VE of the output layer: the embedding matrix when tied (Press and Wolf 2017)."""
        return self.embedding.weight if self.head is None else self.head.weight

    def unembed(self, x_BTE: Tensor) -> Tensor:
        """logits_BTV: each place's product with the output layer, capped where the config says so."""
        if self.encoder is not None:
            return self.encoder.predict(x_BTE, self.output_weight)
        logits_BTV = linear(x_BTE, self.output_weight)
        cap = self.config.logit_softcap
        return logits_BTV if cap is None else cap * torch.tanh(logits_BTV / cap)

    def own_mask(self, size: int | None) -> Mask:
        """Causal, and the window if there is one; of an encoder the window alone, on both sides."""
        if self.config.encoder is not None:
            return FULL if size is None else band(size)
        return causal() if size is None else causal() & window(size)

    def sites(self) -> dict[Site, int]:
        """Every attention site with its number of query heads."""
        return {site(self.config, layer): self.config.attention.heads for layer in range(self.config.layers)}

    def cache(self, batch: int, capacity: int) -> Cache:
        """An empty key-value cache in the weights' dtype, on their device. Raises OptionError for an encoder."""
        needs_decoder(self.config, "a key-value cache")
        weight = self.embedding.weight
        return Cache(self.config, batch=batch, capacity=capacity, dtype=weight.dtype, device=weight.device)


def skeleton(config: ModelConfig) -> Transformer:
    """A model without memory for its weights (on the meta device), to be filled from a file."""
    with torch.device("meta"):
        return Transformer(config)


def build(config: ModelConfig, *, seed: int) -> Transformer:
    """A model with fresh weights: normal, 0.02 wide, the parts that write to the residual stream 1/sqrt(2 L) of it.

    (Radford et al. 2019, 2.3.) Norm weights start at 1, biases at 0. The global random state is left as it was.
    """
    model = skeleton(config).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "norm" in name and not name.endswith("bias"):
            nn.init.constant_(parameter, 1 - config.norm.offset)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            writes = name.endswith(("out.weight", "down.weight"))
            std = 0.02 / math.sqrt(2 * config.layers) if writes else 0.02
            nn.init.normal_(parameter, std=std, generator=generator)
    return model
