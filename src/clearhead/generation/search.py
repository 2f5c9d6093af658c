"""How to search for a translation: beams, lengths and limits, with defaults from the model's folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from clearhead.errors import ConfigError, FolderError, OptionError, nearest
from clearhead.generation.beams import EarlyStopping
from clearhead.generation.defaults import FILE
from clearhead.generation.sampling import Sampling, is_finite, is_whole
from clearhead.language_model import LanguageModel
from clearhead.plain import checked

log = logging.getLogger(__name__)

BEAMS = 5

# transformers' names for the fields of Search, in generation_config.json.
FIELDS = {
    "num_beams": "beams",
    "length_penalty": "length_penalty",
    "early_stopping": "early_stopping",
    "no_repeat_ngram_size": "no_repeat",
    "max_new_tokens": "max_tokens",
}


@dataclass(frozen=True, kw_only=True)
class Search:
    """How to search for a translation.

    beams: partial translations kept side by side; 1 is greedy
    length_penalty: scores are divided by length ** this: 0 favours short ones, above 1 long ones
    early_stopping: when a text with ``beams`` finished translations is done. True: at once; False: when the best
        running beam would score no better if it ended now; "never": when it could do no better at any length allowed
    best: how many translations of each text to give, at most ``beams``
    no_repeat: no run of this many tokens comes twice; 0 allows all
    max_tokens: the most new tokens; None = 3 times the source's, plus 10: training leaves out longer ones
    sampling: draw tokens instead, with one beam; its own ``max_tokens`` is ignored

    Raises OptionError with the value and the rule.
    """

    beams: int = BEAMS
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    best: int = 1
    no_repeat: int = 0
    max_tokens: int | None = None
    sampling: Sampling | None = None

    def __post_init__(self) -> None:
        if not is_whole(self.beams) or self.beams < 1:
            raise OptionError.of("beams", self.beams, "a whole number of at least 1")
        if not is_whole(self.best) or not 1 <= self.best <= self.beams:
            raise OptionError.of("best", self.best, f"a whole number from 1 to {self.beams}, the number of beams")
        if not is_finite(self.length_penalty):
            raise OptionError.of("length_penalty", self.length_penalty, "finite; 1 divides by the length")
        if self.early_stopping not in (True, False, "never"):
            raise OptionError.of("early_stopping", self.early_stopping, 'True, False or "never"')
        if not is_whole(self.no_repeat) or self.no_repeat < 0:
            raise OptionError.of("no_repeat", self.no_repeat, "a whole number of at least 0")
        if self.max_tokens is not None and (not is_whole(self.max_tokens) or self.max_tokens < 1):
            raise OptionError.of("max_tokens", self.max_tokens, "a whole number of at least 1")
        if self.sampling is not None and self.beams > 1:
            raise OptionError(f"beams {self.beams}: tokens are drawn with one beam; give beams=1 (--beams 1)")
        if self.sampling is not None and self.early_stopping:
            raise OptionError(
                f"early_stopping {self.early_stopping}: is for beams, not for drawn tokens; leave one of them out"
            )
        if self.sampling is not None and self.no_repeat:
            raise OptionError(f"no_repeat {self.no_repeat}: is for beams, not for drawn tokens; leave one of them out")


SETTINGS = tuple(field.name for field in fields(Search))
_HINTS = get_type_hints(Search)


def search_for(model: LanguageModel, chosen: Mapping[str, Any]) -> Search:
    """The search that the model's generation_config.json asks for, overridden by ``chosen``; logs what comes from it.

    Raises OptionError for an unknown setting or a value out of range, FolderError if the file has one.
    """
    for name in chosen:
        if name not in SETTINGS:
            raise OptionError(f"translate: there is no setting {name!r}{nearest(name, SETTINGS)}")
    generation = model.metadata.generation
    given = {theirs: ours for theirs, ours in FIELDS.items() if generation.get(theirs) is not None}
    if chosen.get("sampling") is not None:
        given = {theirs: ours for theirs, ours in given.items() if ours == "max_tokens"}
        chosen = {"beams": 1, **chosen}
    try:
        found = {ours: checked(_HINTS[ours], generation[theirs], theirs) for theirs, ours in given.items()}
        Search(**found)
    except (ConfigError, OptionError) as fault:
        raise FolderError(
            f"{model.name or 'the model'}: {FILE}: {fault}; download it again, or fix the value"
        ) from None
    usual = Search()
    if told := [f"{theirs} {found[ours]}" for theirs, ours in given.items() if found[ours] != getattr(usual, ours)]:
        log.info("from the model's %s: %s", FILE, ", ".join(told))
    if "beams" not in chosen:
        found["beams"] = max(found.get("beams", usual.beams), chosen.get("best", 1))
    return Search(**{**found, **chosen})
