"""Many edits of one text, each measured alone: as rows of a batch, or all at once by a gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, overload

import torch
from torch import Tensor

from clearhead.analysis.by_gradient import predicted
from clearhead.analysis.given import Given, Read, Several, check_one, each_of, heading, is_one, read
from clearhead.analysis.interventions import each_edit
from clearhead.analysis.outcomes import Measure, Outcome, check_measure, measured_place, wide_logits
from clearhead.errors import NotFiniteError, OptionError, WatchError, many, shown
from clearhead.language_model import LanguageModel, check_model
from clearhead.machine import check_free
from clearhead.model import Network, evaluating
from clearhead.notebook import Displayed
from clearhead.tap import Site, watched_by
from clearhead.watching import Edit, Record, TextRecord, TokenizedText, watch
from clearhead.watching.active import of_layers
from clearhead.watching.edits import for_text, listed, numbered
from clearhead.watching.notation import named
from clearhead.watching.places import FIELDS, placed

# Tokens in a batch of edited rows: on one core, enough for full speed with GPT-2 124M's shape, and little memory.
TOGETHER = 1024


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One edit, or several made together, and the measure under it; ``change`` is against the unedited text."""

    edits: tuple[Edit, ...]
    value: float
    change: float

    @property
    def name(self) -> str:
        """``ablate 5.1``: the edits in short, without their sources."""
        return "; ".join(map(named, self.edits))


@dataclass(frozen=True, kw_only=True)
class Sweep(Displayed):
    """The measure of one text under each edit, in the order given.

    text: None if ids were given; of a translator, the translation of ``source_text``
    measure: its name; base: without edits; place: whose prediction is measured
    by: ``run``, or ``gradient``: then each change is the first-order prediction
    """

    model: str | None
    text: str | None
    tokens: tuple[str, ...]
    place: int
    measure: str
    base: float
    by: str
    entries: tuple[Entry, ...]
    source_text: str | None = None

    @property
    def heading(self) -> str:
        """The text or, of ids, the tokens; of a translator both texts."""
        return heading(self.text, self.tokens, self.source_text)

    def top(self, k: int = 10) -> list[Entry]:
        """The k entries that change the measure most, in either direction."""
        return sorted(self.entries, key=lambda entry: -abs(entry.change))[:k]

    def __repr__(self) -> str:
        most = self.top(1)[0]
        return (
            f"Sweep({many(len(self.entries), 'edit')}; {self.measure}: {self.base:.4g}, most changed by {most.name}: "
            f"{most.change:+.4g})"
        )


