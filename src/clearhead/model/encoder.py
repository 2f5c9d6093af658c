"""What an encoder has beside its blocks: token types and a norm on the embedding, a prediction head, a pooler."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.errors import OptionError, RequestError
from clearhead.model.config import ModelConfig, PredictionConfig
from clearhead.model.parts.feed_forward import ACTIVATIONS
from clearhead.model.parts.norms import norm


def needs_decoder(config: ModelConfig, what: str) -> None:
    """Raises OptionError when the model is an encoder: ``what`` is for models that write."""
    if config.encoder is not None:
        raise OptionError(
            f"{what} is for models that write on; this is an encoder, which reads a whole text at once: fill its masks "
            "(clearhead fill), look at its heads (clearhead look), or take sentence vectors (clearhead.vectors)"
        )


class Encoder(nn.Module):
    """The parts around the blocks (Devlin et al. 2019, 3 and A.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        parts = config.encoder
        if parts is None:
            raise OptionError("model: this config is no encoder's; give it an `encoder` part")
        self.types = parts.token_types
        weight_XE = torch.empty(parts.token_types, config.width)
        self.token_types = nn.Embedding.from_pretrained(weight_XE, freeze=False) if parts.token_types else None
        self.norm = norm(config.norm, config.width)
        self.prediction = Prediction(config, parts.prediction) if parts.prediction is not None else None
        self.pooler = Pooler(config.width) if parts.pooler else None

    def embed(self, x_BTE: Tensor, types_BT: Tensor | None) -> Tensor:
        """norm(x + the vectors of the token types), which are 0 unless given.

        Raises RequestError for types of another shape, or beyond those the model has.
        """
        if self.token_types is None:
            if types_BT is not None:
                raise RequestError("model: token types were given, and this model has none; leave them out")
            return self.norm(x_BTE)
        if types_BT is None:
            return self.norm(x_BTE + self.token_types.weight[0])
        if types_BT.shape != x_BTE.shape[:2]:
            raise RequestError(
                f"model: token types of shape {tuple(types_BT.shape)} for ids of shape {tuple(x_BTE.shape[:2])}; "
                "every id needs one"
            )
        try:
            return self.norm(x_BTE + self.token_types(types_BT))
        except IndexError:
            raise RequestError(
                f"model: token types from {int(types_BT.min())} to {int(types_BT.max())}; the model has {self.types}, "
                "counted from 0"
            ) from None

    def predict(self, x_BTE: Tensor, output_VE: Tensor) -> Tensor:
        """logits_BTV of every place. Raises RequestError when the weights came without a prediction head."""
        if self.prediction is None:
            raise RequestError(
                "model: these weights have no head that predicts masked tokens; take `hidden`, or sentence vectors"
            )
        return F.linear(self.prediction(x_BTE), output_VE, self.prediction.bias)

    def pool(self, x_BTE: Tensor) -> Tensor:
        """pooled_BE from the first token. Raises RequestError when the weights came without a pooler."""
        if self.pooler is None:
            raise RequestError("model: these weights have no pooler; take the mean of `hidden` over the text")
        return self.pooler(x_BTE[:, 0])


class Prediction(nn.Module):
    """norm(act(dense x)), before the output layer; ``bias`` (V,) is added to the logits."""

    def __init__(self, config: ModelConfig, parts: PredictionConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width, bias=parts.bias)
        self.activation = ACTIVATIONS[parts.activation]
        self.norm = norm(config.norm, config.width)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary)) if parts.output_bias else None

    def forward(self, x_BTE: Tensor) -> Tensor:
        """x_BTE -> x_BTE."""
        return self.norm(self.activation(self.dense(x_BTE)))


class Pooler(nn.Linear):
    """tanh(W x + b) of the first token, trained to tell whether one text follows another."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)

    def forward(self, input: Tensor) -> Tensor:
        """x_BE -> x_BE."""
        return torch.tanh(super().forward(input))
