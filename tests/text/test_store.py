"""The cache: whole or absent, checked when opened, readable by other tools."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from clearhead.errors import FolderError, TextError, WriteError
from clearhead.files import cache_folder
from clearhead.text.data.store import read_columns, write_columns

PARTS = [
    {"ids": np.array([1, 2, 65535], np.uint16), "starts": np.array([0], np.int64)},
    {"ids": np.array([], np.uint16), "starts": np.array([], np.int64)},
    {"ids": np.array([4, 5], np.uint16), "starts": np.array([3, 2**40], np.int64)},
    {"lengths": np.array([-7, 8], np.int32)},
]
WHOLE = {"ids": [1, 2, 65535, 4, 5], "starts": [0, 3, 2**40], "lengths": [-7, 8]}


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_columns_come_back_and_open_as_safetensors(tmp_path: Path):
    path = tmp_path / "deep" / "t.safetensors"
    write_columns(path, PARTS)
    ours = read_columns(path)
    assert ours is not None
    for columns in (ours, safetensors.numpy.load_file(path)):
        assert {name: values.tolist() for name, values in columns.items()} == WHOLE
        assert {name: values.dtype.name for name, values in columns.items()} == {
            "ids": "uint16",
            "starts": "int64",
            "lengths": "int32",
        }
    assert isinstance(ours["ids"].base, np.memmap)
    assert names(path.parent) == ["t.safetensors"]


def test_a_missing_file_is_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert read_columns(tmp_path / "none") is None
    assert not caplog.messages


def test_every_altered_byte_is_noticed_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "t"
    write_columns(path, PARTS)
    whole = path.read_bytes()
    end = whole.rindex(b"}") + 1  # of the header; its padding carries nothing
    places = [*range(8, end), *range(4096, len(whole))]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = read_columns(path)
        # a letter of the word that names the format may change without harm
        assert found is None or {name: values.tolist() for name, values in found.items()} == WHOLE
    assert len(caplog.messages) > 0.9 * len(places)
    assert set(caplog.messages) == {f"{path}: truncated or altered; rebuilding it"}


def test_every_truncation_is_noticed(tmp_path: Path):
    path = tmp_path / "t"
    write_columns(path, PARTS)
    whole = path.read_bytes()
    for size in (0, 5, 100, 4095, *range(4096, len(whole))):
        path.write_bytes(whole[:size])
        assert read_columns(path) is None
    path.write_bytes(whole + b"\0")
    assert read_columns(path) is None


@pytest.mark.usefixtures("at_once")
def test_a_pipe_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    os.mkfifo(tmp_path / "t")
    assert read_columns(tmp_path / "t") is None
    assert caplog.messages == [f"{tmp_path / 't'}: is a pipe, and should be a file; rebuilding it"]
    write_columns(tmp_path / "t", PARTS)
    assert read_columns(tmp_path / "t") is not None


def test_a_header_beyond_pythons_depth_is_noticed(tmp_path: Path):
    (tmp_path / "t").write_bytes(bytes(8) + b"[" * 4088)
    assert read_columns(tmp_path / "t") is None


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("old")

    def parts() -> Iterator[dict[str, np.ndarray]]:
        yield PARTS[0]
        raise TextError("half way")

    with pytest.raises(TextError, match="half way"):
        write_columns(path, parts())
    assert path.read_text() == "old"
    assert names(tmp_path) == ["f"]


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path):
    code = f"""
import resource, numpy as np
from pathlib import Path
from clearhead.errors import FolderError
from clearhead.text.data.store import write_columns
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_columns(Path({str(tmp_path)!r}) / "t", [{{"ids": np.zeros(5000, np.uint16)}}] * 9)
except FolderError as told:
    print(told)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"{tmp_path}/t: cannot be written: File too large; ")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"cannot be written: (File exists|Not a directory)"):
        write_columns(tmp_path / "file" / "t", PARTS)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("CLEARHEAD_CACHE", raising=False)
    assert cache_folder(None) == Path("/home/me/.cache/clearhead")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder(None) == Path("/xdg/clearhead")
    monkeypatch.setenv("CLEARHEAD_CACHE", "~/mine")
    assert cache_folder(None) == Path("/home/me/mine")
    assert cache_folder(Path("given")) == Path("given")


def test_a_user_without_a_home_is_asked_to_name_a_folder(monkeypatch: pytest.MonkeyPatch):
    """As in a container, where the user may be in no list of users."""

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "XDG_CACHE_HOME", "CLEARHEAD_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(WriteError, match=r"^~/.cache/clearhead: there is no such home folder; set CLEARHEAD_CACHE to"):
        cache_folder(None)
    monkeypatch.setenv("CLEARHEAD_CACHE", "/cache")
    assert cache_folder(None) == Path("/cache")


def test_a_missing_home_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLEARHEAD_CACHE", "~no-such-user/x")
    with pytest.raises(WriteError, match=r"^~no-such-user/x: there is no such home folder; set CLEARHEAD_CACHE"):
        cache_folder(None)
