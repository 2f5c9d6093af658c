"""A run folder from someone else: resuming writes and removes only inside it, and nothing hangs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import SMALL, Command

from clearhead.errors import FolderError
from clearhead.hub.sentences import write_pooling
from clearhead.model.parts.pooling import Pooling

STATE = "state/000000020.safetensors"


@pytest.fixture
def run(tmp_path: Path, trained) -> Path:
    """A copy of the finished run."""
    shutil.copytree(trained[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def begun(run: Path) -> Path:
    """The run as if it had been killed before its first state was saved."""
    shutil.rmtree(run / "state")
    (run / "model.safetensors").unlink()
    (run / "log.jsonl").unlink()
    return run


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of ours, with more in it than any file of the run has bytes."""
    (tmp_path / "outside").mkdir()
    for name in ("letter.txt", "000000007.safetensors", "one.jinja"):
        (tmp_path / "outside" / name).write_bytes(b"dear friend,\r\n" * 10_000)
    return tmp_path / "outside"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_the_log_of_a_finished_run_leads_elsewhere(command: Command, run: Path, outside: Path, link):
    before = contents(outside)
    (run / "log.jsonl").unlink()
    link(run / "log.jsonl", outside / "letter.txt")
    done = command("train", "--resume", "run")
    assert contents(outside) == before
    assert done.code == 1
    assert "run/log.jsonl: is a " in done.err


@pytest.mark.parametrize("name", ["letter.txt", "new.txt"])
def test_the_log_of_a_run_that_begins_leads_elsewhere(command: Command, begun: Path, outside: Path, name: str):
    before = contents(outside)
    (begun / "log.jsonl").symlink_to(outside / name)
    done = command("train", "--resume", "run")
    assert contents(outside) == before
    assert done.code == 1
    assert "run/log.jsonl: is a link, and should be a file" in done.err


def test_the_state_leads_elsewhere(command: Command, begun: Path, outside: Path):
    before = contents(outside)
    (begun / "state").symlink_to(outside)
    done = command("train", "--resume", "run")
    assert contents(outside) == before
    assert done.code == 1
    assert "run/state: is a link, and should be a folder" in done.err


def test_other_files_beside_the_states_stay(command: Command, begun: Path, outside: Path):
    (begun / "state").mkdir()
    for name in ("notes.txt", "my-backup.safetensors"):
        (begun / "state" / name).write_text("mine")
    (begun / "state" / "link.txt").symlink_to(outside / "letter.txt")
    before = contents(outside)
    assert command("train", "--resume", "run").code == 0
    assert contents(outside) == before
    kept = sorted(path.name for path in (begun / "state").iterdir())
    assert kept == ["000000020.safetensors", "link.txt", "my-backup.safetensors", "notes.txt"]


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "recipe.toml", "loss.svg"])
def test_a_linked_file_is_replaced_and_its_content_stays(command: Command, begun: Path, outside: Path, name: str):
    shutil.move(begun / name, outside / name)
    (begun / name).symlink_to(outside / name)
    before = contents(outside)
    assert command("train", "--resume", "run").code == 0
    assert contents(outside) == before


def test_the_folder_of_templates_leads_elsewhere(command: Command, begun: Path, outside: Path):
    before = contents(outside)
    (begun / "additional_chat_templates").symlink_to(outside)
    done = command("train", "--resume", "run")
    assert contents(outside) == before
    assert done.code == 1
    assert "run/additional_chat_templates: is a link, and should be a folder" in done.err


def test_the_folder_of_pooling_leads_elsewhere(tmp_path: Path, outside: Path):
    """Written by a run that goes on from a model of sentence vectors."""
    before = contents(outside)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "1_Pooling").symlink_to(outside)
    with pytest.raises(FolderError, match="1_Pooling: is a link, and should be a folder"):
        write_pooling(tmp_path / "run", Pooling(kind="mean", normalised=True, context=8), 8)
    assert contents(outside) == before


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize(
    "name", ["recipe.toml", "log.jsonl", "config.json", "tokenizer.json", "tokenizer_config.json", STATE]
)
def test_what_is_no_file_under_a_known_name(command: Command, run: Path, name: str, put: Callable[[Path], object]):
    (run / name).unlink()
    put(run / name)
    done = command("train", "--resume", "run")
    assert done.code in (1, 2)
    assert f"{name}: is a {'folder' if put == Path.mkdir else 'pipe'}, and should be a file" in done.err


@pytest.mark.usefixtures("at_once")
def test_a_config_that_is_a_pipe_or_a_device(command: Command, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.toml")
    for name, kind in (("pipe.toml", "pipe"), ("/dev/full", "device")):
        done = command("train", "text.txt", "--steps", 1, *SMALL, "--config", name)
        assert done.code == 2
        assert f"config: {name}: is a {kind}, and should be a file" in done.err
    assert not (tmp_path / "runs").exists()
