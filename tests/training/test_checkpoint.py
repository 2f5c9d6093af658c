"""The state on disk: complete, newest, checked, and intact after a failure."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from clearhead.errors import FolderError, TrainingError
from clearhead.tensorfile import write_tensors
from clearhead.training import checkpoint
from clearhead.training.checkpoint import (
    Progress,
    TrainingState,
    load_state,
    random_states,
    restore_random_states,
    save_state,
    saved,
)

STATE = TrainingState(
    progress=Progress(
        step=3, seconds=1.25, best_loss=0.1 + 0.2, best_step=2, log_bytes=77, loss_sum=1 / 3, loss_steps=2
    ),
    weights={"a.weight": torch.tensor([[1.5, -0.0], [float("inf"), 1e-40]]), "norm": torch.ones(3)},
    optimizer={"muon.2x3": torch.randn(1, 2, 3), "adamw.norm.step": torch.tensor(4.0)},
    random={"cpu": torch.get_rng_state()},
)


def at(step: int) -> TrainingState:
    return replace(STATE, progress=replace(STATE.progress, step=step))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back_to_the_bit(tmp_path):
    save_state(tmp_path / "state", STATE)
    found = load_state(tmp_path / "state")
    assert found is not None
    assert found.progress == STATE.progress
    for part in ("weights", "optimizer", "random"):
        before, after = getattr(STATE, part), getattr(found, part)
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            assert tensor.dtype == after[name].dtype
            assert tensor.numpy().tobytes() == after[name].numpy().tobytes()


def test_a_state_without_random_numbers_is_reported(tmp_path):
    save_state(tmp_path, replace(STATE, random={}))
    with pytest.raises(FolderError, match="not a saved state of this version"):
        load_state(tmp_path)


def test_a_fresh_progress_comes_back(tmp_path):
    """Its best loss is infinite."""
    save_state(tmp_path, replace(STATE, progress=Progress()))
    found = load_state(tmp_path)
    assert found is not None
    assert found.progress == Progress()


def test_only_the_newest_stays(tmp_path):
    for step in (3, 20, 100):
        save_state(tmp_path, at(step))
        assert names(tmp_path) == [f"{step:09d}.safetensors"]
    assert saved(tmp_path) == tmp_path / "000000100.safetensors"


def test_what_a_kill_left_is_removed_by_the_next_save(tmp_path):
    save_state(tmp_path, at(3))
    (tmp_path / ".000000004.safetensors.0123456789abcdef.tmp").write_bytes(b"half")
    assert load_state(tmp_path).progress.step == 3
    save_state(tmp_path, at(4))
    assert names(tmp_path) == ["000000004.safetensors"]


def test_what_others_put_into_the_folder_stays(tmp_path):
    for name in ("notes.txt", "my-backup.safetensors", "7.safetensors", ".mine.tmp"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "000000001.safetensors").mkdir()
    save_state(tmp_path, at(3))
    save_state(tmp_path, at(4))
    assert names(tmp_path) == [
        ".mine.tmp",
        "000000001.safetensors",  # a folder
        "000000004.safetensors",
        "7.safetensors",
        "my-backup.safetensors",
        "notes.txt",
    ]
    assert load_state(tmp_path).progress.step == 4


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "000000003.safetensors").write_text("another run's")
    (tmp_path / "state").symlink_to(tmp_path / "other")
    for touch in (lambda: save_state(tmp_path / "state", at(4)), lambda: load_state(tmp_path / "state")):
        with pytest.raises(FolderError, match="state: is a link, and should be a folder"):
            touch()
    assert names(tmp_path / "other") == ["000000003.safetensors"]


def test_beyond_a_thousand_million_steps_the_newest_counts(tmp_path):
    """Its name is longer, so it does not sort behind the others."""
    save_state(tmp_path, at(999_999_999))
    older = (tmp_path / "999999999.safetensors").read_bytes()
    save_state(tmp_path, at(1_000_000_000))
    (tmp_path / "999999999.safetensors").write_bytes(older)
    assert load_state(tmp_path).progress.step == 1_000_000_000


def test_a_state_without_its_checksum_is_refused(tmp_path):
    save_state(tmp_path, at(3))
    path = tmp_path / "000000003.safetensors"
    whole = path.read_bytes()
    begin = whole.index(b"clearhead.sha256")
    for place in range(begin, begin + len("clearhead.sha256")):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        with pytest.raises(FolderError, match="altered since it was written: it has no checksum"):
            load_state(tmp_path)
    with safetensors.safe_open(path, "pt") as file:  # written anew by another tool
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        notes = {"progress": file.metadata()["progress"]}
    safetensors.torch.save_file(tensors, path, metadata=notes)
    with pytest.raises(FolderError, match="altered since it was written: it has no checksum"):
        load_state(tmp_path)


def test_between_two_states_the_newer_counts(tmp_path):
    """Killed after the rename, before the older one was removed."""
    save_state(tmp_path, at(9))
    older = (tmp_path / "000000009.safetensors").read_bytes()
    save_state(tmp_path, at(10))
    (tmp_path / "000000009.safetensors").write_bytes(older)
    assert load_state(tmp_path).progress.step == 10


def test_nothing_saved_is_none(tmp_path):
    assert load_state(tmp_path / "nowhere") is None
    assert load_state(tmp_path) is None
    (tmp_path / ".000000000.safetensors.0123456789abcdef.tmp").write_bytes(b"")
    assert load_state(tmp_path) is None


def test_a_step_is_saved_once(tmp_path):
    save_state(tmp_path, at(3))
    before = (tmp_path / "000000003.safetensors").stat().st_mtime_ns
    save_state(tmp_path, at(3))
    assert (tmp_path / "000000003.safetensors").stat().st_mtime_ns == before


def test_a_truncated_state_is_reported(tmp_path):
    save_state(tmp_path, at(3))
    file = tmp_path / "000000003.safetensors"
    whole = file.read_bytes()
    for length in (0, 7, 100, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(FolderError, match=r"000000003\.safetensors: truncated or not a safetensors file"):
            load_state(tmp_path)


def test_an_altered_state_is_reported(tmp_path):
    save_state(tmp_path, at(3))
    file = tmp_path / "000000003.safetensors"
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)
    with pytest.raises(FolderError, match="altered since it was written"):
        load_state(tmp_path)
    whole[-1] ^= 1
    file.write_bytes(whole.replace(b"1.25", b"1.26"))  # the notes are part of the checksum
    with pytest.raises(FolderError, match="altered since it was written"):
        load_state(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "notes"),
    [
        ({"weight": torch.ones(2)}, {}),
        ({"weights/a": torch.ones(2)}, {"progress": '{"stp": 3}'}),
        ({}, {"progress": "3"}),
        *(
            ({"random/cpu": torch.get_rng_state()}, {"progress": json.dumps(progress)})
            for progress in (
                {"step": "3"},
                {"step": 3.5},
                {"step": True},
                {"step": -1},
                {"log_bytes": 2**63},
                {"log_bytes": None},
                {"seconds": "1"},
                {"seconds": float("inf")},
                {"best_loss": float("nan")},
                {"loss_sum": 10**400},
                {"seconds": [[]]},
                {"step": 2, "best_step": 3},
                {"step": 2, "loss_steps": 3},
            )
        ),
        ({"random/cpu": torch.get_rng_state()}, {"progress": "[" * 5000}),
    ],
)
def test_a_file_that_is_not_a_state_is_reported(tmp_path, tensors, notes):
    write_tensors(tmp_path / "000000003.safetensors", tensors, notes)
    with pytest.raises(FolderError, match="not a saved state of this version"):
        load_state(tmp_path)


def test_a_write_that_fails_leaves_the_last_state(tmp_path, monkeypatch):
    save_state(tmp_path, at(3))

    def full(path: Path, tensors: object, notes: object) -> None:
        raise FolderError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with pytest.raises(FolderError, match="No space left"):
        save_state(tmp_path, at(4))
    assert names(tmp_path) == ["000000003.safetensors"]
    assert load_state(tmp_path).progress.step == 3


def test_random_states_continue_where_they_were():
    states = random_states()
    expected = torch.randn(5)
    torch.manual_seed(123)
    restore_random_states(states)
    assert torch.equal(torch.randn(5), expected)


@pytest.mark.parametrize(
    "wrong", [torch.zeros(5, dtype=torch.uint8), torch.ones(3), torch.zeros_like(torch.get_rng_state())], ids=str
)
def test_invalid_random_states_are_reported(wrong):
    before = torch.get_rng_state()
    try:
        with pytest.raises(TrainingError, match="this version of torch rejects the saved random state"):
            restore_random_states({"cpu": wrong})
    finally:
        torch.set_rng_state(before)


def test_a_full_disk_leaves_the_last_state(tmp_path, file_limit):
    save_state(tmp_path, at(3))
    larger = replace(at(4), weights={"a": torch.zeros(10_000)})
    with (
        file_limit(20_000),
        pytest.raises(FolderError, match=r"000000004\.safetensors: cannot be written: .*File too large"),
    ):
        save_state(tmp_path, larger)
    assert names(tmp_path) == ["000000003.safetensors"]
    assert load_state(tmp_path).progress.step == 3
