"""Edits as plain values, for JSON, and as text, for a command line.

    ablate 5.1                      head 1 of layer 5; ablate 5.feed_forward, ablate 5.1 mean "a text"
    scale 5.1 by 0.5                at 3, at 3 -1 "boy": only at these places
    knockout 5.1 query -1 key boy   query and key: a place, or a word of the text
    patch 5.1 from "Tom saw Lily."  also patch 5.1 pattern from ..., query, key, value
    freeze 5 from "Tom saw Lily."   the patterns of layer 5
    steer 6 by 4 toward "I love it" away "I hate it"

A target is [STACK.]LAYER[.KIND][.HEAD]; LAYER is one layer, several (``4-8``, ``1,3,8-11``), or ``all``. ``text 1`` at
the end names one text of several. A word that is also a key of this notation, or a number, stands in double quotes,
with JSON's escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from clearhead.errors import WatchError, nearest, shown
from clearhead.tap import Site
from clearhead.watching.edits import EDITS, WHATS, Direction, Edit
from clearhead.watching.text_record import TextRecord

# The keys of the notation, and the fields they set.
KEYS = {
    "by": "factor",
    "at": "at",
    "from": "source",
    "from_at": "source_at",
    "mean": "mean",
    "query": "query",
    "key": "key",
    "toward": "toward",
    "away": "away",
    "text": "text",
}
SEVERAL = ("at", "from_at", "mean", "toward", "away")  # keys that take one value or more

SITE_KINDS = ("self", "cross", "feed_forward", "residual", "embedding")
RUN = r"\d{1,6}(?:-\d{1,6})?"
TARGET = re.compile(
    rf"(?:(?P<stack>(?!all\.)[a-z]+)\.)?(?P<layer>all|{RUN}(?:,{RUN})*)(?:\.(?P<kind>[a-z_]+))?(?:\.(?P<head>\d{{1,6}}))?"
)
TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\s"]+)')

# Recorded makes the record of an edit's text; Directed makes a direction of the texts on both sides and its site.
Recorded = Callable[[Mapping[str, Any]], Any]
Directed = Callable[[Sequence[str], Sequence[str], Mapping[str, Any]], Direction]


def to_dict(edit: Edit) -> dict[str, Any]:
    """The edit as plain values, for JSON. A source is given by the ids of its text, and the text if it is known."""
    values: dict[str, Any] = {"edit": type(edit).__name__.lower()}
    for field in fields(edit):
        value = getattr(edit, field.name)
        if field.name == "source":
            value = _text(value)
        elif field.name == "mean" and value is not None:
            value = [_text(each) for each in value.each()]
        elif isinstance(value, Direction):
            value = {
                "layer": value.site.layer,
                "kind": value.site.kind,
                "stack": value.site.stack,
                "vector": list(value.vector),
                "toward": list(value.toward),
                "away": list(value.away),
            }
        values[field.name] = list(value) if isinstance(value, tuple) else value
    return values


def _text(source: TextRecord) -> dict[str, Any]:
    return {"text": source.text, "ids": list(source.ids)}


def from_dict(values: Mapping[str, Any], recorded: Recorded | None = None, directed: Directed | None = None) -> Edit:
    """The inverse of ``to_dict``.

    recorded: makes the record of a source, ``{"text": ..., "ids": [...]}``, or of a list of them
    directed: makes a direction of texts toward and away from it, at {"layer": ..., "kind": ..., "stack": ...}

    Raises WatchError for an unknown name or field, and for a text without a model to read it.
    """
    given = dict(values)
    name = str(given.pop("edit", ""))
    if name not in EDITS:
        raise WatchError(f"edit: there is no {name!r}{nearest(name, EDITS)}")
    for key in ("source", "mean"):
        if given.get(key) is not None:
            if recorded is None:
                raise WatchError(
                    f"edit {name!r}: its {key} is a text, which a model has to read: clearhead.edit(model, ...)"
                )
            given[key] = recorded(given[key])
    if isinstance(given.get("direction"), Mapping):
        given["direction"] = _direction(name, dict(given["direction"]), directed)
    try:
        return EDITS[name](**given)
    except TypeError as error:
        raise WatchError(f"edit {name!r}: {error}") from None


def _direction(name: str, values: dict[str, Any], directed: Directed | None) -> Direction:
    if "vector" in values:
        site = Site(*(values.pop(key) for key in ("layer", "kind", "stack")))
        return Direction(site=site, **{key: tuple(each) for key, each in values.items()})
    if directed is None:
        raise WatchError(
            f"edit {name!r}: its direction is of texts, which a model has to read: clearhead.edit(model, ...)"
        )
    return directed(values.pop("toward"), values.pop("away"), values)


def parse(text: str) -> dict[str, Any]:
    """The edit in a text as plain values, for ``from_dict``. Raises WatchError with the rule that it breaks."""
    tokens = _tokens(text)
    if len(tokens) < 2:
        raise WatchError(f"edit {text!r}: it needs a verb and a target, such as: ablate 5.1")
    name, target, *rest = tokens
    if name not in EDITS:
        raise WatchError(f"edit {text!r}: there is no {name!r}{nearest(str(name), EDITS)}")
    found = TARGET.fullmatch(target)
    if found is None:
        raise WatchError(
            f"edit {text!r}: {target!r} is not a target; it is LAYER, LAYER.HEAD or LAYER.KIND, with a stack before it "
            "if the model has two: 5, 5.1, 5.feed_forward, encoder.5.1; LAYER may be several, 4-8 or 1,3, or all"
        )
    kind = found["kind"] or ("residual" if name == "steer" else "self")
    if kind not in SITE_KINDS:
        raise WatchError(f"edit {text!r}: there is no kind {kind!r}{nearest(kind, SITE_KINDS)}")
    values: dict[str, Any] = {"layer": _layers(text, found["layer"]), "kind": kind, "stack": found["stack"]}
    if found["head"] is not None:
        values["head"] = int(found["head"])
    if rest and rest[0] in WHATS and name in ("patch", "freeze"):
        values["what"] = rest.pop(0)
    for key, given in _pairs(text, rest):
        if KEYS[key] in values:
            raise WatchError(f"edit {text!r}: {key!r} is given twice")
        values[KEYS[key]] = given
    return {"edit": name} | _shaped(text, name, values)


def _layers(text: str, given: str) -> int | list[int] | None:
    if given == "all":
        return None
    found: list[int] = []
    for run in given.split(","):
        first, _, last = run.partition("-")
        if int(last or first) < int(first):
            raise WatchError(f"edit {text!r}: the layers {run} go down; write the lower one first, {last}-{first}")
        found += range(int(first), int(last or first) + 1)
    return found[0] if len(found) == 1 else found


def runs(layers: Iterable[int] | int | None) -> str:
    """Layers in ascending order as the notation has them: ``5``, ``4-8``, ``1,3,8-11``, or ``all`` for None."""
    if layers is None:
        return "all"
    found: list[list[int]] = []
    for layer in (layers,) if isinstance(layers, int) else layers:
        if found and layer == found[-1][-1] + 1:
            found[-1][1:] = [layer]
        else:
            found.append([layer])
    return ",".join("-".join(map(str, run)) for run in found)


def _shaped(text: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values of the notation in the form that ``to_dict`` gives."""
    if "source" in values:
        values["source"] = {"text": values["source"]}
    if "mean" in values:
        values["mean"] = [{"text": each} for each in values["mean"]]
    if name == "steer":
        if not ("toward" in values and "away" in values) or "head" in values:
            raise WatchError(f'edit {text!r}: write it as: steer 6 by 4 toward "one text" away "another"')
        if not isinstance(values["layer"], int):
            raise WatchError(f"edit {text!r}: a direction is of one layer; write an edit for each layer")
        site = {key: values.pop(key) for key in ("layer", "kind", "stack")}
        values["direction"] = {"toward": values.pop("toward"), "away": values.pop("away"), **site}
    return values


