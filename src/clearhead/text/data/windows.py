"""Windows of the token stream: shuffled for training, in order for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from clearhead.errors import OptionError, TextError, many
from clearhead.text.data.tokens import Tokens

Int64 = npt.NDArray[np.int64]

NOT_COUNTED = -100  # the target that torch's cross-entropy ignores
PADDING = -1  # the document number of padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B windows of T tokens, each token with the one that follows it; or B targets of pairs, each with its source."""

    ids_BT: Int64
    targets_BT: Int64  # NOT_COUNTED: no target (padding, or a token that only marks a beginning)
    documents_BT: Int64 | None  # 0, 1, 2, ... in each window, or PADDING; None: each window is one document
    text_bytes: int = 0  # bytes of text that the targets stand for; only counted in order (``sequential``)
    source_BS: Int64 | None = None  # the texts that the targets translate; None: there are none
    source_lengths_B: Int64 | None = None  # tokens of each; None: all S


class Windows:
    """Windows of ``context`` + 1 tokens in random order, each once per epoch, at a new offset every epoch.

    The windows of an epoch lie end to end (the last target of one is the first token of the next), starting at a
    random offset; less than two windows are left over at the ends, and come up in other epochs. ``at`` depends only on
    its argument, so the step number is the whole position: resuming needs no state.

    Raises TextError if the text is shorter than one window.
    """

    def __init__(self, tokens: Tokens, *, context: int, batch: int, seed: int) -> None:
        _check(context, batch)
        if seed < 0:
            raise OptionError(f"seed {seed}: must be 0 or more")
        _check_rows(tokens, context)
        if len(tokens) < context + tokens.ahead:
            raise TextError(
                f"the text has {many(len(tokens), 'token')}; a window needs {context + 1:,}, context {context:,} plus "
                "one; give more text" + (", or a smaller context (--set model.context=...)" if len(tokens) > 1 else "")
            )
        self.context = context
        self.batch = batch
        self._tokens = tokens
        self._seed = seed
        if tokens.row is None:
            # one fewer than fit, so that the offset can move by a whole context
            self._count = max(1, (len(tokens) - 1) // context - 1)
            self._slack = len(tokens) - 1 - self._count * context
        else:
            self._count, self._slack = len(tokens) // context, 0
        self._epoch = -1
        self._places: Int64 = np.empty(0, dtype=np.int64)

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0: always the same for the same step, whatever came before."""
        places = np.empty(self.batch, dtype=np.int64)
        filled = 0
        while filled < self.batch:
            epoch, position = divmod(step * self.batch + filled, self._count)
            taken = self._shuffled(epoch)[position : position + self.batch - filled]
            places[filled : filled + len(taken)] = taken
            filled += len(taken)
        return _batch(self._tokens, places, self.context)

    def _shuffled(self, epoch: int) -> Int64:
        if epoch != self._epoch:
            random = np.random.default_rng((self._seed, epoch))
            offset = random.integers(self._slack + 1)
            self._places = offset + self.context * random.permutation(self._count)
            self._epoch = epoch
        return self._places


def sequential(tokens: Tokens, *, context: int, batch: int, stride: int | None = None) -> Iterator[Batch]:
    """Windows of ``context`` tokens in order; every token after the first is a target once, N - 1 for N tokens.

    Tokens that only mark a beginning are not targets. Each window begins ``stride`` tokens after the previous one
    (``context`` unless given) and counts only the targets that one did not reach, so all but the first ``context`` are
    predicted from more than ``context - stride`` tokens. The last batch may have fewer windows; its last window is
    padded with PADDING documents and NOT_COUNTED targets.
    Raises TextError if there is nothing to predict, OptionError for a stride that would skip tokens.
    """
    _check(context, batch)
    _check_rows(tokens, context if stride is None else min(stride, context))
    stride = context if stride is None else stride
    if not 1 <= stride <= context:
        raise OptionError(f"stride {stride}: must be 1 or more, and at most the window's {context} tokens")
    targets = len(tokens) - tokens.ahead
    if targets < 1:
        raise TextError(f"the text has {many(len(tokens), 'token')}; at least 2 are needed; give more text")
    count = 1 + max(0, -(-(targets - context) // stride))
    whole = count if targets == (count - 1) * stride + context else count - 1
    full = whole // batch * batch  # windows in batches without padding
    for first in range(0, full, batch):
        windows = _batch(tokens, stride * np.arange(first, first + batch), context)
        yield _counted_once(windows, tokens, first, stride)
    if full == count:
        return
    end = tokens.part(full * stride, len(tokens))
    padding = (count - 1) * stride + context - targets
    padded = replace(end, ids=np.pad(end.ids, (0, padding), mode="edge"))
    last = _batch(padded, stride * np.arange(count - full), context)
    if padding:
        documents_BT = np.zeros_like(last.ids_BT) if last.documents_BT is None else last.documents_BT
        documents_BT[-1, context - padding :] = PADDING
        last.targets_BT[-1, context - padding :] = NOT_COUNTED
        last = replace(last, documents_BT=documents_BT)
    yield _counted_once(last, tokens, full, stride)


def _counted_once(batch: Batch, tokens: Tokens, first: int, stride: int) -> Batch:
    """Drops the targets that the previous window has; ``first`` is the number of the first window."""
    count, context = batch.targets_BT.shape
    batch.targets_BT[0 if first else 1 :, : context - stride] = NOT_COUNTED
    begin = tokens.ahead + ((first - 1) * stride + context if first else 0)
    end = tokens.ahead + (first + count - 1) * stride + context
    return replace(batch, text_bytes=tokens.text_bytes(begin, min(end, len(tokens))))


def _check(context: int, batch: int) -> None:
    for name, value in (("context", context), ("batch", batch)):
        if value < 1:
            raise OptionError(f"{name} {value}: must be 1 or more")


def _check_rows(tokens: Tokens, window: int) -> None:
    if tokens.row is not None and window != tokens.row:
        raise OptionError(
            f"windows of {many(window, 'token')}, but the text consists of rows of {tokens.row}, which are read whole; "
            f"set the context to that (--set model.context={tokens.row})"
        )


def _batch(tokens: Tokens, places: Int64, context: int) -> Batch:
    if tokens.targets is not None:
        ids_NT, targets_NT = (
            np.lib.stride_tricks.sliding_window_view(each, context) for each in (tokens.ids, tokens.targets)
        )
        return Batch(
            ids_BT=ids_NT[places].astype(np.int64), targets_BT=targets_NT[places].astype(np.int64), documents_BT=None
        )
    windows = np.lib.stride_tricks.sliding_window_view(tokens.ids, context + 1)[places]
    targets_BT = windows[:, 1:].astype(np.int64)
    if tokens.begin_only:
        targets_BT[np.isin(targets_BT, tokens.begin_only)] = NOT_COUNTED
    return Batch(
        ids_BT=windows[:, :-1].astype(np.int64),
        targets_BT=targets_BT,
        documents_BT=_documents(tokens, places, context),
    )


def _documents(tokens: Tokens, places: Int64, context: int) -> Int64 | None:
    """Document numbers in each window, from 0; None if each window lies in one document."""
    # starts inside a window; one at its very beginning is not a boundary
    first = np.searchsorted(tokens.starts, places, side="right")
    counts = np.searchsorted(tokens.starts, places + context, side="left") - first
    total = int(counts.sum())
    if not total:
        return None
    rows = np.repeat(np.arange(len(places)), counts)
    nth = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    boundaries_BT = np.zeros((len(places), context), dtype=np.int64)
    boundaries_BT[rows, tokens.starts[first[rows] + nth] - places[rows]] = 1
    return boundaries_BT.cumsum(axis=1)
