"""Writing in place of another file: whatever happens, the old one or the new one stands there whole."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from clearhead import files
from clearhead.errors import FolderError
from clearhead.files import leftovers, replacing, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "new" / "folders" / "a.bin"
    for content in (b"first", b"second, longer", b""):
        with replacing(place) as file:
            file.write(content)
            assert not place.exists() or place.read_bytes() != content
        assert place.read_bytes() == content
    write_text(place, "你好\n")
    assert place.read_bytes() == b"\xe4\xbd\xa0\xe5\xa5\xbd\n"
    assert names(place.parent) == ["a.bin"]


def broken_off(place: Path, fault: BaseException) -> None:
    with replacing(place) as file:
        file.write(b"half")
        raise fault


class TestAnEndInTheMiddle:
    @pytest.mark.parametrize("fault", [ValueError("own"), KeyboardInterrupt(), SystemExit(3)])
    def test_of_the_block(self, tmp_path: Path, fault: BaseException) -> None:
        write_text(tmp_path / "a", "old")
        with pytest.raises(type(fault)):
            broken_off(tmp_path / "a", fault)
        assert (tmp_path / "a").read_text() == "old"
        with pytest.raises(type(fault)):
            broken_off(tmp_path / "b", fault)
        assert names(tmp_path) == ["a"]

    def test_of_the_process(self, tmp_path: Path) -> None:
        write_text(tmp_path / "a", "old")
        program = (
            "import os, signal, sys; from pathlib import Path; from clearhead.files import replacing\n"
            "with replacing(Path(sys.argv[1])) as file:\n"
            "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
        )
        ended = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], timeout=60, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert (tmp_path / "a").read_text() == "old"
        (left,) = (name for name in names(tmp_path) if name != "a")
        write_text(tmp_path / "a", "new")  # what the dead process left is in nobody's way
        assert (tmp_path / "a").read_text() == "new"
        kept = [".gitignore", "1.tmp", ".a.tmp", ".a.0123456789abcdef.tmp.gz"]
        for name in kept:
            (tmp_path / name).write_text("somebody else's")
        (tmp_path / ".folder.0123456789abcdef.tmp").mkdir()
        assert leftovers(tmp_path) == [tmp_path / left]


@pytest.mark.parametrize("size", [1001, 100_000])
def test_a_full_disk(size: int, tmp_path: Path, file_limit: Callable[[int], AbstractContextManager[None]]) -> None:
    """Met when the buffered bytes are written: at once, or in the middle."""
    write_text(tmp_path / "a", "old")
    message = "a: cannot be written: File too large; the file that stood there is unchanged; free some space or choose"
    with pytest.raises(FolderError, match=message), file_limit(1000):
        write_text(tmp_path / "a", "x" * size)
    with pytest.raises(FolderError, match=message), file_limit(1000), replacing(tmp_path / "a") as file:
        file.writelines([b"x"] * size)
    assert (tmp_path / "a").read_text() == "old"
    with file_limit(1000):
        write_text(tmp_path / "b", "x" * 1000)
    assert names(tmp_path) == ["a", "b"]


class TestPlacesThatCannotBeWritten:
    def test_under_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(FolderError, match=r"file/a: cannot be written: Not a directory; choose"):
            write_text(tmp_path / "file" / "a", "y")

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        with pytest.raises(FolderError, match=r"a: cannot be written: Is a directory"):
            write_text(tmp_path / "a", "y")
        assert names(tmp_path) == ["a"]

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(FolderError, match=r"cannot be written: File name too long; choose"):
            write_text(tmp_path / ("x" * 256), "y")
        assert names(tmp_path) == []

    def test_a_name_that_just_fits(self, tmp_path: Path) -> None:
        for name in ("x" * 255, "你" * 85, "🙂" * 63):
            write_text(tmp_path / name, "y")
        assert len(names(tmp_path)) == 3

    def test_without_leave(self) -> None:
        with pytest.raises(FolderError, match=r"^/proc/none/a: cannot be written: [^;]+; choose a place that can"):
            write_text(Path("/proc/none/a"), "y")  # the superuser cannot write here either


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "x")
        with replacing(tmp_path / "b") as file:  # a library that puts its own file under the name it was given
            own = tmp_path / "own"
            own.write_bytes(b"y")
            own.chmod(0o400)
            own.replace(file.name)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode
    assert (tmp_path / "b").stat().st_mode & 0o777 == mode
    assert (tmp_path / "b").read_bytes() == b"y"


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed first, a power cut could leave the new name on an empty file."""
    place = tmp_path / "a"
    seen: list[tuple[str, bytes, bool]] = []

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            seen.append(("folder", b"", place.exists()))
        else:
            seen.append(("file", os.pread(handle, 100, 0), place.exists()))

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_text(place, "new")
    assert seen == [("file", b"new", False), ("folder", b"", True)]


def test_two_writers_of_one_path_do_not_mix(tmp_path: Path) -> None:
    """Also where they have one process number, as in two containers; here in one process."""
    with replacing(tmp_path / "a") as first:
        first.write(b"1" * 1000)
        write_text(tmp_path / "a", "2" * 500)
        first.write(b"1" * 1000)
    assert (tmp_path / "a").read_text() == "1" * 2000
    assert names(tmp_path) == ["a"]