@overload
def sweep(
    model: LanguageModel,
    text: Given,
    edits: str | Sequence[Edit | Sequence[Edit]],
    measure: Measure,
    *,
    target: str | None = None,
    source: TextRecord | None = None,
    by: str = "run",
    place: int | None = None,
) -> Sweep: ...
@overload
def sweep(
    model: LanguageModel,
    text: Several,
    edits: str | Sequence[Edit | Sequence[Edit]],
    measure: Measure,
    *,
    source: Record | Sequence[TextRecord] | None = None,
    by: str = "run",
    place: int | None = None,
) -> list[Sweep]: ...
def sweep(
    model: LanguageModel,
    text: Given | Several,
    edits: str | Sequence[Edit | Sequence[Edit]],
    measure: Measure,
    *,
    target: str | None = None,
    source: TextRecord | Record | Sequence[TextRecord] | None = None,
    by: str = "run",
    place: int | None = None,
) -> Sweep | list[Sweep]:
    """Measures the text under each edit alone; an entry of ``edits`` may be several, made together.

    text: a text or a row of ids, special tokens included; a list of either gives a list of sweeps
    edits: or a name, as in ``every``: ``heads``, ``parts``, ``places`` or ``edges``; with ``source``, patches from it
    target: what a translator writes, as ``observe`` has it; places of predictions are the target's
    source: one text of a record; of several texts, a record of as many
    measure: ``diff(yes, no)``, ``logprob(token)``, ``kl``, ``kl_from(record)``, ``nll``, or any Measure
    by: ``run`` makes every edit: the edited texts are rows of batches, which start at the first edited layer.
        ``gradient`` predicts every change from one pass forward and one backward: gradient times the change of what is
        edited (attribution patching: Nanda 2023; Syed et al. 2023). Exact only as far as the model is linear.
    place: whose prediction is measured; None for the last, or the only mask

    An edit that happens to change nothing counts as a change of 0. Raises OptionError without edits, for an unknown
    name or place, WatchError for an edit that names what the model or the text lacks, TextError as ``observe`` does,
    MemoryNeededError if a pass does not fit, NotFiniteError if a logit is not finite.
    """
    check_model(model, "sweep")
    if not is_one(text):
        texts = each_of(text, "sweep")
        check_one(target, texts, "sweep")
        sources = _sources(source, len(texts))
        return [
            sweep(model, each, edits, measure, source=one, by=by, place=place)
            for each, one in zip(texts, sources, strict=True)
        ]
    if by not in ("run", "gradient"):
        raise OptionError(f"sweep: by is {by!r}; it is run or gradient")
    check_measure(measure, "sweep")
    if by == "gradient" and measure.least:
        raise OptionError(
            f"sweep: {measure.name}: its gradient is 0 without edits, so it predicts nothing; use diff, logprob or "
            'nll, or by="run"'
        )
    given = read(model, text, "sweep", target=target)
    tokenized, by_stack = given.tokenized, given.by_stack(model)
    at = measured_place(model, given.ids, place)
    one = _source(source, edits, by_stack)
    asked = each_edit(model, edits, given, source=one) if isinstance(edits, str) else edits
    groups = [placed(listed(each), {(0, stack): text for stack, text in by_stack.items()}) for each in asked]
    if not groups or not all(groups):
        raise OptionError("sweep: there is no edit; give at least one")
    _check(model, groups, by_stack)
    run = Runs(model, given, measure, at)
    singles = [tuple(each for edit in group for each in of_layers(edit, model.sites())) for group in groups]
    changes = run.measured(singles) if by == "run" else predicted(model, given, singles, run.value)
    entries = [
        Entry(edits=group, value=run.base + change, change=change)
        for group, change in zip(groups, changes, strict=True)
    ]
    return Sweep(
        model=model.name or None,
        text=tokenized.text,
        tokens=tuple(tokenized.tokens),
        place=at,
        measure=measure.name,
        base=run.base,
        by=by,
        entries=tuple(entries),
        source_text=None if given.source is None else given.source.text,
    )


def _sources(source: object, count: int) -> Sequence[TextRecord | None]:
    """The source of each of several texts."""
    if source is None:
        return [None] * count
    every = cast(object, source.each() if isinstance(source, Record) else source)
    if not isinstance(every, list | tuple):
        raise OptionError(f"sweep: source is {shown(source)}; with several texts it must be a record of as many")
    sources = cast(Sequence[TextRecord], every)
    if len(sources) != count:
        raise OptionError(f"sweep: {many(count, 'text')} and {many(len(sources), 'source')}; give one source for each")
    return sources


def _source(source: object, edits: object, texts: Mapping[str, TokenizedText]) -> TextRecord | None:
    if source is None:
        return None
    if not isinstance(edits, str):
        raise OptionError("sweep: a source goes with a name such as heads; edits bring their own")
    if not isinstance(source, TextRecord):
        raise OptionError(
            f"sweep: source is {shown(source)}; it must be one text of a record, such as clearhead.observe gives"
        )
    for stack, text in texts.items():
        theirs, ours = len(source.tokenized(stack).tokens), len(text.tokens)
        if theirs != ours:
            raise OptionError(
                f"sweep: the source has {many(theirs, 'token')} and the text {ours}; both must have the same "
                "number, since each place is patched from the same place"
            )
    return source


def _check(model: LanguageModel, groups: Sequence[tuple[Edit, ...]], texts: Mapping[str, TokenizedText]) -> None:
    """Raises WatchError for an edit that names another text, or that no pass over this text could make."""
    for group in groups:
        for edit in group:
            if edit.text not in (None, 0):
                raise WatchError(f"{edit}: each text is swept alone, as number 0; leave `text` out")
            site = Site(0, edit.kind, edit.stack or model.stack)
            for name in FIELDS:
                count = len(texts[site.reads if name == "key" else site.stack].tokens)
                if max(numbered(edit, name) or (0,)) >= count:
                    raise WatchError(f"{edit}: the text has places 0 to {count - 1}")