class _Quoted(str):
    """A text in quotes: never a key nor a number."""


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise WatchError(f"edit {text!r}: the quote at character {at} does not end")
        at = token.end()
        try:
            found.append(_Quoted(json.loads(token[1], strict=False)) if token[1].startswith('"') else token[1])
        except ValueError:
            raise WatchError(
                f'edit {text!r}: {token[1]} is not a JSON string; write \\\\ for \\ and \\" for "'
            ) from None
    return found


def _pairs(text: str, rest: list[str]) -> list[tuple[str, Any]]:
    """Each key with its values, as numbers and texts."""
    found: list[tuple[str, list[Any]]] = []
    for token in rest:
        if not isinstance(token, _Quoted) and token in KEYS:
            found.append((token, []))
        elif not found:
            raise WatchError(f"edit {text!r}: {token!r} was given after the target{nearest(token, [*KEYS, *WHATS])}")
        else:
            found[-1][1].append(token)
    pairs: list[tuple[str, Any]] = []
    for key, tokens in found:
        if not tokens or (len(tokens) > 1 and key not in SEVERAL):
            takes = "one or more" if key in SEVERAL else "one"
            way = "; put a text with spaces in double quotes" if tokens else ""
            raise WatchError(f"edit {text!r}: {key!r} has {len(tokens)} values; it takes {takes}{way}")
        values = [_value(text, key, token) for token in tokens]
        pairs.append((key, values if key in SEVERAL else values[0]))
    return pairs


