"""``make test-anywhere``: every test belongs to a variant."""

from __future__ import annotations

from pathlib import Path

import anywhere

TESTS = Path(anywhere.__file__).parent
# The memory that loading takes and the types of the source are the same everywhere.
IN_NONE = {"hub/test_peak.py", "test_types.py"}


def test_every_test_file_is_in_a_variant() -> None:
    rooms = {TESTS / room for variant in anywhere.VARIANTS.values() for room in variant.rooms}
    files = {path for path in TESTS.rglob("test_*.py") if not rooms & {path, *path.parents}}
    assert {path.relative_to(TESTS).as_posix() for path in files} <= IN_NONE
    assert all(room.exists() for room in rooms)


def test_what_a_room_leaves_out_is_elsewhere_or_in_none() -> None:
    named = {room for variant in anywhere.VARIANTS.values() for room in variant.rooms}
    assert set(anywhere.LEFT_OUT) - named <= IN_NONE