class Runs:
    """Edited passes over one text, from the layer where they begin to differ from the unedited pass."""

    def __init__(self, model: LanguageModel, read: Read, measure: Measure, place: int) -> None:
        self._model, self._read, self._measure = model, read, measure
        self._places = tuple(range(len(read.ids))) if measure.whole else (place,)
        self._sites = list(model.sites())
        network = model.network
        with torch.inference_mode(), evaluating(network):
            with watch(model, keep="residual") as record:
                x_1TE = network.hidden(**read.inputs(model))
            streams = [site for site in self._sites if site.kind in ("embedding", "residual")]
            self._streams = {site: record.only().output(site)[None] for site in streams} if network.resumes else {}
            self._base_PV = wide_logits(model, x_1TE[:, list(self._places)])[0]
            if not bool(x_1TE.isfinite().all()):
                raise NotFiniteError(read.tokens)
            self.base = float(self.value(x_1TE)[0])

    def value(self, x_BTE: Tensor) -> Tensor:
        """The measure of each row of ``hidden``'s output, (B,)."""
        outcome = Outcome(
            model=self._model,
            ids=tuple(self._read.ids),
            places=self._places,
            logits_BPV=wide_logits(self._model, x_BTE[:, list(self._places)]),
            base_PV=self._base_PV,
        )
        return self._measure(outcome)

    def measured(self, groups: Sequence[tuple[Edit, ...]]) -> list[float]:
        """The change of the measure under each group of edits."""
        changes = [0.0] * len(groups)
        self._check_memory(min(len(groups), self._together))
        with torch.inference_mode(), evaluating(self._model.network):
            for start, numbers in self._batches(groups):
                values = self._run(start, [groups[number] for number in numbers])
                for number, value in zip(numbers, values, strict=True):
                    changes[number] = value - self.base
        return changes

    @property
    def _together(self) -> int:
        return max(1, TOGETHER // self._read.tokens)

    def _batches(self, groups: Sequence[tuple[Edit, ...]]) -> Iterator[tuple[Site | None, list[int]]]:
        """Where each batch of edits starts (None: at the tokens), and the numbers of its groups."""
        by_start: dict[Site | None, list[int]] = {}
        for number, group in enumerate(groups):
            by_start.setdefault(self._start(group), []).append(number)
        for start, numbers in by_start.items():
            for first in range(0, len(numbers), self._together):
                yield start, numbers[first : first + self._together]

    def _start(self, group: Sequence[Edit]) -> Site | None:
        """The last stream that the edits leave as it is, or the one they edit."""
        if not self._streams:
            return None
        first = min(
            self._sites.index(site)
            for edit in group
            for site in self._sites
            if (site.layer, site.kind) == (edit.layer, edit.kind) and edit.stack in (None, site.stack)
        )
        return next((site for site in reversed(self._sites[: first + 1]) if site in self._streams), None)

    def _run(self, start: Site | None, groups: Sequence[tuple[Edit, ...]]) -> list[float]:
        network, B = self._model.network, len(groups)
        rows = [for_text(edit, row) for row, group in enumerate(groups) for edit in group]
        record = Record(self._model.sites(), edits=rows, network=network, maps=False)
        with watched_by(record):
            if start is None:
                x_BTE = network.hidden(**self._read.inputs(self._model, B))
            else:
                x_BTE = network.onward(self._streams[start].expand(B, -1, -1), start)
        record.check_lengths()
        if not bool(x_BTE.isfinite().all()):
            raise NotFiniteError(self._read.tokens)
        if not self._measure.whole:
            return self.value(x_BTE).tolist()
        return [float(self.value(x_1TE)[0]) for x_1TE in x_BTE.split(1)]  # logits of all places are large

    def _check_memory(self, rows: int) -> None:
        network: Network = self._model.network
        need = network.pass_bytes(rows, self._read.tokens)
        check_free(
            need,
            network.device,
            f"{rows} edited rows of {self._read.tokens:,} tokens need about {need / 1e9:.1f} GB",
            "give a shorter text",
        )
