"""Associative recall against its definition (Arora et al. 2023), and its rows as text."""

from __future__ import annotations

import numpy as np
import pytest

from clearhead import corpora
from clearhead.corpora.recall import NO_ANSWER, POWER, made
from clearhead.errors import OptionError

C = 40


@pytest.mark.parametrize(("length", "pairs"), [(16, 4), (22, 3), (12, 1)])
def test_rows_are_pairs_and_then_each_key_once_more_with_its_value_as_target(length: int, pairs: int) -> None:
    ids_NT, targets_NT = made(np.random.default_rng(3), 200, length, pairs, C)
    assert ids_NT.shape == targets_NT.shape == (200, length)
    for ids, targets in zip(ids_NT.tolist(), targets_NT.tolist(), strict=True):
        keys, values = ids[: 2 * pairs : 2], ids[1 : 2 * pairs : 2]
        assert len(set(keys)) == len(set(values)) == pairs
        assert all(1 <= key < C // 2 for key in keys)
        assert all(C // 2 <= value < C for value in values)
        told = dict(zip(keys, values, strict=True))
        asked = {place: key for place, key in enumerate(ids) if place >= 2 * pairs and key}
        assert sorted(asked.values()) == sorted(keys)
        assert all(place % 2 == 0 for place in asked)
        assert targets == [told[asked[place]] if place in asked else NO_ANSWER for place in range(length)]


def test_all_keys_and_values_occur() -> None:
    ids_NT, _ = made(np.random.default_rng(0), 2000, 8, 2, C)
    assert set(ids_NT.ravel().tolist()) == set(range(C))


def test_places_of_two_queries_follow_the_power_law_without_replacement() -> None:
    count, places = 40_000, 4
    ids_NT, _ = made(np.random.default_rng(1), count, 4 + 2 * places, 2, C)
    p = np.arange(1, places + 1) ** (POWER - 1)
    p /= p.sum()
    for first in range(places):
        for second in range(places):
            if first == second:
                continue
            expected = p[first] * p[second] / (1 - p[first])
            hit = (ids_NT[:, 4 + 2 * first] == ids_NT[:, 0]) & (ids_NT[:, 4 + 2 * second] == ids_NT[:, 2])
            deviation = (expected * (1 - expected) / count) ** 0.5
            assert abs(hit.mean() - expected) < 4.5 * deviation, (first, second)


def test_the_rows_of_a_task_are_always_the_same_and_validate_on_others() -> None:
    task = corpora.get("mqar-64-4")
    assert isinstance(task, corpora.Recall)
    (ids_NT, targets_NT), (again_NT, _), (valid_NT, _) = task.rows("valid"), task.rows("valid"), task.rows("train")
    assert ids_NT.shape == (3_000, 64)
    assert (targets_NT >= 0).sum() == 3_000 * 4
    assert (ids_NT == again_NT).all()
    assert not (ids_NT == valid_NT[:3_000]).all(axis=1).any()
    words = next(iter(task.source().documents())).split(" ")
    assert len(words) == 64
    assert [task.words().index(word) for word in words] == valid_NT[0].tolist()


@pytest.mark.parametrize("name", ["mqar-63-4", "mqar-64-17", "mqar-64-0", "mqar-8192-4"])
def test_impossible_sizes_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(OptionError, match="four times the pairs"):
        corpora.get(name)


def test_it_has_no_stories() -> None:
    task = corpora.get("mqar-64-4")
    assert not task.has_truth
    with pytest.raises(OptionError, match="no stories"):
        task.stories()
