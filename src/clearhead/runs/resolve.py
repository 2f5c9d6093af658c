"""Merges recipe, config file, options and settings into one table, and checks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from clearhead import recipes
from clearhead.errors import OptionError, nearest
from clearhead.model import DecoderConfig, ModelConfig
from clearhead.plain import from_dict, missing, to_dict
from clearhead.recipes import Table, TextConfig
from clearhead.runs import origin as origins
from clearhead.runs.material import check_text
from clearhead.training import MaskedTokens, NextTokens, TargetTokens, TrainConfig, default_masks
from clearhead.training.budget import CONTEXT
from clearhead.training.config import window_of
from clearhead.training.shapes import architectures, equal, kind_of, shape

ENTRIES = {
    "text": ("layout", "sources", "corpus", "megabytes", "valid", "tokenizer", "vocabulary", "field", "encoding"),
    "train": ("minutes", "steps", "keep", "seed", "threads"),
}
MINUTES = 5.0
SMOOTHING = 0.1  # of labels, in translation (Vaswani et al. 2017, 5.4)
BY_STEPS = "tiny"  # the default recipe of a run by steps, whose shape must not depend on the machine


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The user's options; None = not given.

    layout to encoding: entries of the recipe's table ``text``; minutes to threads: of its table ``train``
    model: a name in ``training.shapes.architectures()``; None = as the recipe says, else a Transformer
    masked: whether it learns to predict masked tokens (``--masked``)
    recipe: name of a shipped one; config: a TOML file; settings: single values, as tables
    origin: the model to start from; out: the run folder
    """

    layout: str | None = None
    sources: Sequence[str] | None = None
    corpus: str | None = None
    megabytes: float | None = None
    valid: Sequence[str] | None = None
    tokenizer: str | None = None
    vocabulary: int | None = None
    field: str | None = None
    encoding: str | None = None
    minutes: float | None = None
    steps: int | None = None
    keep: int | None = None
    seed: int | None = None
    threads: int | None = None
    model: str | None = None
    masked: bool = False
    recipe: str | None = None
    config: Path | None = None
    settings: Sequence[Table] = ()
    origin: str | None = None
    out: Path | None = None

    def table(self) -> Table:
        """The options that are entries of a recipe, as its tables."""
        parts = {
            part: {name: getattr(self, name) for name in names if getattr(self, name) is not None}
            for part, names in ENTRIES.items()
        }
        return {part: values for part, values in parts.items() if values}


def layout_of(
    text: Sequence[str] | None, pairs: Sequence[str] | None, source: str | None, target: str | None
) -> tuple[str | None, Sequence[str] | None]:
    """The layout of the text of a run and its files; None where nothing was given.

    Raises OptionError unless there is one kind of text, and both of ``source`` and ``target``.
    """
    if (source is None) != (target is None):
        raise OptionError("source and target: only one was given; sentences and their translations are two files")
    given = {"text": bool(text), "pairs": bool(pairs), "source and target": source is not None}
    if sum(given.values()) > 1:
        raise OptionError(f"{' and '.join(name for name, there in given.items() if there)}: give one of them")
    if source is not None and target is not None:
        return "parallel", [source, target]
    return ("pairs", pairs) if pairs else (None, text or None)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The merged table, with all values of text, model and train checked, its text config, and whether it masks."""

    table: Table
    text: TextConfig = field(default_factory=TextConfig)
    masks: bool = False

    @property
    def context(self) -> int:
        """The model's context length, if it is known before measuring."""
        return self.table["model"].get("context", CONTEXT)


def resolve(asked: Asked) -> Resolved:
    """Merges the recipe, the config file, the options and the settings; later ones win.

    Catches mistakes before the text is read: raises OptionError or ConfigError naming the value, FolderError if the
    origin does not exist.
    """
    tables = [recipes.read(asked.recipe)] if asked.recipe else []
    tables += [recipes.read_file(asked.config)] if asked.config else []
    kind = _kind(asked)
    later = [asked.table(), {} if kind is None else {"model": {"kind": kind}}, *asked.settings]
    for each in (*tables, *later):
        recipes.check_names(each)
    # If the settings hold a whole Transformer, it gives what only the kind has, such as the head of an encoder.
    bare = {name: value for name, value in recipes.joined(later).get("model", {}).items() if name != "kind"}
    if kind is not None and ModelConfig.classes[kind].learns == TargetTokens.ability:
        tables = [{"train": {"label_smoothing": SMOOTHING}, "model": {"context": CONTEXT}}, *tables]
    tables = [_of_kind(kind, {"model": bare}), *(_of_kind(kind, table) for table in tables), *later]
    origin = origins.find(tables, asked.origin, masked=asked.masked)
    table = _whole(tables if origin is None else origins.laid_under(origin, tables))
    text = from_dict(TextConfig, table["text"], "text.")
    check_text(text)
    train = from_dict(TrainConfig, table["train"], "train.")
    # Placeholders for what measuring will choose.
    chosen_later = {"vocabulary": 1} if complete(table["model"]) else to_dict(shape(0, 1, 16, kind_of(table["model"])))
    model = from_dict(ModelConfig, recipes.joined([chosen_later, table["model"]]), "model.")
    if complete(table["model"]):
        window_of(train, model)
    _check_layout(text, model)
    masks = default_masks(model, train.masks, "training here")
    if masks is not None:
        table["train"]["masks"] = to_dict(masks)
    return Resolved(table=table, text=text, masks=masks is not None)


