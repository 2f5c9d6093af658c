"""The sentence pairs of a run: read, filtered with a count of what is left out, tokenised and split."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from clearhead.errors import OptionError, TextError, many, shown
from clearhead.generation import forced
from clearhead.language_model import LanguageModel
from clearhead.recipes import TextConfig
from clearhead.runs.saying import Say, progress_of
from clearhead.text import (
    FIELDS,
    PairFile,
    Pairs,
    PairSource,
    ParallelFiles,
    Tokenizer,
    filtered,
    shared_sources,
    shuffled,
    split_pairs,
    tokenize_pairs,
    usable,
)

log = logging.getLogger(__name__)


def pair_sources(names: Sequence[str], config: TextConfig) -> Sequence[PairSource]:
    """The files of a run as pairs, in the layout that the config names.

    Raises OptionError if parallel files are not two, TextError for files that cannot be read.
    """
    if config.layout == "parallel":
        if len(names) != 2:
            raise OptionError(
                f"{', '.join(names)}: parallel text is two files, of which line n of one translates line n of the "
                "other; to validate on others, name both, the source first: --valid dev.en --valid dev.de"
            )
        return [ParallelFiles(names[0], names[1], encoding=config.encoding)]
    fields = FIELDS if config.field is None else config.field.split(",")
    found = [PairFile(name, fields=fields, encoding=config.encoding) for name in names]
    if config.field is not None and not any(each.json for each in found):
        raise OptionError(f"field {config.field!r}: applies to .jsonl files, and there are none among the pairs")
    return found


def read_pairs(sources: Sequence[PairSource], model: LanguageModel, most: int | None = None) -> Pairs:
    """The pairs to evaluate a model on; those with an empty side are left out, and the log says how many.

    Raises TextError for a pair longer than the model's context.
    """
    first, (start, end) = forced(model).first, model.target_edges
    every = _in_languages(tokenize_pairs(sources, model.tokenizer, start=start, end=end), model.tokenizer, first)
    pairs, left_out = usable(every if most is None else replace(every, chosen=every.chosen[:most]))
    if str(left_out):
        log.warning("%s: left out %s", sources[0].name, left_out)
    longest = max(int(side.max()) for side in pairs.lengths())
    if longest > model.config.context:
        raise TextError(
            f"{sources[0].name}: a sentence has {longest:,} tokens with the special tokens around it; the model's "
            f"context is {model.config.context:,}; split it"
        )
    return pairs


def _in_languages(pairs: Pairs, tokenizer: Tokenizer, first: int | None) -> Pairs:
    """The pairs with language tokens around both texts, if the tokenizer puts one beside a source."""
    if tokenizer.source.around_source is None:
        return pairs
    before, after = tokenizer.source.around_source
    return replace(pairs, before=before, behind=after[1:], first=() if first is None else (first,))


def _start_of(tokenizer: Tokenizer, target: str | None) -> tuple[int | None, int | None]:
    """The id before each target, and its language's id if the target begins with that; see ``with_languages``.

    Raises OptionError if the model translates between many languages and ``target`` names none.
    """
    start = tokenizer.target_start
    if tokenizer.source.around_source is None:
        if target is not None:
            raise OptionError(
                f"target_language {target!r}: this model's tokenizer puts no language beside a text; leave it out"
            )
        return start, None
    if target is None:
        raise OptionError(
            "pairs: this model translates between many languages; name those of the pairs: --set "
            f"text.source_language=CODE --set text.target_language=CODE, out of {', '.join(tokenizer.languages)}"
        )
    language = tokenizer.language(target)
    return (language, None) if start is None or tokenizer.is_language(start) else (start, language)


def split_of(
    config: TextConfig,
    texts: Sequence[PairSource],
    validation: Sequence[PairSource],
    tokenizer: Tokenizer,
    context: int,
    say: Say,
) -> tuple[Pairs, Pairs]:
    """Training and validation pairs.

    Raises TextError if none is left, OptionError for an unknown language, or none where the tokenizer has tokens for
    languages, and if source sentences of the validation pairs are also trained on.
    """
    (start, first), end = _start_of(tokenizer, config.target_language), tokenizer.end
    if start is None or end is None:
        raise OptionError(
            f"tokenizer {config.tokenizer!r}: has no single token in front of a text, to begin a translation, or no "
            "eos_token, to end it; leave it out, and one is learned from the pairs"
        )
    progress = progress_of(say, "tokenising")

    def read(sources: Sequence[PairSource], what: str) -> Pairs:
        every = tokenize_pairs(sources, tokenizer, start=start, end=end, progress=progress)
        every = _in_languages(every, tokenizer, first)
        pairs, left_out = filtered(every, context=context)
        said = f"; left out: {left_out}" if pairs.count < every.count else ""
        say(f"{what}: {pairs.count:,} of {every.count:,} are kept{said}")
        return pairs

    began = time.perf_counter()
    pairs = read(texts, "pairs")
    if not validation:
        train, valid = split_pairs(pairs)
    else:
        train, valid = pairs, shuffled(read(validation, "validation pairs"))
        both = shared_sources(train, valid)
        if both and not config.overlap:
            raise OptionError(
                f"{many(len(both), 'source sentence')} of the validation pairs also stand in the training pairs, such "
                f"as {shown(both[0])}, so the score would measure memory; remove them from one of the files, or allow "
                "it with --set text.overlap=true"
            )
    say(
        f"text: {train.count:,} pairs to train on, {valid.count:,} to validate on; "
        f"{len(train):,} target tokens; vocabulary {tokenizer.vocab_size:,} ({tokenizer.kind}); ready in "
        f"{time.perf_counter() - began:.1f} s"
    )
    return train, valid
