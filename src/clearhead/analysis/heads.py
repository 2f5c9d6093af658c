"""Heads found by what they do in random text that repeats itself, and by what is lost without them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from clearhead.analysis.probe_texts import Probe, Repeated, masked_tokens, needles, next_tokens, repeated
from clearhead.errors import OptionError, nearest
from clearhead.language import mark, spoken
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import evaluating, log_probabilities, needs
from clearhead.notebook import Displayed
from clearhead.tap import Site, short_names
from clearhead.watching import Ablate, Record, TextRecord, TokenizedText, edited, watch
from clearhead.watching.atlas import written
from clearhead.watching.cells import Cells, Largest
from clearhead.wrapping import aligned

SCHEMA = "clearhead.heads/1"

# The kinds of heads, what their scores are, and the least score that gives a head the name.
HEAD_KINDS = {
    "previous": "previous-token head: mean weight on the token before",
    "duplicate": "duplicate-token head: mean weight on earlier copies of the token, where it has any",
    "induction": "induction head: mean weight on the token after the last earlier copy, where there is one",
    "sink": "sink head: mean weight on the text's first token and the trained sink",
    "positional": "positional head: weight beyond the first token that lies on the same places in other texts",
    "retrieval": "retrieval head: share of a needle's tokens predicted while the head read them most",
    "copying": "copying head: share of what repeated text gains that is lost without the head",
}
ENCODER_KINDS = {
    "previous": HEAD_KINDS["previous"],
    "next": "next-token head: mean weight on the token after",
    "duplicate": "duplicate-token head: mean weight on other copies of the token",
    "induction": "induction head: mean weight of masked tokens on the copies of what they hide",
    "sink": "sink head: mean weight on the special tokens around the text, or on its first token, and the trained sink",
    "positional": "positional head: weight on other tokens than these that lies on the same places in other texts",
    "copying": HEAD_KINDS["copying"],
}
LEAST = {
    "previous": 0.4,
    "next": 0.4,
    "duplicate": 0.4,
    "induction": 0.4,
    "sink": 0.6,
    "positional": 0.7,
    "retrieval": 0.1,
    "copying": 0.1,
}

# Nats that repeated text must gain before a share of that gain means anything.
GAIN = 0.1

# Random texts that the scores are means over.
TEXTS = 4

# Ablations in a batch.
ROWS = 16


@dataclass(frozen=True, kw_only=True)
class Copying:
    """Loss on random text, in nats a token: ``new``, where nothing predicts a token, and ``again``, where it can be
    copied: of next tokens in the first period and in its repetitions; of masked tokens without and with copies."""

    new: float
    again: float

    @property
    def gain(self) -> float:
        """What repeating is worth: 0 without any copying."""
        return self.new - self.again


@dataclass(frozen=True, kw_only=True)
class FoundHead:
    """One head. scores: by kind; again: the loss on repetitions without this head, in nats a token, if there is one."""

    site: Site
    head: int
    scores: dict[str, float]
    again: float | None

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds whose least score it reaches."""
        return tuple(kind for kind, score in self.scores.items() if score >= LEAST[kind])