def _value(text: str, key: str, token: str) -> Any:
    if key in ("by", "text"):
        try:
            return float(token) if key == "by" else int(token)
        except ValueError:
            raise WatchError(f"edit {text!r}: {key} is {token!r}; it must be a number") from None
    placed = key in ("at", "from_at", "query", "key")
    if placed and not isinstance(token, _Quoted) and re.fullmatch(r"[+-]?\d{1,18}", token):
        return int(token)
    return str(token)


def spelled(edit: Edit) -> str:
    """The edit as text, which ``parse`` reads. Raises WatchError if a source's text, or a direction's, is not known."""
    values = to_dict(edit)
    direction = values.pop("direction", None)
    if direction is not None:
        values |= direction
    name, kind, head = values["edit"], values.get("kind", edit.kind), values.get("head")
    default = "residual" if name == "steer" else "self"
    target = [values["stack"], runs(values["layer"]), None if kind == default else kind, head]
    words = [name, ".".join(str(each) for each in target if each is not None)]
    if "what" in values and values["what"] != EDITS[name].__dataclass_fields__["what"].default:
        words.append(values["what"])
    for key, field in KEYS.items():
        value = values.get(field)
        if value is None or (name == "steer" and field == "factor" and value == 1.0):
            continue
        each = cast(list[Any], value if isinstance(value, list) else [value])
        if not each:
            raise WatchError(f"{edit}: the texts of its direction are not known, so it has no text form; use to_dict")
        words += [key, *(_spelled(edit, one) for one in each)]
    return " ".join(words)


def named(edit: Edit) -> str:
    """The edit in short, for tables: as ``spelled``, without texts."""
    values = {
        field.name: value
        for field in fields(edit)
        if field.name not in ("source", "mean", "direction") and (value := getattr(edit, field.name)) is not None
    }
    name = type(edit).__name__.lower()
    default = "residual" if name == "steer" else "self"
    target = [values.get("stack"), runs(edit.layer), None if edit.kind == default else edit.kind, edit.head]
    words = [name, ".".join(str(each) for each in target if each is not None)]
    if values.get("what", "output") != "output":
        words.append(str(values["what"]))
    for key, field_name in KEYS.items():
        if field_name in values and field_name not in ("source", "mean", "toward", "away"):
            value = values[field_name]
            words += [key, *(_spelled(edit, one) for one in (value if isinstance(value, tuple) else (value,)))]
    return " ".join(words)


def under(model: str | None, edits: Sequence[Edit]) -> str | None:
    """A model's name in headings, with the edits it runs under."""
    if not edits:
        return model
    return f"{model or 'the model'} with {'; '.join(map(named, edits))}"


def _spelled(edit: Edit, value: Any) -> str:
    if isinstance(value, dict):
        value = cast(dict[str, Any], value)["text"]
        if value is None:
            raise WatchError(f"{edit}: its source is known by ids alone, so it has no text form; use to_dict")
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(value)
    if not isinstance(value, str):
        raise WatchError(f"{edit}: {shown(value)} has no text form")
    plain = re.fullmatch(r'[^\s"]+', value) and not re.fullmatch(r"[+-]?\d{1,18}", value) and value not in KEYS
    return value if plain else json.dumps(value, ensure_ascii=False)
