"""The kernels in C are compiled once, and only what this user could have written is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhead.native import compiling

here = pytest.mark.skipif(compiling.library() is None, reason="no C compiler, or a processor without AVX2")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library is looked for again, in the test and after it, and compiled in a third of the time."""
    monkeypatch.setattr(compiling, "OPTIONS", dict.fromkeys(compiling.OPTIONS, ("-O0", *compiling.COMMON)))
    compiling.library.cache_clear()
    yield
    compiling.library.cache_clear()


@here
@pytest.mark.usefixtures("fresh")
class TestCompiling:
    def test_it_is_compiled_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path))
        assert compiling.library() is not None
        (made,) = (tmp_path / "products").iterdir()
        before = made.stat().st_ino
        compiling.library.cache_clear()
        monkeypatch.setattr(compiling, "_compile", None)  # is not called
        assert compiling.library() is not None
        assert made.stat().st_ino == before

    @pytest.mark.parametrize("damage", [b"", b"not a library"])
    def test_a_damaged_file_is_compiled_again(
        self, damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path))
        compiler = compiling.compiler()
        assert compiler is not None
        folder = tmp_path / "products"
        folder.mkdir()
        (folder / f"{compiling.key(compiler)}.so").write_bytes(damage)
        assert compiling.library() is not None
        (made,) = folder.iterdir()
        assert made.stat().st_size > 1000

    def test_a_file_that_others_could_have_written_is_not_loaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path))
        folder = tmp_path / "products"
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        compiler = compiling.compiler()
        assert compiler is not None
        planted = folder / f"{compiling.key(compiler)}.so"
        planted.write_bytes(b"planted")
        assert compiling.library() is not None  # compiled elsewhere
        assert planted.read_bytes() == b"planted"

    def test_a_folder_that_cannot_be_made_costs_only_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path / "file" / "below"))
        assert compiling.library() is not None

    def test_the_users_flags_are_used_and_tell_its_files_apart(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path))
        assert compiling.library() is not None
        compiling.library.cache_clear()
        monkeypatch.setenv("CFLAGS", "-g1 --no-such-flag")
        assert compiling.library() is None
        compiling.library.cache_clear()
        monkeypatch.setenv("CFLAGS", "-g1")
        assert compiling.library() is not None
        assert len(list((tmp_path / "products").glob("*.so"))) == 2

    def test_a_compiler_that_fails_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path))
        false = shutil.which("false")
        assert false is not None
        monkeypatch.setenv("CC", false)
        assert compiling.library() is None