@dataclass(frozen=True, kw_only=True)
class FoundHeads(Displayed):
    """All heads of a model. Printed, a table of those with a name.

    kinds: those that can be found in this model, with what their scores are. copying: the losses of the whole model;
    None if it predicts no tokens. period: tokens in a period of the repeated text.
    """

    model: str | None
    seed: int
    period: int
    kinds: dict[str, str]
    copying: Copying | None
    heads: tuple[FoundHead, ...]

    def __iter__(self) -> Iterator[FoundHead]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.heads)

    def named(self, kind: str) -> list[FoundHead]:
        """The heads of a kind, in descending order of its score. Raises OptionError for an unknown kind."""
        return [each for each in self.ranked(kind) if kind in each.names]

    def ranked(self, kind: str) -> list[FoundHead]:
        """All heads in descending order of a kind's score. Raises OptionError for an unknown kind."""
        if kind not in self.kinds:
            check_kind(kind)
            raise OptionError(
                f"heads: {kind!r} heads cannot be found in this model; those that can are {', '.join(self.kinds)}"
            )
        return sorted(self.heads, key=lambda each: -each.scores[kind])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "seed": self.seed,
            "period": self.period,
            "new": None if self.copying is None else self.copying.new,
            "again": None if self.copying is None else self.copying.again,
            "kinds": {kind: {"meaning": meaning, "least": LEAST[kind]} for kind, meaning in self.kinds.items()},
            "heads": [
                {"site": str(each.site), "layer": each.site.layer, "head": each.head, "names": list(each.names)}
                | each.scores
                | {"again_without": each.again}
                for each in self.heads
            ],
        }

    def __str__(self) -> str:
        return self.table([each for each in self.heads if each.names])

    def table(self, heads: Sequence[FoundHead]) -> str:
        """These heads, one per line: scores and names."""
        names = short_names(each.site for each in self.heads)
        lines = [list(map(spoken, ("head", *self.kinds, *(() if self.copying is None else ("loss without",)))))]
        for each in heads:
            numbers = [*each.scores.values(), *(() if each.again is None else (each.again,))]
            lines.append([f"{names[each.site]}.{each.head}", *map(written, numbers)])
        called = [spoken("names"), *(mark(", ").join(map(spoken, each.names)) for each in heads)]
        table = [f"{line}  {last}".rstrip() for line, last in zip(aligned(lines), called, strict=True)]
        if self.copying is None:
            return "\n".join(table)
        loss = f"loss on random tokens {self.copying.new:.3f} nats, on their repetitions {self.copying.again:.3f}"
        return "\n".join([*table, spoken(loss)])


def check_kind(kind: str) -> None:
    """Raises OptionError unless some model has heads of this kind."""
    if kind not in LEAST:
        raise OptionError(f"heads: there is no kind {kind!r}{nearest(kind, LEAST)}")


def find_heads(model: LanguageModel, *, seed: int = 0) -> FoundHeads:
    """Names the heads of a model by what they do in random text from its own vocabulary, and scores each.

    Previous-token, duplicate-token and induction heads (Elhage et al. 2021; Wang et al. 2023; Olsson et al. 2022),
    sinks (Xiao et al. 2023), positional heads (Voita et al. 2019), retrieval heads (Wu et al. 2024), and copying heads:
    those without which, each ablated by itself, the loss on repeated text rises. ``HEAD_KINDS`` has what each score
    means, and ``LEAST`` the score from which a head gets the name.

    An encoder reads to both sides, so it has next-token heads too, and copies of a token are before and after it
    (``ENCODER_KINDS``). What it copies are masked tokens; one that fills no masks has no induction and copying heads.
    Retrieval is about text that is being written, so no encoder has that column.

    Raises OptionError if the model is a translator, has no heads, or too short a context or vocabulary.
    """
    check_model(model, "find_heads")
    if "text to text" in model.abilities:
        raise OptionError(
            "find_heads: its kinds are about random text, which has no translation, so a translator's heads get no "
            "names; clearhead look --alignment shows what cross-attention aligns, and clearhead sweep what each head "
            "is needed for"
        )
    needs(model.network, "next tokens", "find_heads", "masked tokens", "vectors")
    sites = {site: heads for site, heads in model.sites().items() if site.kind == "self"}
    if not sites:
        raise OptionError("find_heads: this model has no attention, so it has no heads")
    text, every = repeated(model, TEXTS, seed), [(site, head) for site, heads in sites.items() for head in range(heads)]
    asked = _asked(model, text)
    if "next tokens" in model.network.abilities:
        kinds, scores = HEAD_KINDS, _attention(model, text, sites)
        for site, each in _retrieval(model, sites, seed).items():
            for head, score in enumerate(each):
                scores[site][head]["retrieval"] = score
        asked = None if asked is None else (asked[0].row(0), asked[1].row(0))  # of one text: tokens enough
    else:
        kinds, scores = ENCODER_KINDS, _to_both_sides(model, text, None if asked is None else asked[1], sites)
    whole: Copying | None = None
    without: Sequence[float | None] = [None] * len(every)
    if asked is None:
        kinds = {kind: meaning for kind, meaning in kinds.items() if kind not in ("induction", "copying")}
    else:
        new, again = asked
        whole = Copying(new=_losses(model, new, [()])[0], again=_losses(model, again, [()])[0])
        without = losses = _losses(model, again, [(each,) for each in every])
        for (site, head), left in zip(every, losses, strict=True):
            lost = (left - whole.again) / whole.gain if whole.gain > GAIN else 0.0
            scores[site][head]["copying"] = lost
    heads = tuple(
        FoundHead(site=site, head=head, scores={kind: scores[site][head][kind] for kind in kinds}, again=left)
        for (site, head), left in zip(every, without, strict=True)
    )
    return FoundHeads(
        model=model.name or None, seed=seed, period=text.period, kinds=dict(kinds), copying=whole, heads=heads
    )


