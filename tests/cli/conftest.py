"""The command, and a small run that several tests share."""

from pathlib import Path

import pytest
from calling import SMALL, TEXT, Command, Done, call


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command, called in an empty folder with a text.txt in it."""
    (tmp_path / "text.txt").write_text(TEXT)

    def run(*arguments: object, stdin: bytes = b"", folder: Path = tmp_path) -> Done:
        return call(*arguments, stdin=stdin, folder=folder)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A run of 20 steps on text.txt, and the command's output. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(TEXT)
    done = call("train", "text.txt", "--steps", 20, *SMALL, folder=folder)
    assert done.code == 0, done.err
    return folder / "runs" / "text", done
