"""Edits made with a model: from text, along a direction between texts, and for one reader only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from clearhead.analysis.given import Given, Read, read
from clearhead.analysis.observe import observe, observe_ids
from clearhead.errors import OptionError, TextError, WatchError, nearest
from clearhead.language_model import LanguageModel, as_texts, check_model
from clearhead.model import evaluating
from clearhead.tap import Site
from clearhead.watching import (
    Ablate,
    Direction,
    Edit,
    Freeze,
    Knockout,
    Patch,
    Record,
    TextRecord,
    watch,
)
from clearhead.watching.active import of_layers
from clearhead.watching.edits import layers, listed
from clearhead.watching.notation import from_dict, parse
from clearhead.watching.places import placed
from clearhead.watching.text_record import KEPT

# What a sweep can go over, by name.
EVERY = ("heads", "parts", "places", "edges")


def edit(model: LanguageModel, form: str | Mapping[str, Any]) -> Edit:
    """The edit in a text such as ``ablate 5.1`` (``watching/notation.py``), or in plain values from ``to_dict``.

    Texts that it names as sources are run through the model, once each. Raises WatchError if it is not an edit, and
    TextError as ``observe`` does.
    """
    check_model(model, "edit")

    def recorded(source: Any) -> TextRecord | Record:
        if isinstance(source, Mapping):
            return _recorded(model, cast(Mapping[str, Any], source))
        if len(source) == 1:
            return _recorded(model, source[0])
        texts = [each["text"] for each in source]
        if None in texts:
            raise WatchError(f"edit: {form!r}: a text of the mean is known by ids alone; give the texts")
        return observe(model, texts, keep=KEPT)

    def directed(toward: Sequence[str], away: Sequence[str], site: Mapping[str, Any]) -> Direction:
        if site["kind"] not in ("residual", "embedding"):
            raise WatchError(f"edit: {form!r}: steer the residual or the embedding, not the {site['kind']}")
        return direction(model, list(toward), list(away), layer=site["layer"], kind=site["kind"], stack=site["stack"])

    return from_dict(parse(form) if isinstance(form, str) else form, recorded, directed)


def _recorded(model: LanguageModel, source: Mapping[str, Any]) -> TextRecord:
    if source.get("ids"):
        return observe_ids(model, source["ids"], keep=KEPT)
    return observe(model, str(source["text"]), keep=KEPT)


def direction(
    model: LanguageModel,
    toward: str | list[str],
    away: str | list[str],
    *,
    layer: int,
    kind: str = "residual",
    stack: str | None = None,
) -> Direction:
    """The difference of two means of the residual stream at the texts' last tokens (Turner et al. 2023; Rimsky et al.
    2024, 3): the mean over the texts ``toward``, minus that over the texts ``away``.

    layer, kind, stack: the site: the ``residual`` after a layer, or the ``embedding`` before layer 0; of a translator's
        decoder, at the last token of its own translation
    Raises OptionError if there is no such site, or if the means are equal; TextError as ``observe`` does.
    """
    check_model(model, "direction")
    site = _stream(model, layer, kind, stack)
    means = [_mean_at_end(model, as_texts(texts, "direction"), site) for texts in (toward, away)]
    vector_E = means[0] - means[1]
    if not bool(vector_E.any()):
        raise OptionError("direction: the means over both sides are equal; give texts that differ")
    return Direction(
        site=site,
        vector=tuple(vector_E.tolist()),
        toward=tuple(as_texts(toward, "direction")),
        away=tuple(as_texts(away, "direction")),
    )


def _stream(model: LanguageModel, layer: int, kind: str, stack: str | None) -> Site:
    known = [site for site in model.sites() if site.kind in ("residual", "embedding")]
    found = [site for site in known if (site.layer, site.kind) == (layer, kind) and stack in (None, site.stack)]
    if len(found) != 1:
        raise OptionError(
            f"direction: the model has no residual stream at layer {layer}, kind {kind!r}; it has "
            f"{', '.join(map(str, known)) or 'none'}"
        )
    return found[0]


def _mean_at_end(model: LanguageModel, texts: Sequence[str], site: Site) -> torch.Tensor:
    if not texts:
        raise TextError("direction: there are no texts on one side; give at least one")
    ends: list[torch.Tensor] = []
    unread = None if site.stack == model.stack else ""  # an encoder does not see the translation
    with torch.inference_mode(), evaluating(model.network):
        for text in texts:
            given = read(model, text, "direction", target=unread).inputs(model)
            with watch(model, keep="residual") as record:
                model.network.hidden(**given)
            ends.append(record.only().output(site)[-1].double())
    return torch.stack(ends).mean(dim=0)


def path(
    model: LanguageModel,
    text: str,
    change: Edit | Sequence[Edit],
    *,
    target: str | None = None,
    layer: int,
    head: int | None = None,
    what: str = "output",
    kind: str = "self",
    stack: str | None = None,
) -> Patch:
    """The edit under which only one reader sees a change (path patching: Wang et al. 2023, 3.1; Goldowsky-Dill 2023).

    change: what happens at the sender: a patch, an ablation, any edit of an earlier site, or several of one site
    layer, head, what, kind, stack: the reader, as in ``Patch``: what a head reads (its ``query``, ``key``, ``value``,
        or ``pattern``), or what it or a part gives out (``output``)
    target: what a translator writes, as ``observe`` has it

    In a pass under ``change``, every other attention and feed-forward before the reader is held at its output without
    the change, so that the change travels through the residual stream alone. The returned patch takes what the reader
    has in that pass. Takes two passes. Raises OptionError unless the change is before the reader, and for a model with
    other parts in between; WatchError as ``watch`` does.
    """
    check_model(model, "path")
    found = read(model, text, "path", target=target)
    _, target = found.shown()
    texts = found.by_stack(model)
    sites = list(model.sites())
    given = placed(listed(change), {(0, stack): each for stack, each in texts.items()})
    changes = [each for edit in given for each in of_layers(edit, sites)]
    reader = _reader(sites, layer, kind, stack)
    senders = [_reader(sites, layer, each.kind, each.stack) for each in changes for layer in layers(each) or ()]
    held = ", ".join(map(str, dict.fromkeys(senders))) or "nothing"
    if len(set(senders)) != 1:
        raise OptionError(f"path: the change is at {held}; a path begins at one site")
    first = sites.index(senders[0])
    if first >= sites.index(reader):
        raise OptionError(f"path: the change is at {held}, and the reader at {reader}; it must come before the reader")
    between = [site for site in sites[first : sites.index(reader)] if site.kind in ("self", "cross", "feed_forward")]
    for site in sites[first : sites.index(reader)]:
        parts = {each.kind for each in sites if (each.layer, each.stack) == (site.layer, site.stack)}
        if site.kind == "residual" and not {"self", "feed_forward"} <= parts:
            raise OptionError(
                f"path: layer {site.layer} has parts that are not sites, so they cannot be held; path patching needs "
                "layers of attention and feed-forward"
            )
    base = observe(model, text, target=target, keep=KEPT)
    hold = [
        Freeze(layer=site.layer, kind=site.kind, stack=site.stack, what="output", source=base)
        for site in between
        if site not in senders
    ]
    source = observe(model, text, target=target, edits=[*changes, *hold], keep=KEPT)
    return Patch(layer=layer, head=head, what=what, kind=kind, stack=reader.stack, source=source)


def _reader(sites: Sequence[Site], layer: int, kind: str, stack: str | None) -> Site:
    found = [site for site in sites if (site.layer, site.kind) == (layer, kind) and stack in (None, site.stack)]
    if len(found) != 1:
        raise OptionError(f"path: there is no one site of layer {layer} and kind {kind!r}; name its stack, too")
    return found[0]


def every(
    model: LanguageModel,
    what: str,
    text: Given | None = None,
    *,
    target: str | None = None,
    source: TextRecord | None = None,
) -> list[Edit]:
    """One edit for each of the model's ``heads``, ``parts`` (attentions and feed-forwards), ``places`` or ``edges``.

    Ablations, or patches from ``source``. ``places``: of the residual stream, before the first layer and after each, at
    each place of ``text``, or of a row of ids. ``edges``: knock-outs of every key from the last place, in all heads.
    target: what a translator writes, as ``observe`` has it; edges are those of its decoder.
    Raises OptionError for another name, or without the text that places and edges need.
    """
    check_model(model, "every")
    given = None if text is None or what in ("heads", "parts") else read(model, text, "sweep", target=target)
    return each_edit(model, what, given, source=source)


def each_edit(model: LanguageModel, what: str, given: Read | None, *, source: TextRecord | None = None) -> list[Edit]:
    """As ``every``, for texts that were read already."""
    sites = model.sites()
    if what not in EVERY:
        raise OptionError(f"sweep: there is no {what!r} to go over{nearest(what, EVERY)}")

    several = len({site.stack for site in sites}) > 1

    def place(site: Site) -> dict[str, Any]:
        return {"layer": site.layer, "kind": site.kind, "stack": site.stack if several else None}

    def made(site: Site, **where: Any) -> Edit:
        return Ablate(**place(site), **where) if source is None else Patch(**place(site), **where, source=source)

    if what == "heads":
        return [made(site, head=head) for site, heads in sites.items() for head in range(heads)]
    if what == "parts":
        return [made(site) for site in sites if site.attends or site.kind == "feed_forward"]
    if given is None:
        raise OptionError(f"sweep: going over {what} needs the text, for its places")
    counts = {stack: len(each.ids) for stack, each in given.by_stack(model).items()}
    if what == "places":
        streams = [site for site in sites if site.kind in ("embedding", "residual")]
        return [made(site, at=place) for site in streams for place in range(counts[site.stack])]
    if source is not None:
        raise OptionError("sweep: edges are knocked out, which takes nothing from a source; leave it out")
    own, last = model.stack, len(given.ids) - 1
    attends = [site for site in sites if site.attends and site.stack == own]
    return [Knockout(**place(site), query=last, key=key) for site in attends for key in range(counts[site.reads])]
