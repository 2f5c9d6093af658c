"""What a comparison compares: kinds of models, a text, sizes, learning rates, seeds, minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clearhead import corpora, recipes
from clearhead.corpora import Recall
from clearhead.errors import OptionError, nearest
from clearhead.model import DecoderConfig, ModelConfig
from clearhead.model.sizing import gated_width
from clearhead.plain import from_dict
from clearhead.recipes import Table, TextConfig
from clearhead.runs.resolve import Asked, resolve
from clearhead.training import NEXT_TOKENS, TARGET_TOKENS, Objective, TrainConfig
from clearhead.training.shapes import architectures, equal, kind_of

RATES = (0.003, 0.01, 0.03)
STORIES = 1000  # held-out stories whose facts are asked
HELD_OUT = 1  # their seed; training reads those of seed 0

# Every run of a comparison evaluates briefly; the same tokens for all.
EVALUATING: Table = {"train": {"evaluations": 5, "evaluation_tokens": 20_000, "final_tokens": 100_000}}
RECIPE = "tiny"

# Associative recall: two layers, as in Arora et al. 2023. Rows of 64 tokens with 4 pairs, width 64, 51 seconds on two
# cores: 99.8 % right with 4,096 tokens a step (569 steps), 21 % with 16,384 (41 steps).
RECALL_TOKENS = 4096
RECALL: Table = {
    "layers": 2,
    "width": 64,
    "attention": {"heads": 2, "kv_heads": 2, "head_width": 32},
    "feed_forward": {"width": 160},
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a comparison was asked. A folder holds one; it continues only with the same.

    sizes: the Transformer's shapes, their vocabulary not yet known; the other kinds get as many weights
    train: what all runs share; each has its own steps, seed and learning rate
    rates: learning rates to try, of Muon and of AdamW
    facts: held-out stories whose facts are asked; 0 = none
    equal_time: whether to compare at equal time too, not at equal tokens alone
    """

    models: tuple[str, ...]
    text: TextConfig
    sizes: tuple[DecoderConfig, ...]
    train: TrainConfig
    rates: tuple[float, ...] = RATES
    minutes: float
    seeds: int = 1
    facts: int = 0
    speeds: bool = True
    equal_time: bool = True

    def __post_init__(self) -> None:
        kinds = architectures()
        for name in self.models:
            if name not in kinds:
                raise OptionError(f"model: there is no {name!r}{nearest(name, kinds)}")
            if self.objective.ability not in kinds[name]:
                able = ", ".join(known(self.objective))
                raise OptionError(f"model {name}: does not translate; for sentence pairs there is {able}")
        for what, values in (("model", self.models), ("width", [size.width for size in self.sizes])):
            twice = [value for value in values if list(values).count(value) > 1]
            if twice:
                raise OptionError(f"{what}: {twice[0]} was given twice; give each once")
        if not self.models:
            raise OptionError(f"model: none was given; choose among {', '.join(known(self.objective))}")
        if not self.rates or min(self.rates) <= 0:
            raise OptionError(f"rate: {list(self.rates)} were given; give one or more, each above 0")
        if not self.minutes > 0:
            raise OptionError.of("minutes", self.minutes, "above 0")
        if self.seeds < 1:
            raise OptionError.of("seeds", self.seeds, "at least 1")
        if self.facts < 0:
            raise OptionError.of("facts", self.facts, "0 or more")
        if "-" in (*self.text.sources, *self.text.valid):
            raise OptionError("text -: several runs read the text, and standard input can be read once; give a file")

    @property
    def pairs(self) -> bool:
        """Whether sentence pairs are compared on, and translations are scored."""
        return self.text.layout != "text"

    @property
    def objective(self) -> Objective:
        """What all models learn."""
        return TARGET_TOKENS if self.pairs else NEXT_TOKENS

    @property
    def budgets(self) -> tuple[str, ...]:
        """What models are compared at: equal "tokens", equal "time"."""
        return ("tokens", "time") if self.equal_time else ("tokens",)

    @property
    def recall(self) -> Recall | None:
        """The task of associative recall, if that is what is compared."""
        found = None if self.text.corpus is None else corpora.get(self.text.corpus)
        return found if isinstance(found, Recall) else None

    def config(self, size: DecoderConfig, name: str) -> ModelConfig:
        """The model of this name with as many weights as the decoder of this size; of pairs, a translator.

        In associative recall a convolution is dilated so that its last layer reads the whole row: without, no width
        could solve it.
        """
        config = equal(size, architectures()[name][self.objective.ability])
        return config if self.recall is None else config.dilated(self.recall.length)