def copying(model: LanguageModel, without: Collection[FoundHead | tuple[Site, int]] = (), *, seed: int = 0) -> Copying:
    """The loss on random text and on its repetitions, with these heads ablated together.

    Raises OptionError if the model predicts neither next tokens nor masked ones.
    """
    needs(model.network, "next tokens", "copying", "masked tokens")
    asked = _asked(model, repeated(model, TEXTS, seed))
    if asked is None:
        raise OptionError("copying: the model's tokenizer has no mask token, so the model can predict nothing")
    heads = tuple((each.site, each.head) if isinstance(each, FoundHead) else each for each in without)
    new, again = (_losses(model, each, [heads])[0] for each in asked)
    return Copying(new=new, again=again)


def _asked(model: LanguageModel, text: Repeated) -> tuple[Probe, Probe] | None:
    """Tokens that nothing predicts, and tokens that can be copied; None if the model cannot predict any."""
    if "next tokens" in model.network.abilities:
        return next_tokens(text)
    mask = model.tokenizer.role("mask") if model.has_tokenizer else None
    if mask is None or "masked tokens" not in model.network.abilities:
        return None
    return masked_tokens(text, mask)


def _attention(model: LanguageModel, text: Repeated, sites: dict[Site, int]) -> dict[Site, list[dict[str, float]]]:
    """The scores that come from attention weights, by site and head."""
    record = _watched(model, text.ids_BT)
    for row, ids_T in enumerate(text.ids_BT.tolist()):
        record.tokenized[row, model.stack] = TokenizedText(ids=ids_T)
    rows = [cast(TextRecord, record[row]) for row in range(TEXTS)]
    found: dict[Site, list[dict[str, float]]] = {}
    first = text.front + 1
    for site, heads in sites.items():
        means = torch.zeros(4, heads, dtype=torch.float64)
        maps: list[Tensor] = []
        for row in rows:
            names = ("previous", "duplicate", "induction", "first", "sink")
            measured = row.measure(*names, sites=[site])[site]
            previous, duplicate, induction, at_first, sink = (measured[name].double() for name in names)
            means[0] += previous[:, first:].mean(1)
            means[1] += duplicate[:, text.again].mean(1)
            means[2] += induction[:, text.again].mean(1)
            means[3] += (at_first + sink)[:, first:].mean(1)
            Q, K = row.map(site, 0).shape
            maps.append(row.sweep(site, Cells(slice(0, Q), slice(0, K)))[0][:, first:, 1:])
        pairs = [(maps[n], maps[n - 1]) for n in range(TEXTS)]
        same_H = torch.stack([torch.minimum(one, other).sum(2).mean(1) for one, other in pairs]).mean(0)
        found[site] = [
            dict(zip(("previous", "duplicate", "induction", "sink"), (means[:, head] / TEXTS).tolist(), strict=True))
            | {"positional": float(same_H[head])}
            for head in range(heads)
        ]
    return found


