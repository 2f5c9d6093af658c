"""Heads found by what they do in random text that repeats itself, and by what is lost without them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from clearhead.analysis.probe_texts import Repeated, needles, repeated
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

# The kinds of heads, their scores, and the least score that gives a head the name.
HEAD_KINDS = {
    "previous": "previous-token head: mean weight on the token before",
    "duplicate": "duplicate-token head: mean weight on earlier copies of the token, where it has any",
    "induction": "induction head: mean weight on the token after the last earlier copy, where there is one",
    "sink": "sink head: mean weight on the text's first token and the trained sink",
    "positional": "positional head: weight beyond the first token that lies on the same places in other texts",
    "retrieval": "retrieval head: share of a needle's tokens predicted while the head read them most",
    "copying": "copying head: share of what repeated text gains that is lost without the head",
}
LEAST = {
    "previous": 0.4,
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
    """Loss on random text, in nats a token: ``new``, in its first period, which nothing foretells, and ``again``, in
    its repetitions."""

    new: float
    again: float

    @property
    def gain(self) -> float:
        """What repeating is worth: 0 without any copying."""
        return self.new - self.again


@dataclass(frozen=True, kw_only=True)
class FoundHead:
    """One head. scores: by HEAD_KINDS; again: the loss on repetitions without this head, in nats a token."""

    site: Site
    head: int
    scores: dict[str, float]
    again: float

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds whose least score it reaches."""
        return tuple(kind for kind in HEAD_KINDS if self.scores[kind] >= LEAST[kind])


@dataclass(frozen=True, kw_only=True)
class FoundHeads(Displayed):
    """All heads of a model. Printed, a table of those with a name.

    copying: the losses of the whole model. period: tokens in a period of the repeated text.
    """

    model: str | None
    seed: int
    period: int
    copying: Copying
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
        if kind not in HEAD_KINDS:
            raise OptionError(f"heads: there is no kind {kind!r}{nearest(kind, HEAD_KINDS)}")
        return sorted(self.heads, key=lambda each: -each.scores[kind])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "seed": self.seed,
            "period": self.period,
            "new": self.copying.new,
            "again": self.copying.again,
            "kinds": {kind: {"meaning": HEAD_KINDS[kind], "least": LEAST[kind]} for kind in HEAD_KINDS},
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
        lines = [list(map(spoken, ("head", *HEAD_KINDS, "loss without")))]
        for each in heads:
            scores = [written(each.scores[kind]) for kind in HEAD_KINDS]
            lines.append([f"{names[each.site]}.{each.head}", *scores, written(each.again)])
        called = [spoken("names"), *(mark(", ").join(map(spoken, each.names)) for each in heads)]
        table = [f"{line}  {last}".rstrip() for line, last in zip(aligned(lines), called, strict=True)]
        loss = f"loss on random tokens {self.copying.new:.3f} nats, on their repetitions {self.copying.again:.3f}"
        return "\n".join([*table, spoken(loss)])


def find_heads(model: LanguageModel, *, seed: int = 0) -> FoundHeads:
    """Names the heads of a model by what they do in random text from its own vocabulary, and scores each.

    Previous-token, duplicate-token and induction heads (Elhage et al. 2021; Wang et al. 2023; Olsson et al. 2022),
    sinks (Xiao et al. 2023), positional heads (Voita et al. 2019), retrieval heads (Wu et al. 2024), and copying heads:
    those without which, each ablated by itself, the loss on repeated text rises. ``HEAD_KINDS`` has what each score
    means, and ``LEAST`` from which score on a head has the name.

    Raises OptionError if the model does not predict next tokens, has no heads, or too short a context or vocabulary.
    """
    check_model(model, "find_heads")
    needs(model.network, "next tokens", "find_heads")
    sites = {site: heads for site, heads in model.sites().items() if site.kind == "self"}
    if not sites:
        raise OptionError("find_heads: this model has no attention, so it has no heads")
    text = repeated(model, TEXTS, seed)
    scores = _attention(model, text, sites)
    retrieval = _retrieval(model, sites, seed)
    one = text.row(0)
    whole = _losses(model, one, [()])[0]
    every = [(site, head) for site, heads in sites.items() for head in range(heads)]
    without = _losses(model, one, [(each,) for each in every])
    found: list[FoundHead] = []
    for (site, head), left in zip(every, without, strict=True):
        lost = (left.again - whole.again) / whole.gain if whole.gain > GAIN else 0.0
        kinds = {**scores[site][head], "retrieval": retrieval[site][head], "copying": lost}
        found.append(
            FoundHead(site=site, head=head, scores={kind: kinds[kind] for kind in HEAD_KINDS}, again=left.again)
        )
    return FoundHeads(model=model.name or None, seed=seed, period=text.period, copying=whole, heads=tuple(found))


def copying(model: LanguageModel, without: Collection[FoundHead | tuple[Site, int]] = (), *, seed: int = 0) -> Copying:
    """The loss on random text and on its repetitions, with these heads ablated together."""
    text = repeated(model, TEXTS, seed)
    heads = tuple((each.site, each.head) if isinstance(each, FoundHead) else each for each in without)
    rows = [_losses(model, text.row(row), [heads])[0] for row in range(TEXTS)]
    return Copying(new=sum(each.new for each in rows) / TEXTS, again=sum(each.again for each in rows) / TEXTS)


def _attention(model: LanguageModel, text: Repeated, sites: dict[Site, int]) -> dict[Site, list[dict[str, float]]]:
    """The scores that are weights, by site and head."""
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


def _retrieval(model: LanguageModel, sites: dict[Site, int], seed: int) -> dict[Site, list[float]]:
    """The retrieval score of Wu et al. 2024 (eq. 1), by site and head, the needle's tokens given as they are predicted.

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


def _losses(model: LanguageModel, text: Repeated, without: Sequence[Collection[tuple[Site, int]]]) -> list[Copying]:
    """The losses on one text without each of these groups of heads, as rows of batches."""
    targets_T = text.ids_BT[0, 1:]
    found: list[Copying] = []
    for start in range(0, len(without), ROWS):
        groups = without[start : start + ROWS]
        edits = [
            Ablate(layer=site.layer, head=head, kind=site.kind, stack=site.stack, text=row)
            for row, group in enumerate(groups)
            for site, head in group
        ]
        with torch.inference_mode(), evaluating(model.network), edited(model, edits, checked=False):
            x_BTE = model.network.hidden(text.ids_BT.expand(len(groups), -1))[:, :-1]
            for x_TE in x_BTE:
                logp_TV = log_probabilities(model.network.unembed(x_TE[None])[0])
                loss_T = -logp_TV.gather(1, targets_T[:, None])[:, 0]
                new = loss_T[max(0, text.front - 1) : text.again.start - 1]
                found.append(Copying(new=float(new.mean()), again=float(loss_T[text.again.start - 1 :].mean())))
    return found
