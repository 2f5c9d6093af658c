"""Replacing a file: whatever happens, either the old or the new one is there, complete."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from clearhead import files
from clearhead.errors import FolderError, OptionError
from clearhead.files import (
    leftovers,
    make_folder,
    paths_in,
    read_bounded,
    refuse_link,
    remove_leftovers,
    replacing,
    replacing_folder,
    updating,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "new" / "folders" / "a.bin"
    make_folder(place.parent)
    make_folder(place.parent)
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
        (left,) = leftovers(tmp_path)
        assert left.name.startswith(".a.")
        write_text(tmp_path / "ab", "another")
        assert left.exists()
        write_text(tmp_path / "a", "new")
        assert names(tmp_path) == ["a", "ab"]  # what the dead process left is gone
        assert (tmp_path / "a").read_text() == "new"

    def test_only_what_was_left_is_removed(self, tmp_path: Path) -> None:
        """Not what somebody is writing, in this process or another, and nothing that others named."""
        kept = [".gitignore", "1.tmp", ".a.tmp", ".a.0123456789abcdef.tmp.gz", ".folder.0123456789abcdef.tmp"]
        for name in kept[:-1]:
            (tmp_path / name).write_text("somebody else's")
        (tmp_path / kept[-1]).mkdir()
        (tmp_path / ".b.0123456789abcdef.tmp").write_text("left")
        (tmp_path / ".c.0123456789abcdef.tmp").symlink_to(tmp_path / "1.tmp")
        with replacing(tmp_path / "a") as file:
            remove_leftovers(tmp_path)
            assert Path(file.name).exists()
        remove_leftovers(tmp_path)
        assert names(tmp_path) == sorted([*kept, "a", ".c.0123456789abcdef.tmp"])
        assert (tmp_path / "1.tmp").read_text() == "somebody else's"


class TestAFolder:
    def test_appears_whole_or_not_at_all(self, tmp_path: Path) -> None:
        with replacing_folder(tmp_path / "a") as folder:
            (folder / "file").write_text("x")
            assert not (tmp_path / "a").exists()
            assert leftovers(tmp_path, folders=True) == [folder]
            remove_leftovers(tmp_path, folders=True)  # another process tidies up
            assert folder.exists()
        assert names(tmp_path) == ["a"]
        assert names(tmp_path / "a") == ["file"]

    def test_whose_block_fails_leaves_nothing(self, tmp_path: Path) -> None:
        def fail() -> None:
            with replacing_folder(tmp_path / "a") as folder:
                (folder / "file").touch()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert names(tmp_path) == []

    def test_whose_process_was_killed_is_removed_by_the_next(self, tmp_path: Path) -> None:
        program = (
            "import os, signal, sys; from pathlib import Path; from clearhead.files import replacing_folder\n"
            "with replacing_folder(Path(sys.argv[1])) as folder:\n"
            "    (folder / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)"
        )
        ended = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], timeout=60, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert len(leftovers(tmp_path, "a", folders=True)) == 1
        (tmp_path / ".b.0123456789abcdef.tmp").mkdir()
        with replacing_folder(tmp_path / "a"):
            pass
        assert names(tmp_path) == [".b.0123456789abcdef.tmp", "a"]


@pytest.mark.parametrize("size", [1001, 100_000])
def test_a_full_disk(size: int, tmp_path: Path, file_limit: Callable[[int], AbstractContextManager[None]]) -> None:
    """Met when the buffered bytes are written: at once, or in the middle."""
    write_text(tmp_path / "a", "old")
    message = "a: cannot be written: File too large; the old file is unchanged; free some space or choose"
    with pytest.raises(FolderError, match=message), file_limit(1000):
        write_text(tmp_path / "a", "x" * size)
    with pytest.raises(FolderError, match=message), file_limit(1000), replacing(tmp_path / "a") as file:
        file.writelines([b"x"] * size)
    assert (tmp_path / "a").read_text() == "old"
    with file_limit(1000):
        write_text(tmp_path / "b", "x" * 1000)
    assert names(tmp_path) == ["a", "b"]


def test_what_the_block_fails_to_read_is_no_write_error(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "a") as file:  # noqa: PT012
        file.write(b"half")
        file.write(tmp_path.read_bytes())
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


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

    def test_in_a_folder_that_is_missing(self, tmp_path: Path) -> None:
        folder = tmp_path / "new" / "folders"
        with pytest.raises(FolderError, match=rf"a: cannot be written: there is no folder {folder}; create it, or"):
            write_text(folder / "a", "y")
        assert names(tmp_path) == []

    def test_without_leave(self) -> None:
        with pytest.raises(FolderError, match=r"^/proc/a: cannot be written: [^;]+; choose a place that can"):
            write_text(Path("/proc/a"), "y")  # the superuser cannot write here either
        with pytest.raises(FolderError, match=r"^/proc/none: cannot be written: [^;]+; choose a place that can"):
            make_folder(Path("/proc/none"))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
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


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    (tmp_path / "a").symlink_to(tmp_path / "other")
    write_text(tmp_path / "a", "new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "other").read_text() == "other"


def a_socket(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


NO_FILES: dict[str, Callable[[Path], object]] = {"a folder": Path.mkdir, "a pipe": os.mkfifo, "a socket": a_socket}


@pytest.mark.usefixtures("at_once")
class TestReading:
    @pytest.mark.parametrize("kind", NO_FILES)
    def test_what_is_no_file(self, kind: str, tmp_path: Path) -> None:
        NO_FILES[kind](tmp_path / "a")
        (tmp_path / "link").symlink_to(tmp_path / "a")
        for name in ("a", "link"):
            with pytest.raises(FolderError, match=rf"{name}: is {kind}, and should be a file; copy the file there$"):
                read_bounded(tmp_path / name, 10)

    @pytest.mark.parametrize("name", ["/dev/zero", "/dev/full", "/dev/null"])
    def test_a_device(self, name: str) -> None:
        with pytest.raises(FolderError, match=f"^{name}: is a device, and should be a file"):
            read_bounded(Path(name), 10)

    def test_through_a_link(self, tmp_path: Path) -> None:
        """A hub's cache is made of links."""
        (tmp_path / "a").write_text("content")
        (tmp_path / "link").symlink_to("a")
        assert read_bounded(tmp_path / "link", 7) == b"content"

    def test_more_than_the_bound(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("content")
        with pytest.raises(FolderError, match=r"a: altered: it has 7 bytes; at most 6 are read"):
            read_bounded(tmp_path / "a", 6)
        (tmp_path / "a").write_text("")
        assert read_bounded(tmp_path / "a", 0) == b""

    @pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="a file that tells no size is one of Linux's")
    def test_what_is_read_is_counted_not_what_is_reported(self) -> None:
        place = Path("/proc/self/maps")
        assert place.stat().st_size == 0
        with pytest.raises(FolderError, match=r"it has 11 bytes; at most 10 are read"):
            read_bounded(place, 10)
        assert len(read_bounded(place, 10**7)) > 10

    def test_a_missing_file_is_the_systems_word(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_bounded(tmp_path / "none", 10)


@pytest.mark.usefixtures("at_once")
class TestUpdating:
    def test_a_file_in_place(self, tmp_path: Path) -> None:
        for content in (b"12345", b"123456789"):
            with updating(tmp_path / "a") as file:
                file.write(content)
        assert (tmp_path / "a").read_bytes() == b"123456789"

    @pytest.mark.parametrize("kind", NO_FILES)
    def test_what_is_no_file(self, kind: str, tmp_path: Path) -> None:
        NO_FILES[kind](tmp_path / "a")
        with pytest.raises(FolderError, match=f"a: is {kind}, and should be a file"):
            updating(tmp_path / "a")

    @pytest.mark.parametrize("there", [True, False])
    def test_a_link(self, there: bool, tmp_path: Path) -> None:
        """Also one that leads nowhere yet: the file would be made there."""
        if there:
            (tmp_path / "other").write_text("other")
        (tmp_path / "a").symlink_to(tmp_path / "other")
        with pytest.raises(FolderError, match="a: is a link, and should be a file"):
            updating(tmp_path / "a")
        assert (tmp_path / "other").exists() == there

    def test_a_hard_link(self, tmp_path: Path) -> None:
        (tmp_path / "other").write_text("other")
        (tmp_path / "a").hardlink_to(tmp_path / "other")
        with pytest.raises(FolderError, match="a: is a hard link, so writing to it would change another file"):
            updating(tmp_path / "a")


def test_a_subfolder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    refuse_link(tmp_path / "a")
    refuse_link(tmp_path / "none")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(FolderError, match="b: is a link, and should be a folder; move there what it leads to"):
        refuse_link(tmp_path / "b")


def test_paths_are_one_or_a_list() -> None:
    assert paths_in("a", "text") == paths_in(Path("a"), "text") == paths_in(["a"], "text") == ["a"]
    assert paths_in((Path("a"), "b"), "text") == ["a", "b"]
    for given in (5, None, b"a", ["a", 5], {"a": "b"}):
        with pytest.raises(OptionError, match=r"^text: .* was given; it takes a path or a list of paths$"):
            paths_in(given, "text")  # pyright: ignore[reportArgumentType]
