"""An encoder: every token sees the whole text. Predicts masked tokens, or gives hidden states."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from clearhead.attend import FULL, Mask, band
from clearhead.errors import RequestError
from clearhead.model.config import EncoderConfig
from clearhead.model.parts.cross_entropy import linear_cross_entropy
from clearhead.model.parts.heads import Pooler, PredictionHead
from clearhead.model.parts.linear import Embedding
from clearhead.model.parts.norms import norm
from clearhead.model.parts.stream import Maps, Step
from clearhead.model.parts.uncompiled import uncompiled
from clearhead.model.registry import register
from clearhead.model.transformer import Transformer


class Encoder(Transformer):
    """Bidirectional attention, token types and a norm on the embedding (Devlin et al. 2019, 3 and A.1)."""

    stack: ClassVar[str] = "encoder"
    ahead: ClassVar[bool] = True
    config: EncoderConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        E = config.width
        self.types = config.token_types
        self.token_types = Embedding(config.token_types, E) if config.token_types else None
        self.embedding_norm = norm(config.norm, E)
        head = config.prediction
        self.prediction = None if head is None else PredictionHead(head, config.vocabulary, E, config.norm)
        self.pooler = Pooler(E).requires_grad_(False) if config.pooler else None  # no loss here reaches it
        if config.arrangement == "pre":
            self.blocks[0].attention_norm = nn.Identity()  # replaced by the embedding's norm

    def own_mask(self, size: int | None) -> Mask:
        """The window, to both sides; all keys if there is none."""
        return FULL if size is None else band(size)

    def embed(self, ids_BT: Tensor, places_BT: Tensor | int, types_BT: Tensor | None) -> Tensor:
        """norm(x + token type embeddings). Types are 0 unless given.

        Raises RequestError if the types have the wrong shape or are out of range.
        """
        if self.token_types is None:
            return self.embedding_norm(super().embed(ids_BT, places_BT, types_BT))
        x_BTE = super().embed(ids_BT, places_BT, None)
        if types_BT is None:
            return self.embedding_norm(x_BTE + self.token_types.matrix[0])
        if types_BT.shape != ids_BT.shape:
            raise RequestError(
                f"model: token types of shape {tuple(types_BT.shape)} for ids of shape {tuple(ids_BT.shape)}; "
                "every id needs one"
            )
        try:
            return self.embedding_norm(x_BTE + self.token_types(types_BT))
        except RequestError:
            raise RequestError(
                f"model: token types from {int(types_BT.min())} to {int(types_BT.max())}; the model has "
                f"{self.config.token_types}, counted from 0"
            ) from None

    def stream(self) -> list[Step]:
        """What happens to the residual stream, in order, the prediction head's steps last."""
        head = self.prediction
        return super().stream() + ([] if head is None else [Maps(each) for each in head.steps()])

    @property
    def output_bias(self) -> Tensor | None:
        """bias_V of the prediction head."""
        return None if self.prediction is None else self.prediction.bias

    def unembed(self, x_BTE: Tensor) -> Tensor:
        """logits_BTV. Raises RequestError if the model has no prediction head."""
        head = self._prediction()
        x_BTE, bias = head(x_BTE), head.bias
        if self.head is None:
            return self.embedding.logits(x_BTE, bias)
        return self.head(x_BTE) if bias is None else self.head(x_BTE) + bias

    def loss(self, x_BTE: Tensor, targets_BT: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy summed over the targets that are not negative (the masked tokens), in nats."""
        head, weight_VE = self._prediction(), self.output.matrix
        return _masked_loss(head, weight_VE, x_BTE, targets_BT, smoothing)

    def _prediction(self) -> PredictionHead:
        if self.prediction is None:
            raise RequestError(
                "model: these weights have no head that predicts masked tokens; take `hidden`, or sentence vectors"
            )
        return self.prediction

    def pool(self, x_BTE: Tensor) -> Tensor:
        """pooled_BE from the first token. Raises RequestError if the model has no pooler."""
        if self.pooler is None:
            raise RequestError("model: these weights have no pooler; take the mean of `hidden` over the text")
        return self.pooler(x_BTE[:, 0])


@uncompiled  # the number of masked tokens varies, and would be compiled anew
def _masked_loss(
    head: PredictionHead, weight_VE: Tensor, x_BTE: Tensor, targets_BT: Tensor, smoothing: float
) -> Tensor:
    counted_BT = targets_BT >= 0
    x_NE, targets_N = head(x_BTE[counted_BT]), targets_BT[counted_BT]
    return linear_cross_entropy(x_NE, weight_VE, targets_N, bias_V=head.bias, smoothing=smoothing)


register(EncoderConfig, Encoder)
