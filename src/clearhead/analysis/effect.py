"""What edits change in a prediction: probabilities, logits, and the divergence between the two distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import torch

from clearhead.analysis.asked import finite
from clearhead.analysis.given import Given, Several, check_one, each_of, heading, is_one, read
from clearhead.analysis.outcomes import Measure, Outcome, check_measure, kl, measured_place, wide_logits
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import evaluating, log_probabilities
from clearhead.notebook import Displayed
from clearhead.watching import Edit, edited
from clearhead.watching.edits import listed
from clearhead.watching.places import placed


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A token that may come next, without the edits and with them.

    before, after: its probability by the model (``model.log_probabilities``); the logits are in nats
    """

    id: int
    label: str
    before: float
    after: float
    logit_before: float
    logit_after: float


@dataclass(frozen=True, kw_only=True)
class Effect(Displayed):
    """What edits change in one prediction.

    text: None if ids were given; of a translator, the translation of ``source_text``
    place: whose prediction it is; candidates: the likeliest tokens of either, the likeliest without edits first
    kl: KL(without edits || with edits) in nats; entropy_before, entropy_after: in nats
    measures: each measure without the edits and with them
    """

    model: str | None
    text: str | None
    tokens: tuple[str, ...]
    edits: tuple[Edit, ...]
    place: int
    candidates: tuple[Changed, ...]
    kl: float
    entropy_before: float
    entropy_after: float
    measures: Mapping[str, tuple[float, float]]
    source_text: str | None = None

    @property
    def heading(self) -> str:
        """The text or, of ids, the tokens; of a translator both texts."""
        return heading(self.text, self.tokens, self.source_text)


@overload
def effect(
    model: LanguageModel,
    text: Given,
    edits: Edit | Sequence[Edit],
    *,
    target: str | None = None,
    measures: Measure | Sequence[Measure] = (),
    top: int = 5,
    place: int | None = None,
) -> Effect: ...
@overload
def effect(
    model: LanguageModel,
    text: Several,
    edits: Edit | Sequence[Edit],
    *,
    measures: Measure | Sequence[Measure] = (),
    top: int = 5,
    place: int | None = None,
) -> list[Effect]: ...
def effect(
    model: LanguageModel,
    text: Given | Several,
    edits: Edit | Sequence[Edit],
    *,
    target: str | None = None,
    measures: Measure | Sequence[Measure] = (),
    top: int = 5,
    place: int | None = None,
) -> Effect | list[Effect]:
    """What edits change in the prediction of the next token, from two passes over each text.

    text: a text or a row of ids, special tokens included; a list of either gives a list, each measured alone, as text 0
    target: what a translator writes, as ``observe`` has it; places of predictions are the target's
    top: how many of the likeliest tokens of each distribution
    place: whose prediction; None for the last, or for the only mask of a model that fills masks

    Raises OptionError without an edit or for a place that is not there, TextError as ``observe`` does, WatchError for
    an edit that does not apply or changes nothing (``watch``), NotFiniteError if a logit is not finite.
    """
    check_model(model, "effect")
    if not is_one(text):
        every = each_of(text, "effect")
        check_one(target, every, "effect")
        return [effect(model, each, edits, measures=measures, top=top, place=place) for each in every]
    given = read(model, text, "effect", target=target)
    tokenized, ids = given.tokenized, given.ids
    at = measured_place(model, ids, place)
    changes = placed(listed(edits), {(0, stack): each for stack, each in given.by_stack(model).items()})
    if not changes:
        raise OptionError("effect: there is no edit; give at least one")
    asked = measures if isinstance(measures, list | tuple) else (measures,)
    found = [check_measure(each, "effect") for each in asked]
    network, inputs = model.network, given.inputs(model)
    with torch.inference_mode(), evaluating(network):
        x_1TE = network.hidden(**inputs)
        with edited(model, changes):
            y_1TE = network.hidden(**inputs)
        here = slice(at, at + 1)
        outcomes = [_outcome(model, ids, (at,), x_1TE[:, here], each_1TE[:, here]) for each_1TE in (x_1TE, y_1TE)]
        logits = [outcome.logits_BPV[0, 0] for outcome in outcomes]
        p_V, q_V = (log_probabilities(finite(logits_V, len(ids))).exp() for logits_V in logits)
        values: dict[str, tuple[float, float]] = {}
        for measure in found:
            both = [
                _outcome(model, ids, tuple(range(len(ids))), x_1TE, each_1TE) if measure.whole else outcome
                for each_1TE, outcome in zip((x_1TE, y_1TE), outcomes, strict=True)
            ]
            before, after = (float(measure(outcome)[0]) for outcome in both)
            values[measure.name] = (before, after)
        tokenless = model.tokenless
        most = min(top, len(p_V) - len(tokenless))
        likeliest = (each_V.index_fill(0, tokenless, -1.0).topk(most).indices.tolist() for each_V in (p_V, q_V))
        ids_N = dict.fromkeys(token for tokens in likeliest for token in tokens)
        divergence = float(kl(outcomes[1])[0])
    candidates = tuple(
        Changed(
            id=token,
            label=model.labels([*ids[: at + 1], token])[-1],
            before=float(p_V[token]),
            after=float(q_V[token]),
            logit_before=float(logits[0][token]),
            logit_after=float(logits[1][token]),
        )
        for token in ids_N
    )
    return Effect(
        model=model.name or None,
        text=tokenized.text,
        tokens=tuple(tokenized.tokens),
        edits=changes,
        place=at,
        candidates=candidates,
        kl=divergence,
        entropy_before=float(torch.special.entr(p_V).sum()),
        entropy_after=float(torch.special.entr(q_V).sum()),
        measures=values,
        source_text=None if given.source is None else given.source.text,
    )


def _outcome(
    model: LanguageModel, ids: Sequence[int], places: tuple[int, ...], x_1PE: torch.Tensor, y_BPE: torch.Tensor
) -> Outcome:
    """The outcome of edited passes y against the unedited x."""
    return Outcome(
        model=model,
        ids=tuple(ids),
        places=places,
        logits_BPV=wide_logits(model, y_BPE),
        base_PV=wide_logits(model, x_1PE)[0],
    )
