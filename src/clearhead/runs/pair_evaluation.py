"""How well a model translates: ``clearhead eval --pairs``, and the samples of a run."""

from __future__ import annotations

from dataclasses import dataclass

from clearhead import training
from clearhead.errors import OptionError, TextError
from clearhead.files import Paths, paths_in
from clearhead.generation import Scores, Search, Translation, score, stream_translations
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import needs
from clearhead.recipes import TextConfig
from clearhead.runs.evaluation import check_finite
from clearhead.runs.pair_material import pair_sources, read_pairs
from clearhead.text import Pairs
from clearhead.training import TARGET_TOKENS, Evaluation


@dataclass(frozen=True, kw_only=True, eq=False)
class PairEvaluation:
    """evaluation: of the targets, given their sources. translations: the model's own, in the order of the pairs."""

    evaluation: Evaluation
    scores: Scores
    translations: tuple[Translation, ...]
    references: tuple[str, ...]


def evaluate_pairs(
    model: LanguageModel,
    files: Paths,
    search: Search | None = None,
    *,
    parallel: bool = False,
    field: str | None = None,
    encoding: str = "utf-8",
    tokenizer: str | None = None,
    most: int | None = None,
) -> PairEvaluation:
    """Evaluates a model on sentence pairs: the loss on the targets, BLEU and chrF of its translations.

    files: one or more files of pairs; with ``parallel`` two files, the sources first
    field, encoding: as for training
    tokenizer: as in ``score``
    most: only the first pairs

    No pair is left out, except those with an empty side and lines without a second column, which ``clearhead`` logs.
    Raises OptionError for a model that does not translate or a value out of range, MissingExtraError without sacrebleu,
    TextError for text that cannot be read.
    """
    check_model(model, "evaluate_pairs")
    needs(model, "text to text", "eval --pairs")
    if most is not None and most < 1:
        raise OptionError.of("most (--first)", most, "at least 1")
    layout = "parallel" if parallel else "pairs"
    config = TextConfig(layout=layout, sources=tuple(paths_in(files, "evaluate_pairs")), field=field, encoding=encoding)
    pairs = read_pairs(pair_sources(config.sources, config), model, most)
    evaluation = training.evaluate(model.network, pairs, objective=TARGET_TOKENS)
    check_finite(evaluation)
    return scored(model, pairs, evaluation, search, tokenizer)


def scored(
    model: LanguageModel, pairs: Pairs, evaluation: Evaluation, search: Search | None, tokenizer: str | None
) -> PairEvaluation:
    """The pairs translated and scored."""
    both = pairs.sentences()
    if not both:
        raise TextError("there are no pairs to translate; give more")
    made = tuple(stream_translations(model, (source for source, _ in both), search))
    references = tuple(target for _, target in both)
    scores = score([str(each) for each in made], references, tokenizer=tokenizer)
    return PairEvaluation(evaluation=evaluation, scores=scores, translations=made, references=references)
