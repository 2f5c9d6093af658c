"""A few mutations of each kind; ``make fuzz`` runs thousands."""

from __future__ import annotations

import pytest

from fuzz import SHARES, fuzz


@pytest.mark.parametrize("kind", SHARES)
def test_a_few_mutations_find_nothing(kind: str) -> None:
    numbers, found = fuzz(kind, 8, 60, seed=1)
    assert found == []
    assert numbers["mutations"] == 8


def test_planted_faults_are_found() -> None:
    _, found = fuzz("planted", 40, 60, seed=1)
    faults = "\n".join(fault["fault"] for fault in found)
    assert "ValueError: a traceback" in faults
    assert "changed a file outside the folder" in faults
    assert "the process ended with -6" in faults
