"""Translations of the validation pairs: their scores, in all and by the length of the source, and their speed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clearhead.generation import score, suited, translate
from clearhead.lab.bins import Bin, grouped
from clearhead.language_model import LanguageModel
from clearhead.text import Pairs

TRANSLATED = 500  # pairs, at most


@dataclass(frozen=True, kw_only=True)
class Translations:
    """BLEU and chrF of greedy translations, 64 at once.

    lengths: BLEU by tokens of the source; if no text there has four words, of fewer
    speed: tokens written a second
    """

    pairs: int
    bleu: float
    chrf: float
    lengths: tuple[Bin, ...]
    speed: float


def translations(model: LanguageModel, pairs: Pairs) -> Translations:
    """Translates the first TRANSLATED pairs. Raises MissingExtraError without sacrebleu."""
    both = pairs.sentences(TRANSLATED)
    sources, references = [source for source, _ in both], [target for _, target in both]
    started = time.perf_counter()
    found = translate(model, sources, beams=1)
    seconds = time.perf_counter() - started
    texts = [str(each) for each in found]
    tokenizer = suited(references)
    whole = score(texts, references, tokenizer=tokenizer)

    def bleu(rows: npt.NDArray[np.int64]) -> float:
        made, wanted = [texts[row] for row in rows], [references[row] for row in rows]
        return score(made, wanted, tokenizer=tokenizer, short=True).bleu

    return Translations(
        pairs=len(both),
        bleu=whole.bleu,
        chrf=whole.chrf,
        lengths=grouped(pairs.source.lengths(pairs.chosen[: len(both)]), bleu),
        speed=sum(len(each.ids) for each in found) / seconds,
    )
