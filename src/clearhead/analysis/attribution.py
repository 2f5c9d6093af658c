"""The gradient of a prediction with respect to the tokens before it, for any model, with attention or without."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearhead.analysis.observe import words_of
from clearhead.attend import wide
from clearhead.errors import OptionError, many
from clearhead.language_model import LanguageModel
from clearhead.machine import check_free
from clearhead.model import evaluating, log_probabilities, needs
from clearhead.watching import Words


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """How the log-probability of one token depends on the embedding of each token of the text.

    words: labels and ids of the T places
    place: the place of the prediction
    target, token: id and label of the predicted token
    given: True if it is the text's own next token
    logprob: its log-probability by the model (``model.log_probabilities``), in nats
    norms: |d logprob / d embedding| of each place, >= 0
    products: gradient . embedding of each place, in nats: the first-order change of ``logprob`` per unit of relative
        scaling of the embedding (Denil et al. 2014, "Extraction of salient sentences from labelled documents")
    """

    words: Words
    place: int
    target: int
    token: str
    given: bool
    logprob: float
    norms: tuple[float, ...]
    products: tuple[float, ...]
    model: str | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        """The norms divided by their sum; all 0 if every gradient is 0."""
        total = sum(self.norms)
        return tuple(norm / total if total else 0.0 for norm in self.norms)


def attribution(
    model: LanguageModel, text: str, *, query: int | None = None, target: int | str | None = None
) -> Attribution:
    """Computes the gradient of the prediction at place ``query`` with respect to the embedding of every token.

    query: a place (negative: from the end); None for the last
    target: the predicted token, an id or a text of one token; None for the text's next token, or for the likeliest one
        after the end of the text or in a model that fills masks

    Takes one forward and one backward pass over the text, with the tokenizer's special tokens around it. Raises
    TextError as ``observe`` does, OptionError if the text is empty or has no such place, the model has no such token or
    predicts no tokens, MemoryNeededError if the pass does not fit in the free memory.
    """
    if not text:
        raise OptionError("look: the text is empty; give at least one character")
    network = model.network
    forward = "next tokens" in network.abilities
    if not forward:
        needs(model, "masked tokens", "look --by gradient")
    ids = model.encode(text, "look: the text")
    words = words_of(model, ids, text)
    place = _place(query, len(ids))
    given = target is None and forward and place + 1 < len(ids)
    chosen = ids[place + 1] if given else _target(model, target)
    _check_memory(model, len(ids))
    model.tokenizer.note_unknown(ids)
    logprob, chosen, x_TE, g_TE = _gradient(model, ids, place, chosen)
    return Attribution(
        words=words,
        place=place,
        target=chosen,
        token=model.labels([chosen])[0],
        given=given,
        logprob=logprob,
        norms=tuple(torch.linalg.vector_norm(g_TE, dim=-1).tolist()),
        products=tuple((g_TE * x_TE).sum(dim=-1).tolist()),
        model=model.name or None,
    )


def _gradient(
    model: LanguageModel, ids: list[int], place: int, target: int | None
) -> tuple[float, int, Tensor, Tensor]:
    """log p(target) at ``place``, the target (if None, the likeliest), the embeddings x_TE and their gradients g_TE."""
    network = model.network
    leaves: list[Tensor] = []

    def watched(module: nn.Module, given: object, x_BTE: Tensor) -> Tensor:
        leaves.append(x_BTE.detach().requires_grad_())
        return leaves[-1]

    hook = network.embedding.register_forward_hook(watched)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad(), evaluating(network):
            x_BTE = network.hidden(torch.tensor([ids], device=network.device))
            logits_V = network.unembed(x_BTE[:, place : place + 1])[0, 0]
            target = _likeliest(model, logits_V) if target is None else target
            logprob = log_probabilities(logits_V)[target]
            (g_BTE,) = torch.autograd.grad(logprob, leaves)
    finally:
        hook.remove()
    x_TE, g_TE = (each[0].detach().to(wide(each.dtype)) for each in (leaves[0], g_BTE))
    return float(logprob.detach()), target, x_TE, g_TE


def _likeliest(model: LanguageModel, logits_V: Tensor) -> int:
    """The likeliest id that is a token."""
    return int(logits_V.index_fill(0, model.tokenless, -torch.inf).argmax())


def _place(query: int | None, places: int) -> int:
    place = places - 1 if query is None else query + places if query < 0 else query
    if not 0 <= place < places:
        raise OptionError(f"query {query}: the text has places 0 to {places - 1}")
    return place


def _target(model: LanguageModel, target: int | str | None) -> int | None:
    """The id of the target; None for the likeliest."""
    if isinstance(target, str):
        ids = model.tokenizer.encode(target)
        if len(ids) != 1:
            raise OptionError(
                f"target {target!r}: it has {many(len(ids), 'token')} in this model; give a text of one token, or an id"
            )
        return ids[0]
    if target is not None and not 0 <= target < model.config.vocabulary:
        raise OptionError(f"target {target}: the model has ids 0 to {model.config.vocabulary - 1}")
    return target


def _check_memory(model: LanguageModel, places: int) -> None:
    need = places * model.config.training_numbers() * model.dtype.itemsize
    check_free(
        need,
        model.device,
        f"the gradient of a text of {places:,} tokens needs about {need / 1e9:.1f} GB",
        "give a shorter text",
    )
