"""Fills the masks of a text."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clearhead.errors import NotFiniteError, OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import evaluating, log_probabilities, needs


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A candidate for one mask. ``token`` is its text, including any leading space."""

    token: str
    id: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Filling:
    """One mask: its place among the tokens, and the likeliest candidates, best first."""

    place: int
    guesses: tuple[Guess, ...]


def fill(model: LanguageModel, text: str, *, top: int = 5) -> list[Filling]:
    """The ``top`` likeliest tokens for each mask of ``text``, in text order (Devlin et al. 2019, 3.1).

    Probabilities are the model's own (``model.log_probabilities``). Each mask is filled independently of the others.
    Raises OptionError if the model does not predict masked tokens, TextError if the text has no mask or is longer than
    the model's context length.
    """
    config, tokenizer = model.config, model.tokenizer
    needs(model.network, "masked tokens", "fill")
    mask = tokenizer.role("mask")
    if mask is None:
        raise OptionError("the tokenizer has no mask token; set mask_token in tokenizer_config.json")
    tokenless = model.tokenless
    known = config.vocabulary - len(tokenless)
    if not 1 <= top <= known:
        raise OptionError(f"top is {top}; it must be at least 1 and at most {known:,}")
    ids = model.encode(text)
    places = [place for place, token in enumerate(ids) if token == mask]
    if not places:
        raise TextError(f"the text has no mask; write {tokenizer.roles['mask']} where a token is missing")
    tokenizer.note_unknown(ids)
    with torch.inference_mode(), evaluating(model.network):
        x_BTE = model.network.hidden(torch.tensor([ids], device=model.device))
        logits_MV = model.network.unembed(x_BTE[:, places])[0]
    if not bool(logits_MV.isfinite().all()):
        raise NotFiniteError(len(ids))
    most = log_probabilities(logits_MV).exp().index_fill(1, tokenless, -1.0).topk(top)
    return [
        Filling(
            place=place,
            guesses=tuple(
                Guess(token=tokenizer.decode([token]), id=token, probability=probability)
                for token, probability in zip(tokens, probabilities, strict=True)
            ),
        )
        for place, tokens, probabilities in zip(places, most.indices.tolist(), most.values.tolist(), strict=True)
    ]
