"""One row of one map: against weights known by hand, and against the map's own measures of all rows."""

import math

import pytest

from clearhead.analysis import observe
from clearhead.drawing.row import read
from clearhead.tap import Site
from clearhead.watching import Knockout
from looked import HEADS, SUNK, THREE, by_hand, given, looked_at, small, speaking


def test_a_row_known_by_hand():
    row = read(given(*THREE), Site(0), 0, 2, 5)
    assert row.keys == (0, 2, 1)
    assert row.weights == pytest.approx((0.5, 0.375, 0.125))
    assert row.entropy == pytest.approx(0.5 * math.log(2) + 0.375 * math.log(8 / 3) + 0.125 * math.log(8))
    assert (row.first, row.previous) == pytest.approx((0.5, 0.125))
    assert row.distance == pytest.approx(0.5 * 2 + 0.125 * 1)
    assert row.error < 1e-6


def test_a_row_with_a_sink_sums_to_one_with_it():
    row = read(given(*SUNK, sink=1 / 16), Site(0), 0, 2, 5)
    assert row.weights == pytest.approx((0.5, 0.3125, 0.125))
    assert row.sink == pytest.approx(1 / 16)
    assert row.error < 1e-6
    assert read(given(*THREE), Site(0), 0, 2, 5).sink is None


def test_the_first_row_sees_itself_alone():
    row = read(given(*THREE), Site(0), 0, 0, 5)
    assert (row.keys, row.weights) == ((0,), (1.0,))
    assert (row.entropy, row.previous, row.distance) == (0, 0, 0)


def test_rows_equal_the_map_and_the_definition():
    record = looked_at("the server")
    expected = by_hand(small(), record.ids)
    for head in range(HEADS):
        attention = record[1, head]
        row = read(record, Site(1), head, 6, 3)
        order = sorted(range(7), key=lambda key: -expected[1, head, 6, key])
        assert list(row.keys) == order[:3]
        assert row.weights == pytest.approx(expected[1, head, 6, order[:3]], abs=2e-5)
        assert row.entropy == pytest.approx(float(attention.entropy()[6]))
        assert row.first == pytest.approx(float(attention.mass_on_first()[6]))
        assert row.previous == pytest.approx(float(attention.mass_on_previous()[6]))
        assert row.distance == pytest.approx(float(attention.mean_distance()[6]), abs=1e-5)


def test_hidden_keys_never_appear_and_a_weight_of_zero_may():
    # query 2 gives key 1 a weight that underflows to 0; query 1 cannot see key 2
    record = given([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]], ["a", "b", "c"])
    assert read(record, Site(0), 0, 2, 3).keys[2:] == (1,)
    assert read(record, Site(0), 0, 2, 3).weights == (0.5, 0.5, 0.0)
    assert sorted(read(record, Site(0), 0, 1, 3).keys) == [0, 1]


def test_a_query_that_sees_nothing_reads_nothing():
    edits = [Knockout(layer=0, query=1, key=0), Knockout(layer=0, query=1, key=1)]
    record = observe(speaking(), "ab", edits=edits)
    row = read(record, Site(0), 0, 1, 3)
    assert (row.keys, row.weights, row.entropy, row.first, row.error) == ((), (), 0, 0, 0)
