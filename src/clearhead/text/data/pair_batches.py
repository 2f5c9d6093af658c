"""Batches of sentence pairs of similar length, each with about as many tokens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from clearhead.errors import TextError
from clearhead.text.data.pair_tokens import Int64, Pairs, ids_of
from clearhead.text.data.windows import NOT_COUNTED, Batch


class PairBatches:
    """All pairs once per epoch, in batches of up to ``tokens`` tokens, padding and both sides counted.

    Pairs are sorted by length, in a new random order among equals at every epoch; batches come in random order. The
    sizes of the batches depend on the lengths alone, so all epochs have as many, and ``at`` depends only on its
    argument: the step is the whole position, and resuming needs no state.
    """

    def __init__(self, pairs: Pairs, *, tokens: int, seed: int) -> None:
        self._pairs, self._seed = pairs, seed
        self._source, self._target = pairs.lengths()
        order = np.lexsort((self._target, self._source))
        self._cuts = _cuts(self._source[order], self._target[order], tokens)
        self._epoch = -1
        self._order = self._shuffled = order

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._cuts) - 1

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0: always the same for the same step, whatever came before."""
        epoch, position = divmod(step, len(self._cuts) - 1)
        if epoch != self._epoch:
            random = np.random.default_rng((self._seed, epoch))
            self._order = np.lexsort((random.random(len(self._source)), self._target, self._source))
            self._shuffled = random.permutation(len(self._cuts) - 1)
            self._epoch = epoch
        number = self._shuffled[position]
        return batch_of(self._pairs, self._order[self._cuts[number] : self._cuts[number + 1]])


def in_order(pairs: Pairs, *, tokens: int) -> Iterator[Batch]:
    """All pairs once, sorted by length, with ``text_bytes``. Raises TextError if there are none."""
    if not pairs.count:
        raise TextError("there are no pairs to evaluate on; give more")
    source, target = pairs.lengths()
    order = np.lexsort((target, source))
    cuts = _cuts(source[order], target[order], tokens)
    for first, last in pairwise(cuts):
        yield batch_of(pairs, order[first:last])


def batch_of(pairs: Pairs, rows: Int64) -> Batch:
    """The chosen pairs at ``rows`` as a batch, padded on the right."""
    numbers = pairs.chosen[rows]
    both = [ids_of(pairs, int(number)) for number in numbers]
    lengths = np.array([len(source) for source, _ in both], dtype=np.int64)
    source_BS = np.full((len(both), lengths.max()), pairs.end, dtype=np.int64)
    targets_BT = np.full((len(both), max(len(target) for _, target in both)), NOT_COUNTED, dtype=np.int64)
    for row, (source, target) in enumerate(both):
        source_BS[row, : len(source)] = source
        targets_BT[row, : len(target)] = target
    ids_BT = np.roll(np.where(targets_BT == NOT_COUNTED, pairs.end, targets_BT), 1, axis=1)
    ids_BT[:, 0] = pairs.start
    return Batch(
        ids_BT=ids_BT,
        targets_BT=targets_BT,
        documents_BT=None,
        text_bytes=int(pairs.target_text.lengths(numbers).sum()),
        source_BS=source_BS,
        source_lengths_B=None if (lengths == lengths[0]).all() else lengths,
    )


def _cuts(source: Int64, target: Int64, tokens: int) -> Int64:
    """The bounds of batches of pairs in this order: as many pairs as fit when padded, or one that alone does not."""
    cuts, longest = [0], 0
    widest = 0
    for place, (s, t) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        longest, widest = max(longest, s), max(widest, t)
        if (place + 1 - cuts[-1]) * (longest + widest) > tokens and place > cuts[-1]:
            cuts.append(place)
            longest, widest = s, t
    return np.array([*cuts, len(source)], dtype=np.int64)
