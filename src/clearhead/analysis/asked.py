"""What is asked of a model: a place of a text, a token by its id or its text, the likeliest one."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import SupportsIndex

import torch
from torch import Tensor

from clearhead.analysis.given import Given, Read, check_text, read
from clearhead.errors import NotFiniteError, OptionError, many, shown
from clearhead.language_model import LanguageModel
from clearhead.model import Network, needs

# What names a place.
PLACES = "a number: places count from 0, and -1 is the last"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A prediction at a place of a text.

    token: the id it is asked about; None for the likeliest. given: True if it is the text's own next token
    """

    read: Read
    place: int
    token: int | None
    given: bool


def asked_of(
    model: LanguageModel,
    text: Given,
    *,
    target: str | None,
    query: int | None,
    token: int | str | None,
    verb: str,
    what: str,
) -> Asked:
    """The prediction of ``token`` at ``query``: if None, of the text's next token or, after its end, of the likeliest.

    A translator predicts tokens of ``target``, as ``observe`` has it. A model that fills masks predicts the token at
    the place itself, so there None always means the likeliest. Raises TextError if the text cannot be encoded or is
    longer than the context, OptionError if it is empty or has no such place, or if the model lacks the token or
    predicts none. Errors name the ``verb``, or ``what`` needs predictions.
    """
    check_text(text, verb)
    forward = predicts_next(model.network)
    if not forward:
        needs(model.network, "masked tokens", what)
    found = read(model, text, verb, target=target)
    ids = found.ids
    place = place_of(query, len(ids))
    given = token is None and forward and place + 1 < len(ids)
    chosen = ids[place + 1] if given else None if token is None else token_of(model, token, "token")
    if found.source is None:
        model.tokenizer.note_unknown(ids)
    return Asked(read=found, place=place, token=chosen, given=given)


def predicts_next(network: Network) -> bool:
    """Whether each place predicts the token after it, of a text or of a translation."""
    return bool(network.abilities & {"next tokens", "text to text"})


def place_of(query: int | None, places: int) -> int:
    """A place by its number, negative from the end; None for the last. Raises OptionError if there is no such place."""
    asked = places - 1 if query is None else whole(query, "query", PLACES)
    place = asked + places if asked < 0 else asked
    if not 0 <= place < places:
        raise OptionError(f"query {query}: the text has places 0 to {places - 1}")
    return place


def token_of(model: LanguageModel, token: int | str, what: str, *, source: bool = False) -> int:
    """The id of a token, given as an id or as a text of one token; ``source``: of a text to translate.

    Raises OptionError, naming it ``what``.
    """
    if isinstance(token, str):
        ids = (model.tokenizer.source if source else model.tokenizer).encode(token)
        if len(ids) != 1:
            raise OptionError(
                f"{what} {token!r}: it has {many(len(ids), 'token')} in this model; give a text of one token, or an id"
            )
        return ids[0]
    token = whole(token, what, "an id, or a text of one token")
    if not 0 <= token < model.config.vocabulary:
        raise OptionError(f"{what} {token}: the model has ids 0 to {model.config.vocabulary - 1}")
    return token


def whole(given: SupportsIndex, what: str, rule: str) -> int:
    """A whole number. Raises OptionError, naming it ``what``, with the rule for anything else."""
    try:
        return index(given)
    except TypeError:
        raise OptionError(f"{what} {shown(given)}: it must be {rule}") from None


def likeliest(model: LanguageModel, logits_V: Tensor) -> int:
    """The likeliest id that is a token."""
    return int(logits_V.index_fill(0, model.tokenless, -torch.inf).argmax())


def finite(logits_XV: Tensor, places: int) -> Tensor:
    """The logits as they are. Raises NotFiniteError, after a text of ``places`` tokens, if one is not finite."""
    if not bool(logits_XV.isfinite().all()):
        raise NotFiniteError(places)
    return logits_XV