def known(objective: Objective) -> list[str]:
    """The models that learn it."""
    return [name for name, kinds in architectures().items() if objective.ability in kinds]


def asked(
    *,
    text: Mapping[str, Any],
    models: Sequence[str] | None = None,
    widths: Sequence[int] | None = None,
    rates: Sequence[float] | None = None,
    recipe: str | None = None,
    settings: Sequence[Table] = (),
    minutes: float,
    seeds: int = 1,
    facts: int | None = None,
    speeds: bool = True,
    equal_time: bool = True,
    threads: int | None = None,
) -> Question:
    """The question that options ask. None takes the default; ``text`` has the options of a run's text, as ``Asked``.

    Raises OptionError or ConfigError naming a wrong value, and OptionError if facts are asked of a text whose facts
    are not known.
    """
    name = text.get("corpus")
    corpus = None if name is None else corpora.get(name)
    base = EVALUATING
    if isinstance(corpus, Recall):
        batch = max(1, RECALL_TOKENS // corpus.length)
        base = {"model": {**RECALL, "context": corpus.length}, "train": {**EVALUATING["train"], "batch": batch}}
    if widths is not None and any("width" in each.get("model", {}) for each in settings):
        raise OptionError("width and model.width were both given; choose one")
    shapes = recipes.joined([recipes.read(recipe or RECIPE), base, *settings]).get("model", {})
    pairs = text.get("layout") is not None
    if pairs:  # the shape is that of a decoder, from which those of all translators follow
        settings = [{part: values for part, values in each.items() if part != "model"} for each in settings]
    found = resolve(Asked(**text, steps=1, threads=threads, recipe=recipe or RECIPE, settings=[base, *settings]))
    if "origin" in found.table:
        raise OptionError("origin: the models of a comparison start from random weights; leave it out")
    if kind_of(shapes) != DecoderConfig.kind:
        raise OptionError(f"model.kind {kind_of(shapes)!r}: give the Transformer's shape; --model chooses the kinds")
    size = from_dict(DecoderConfig, {"vocabulary": 1, **shapes}, "model.")
    train = from_dict(TrainConfig, found.table["train"], "train.")
    if train.steps != 1:
        raise OptionError("train.steps and train.minutes follow from --minutes of the comparison; leave them out")
    return Question(
        models=tuple(known(TARGET_TOKENS if pairs else NEXT_TOKENS) if models is None else models),
        text=found.text,
        sizes=(size,) if widths is None else tuple(_as_wide(size, width) for width in widths),
        train=train,
        rates=RATES if rates is None else tuple(rates),
        minutes=minutes,
        seeds=seeds,
        facts=_stories(corpus, facts),
        speeds=speeds and not pairs,  # these are of texts by length; translating is timed with its scores
        equal_time=equal_time,
    )


def _stories(corpus: corpora.Corpus | None, facts: int | None) -> int:
    """The number of stories to ask for facts: by default ``STORIES`` if the corpus has any."""
    if facts is None:
        return STORIES if corpus is not None and corpus.has_truth else 0
    if facts and (corpus is None or not corpus.has_truth):
        name = "files" if corpus is None else repr(corpus.name)
        raise OptionError(
            f"facts {facts}: the facts of {name} are not known; compare on --corpus world-en or world-zh, or leave out "
            "--facts"
        )
    return facts


def _as_wide(size: DecoderConfig, width: int) -> DecoderConfig:
    """The Transformer at another width, with heads of 32 and a feed-forward of 8/3 of the width, as on the ladder."""
    if width < 32 or width % 32:
        raise OptionError(f"width {width}: must be a multiple of 32, the width of a head")
    heads = width // 32
    attention = replace(size.attention, heads=heads, kv_heads=heads, head_width=32)
    feed_forward = replace(size.feed_forward, width=gated_width(width))
    return replace(size, width=width, attention=attention, feed_forward=feed_forward)