def _to_both_sides(
    model: LanguageModel, text: Repeated, hidden: Probe | None, sites: dict[Site, int]
) -> dict[Site, list[dict[str, float]]]:
    """An encoder's scores that come from attention weights, by site and head.

    hidden: the texts with masked tokens, if it fills masks
    """
    T, own = text.ids_BT.shape[1], text.random
    around = [place for place in range(T) if not own.start <= place < own.stop] or [0]
    others = [place for place in range(own.start, own.stop) if place not in around]
    copies_BTT = text.copies_BTT[:, own]
    plain = _maps(model, text.ids_BT, sites)
    masked = None if hidden is None else _maps(model, hidden.ids_BT, sites)
    found: dict[Site, list[dict[str, float]]] = {}
    for site in sites:
        w_BHTT = plain[site][:, :, own]  # the queries of the random tokens
        at_sink_BHT = 1 - w_BHTT.sum(3) + w_BHTT[..., around].sum(3)
        inner_BHTT = w_BHTT[..., others]
        scores = {
            "previous": w_BHTT.diagonal(own.start - 1, 2, 3)[..., 1 if own.start else 0 :].mean((0, 2)),
            "next": w_BHTT.diagonal(own.start + 1, 2, 3)[..., : own.stop - own.start - 1].mean((0, 2)),
            "duplicate": (w_BHTT * copies_BTT[:, None]).sum(3).mean((0, 2)),
            "sink": at_sink_BHT.mean((0, 2)),
            "positional": torch.minimum(inner_BHTT, inner_BHTT.roll(1, 0)).sum(3).mean((0, 2)),
        }
        if masked is not None and hidden is not None:
            seen_BNT = text.copies_BTT[:, hidden.at_N]
            scores["induction"] = (masked[site][:, :, hidden.at_N] * seen_BNT[:, None]).sum(3).mean((0, 2))
        found[site] = [{kind: float(score_H[head]) for kind, score_H in scores.items()} for head in range(sites[site])]
    return found


def _maps(model: LanguageModel, ids_BT: Tensor, sites: dict[Site, int]) -> dict[Site, Tensor]:
    """weights_BHTT of short texts, in float64."""
    record = _watched(model, ids_BT)
    whole = slice(0, ids_BT.shape[1])
    return {
        site: torch.stack([each.sweep(site, Cells(whole, whole))[0] for each in record.each()]).double()
        for site in sites
    }


def _retrieval(model: LanguageModel, sites: dict[Site, int], seed: int) -> dict[Site, list[float]]:
    """The retrieval score of Wu et al. 2024 (eq. 1), by site and head, with teacher forcing on the needle.

    A token counts if the model predicts it and the head's largest weight is on it.
    """
    text = needles(model, TEXTS, seed)
    with torch.inference_mode(), evaluating(model.network), watch(model) as record:
        x_BTE = model.network.hidden(text.ids_BT)
        guesses_BN = model.network.unembed(x_BTE[:, text.asked]).argmax(2)
    right_BN = guesses_BN == text.ids_BT[:, text.asked.start + 1 : text.asked.stop + 1]
    found: dict[Site, list[float]] = {}
    for site, heads in sites.items():
        score_H = torch.zeros(heads, dtype=torch.float64)
        for row in range(TEXTS):
            largest = Largest(1)
            cast(TextRecord, record[row]).sweep(site, largest)
            read_HN = largest.keys_HQN[:, text.asked, 0]
            score_H += ((read_HN == text.held_BN[row].cpu()) & right_BN[row].cpu()).double().mean(1)
        found[site] = [*(score_H / TEXTS).tolist()]
    return found


def _watched(model: LanguageModel, ids_BT: Tensor) -> Record:
    with torch.inference_mode(), evaluating(model.network), watch(model) as record:
        model.network.hidden(ids_BT)
    return record


def _losses(model: LanguageModel, asked: Probe, without: Sequence[Collection[tuple[Site, int]]]) -> list[float]:
    """The loss without each of these groups of heads, in nats a token, as rows of batches."""
    texts = len(asked.ids_BT)
    found_GB = torch.zeros(len(without) * texts, dtype=torch.float64)
    for start in range(0, len(found_GB), ROWS):
        numbers = range(start, min(start + ROWS, len(found_GB)))
        edits = [
            Ablate(layer=site.layer, head=head, kind=site.kind, stack=site.stack, text=row)
            for row, number in enumerate(numbers)
            for site, head in without[number // texts]
        ]
        rows = [number % texts for number in numbers]
        with torch.inference_mode(), evaluating(model.network), edited(model, edits, checked=False):
            x_BNE = model.network.hidden(asked.ids_BT[rows])[:, asked.at_N]
            for number, row, x_NE in zip(numbers, rows, x_BNE, strict=True):
                logp_NV = log_probabilities(model.network.unembed(x_NE[None])[0])
                found_GB[number] = -logp_NV.gather(1, asked.targets_BN[row, :, None]).mean()
    return [*found_GB.view(len(without), texts).mean(1).tolist()]