def _check_layout(text: TextConfig, model: ModelConfig) -> None:
    """Raises OptionError if a model that translates gets no pairs, or another one gets them."""
    translates, pairs = TargetTokens.ability in model.abilities, text.layout != "text"
    if translates and not pairs:
        raise OptionError(
            "training here: this model translates, so it learns from sentence pairs; give them with --pairs FILE, or "
            "with --source FILE --target FILE"
        )
    if pairs and not translates:
        raise OptionError(
            f"training here: the text is sentence pairs, and a model of kind {model.kind!r} does not translate; leave "
            "out the model's kind, or give plain text"
        )


def complete(model: Mapping[str, Any]) -> bool:
    """True if the table, with defaults, fully determines the model; the vocabulary may be missing."""
    return set(missing(ModelConfig, model)) <= {"vocabulary"}


def _kind(asked: Asked) -> str | None:
    """The kind of config for ``--model`` and ``--masked``; None if a recipe, a file or an origin decides.

    Raises OptionError, naming the nearest, for an unknown name, and for a model that cannot fill masks.
    """
    known = architectures()
    if asked.model is not None and asked.model not in known:
        raise OptionError(f"model: there is no {asked.model!r}{nearest(asked.model, known)}")
    if asked.layout is not None and asked.origin is None:
        name, able = asked.model or "transformer", [each for each, by in known.items() if TargetTokens.ability in by]
        if asked.masked:
            raise OptionError("--masked: masks are filled in plain text, not in sentence pairs; leave out one of them")
        if name not in able:
            raise OptionError(f"--model {name}: does not translate; for sentence pairs there is {', '.join(able)}")
        return known[name][TargetTokens.ability]
    if asked.masked and asked.origin is None:
        name = asked.model or "transformer"
        if MaskedTokens.ability not in known[name]:
            raise OptionError(
                f"--masked: a mask is filled from both sides of it, and {name!r} reads from left to right; leave out "
                "--model, or --masked"
            )
        return known[name][MaskedTokens.ability]
    return None if asked.model is None else known[asked.model][NextTokens.ability]


def _of_kind(kind: str | None, table: Table) -> Table:
    """The table, with a complete Transformer in it replaced by a model of this kind with as many weights."""
    model = table.get("model", {})
    if kind in (None, ModelConfig.default) or model.get("kind", ModelConfig.default) != ModelConfig.default:
        return table
    if not complete(model):
        return table
    decoders, kinds = ({each.name for each in fields(config)} for config in (DecoderConfig, ModelConfig.classes[kind]))
    own = {name: value for name, value in model.items() if name in kinds - decoders}
    shared = {name: value for name, value in model.items() if name not in own}
    sized = {**to_dict(equal(from_dict(DecoderConfig, {"vocabulary": 1, **shared}, "model."), kind)), **own}
    return {**table, "model": {name: value for name, value in sized.items() if name in model or name != "vocabulary"}}


def _whole(tables: Sequence[Table]) -> Table:
    """Merges the tables, with text, model and train filled in. Of two values that exclude each other the later wins.

    Raises OptionError if one table has both.
    """
    chosen = {**_topmost(tables, "train", ("steps", "minutes")), **_topmost(tables, "text", ("sources", "corpus"))}
    whole = recipes.joined([{"text": {}, "model": {}, "train": {}}, *tables])
    text, train = whole["text"], whole["train"]
    if "sources" in chosen and text.pop("corpus", None) is not None:
        text.pop("megabytes", None)
    if "corpus" in chosen:
        text.pop("sources", None)
    text.pop("fingerprint", None)  # belongs to the run that wrote the file; this run computes its own
    for name in ("steps", "minutes"):
        if name not in chosen:
            train.pop(name, None)
    if "steps" not in chosen:
        train.setdefault("minutes", MINUTES)
    elif not complete(whole["model"]):
        chosen = _of_kind(kind_of(whole["model"]), recipes.read(BY_STEPS))["model"]
        whole["model"] = recipes.joined([chosen, whole["model"]])
    return whole


def _topmost(tables: Sequence[Table], part: str, names: tuple[str, str]) -> Table:
    """The one of two exclusive values that the last table with either of them has, as a table; empty if none does."""
    for table in reversed(tables):
        values = cast(Mapping[str, Any], table.get(part, {}))
        found = {name: values[name] for name in names if values.get(name) not in (None, [], ())}
        if len(found) == 2:
            both = " and ".join(f"{name} {value}" for name, value in found.items())
            raise OptionError(f"{part}: {both} were both given; choose one")
        if found:
            return found
    return {}
