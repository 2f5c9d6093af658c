"""Batches of pairs: each pair once per epoch, within the budget, padded rightly, the same for the same step."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clearhead.errors import TextError
from clearhead.text import NOT_COUNTED, Batch, PairBatches, PairFile, Pairs, Tokenizer, tokenize_pairs
from clearhead.text.data.pair_batches import in_order

START, END = 254, 255
TOKENS = 64


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """150 pairs of 1 to 14 bytes a side, and one that alone is larger than the budget."""
    draw, folder = random.Random(1), tmp_path_factory.mktemp("pairs")
    lines = [
        f"{n:03d}"[: draw.randint(1, 3)] + "s" * draw.randint(0, 11) + f"\t{n}" + "t" * draw.randint(0, 11)
        for n in range(150)
    ]
    (folder / "p.tsv").write_text("\n".join([*lines, "x" * 40 + "\t" + "y" * 50]))
    return tokenize_pairs([PairFile(str(folder / "p.tsv"))], Tokenizer.bytes(), start=START, end=END, cache=folder)


def rows(batch: Batch) -> list[tuple[bytes, bytes]]:
    """Source and target of each row, by the batch's lengths and counted targets; checks the padding around them."""
    assert batch.source_BS is not None
    B, S = batch.source_BS.shape
    lengths_B = np.full(B, S) if batch.source_lengths_B is None else batch.source_lengths_B
    found = []
    for source, length, ids, targets in zip(batch.source_BS, lengths_B, batch.ids_BT, batch.targets_BT, strict=True):
        counted = int((targets != NOT_COUNTED).sum())
        assert (targets[counted:] == NOT_COUNTED).all()
        assert (source[length - 1 :] == END).all()
        assert ids[0] == START
        assert ids[1:counted].tolist() == targets[: counted - 1].tolist()
        assert (ids >= 0).all()
        assert targets[counted - 1] == END
        found.append((bytes(source[: length - 1].tolist()), bytes(targets[: counted - 1].tolist())))
    assert lengths_B.max() == S
    assert (batch.targets_BT[:, -1] != NOT_COUNTED).any()
    return found


def epoch(batches: PairBatches, first: int, count: int) -> list[Batch]:
    return [batches.at(step) for step in range(first, first + count)]


def steps(pairs: Pairs) -> int:
    """The steps of an epoch, by an evaluation's batches: the same cuts."""
    return sum(1 for _ in in_order(pairs, tokens=TOKENS))


def test_every_pair_once_per_epoch_and_all_epochs_are_as_long(pairs: Pairs) -> None:
    expected = Counter((source.encode(), target.encode()) for source, target in pairs.sentences())
    batches, count = PairBatches(pairs, tokens=TOKENS, seed=0), steps(pairs)
    for number in range(3):
        assert Counter(row for batch in epoch(batches, number * count, count) for row in rows(batch)) == expected


def test_batches_fill_the_budget_and_keep_it(pairs: Pairs) -> None:
    """Padding and both sides counted; only a pair that is larger alone is beyond it."""
    sizes = []
    for batch in epoch(PairBatches(pairs, tokens=TOKENS, seed=0), 0, steps(pairs)):
        assert batch.source_BS is not None
        sizes.append((len(batch.ids_BT), batch.source_BS.size + batch.ids_BT.size))
    assert [size for size in sizes if size[1] > TOKENS] == [(1, 41 + 51)]
    assert np.mean([size for _, size in sizes]) > 0.75 * TOKENS


def test_a_step_gives_the_same_whatever_came_before(pairs: Pairs) -> None:
    def told(batch: Batch) -> tuple[list, list]:
        assert batch.source_BS is not None
        return batch.source_BS.tolist(), batch.ids_BT.tolist()

    count = steps(pairs)
    straight = PairBatches(pairs, tokens=TOKENS, seed=3)
    once = [told(straight.at(step)) for step in range(3 * count)]
    asked = random.Random(0).sample(range(3 * count), 30)
    other = PairBatches(pairs, tokens=TOKENS, seed=3)
    assert [told(other.at(step)) for step in asked] == [once[step] for step in asked]
    epochs = [once[number * count : (number + 1) * count] for number in range(3)]
    assert all(one != another for one, another in pairwise(epochs))
    assert told(PairBatches(pairs, tokens=TOKENS, seed=4).at(0)) != once[0]


def test_equal_lengths_meet_others_in_the_next_epoch(pairs: Pairs) -> None:
    batches, count = PairBatches(pairs, tokens=TOKENS, seed=0), steps(pairs)
    first, second = ({frozenset(rows(each)) for each in epoch(batches, n * count, count)} for n in (0, 1))
    assert 0 < len(first & second) < len(first)


def test_in_order_is_all_once_with_their_bytes(pairs: Pairs) -> None:
    found = list(in_order(pairs, tokens=TOKENS))
    every = [row for batch in found for row in rows(batch)]
    assert [len(source) for source, _ in every] == sorted(len(source) for source, _ in every)
    assert len(every) == pairs.count
    assert sum(batch.text_bytes for batch in found) == pairs.text_bytes()
    assert sum(int((batch.targets_BT != NOT_COUNTED).sum()) for batch in found) == len(pairs)
    with pytest.raises(TextError, match=r"^there are no pairs to evaluate on; give more$"):
        next(in_order(pairs.part(0, 0), tokens=TOKENS))


def test_one_batch_by_hand(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("abc\tx\na\tyz\n")
    pairs = tokenize_pairs([PairFile(str(tmp_path / "p.tsv"))], Tokenizer.bytes(), start=1, end=2, cache=tmp_path)
    (batch,) = in_order(pairs, tokens=99)
    a, b, c, x, y, z = b"abcxyz"
    assert batch.source_BS is not None
    assert batch.source_lengths_B is not None
    assert batch.source_BS.tolist() == [[a, 2, 2, 2], [a, b, c, 2]]
    assert batch.source_lengths_B.tolist() == [2, 4]
    assert batch.ids_BT.tolist() == [[1, y, z], [1, x, 2]]
    assert batch.targets_BT.tolist() == [[y, z, 2], [x, 2, NOT_COUNTED]]
