"""BLEU and chrF of translations, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clearhead.errors import MissingExtraError, OptionError
from clearhead.text.scripts import HAN, KANA, within

MOSTLY = 0.3  # share of letters in Chinese or Japanese scripts from which text is taken to have no spaces
LEAST = 0.1  # share of kana from which such text is Japanese


@dataclass(frozen=True, kw_only=True)
class Scores:
    """BLEU (Papineni et al. 2002) and chrF2 (Popović 2015), from 0 to 100, each with sacrebleu's signature."""

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


def has_scores() -> bool:
    """Whether sacrebleu is installed."""
    try:
        import sacrebleu  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        return False
    return True


def check_scores() -> None:
    """Raises MissingExtraError unless sacrebleu is installed."""
    if not has_scores():
        raise MissingExtraError("BLEU and chrF need sacrebleu: pip install 'clearhead[translate]'")


def score(
    made: Sequence[str], references: Sequence[str], *, tokenizer: str | None = None, short: bool = False
) -> Scores:
    """The scores of translations, one reference each.

    tokenizer: a name of sacrebleu's, such as 13a, zh, ja-mecab or char; None takes zh for Chinese, char for
        Japanese (which sacrebleu splits into words only with a dictionary), 13a for the rest
    short: BLEU over only the n-gram orders that occur (sacrebleu's effective_order); else 0 if no text has four words

    Raises MissingExtraError if sacrebleu or what the tokenizer needs is not installed, OptionError for an unknown
    tokenizer or no translations.
    """
    check_scores()
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if not made or len(made) != len(references):
        raise OptionError(f"{len(made)} translations and {len(references)} references; each needs one")
    tokenizer = tokenizer or suited(references)
    if tokenizer not in BLEU.TOKENIZERS:
        raise OptionError(f"tokenizer {tokenizer!r}: sacrebleu has {', '.join(BLEU.TOKENIZERS)}")
    try:
        metrics: list[Any] = [BLEU(tokenize=tokenizer, effective_order=short), CHRF()]
    except (ImportError, RuntimeError) as missing:  # a dictionary that is a package of its own
        raise MissingExtraError(f"tokenizer {tokenizer!r}: {' '.join(str(missing).split())}") from missing
    bleu, chrf = (metric.corpus_score(list(made), [list(references)]).score for metric in metrics)
    signatures = [str(metric.get_signature()) for metric in metrics]
    return Scores(bleu=bleu, chrf=chrf, bleu_signature=signatures[0], chrf_signature=signatures[1])


def suited(texts: Sequence[str]) -> str:
    """sacrebleu's tokenizer for these references: 13a, its default, or char or zh for scripts without spaces."""
    letters = [character for text in texts for character in text if character.isalpha()]
    han, kana = (sum(within(character, script) for character in letters) for script in (HAN, KANA))
    if han + kana <= MOSTLY * len(letters):
        return "13a"
    return "char" if kana > LEAST * len(letters) else "zh"
