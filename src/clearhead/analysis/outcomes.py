"""What an edit is measured by: one number for each edited pass, from its logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.analysis.asked import PLACES, finite, predicts_next, token_of, whole
from clearhead.analysis.given import heading
from clearhead.analysis.logit_lens import divergence
from clearhead.attend import wide
from clearhead.errors import OptionError, WatchError, many, shown
from clearhead.language_model import LanguageModel
from clearhead.model import Network, evaluating, log_probabilities, needs
from clearhead.watching import TextRecord
from clearhead.watching.finding import place_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Edited passes over one text. logits_BPV and base_PV are in float32 or wider, at ``places``.

    places: all places of the text, or the one whose prediction is measured
    base_PV: the logits without edits
    """

    model: LanguageModel
    ids: tuple[int, ...]
    places: tuple[int, ...]
    logits_BPV: Tensor
    base_PV: Tensor


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number for each edited pass.

    whole: it reads the logits of every place, not only the measured one
    least: without edits it is at its minimum, where its gradient is 0 and predicts nothing
    """

    name: str
    compute: Callable[[Outcome], Tensor]
    whole: bool = False
    least: bool = False

    def __call__(self, outcome: Outcome) -> Tensor:
        """The number of each batch row, (B,); it can be differentiated. Raises OptionError for any other shape."""
        value_B, rows = self.compute(outcome), len(outcome.logits_BPV)
        if not isinstance(value_B, Tensor) or value_B.shape != (rows,):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError(
                f"measure {self.name!r}: compute gave {shown(value_B)} for {many(rows, 'row')} of logits_BPV; it must "
                f"give a tensor with one number for each, of shape ({rows},)"
            )
        return value_B


def check_measure(given: object, verb: str) -> Measure:
    """The measure that was given. Raises OptionError, naming the ``verb``, for anything else."""
    if not isinstance(given, Measure):
        raise OptionError(
            f"{verb}: {shown(given)} was given as a measure; it takes diff(yes, no), logprob(token), kl, "
            "kl_from(record) or nll of clearhead, or a clearhead.Measure"
        )
    return given


def diff(yes: str | int, no: str | int) -> Measure:
    """The logit of one token minus that of another at the measured place: log of the ratio of their probabilities.

    yes, no: ids, or texts of one token, usually with the space before the word
    """

    def compute(outcome: Outcome) -> Tensor:
        one, other = token_of(outcome.model, yes, "token"), token_of(outcome.model, no, "token")
        return outcome.logits_BPV[:, 0, one] - outcome.logits_BPV[:, 0, other]

    return Measure(name=f"logit of {_shown(yes)} minus logit of {_shown(no)}", compute=compute)


def logprob(token: str | int) -> Measure:
    """The log-probability of a token at the measured place (``model.log_probabilities``), in nats."""

    def compute(outcome: Outcome) -> Tensor:
        return log_probabilities(outcome.logits_BPV[:, 0])[:, token_of(outcome.model, token, "token")]

    return Measure(name=f"log-probability of {_shown(token)}, nats", compute=compute)


def _nll(outcome: Outcome) -> Tensor:
    needs(outcome.model.network, "next tokens", "the loss of a text", "text to text")
    if len(outcome.ids) < 2:
        raise OptionError("nll: the text has one token, so none is predicted; give a longer text")
    next_1T1 = torch.tensor(outcome.ids[1:], device=outcome.logits_BPV.device).view(1, -1, 1)
    logp_BTV = log_probabilities(outcome.logits_BPV[:, :-1])
    return -logp_BTV.gather(-1, next_1T1.expand(len(logp_BTV), -1, -1)).mean(dim=(1, 2))


def _kl(outcome: Outcome) -> Tensor:
    # in float32, sums of 50,000 terms end up to 1e-7 below 0
    logits = outcome.base_PV[0].double(), outcome.logits_BPV[:, 0].double()
    return divergence(*(log_probabilities(each) for each in logits))


nll = Measure(name="loss of the text, nats a token", compute=_nll, whole=True)
kl = Measure(name="KL from the unedited prediction, nats", compute=_kl, least=True)


def kl_from(source: TextRecord, place: int | str | None = None) -> Measure:
    """How far the prediction is from that of another record, which kept its residual stream: KL(there || here), nats.

    place: whose prediction there: by number, from the end, or by a word; None for the last, or the only mask

    The prediction there is that of the record's own model, or of the measured one if the record is from a file. Raises
    OptionError if ``source`` is not one text of a record. The measure raises WatchError if the record did not keep the
    stream or has no such place, OptionError if the vocabularies differ.
    """
    if not isinstance(source, TextRecord):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(
            f"kl_from: {shown(source)} was given; it takes one text of a record that kept the residual stream, such as "
            "clearhead.observe gives"
        )

    def compute(outcome: Outcome) -> Tensor:
        logp_V = log_probabilities(_predicted(source, outcome.model, place))
        logq_BV = log_probabilities(outcome.logits_BPV[:, 0].double())
        return divergence(logp_V, logq_BV)

    about = heading(source.text, source.tokens)
    return Measure(name=f"KL from the prediction of {about[:40]!r}, nats", compute=compute)


def _predicted(source: TextRecord, model: LanguageModel, place: int | str | None) -> Tensor:
    """logits_V that a record's model gives at one of its places, in float64."""
    known = source.record.network
    network = known if isinstance(known, Network) else model.network
    theirs, ours = network.config.vocabulary, model.config.vocabulary
    if theirs != ours:
        raise OptionError(
            f"kl_from: the record's model predicts {theirs:,} ids and this one {ours:,}; take one of as many"
        )
    last = [site for site in source.record.sites if site.kind == "residual" and site.stack == source.stack][-1]
    x_TE = source.output(last)
    if len(x_TE) != len(source.tokens):
        raise WatchError(
            f"kl_from: the record has the stream of {len(x_TE)} of {len(source.tokens)} places; watch the text from "
            "its first place"
        )
    if place is None:
        at = measured_place(model, list(source.ids), None) if source.ids else len(x_TE) - 1
    else:
        at = place_of(source, place, "kl_from", "place")
    with torch.no_grad(), evaluating(network):
        logits_V = network.unembed(network.finish(x_TE[None, at : at + 1]))[0, 0]
    return finite(logits_V, len(x_TE)).double()


def _shown(token: str | int) -> str:
    return repr(token)


def measured_place(model: LanguageModel, ids: list[int], place: int | None) -> int:
    """The place whose prediction is measured: the last, or a masked language model's only mask.

    Raises OptionError if the text has no such place, or several masks.
    """
    if place is not None:
        asked = whole(place, "place", PLACES)
        found = asked + len(ids) if asked < 0 else asked
        if not 0 <= found < len(ids):
            raise OptionError(f"place {place}: the text has places 0 to {len(ids) - 1}")
        return found
    if predicts_next(model.network):
        return len(ids) - 1
    needs(model.network, "masked tokens", "the effect of edits")
    mask = model.tokenizer.role("mask")
    masks = [at for at, token in enumerate(ids) if token == mask]
    if len(masks) != 1:
        raise OptionError(f"the text has {len(masks)} masks; write one, or name the place whose prediction is measured")
    return masks[0]


def wide_logits(model: LanguageModel, x_BPE: Tensor) -> Tensor:
    """logits_BPV in float32 or wider."""
    logits_BPV = model.network.unembed(x_BPE)
    return logits_BPV.to(wide(logits_BPV.dtype))
