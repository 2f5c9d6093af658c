"""The log-probability of a token as a function of the embeddings of what was read, and its gradient."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from clearhead.analysis.given import Read
from clearhead.attend import wide
from clearhead.language_model import LanguageModel
from clearhead.model import evaluating, log_probabilities


class Prediction:
    """The prediction at one place of a text, given embeddings x_PE in place of those of its ids.

    P: the text's T places; of a translator, the S places of its source, then the T of the translation
    """

    def __init__(self, model: LanguageModel, read: Read, place: int) -> None:
        self.network, self.place = model.network, place
        with torch.inference_mode(mode=False):
            self._inputs = read.inputs(model)
        self._texts = [(self.network.embedding, self._inputs["ids_BT"])]
        if read.source is not None:  # an encoder-decoder embeds its source first
            self._texts.insert(0, (self.network.source_embedding, self._inputs["source_BS"]))

    def embeddings(self) -> Tensor:
        """x_PE of the ids that were read, in float32 or wider."""
        with torch.inference_mode(mode=False), torch.no_grad():
            x_PE = torch.cat([embedding(ids_1T)[0] for embedding, ids_1T in self._texts])
        return x_PE.to(wide(x_PE.dtype))

    def logits(self) -> Tensor:
        """logits_V of the text itself."""
        with torch.inference_mode(mode=False), torch.no_grad(), evaluating(self.network):
            return self._logits(1)[0]

    def slopes(self, x_NPE: Tensor, target: int) -> tuple[Tensor, Tensor]:
        """log p(target)_N for N texts' embeddings, and the gradient of each with respect to its own, g_NPE."""
        with torch.inference_mode(mode=False), torch.enable_grad(), evaluating(self.network):
            leaf_NPE = x_NPE.to(self.network.dtype).clone().requires_grad_()
            with self._replaced(leaf_NPE):
                logprobs_N = self._logprobs(len(x_NPE), target)
            (g_NPE,) = torch.autograd.grad(logprobs_N.sum(), leaf_NPE)
        return logprobs_N.detach(), g_NPE.to(x_NPE.dtype)

    def logprobs(self, x_NPE: Tensor, target: int) -> Tensor:
        """log p(target)_N for N texts' embeddings."""
        replaced = self._replaced(x_NPE.to(self.network.dtype))
        with torch.inference_mode(mode=False), torch.no_grad(), evaluating(self.network), replaced:
            return self._logprobs(len(x_NPE), target)

    def _logprobs(self, texts: int, target: int) -> Tensor:
        return log_probabilities(self._logits(texts))[:, target]

    def _logits(self, texts: int) -> Tensor:
        x_NTE = self.network.hidden(**{name: ids_1T.expand(texts, -1) for name, ids_1T in self._inputs.items()})
        return self.network.unembed(x_NTE[:, self.place : self.place + 1])[:, 0]

    @contextmanager
    def _replaced(self, x_NPE: Tensor) -> Generator[None]:
        """Replaces each embedding's output by its text's part of x_NPE, in the order in which a pass embeds them."""
        parts = iter(x_NPE.split([ids_1T.shape[1] for _, ids_1T in self._texts], dim=1))

        def instead(module: nn.Module, given: object, made: Tensor) -> Tensor:
            return next(parts)

        hooks = [each.register_forward_hook(instead) for each in {embedding for embedding, _ in self._texts}]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
