"""Running the command inside the test's process."""

from __future__ import annotations

import pytest

from clearhead import cli


def called(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit status of the command."""
    monkeypatch.setattr("sys.argv", ["clearhead", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
