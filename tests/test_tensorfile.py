"""Tensors on disk: what is read is what was written, or an error."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clearhead import tensorfile
from clearhead.errors import FolderError
from clearhead.tensorfile import DTYPES, opened, read_tensors, write_tensors

TENSORS = {
    "matrix": torch.arange(15.0).view(3, 5),
    "half": torch.tensor([0.1, -2.5, float("nan")]).bfloat16(),
    "whole": torch.tensor(7),
    "none": torch.zeros(0, 4),
    "流": torch.tensor([True, False]),
}
NOTES = {"progress": '{"step": 3}', "注": "你好"}


def same(one: Tensor, other: Tensor) -> bool:
    """Equal to the bit: NaN is NaN, and -0.0 is not 0.0."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "a.safetensors", TENSORS, NOTES)
    return tmp_path / "a.safetensors"


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
    @pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (0,), (2, 0, 3), (2, 3, 5, 7)], ids=str)
    def test_every_dtype_and_shape(self, dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
        count = torch.Size(shape).numel() * dtype.itemsize
        high = 2 if dtype == torch.bool else 256
        data = torch.randint(0, high, (count,), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        tensor = data.view(dtype).view(shape)
        write_tensors(tmp_path / "t", {"x": tensor})
        tensors, notes = read_tensors(tmp_path / "t")
        assert list(tensors) == ["x"]
        assert notes == {}
        assert same(tensors["x"], tensor)

    def test_many_with_notes(self, written: Path) -> None:
        tensors, notes = read_tensors(written)
        assert tensors.keys() == TENSORS.keys()
        assert all(same(tensors[name], TENSORS[name]) for name in TENSORS)
        assert notes == NOTES

    def test_nothing_at_all(self, tmp_path: Path) -> None:
        write_tensors(tmp_path / "t", {})
        assert read_tensors(tmp_path / "t") == ({}, {})

    def test_views_are_written_as_what_they_show(self, tmp_path: Path) -> None:
        whole = torch.arange(24.0).view(4, 6)
        views = {"turned": whole.T, "rows": whole[1:3], "others": whole[3:], "columns": whole[:, ::2]}
        write_tensors(tmp_path / "t", {**views, "parameter": torch.nn.Parameter(torch.ones(2))})
        tensors, _ = read_tensors(tmp_path / "t")
        assert all(torch.equal(tensors[name], view) for name, view in views.items())
        assert not tensors["parameter"].requires_grad

    def test_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tensor is read some rows at a time; a row alone may be longer than that."""
        tensor = torch.arange(1001.0).view(77, 13)
        write_tensors(tmp_path / "t", {"x": tensor, "y": tensor.flatten().clone()})
        for piece in (1, 52, 100, 10**9):
            monkeypatch.setattr(tensorfile, "PIECE", piece)
            tensors, _ = read_tensors(tmp_path / "t")
            assert torch.equal(tensors["x"], tensor)
            assert torch.equal(tensors["y"], tensor.flatten())

    def test_into_what_is_there(self, written: Path) -> None:
        """A checkpoint is read straight into views of larger tensors."""
        into = {name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in TENSORS.items()}
        whole = torch.full((5, 4), -1.0)
        into["matrix"] = whole[:, :3].T
        with opened(written) as file:
            assert file.shapes == {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}
            assert file.dtypes == {name: tensor.dtype for name, tensor in TENSORS.items()}
            file.read(into)
        assert torch.equal(whole[:, :3].T, TENSORS["matrix"])
        assert (whole[:, 3] == -1).all()


class TestOtherTools:
    def test_the_library_reads_ours(self, written: Path) -> None:
        tensors = safetensors.torch.load_file(written)
        assert all(same(tensors[name], TENSORS[name]) for name in TENSORS)

    def test_we_read_the_librarys(self, tmp_path: Path) -> None:
        safetensors.torch.save_file(TENSORS, tmp_path / "t", metadata={"format": "pt", "by": "another tool"})
        tensors, notes = read_tensors(tmp_path / "t")
        assert all(same(tensors[name], TENSORS[name]) for name in TENSORS)
        assert notes == {"by": "another tool"}

    def test_no_notes_at_all(self, tmp_path: Path) -> None:
        for metadata in ('"__metadata__":null,', ""):
            header = f'{{{metadata}"x":{{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}}}'.encode()
            (tmp_path / "t").write_bytes(struct.pack("<Q", len(header)) + header + b"\1\2")
            tensors, notes = read_tensors(tmp_path / "t")
            assert tensors["x"].tolist() == [1, 2]
            assert notes == {}

    def test_the_checksum_by_its_definition(self, tmp_path: Path) -> None:
        write_tensors(tmp_path / "t", {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor(3)}, {"z": "1", "y": "2"})
        said = (
            b"y=2\nz=1\na torch.int64 ()\n"
            + struct.pack("<q", 3)
            + b"b torch.float32 (2,)\n"
            + struct.pack("<2f", 1, 2)
        )
        with safetensors.safe_open(tmp_path / "t", "pt") as file:
            assert file.metadata()["clearhead.sha256"] == hashlib.sha256(said).hexdigest()

    @pytest.mark.parametrize("dtype", ["F4", "F8_E4M3", "F8_E8M0", "C64", "U64"])
    def test_numbers_that_are_not_known_here(self, dtype: str, tmp_path: Path) -> None:
        size = {"F4": 1, "C64": 16, "U64": 16}.get(dtype, 2)
        header = json.dumps({"x": {"dtype": dtype, "shape": [2], "data_offsets": [0, size]}}).encode()
        (tmp_path / "t").write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
        with pytest.raises(FolderError, match=rf"t: tensors of {dtype}; known are F64, F32"):
            read_tensors(tmp_path / "t")


class TestDamage:
    def test_every_byte_of_data_counts(self, written: Path) -> None:
        whole = written.read_bytes()
        (length,) = struct.unpack("<Q", whole[:8])
        for place in range(8 + length, len(whole)):
            written.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
            with pytest.raises(FolderError, match="altered since it was written: its checksum differs"):
                read_tensors(written)

    def test_no_byte_of_the_header_gives_other_tensors(self, written: Path) -> None:
        """Of two changes nothing can be said: in the name of the checksum itself, and in "format", not ours."""
        whole = written.read_bytes()
        (length,) = struct.unpack("<Q", whole[:8])
        silent = set[int]()
        for place in range(8 + length):
            for change in (0x01, 0x80):
                written.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
                try:
                    tensors, _ = read_tensors(written)
                except FolderError:
                    continue
                assert all(same(tensors[name], TENSORS[name]) for name in TENSORS)
                silent.add(place)
        assert len(silent) <= len('"clearhead.sha256"') + len('"pt"')

    @pytest.mark.parametrize("change", [0x01, 0x02, 0x04])
    def test_the_name_of_the_checksum_cannot_switch_it_off(self, change: int, tmp_path: Path) -> None:
        """Where we wrote other notes too, as beside every model's weights."""
        write_tensors(tmp_path / "t", TENSORS, {"clearhead.config": "1"})
        whole = (tmp_path / "t").read_bytes()
        begin = whole.index(b"clearhead.sha256")
        for place in range(begin, begin + len(b"clearhead.sha256")):
            (tmp_path / "t").write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
            with pytest.raises(FolderError, match="altered since it was written: it has no checksum"):
                read_tensors(tmp_path / "t")

    def test_one_of_our_own_has_a_checksum(self, tmp_path: Path) -> None:
        safetensors.torch.save_file(TENSORS, tmp_path / "t", metadata=NOTES)
        assert read_tensors(tmp_path / "t")[1] == NOTES
        with pytest.raises(FolderError, match="altered since it was written: it has no checksum; copy it again"):
            read_tensors(tmp_path / "t", own=True)
        write_tensors(tmp_path / "t", TENSORS, NOTES)
        assert read_tensors(tmp_path / "t", own=True)[1] == NOTES

    @pytest.mark.parametrize("shape", [[0, 2**63], [0, 2**62, 4], [2**60, 0, 8]])
    def test_a_shape_too_large(self, shape: list[int], tmp_path: Path) -> None:
        """It has no numbers, so the file's length says nothing of it."""
        header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}).encode()
        (tmp_path / "t").write_bytes(struct.pack("<Q", len(header)) + header)
        with pytest.raises(FolderError, match=r"t: altered: 'x' is of shape \(.*; copy it again"):
            read_tensors(tmp_path / "t")

    def test_every_length(self, written: Path) -> None:
        whole = written.read_bytes()
        for length in range(len(whole)):
            written.write_bytes(whole[:length])
            with pytest.raises(FolderError, match="truncated or not a safetensors file"):
                read_tensors(written)

    def test_cut_off_while_it_is_read(self, tmp_path: Path) -> None:
        write_tensors(tmp_path / "t", {"x": torch.ones(100_000)})
        with opened(tmp_path / "t") as file:
            os.truncate(tmp_path / "t", 300_000)
            with pytest.raises(FolderError, match=r"t: truncated while being read; try again"):
                file.read({"x": torch.empty(100_000)})

    def test_what_is_appended(self, written: Path) -> None:
        written.write_bytes(written.read_bytes() + b"\0")
        with pytest.raises(FolderError, match="truncated or not a safetensors file"):
            read_tensors(written)

    @settings(deadline=None)
    @given(content=st.binary(max_size=400))
    def test_noise(self, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.getbasetemp() / "noise.safetensors"
        path.write_bytes(content)
        with pytest.raises(
            FolderError, match=r"truncated or not a safetensors file|is a Git LFS pointer, not the file"
        ):
            read_tensors(path)

    @pytest.mark.parametrize("swap", ["notes", "names", "shapes", "dtypes"])
    def test_the_meaning_counts_too(self, swap: str, tmp_path: Path) -> None:
        """The same bytes under another name, shape or type, with the checksum of before."""
        tensors, notes = {"a": torch.ones(2, 3), "b": torch.zeros(2, 3)}, {"x": "1"}
        write_tensors(tmp_path / "t", tensors, notes)
        with safetensors.safe_open(tmp_path / "t", "pt") as file:
            metadata = dict(file.metadata())
        if swap == "notes":
            metadata["x"] = "2"
        elif swap == "names":
            tensors = {"a": tensors["b"], "b": tensors["a"]}
        elif swap == "shapes":
            tensors["a"] = tensors["a"].view(3, 2)
        else:
            tensors["a"] = tensors["a"].view(torch.int32)
        safetensors.torch.save_file(tensors, tmp_path / "t", metadata=metadata)
        with pytest.raises(FolderError, match="its checksum differs"):
            read_tensors(tmp_path / "t")

    def test_a_pickle_is_not_opened(self, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(tmp_path / "sprung"),)

        stored = io.BytesIO()
        torch.save({"x": torch.ones(2)}, stored)
        for content in (stored.getvalue(), pickle.dumps(Trap())):
            (tmp_path / "t").write_bytes(content)
            with pytest.raises(FolderError, match="truncated or not a safetensors file"):
                read_tensors(tmp_path / "t")
        assert not (tmp_path / "sprung").exists()

    def test_places_without_a_file(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none", tmp_path / "none" / "t"):
            with pytest.raises(FolderError, match=f"^{path}: there is no such file$"):
                read_tensors(path)
        (tmp_path / "round").symlink_to("round")  # it is there and cannot be read; a copy would not help
        with pytest.raises(FolderError, match="round: cannot be read: Too many levels of symbolic links; check its"):
            read_tensors(tmp_path / "round")
        with pytest.raises(FolderError, match=f"^{tmp_path}: is a folder, and should be a file; copy the file there$"):
            read_tensors(tmp_path)


@pytest.mark.parametrize("size", [600, 1_000_000])
def test_a_full_disk(size: int, tmp_path: Path, file_limit: Callable[[int], AbstractContextManager[None]]) -> None:
    write_tensors(tmp_path / "t", {"x": torch.ones(100)})
    message = r"t: cannot be written: .*too large.*; the old file is unchanged; free some space or choose"
    with pytest.raises(FolderError, match=message), file_limit(2000):
        write_tensors(tmp_path / "t", {"x": torch.zeros(size)})
    tensors, _ = read_tensors(tmp_path / "t")
    assert torch.equal(tensors["x"], torch.ones(100))
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_equal_contents_give_equal_files(tmp_path: Path) -> None:
    """In whatever order they are given."""
    write_tensors(tmp_path / "one", TENSORS, NOTES)
    write_tensors(tmp_path / "other", dict(reversed(TENSORS.items())), dict(reversed(NOTES.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
