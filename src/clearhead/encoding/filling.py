"""Fills the masks of a text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import NotFiniteError, OptionError, shown
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import evaluating, log_probabilities, needs
from clearhead.watching import Edit, edited, tokenized_text
from clearhead.watching.edits import listed
from clearhead.watching.places import placed


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


def fill(model: LanguageModel, text: str, *, top: int = 5, edits: Edit | Sequence[Edit] = ()) -> list[Filling]:
    """The ``top`` likeliest tokens for each mask of ``text``, in text order (Devlin et al. 2019, 3.1).

    Probabilities are the model's own (``model.log_probabilities``). Each mask is filled independently of the others.
    ``edits`` change the model as it runs (``watching.edits``); places in them may be words of the text.
    T5 and its like fill spans (``fill_spans``).
    Raises OptionError if the model does not predict masked tokens or the text has no mask, TextError if the text is
    longer than the model's context length, WatchError for an edit that does not apply or changes nothing (``watch``).
    """
    check_model(model, "fill")
    config, tokenizer = model.config, model.tokenizer
    if tokenizer.sentinels and "masked tokens" not in model.abilities:
        raise OptionError("this model fills spans of any length, not masks; use fill_spans")
    needs(model, "masked tokens", "fill")
    mask = tokenizer.role("mask")
    if mask is None:
        raise OptionError("the tokenizer has no mask token; set mask_token in tokenizer_config.json")
    tokenless = model.tokenless
    known = config.vocabulary - len(tokenless)
    if not 1 <= top <= known:
        raise OptionError.of("top", top, f"at least 1 and at most {known:,}")
    ids = model.encode(text)
    places = [place for place, token in enumerate(ids) if token == mask]
    if not places:
        raise OptionError(f"{shown(text)}: has no mask; write {tokenizer.roles['mask']} where a token is missing")
    tokenizer.note_unknown(ids)
    changes = placed(listed(edits), {(0, model.stack): tokenized_text(model, ids)})
    with edited(model, changes) if changes else nullcontext():
        logits_MV = _logits(model, ids, places)
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


# ``refill`` masks one in this many of the tokens that stand for text.
EVERY = 6


def refill(model: LanguageModel, ids: Sequence[int]) -> str:
    """The text of ``ids`` with every ``EVERY``-th token masked and filled in: "[right], and [wrong/right]".

    Raises OptionError and NotFiniteError as ``fill`` does. A text too short to have such a token stays as it is.
    """
    needs(model, "masked tokens", "filling in")
    tokenizer = model.tokenizer
    ordinary = [place for place, token in enumerate(ids) if tokenizer.ordinary[token]]
    places = ordinary[EVERY // 2 :: EVERY]
    mask = tokenizer.role("mask")
    if mask is None or not places:
        return tokenizer.decode(ids)
    masked = [mask if place in places else token for place, token in enumerate(ids)]
    guesses = _logits(model, masked, places).index_fill(1, model.tokenless, -torch.inf).argmax(dim=-1).tolist()
    text, last = "", 0
    for place, guess in zip(places, guesses, strict=True):
        text += tokenizer.decode(ids[last:place])
        right, found = tokenizer.decode([ids[place]]), tokenizer.decode([guess])
        word = found.lstrip(" ")
        space = found[: len(found) - len(word)] if word else ""
        text += f"{space}[{_bare(found)}]" if guess == ids[place] else f"{space}[{_bare(found)}/{_bare(right)}]"
        last = place + 1
    return text + tokenizer.decode(ids[last:])


def _bare(text: str) -> str:
    """A token's text without the space before it, on one line: a newline is shown as ⏎, a token of only space as ·."""
    return text.lstrip(" ").replace("\n", "⏎") or "·"


def _logits(model: LanguageModel, ids: Sequence[int], places: Sequence[int]) -> Tensor:
    """logits_MV at these places. Raises NotFiniteError."""
    with torch.inference_mode(), evaluating(model.network):
        x_BTE = model.network.hidden(torch.tensor([list(ids)], device=model.device))
        logits_MV = model.network.unembed(x_BTE[:, list(places)])[0]
    if not bool(logits_MV.isfinite().all()):
        raise NotFiniteError(len(ids))
    return logits_MV
