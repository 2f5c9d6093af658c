"""The objective of encoders: some tokens of each window are masked, and predicted from both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from clearhead.errors import OptionError, TextError
from clearhead.text import NOT_COUNTED, PADDING, Batch, Tokenizer, Tokens, Windows, sequential
from clearhead.text.data.windows import Int64
from clearhead.text.tokenizers.words import Bools
from clearhead.training.config import MaskConfig
from clearhead.training.objective import check_length

# Distinguishes the random numbers of masks from those of windows (seed, epoch), and those of an evaluation, which are
# the same for every run, from those of a step.
STEP, EVALUATION = 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedTokens:
    """Masked tokens (Devlin et al. 2019, 3.1): every token sees all of its document.

    In each window ``masks.rate`` of the tokens are chosen, rounded, at least one; special tokens never. In training
    most of them are replaced by the mask token, the others by a random token or by nothing, as ``masks`` says. In an
    evaluation all of them are masked, as when a mask is filled.
    """

    ability, unit, one_shape = "masked tokens", "masked token", True

    masks: MaskConfig
    seed: int
    mask: int  # the id of the mask token
    ordinary_V: Bools  # ids that may be masked
    continues_V: Bools  # ids that can continue the word before them
    ends_V: Bools  # ids that can be continued

    @classmethod
    def of(cls, tokenizer: Tokenizer, masks: MaskConfig, seed: int = 0) -> MaskedTokens:
        """For the ids of a tokenizer. Raises OptionError if it has no mask token."""
        mask = tokenizer.role("mask")
        if mask is None:
            raise OptionError(no_mask("this model"))
        continues_V, ends_V = tokenizer.word_edges
        return cls(
            masks=masks, seed=seed, mask=mask, ordinary_V=tokenizer.ordinary, continues_V=continues_V, ends_V=ends_V
        )

    def windows(self, data: Tokens, *, context: int, batch: int, seed: int) -> Windows:
        """Windows of the text in random order."""
        return Windows(data, context=context, batch=batch, seed=seed)

    def trial(self, ids_BT: Int64) -> Batch:
        """The ids, masked as in the first step."""
        return self.batch(Batch(ids_BT=ids_BT, targets_BT=ids_BT, documents_BT=None), 0)

    def check(self, data: Tokens) -> None:
        """Raises TextError for fewer than two tokens of text."""
        check_length(data)

    def batch(self, windows: Batch, step: int) -> Batch:
        """Masks the windows of a step."""
        random, ids_BT = np.random.default_rng((self.seed, step, STEP)), windows.ids_BT
        chosen_BT = self._chosen(windows, random.random(ids_BT.shape))
        share_BT, ordinary = random.random(ids_BT.shape), np.flatnonzero(self.ordinary_V)
        masked_BT = chosen_BT & (share_BT < self.masks.masked)
        swapped_BT = chosen_BT & ~masked_BT & (share_BT < self.masks.masked + self.masks.random)
        new_BT = np.where(swapped_BT, random.choice(ordinary, size=ids_BT.shape), ids_BT)
        new_BT = np.where(masked_BT, self.mask, new_BT)
        return replace(windows, ids_BT=new_BT, targets_BT=np.where(chosen_BT, ids_BT, NOT_COUNTED))

    def in_order(self, data: Tokens, *, context: int, batch: int, stride: int | None) -> Iterator[Batch]:
        """Windows end to end, each masked once, with masks that depend on its number alone.

        Raises TextError if there is no token to mask, OptionError for a stride: all tokens of a window see all of it.
        """
        if stride is not None:
            raise OptionError(
                f"stride {stride}: is for models that predict the next token; this one sees both sides of every "
                "window; leave it out"
            )
        one_more = data.ids[-1:]  # windows of T tokens have T inputs and end before the target of the last
        lengths = np.append(data.lengths, np.int32(0)) if data.by_place else data.lengths
        whole = replace(data, ids=np.append(data.ids, one_more), lengths=lengths)
        first = predicted = 0
        for windows in sequential(whole, context=context, batch=batch):
            rows = [np.random.default_rng((0, row, EVALUATION)).random(context) for row in range(first, first + batch)]
            chosen_BT = self._chosen(windows, np.stack(rows[: len(windows.ids_BT)]))
            row, place = np.nonzero(chosen_BT)
            yield replace(
                windows,
                ids_BT=np.where(chosen_BT, self.mask, windows.ids_BT),
                targets_BT=np.where(chosen_BT, windows.ids_BT, NOT_COUNTED),
                text_bytes=data.bytes_at((first + row) * context + place),
            )
            first, predicted = first + batch, predicted + len(row)
        if not predicted:
            raise TextError("the text has no token that can be masked, only special ones; give more text")

    def _chosen(self, windows: Batch, random_BT: np.ndarray) -> Bools:
        """Where to mask: at each window's smallest random numbers; with whole words, a word's tokens share one."""
        ids_BT = windows.ids_BT
        may_BT = self.ordinary_V[ids_BT]
        if windows.documents_BT is not None:
            may_BT &= windows.documents_BT != PADDING
        if self.masks.whole_words:
            random_BT = np.take_along_axis(random_BT, self._first_of_word(ids_BT), axis=1)
        random_BT = np.where(may_BT, random_BT, np.inf)
        can_B = may_BT.sum(axis=1)
        count_B = np.minimum(np.maximum(np.rint(self.masks.rate * can_B).astype(np.int64), 1), can_B)
        ordered_BT = np.sort(random_BT, axis=1)
        limit_B = np.take_along_axis(ordered_BT, np.maximum(count_B - 1, 0)[:, None], axis=1)
        return may_BT & (random_BT <= limit_B)

    def _first_of_word(self, ids_BT: Int64) -> Int64:
        """The place in its window where the word of each token begins."""
        places_BT = np.broadcast_to(np.arange(ids_BT.shape[1]), ids_BT.shape)
        continues_BT = self.continues_V[ids_BT]
        continues_BT[:, 1:] &= self.ends_V[ids_BT[:, :-1]]
        continues_BT[:, 0] = False
        return np.maximum.accumulate(np.where(continues_BT, 0, places_BT), axis=1)


def no_mask(name: str) -> str:
    """The error for a model whose tokenizer has no mask token."""
    return (
        f"{name}: its tokenizer has no mask token, so it cannot learn to fill masks; name the token as mask_token in "
        "tokenizer_config.json"
    )
