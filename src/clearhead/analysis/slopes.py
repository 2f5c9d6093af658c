"""The log-probability of a token as a function of a text's embeddings, and its gradient."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from clearhead.attend import wide
from clearhead.model import Network, evaluating, log_probabilities


class Prediction:
    """The prediction at one place of a text, given embeddings x_TE in place of those of its ids."""

    def __init__(self, network: Network, ids: Sequence[int], place: int) -> None:
        self.network, self.place = network, place
        with torch.inference_mode(mode=False):
            self._ids_1T = torch.tensor([list(ids)], device=network.device)

    def embeddings(self) -> Tensor:
        """x_TE of the text's own ids, in float32 or wider."""
        with torch.inference_mode(mode=False), torch.no_grad():
            x_TE = self.network.embedding(self._ids_1T)[0]
        return x_TE.to(wide(x_TE.dtype))

    def logits(self) -> Tensor:
        """logits_V of the text itself."""
        with torch.inference_mode(mode=False), torch.no_grad(), evaluating(self.network):
            return self._logits(self._ids_1T)[0]

    def slopes(self, x_NTE: Tensor, target: int) -> tuple[Tensor, Tensor]:
        """log p(target)_N for N texts' embeddings, and the gradient of each with respect to its own, g_NTE."""
        with torch.inference_mode(mode=False), torch.enable_grad(), evaluating(self.network):
            leaf_NTE = x_NTE.to(self.network.dtype).clone().requires_grad_()
            with _replaced(self.network.embedding, leaf_NTE):
                logprobs_N = self._logprobs(len(x_NTE), target)
            (g_NTE,) = torch.autograd.grad(logprobs_N.sum(), leaf_NTE)
        return logprobs_N.detach(), g_NTE.to(x_NTE.dtype)

    def logprobs(self, x_NTE: Tensor, target: int) -> Tensor:
        """log p(target)_N for N texts' embeddings."""
        replaced = _replaced(self.network.embedding, x_NTE.to(self.network.dtype))
        with torch.inference_mode(mode=False), torch.no_grad(), evaluating(self.network), replaced:
            return self._logprobs(len(x_NTE), target)

    def _logprobs(self, texts: int, target: int) -> Tensor:
        return log_probabilities(self._logits(self._ids_1T.expand(texts, -1)))[:, target]

    def _logits(self, ids_NT: Tensor) -> Tensor:
        x_NTE = self.network.hidden(ids_NT)
        return self.network.unembed(x_NTE[:, self.place : self.place + 1])[:, 0]


@contextmanager
def _replaced(embedding: nn.Module, x_NTE: Tensor) -> Generator[None]:
    def instead(module: nn.Module, given: object, made: Tensor) -> Tensor:
        return x_NTE

    hook = embedding.register_forward_hook(instead)
    try:
        yield
    finally:
        hook.remove()
